"""Series over time as one inline SVG, which needs no script, no style sheet and no font from elsewhere.

Its colours have a contrast of 3 and more on white and on near-black, its ink is the page's own, and each line has a
letter, a dash pattern and a marker too, so that no meaning is in a colour alone.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from flowquery.widget.wording import moment, number, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MOST_LINES = 6
MOST_POINTS = 160  # of a line; of more points the highest of each stretch is drawn
MOST_MARKERS = 16

COLORS = ("#4c8eda", "#c2740c", "#2f9e63", "#a371f7", "#e5484d", "#7d8590")
DASHES = ("", "8 4", "2 3", "10 3 2 3", "5 2", "1 4")
MARKERS = (
    "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z",
    "M-3.2 -3.2h6.4v6.4h-6.4z",
    "M0 -4.6L4.6 0L0 4.6L-4.6 0z",
    "M0 -4.4L4.2 3.4H-4.2z",
    "M0 4.4L4.2 -3.4H-4.2z",
    "M-4 -1.3h2.7v-2.7h2.6v2.7h2.7v2.6h-2.7v2.7h-2.6v-2.7h-2.7z",
)
STEPS = (60, 300, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200)
DAY = 86_400
LINE_HEIGHT = 16


class Point(NamedTuple):
    """A time in epoch seconds and a value in the series' unit."""

    at: float
    value: float


@dataclass(frozen=True)
class Series:
    label: str
    points: tuple[Point, ...]
    peak: Point

    @property
    def mean(self) -> float:
        return sum(point.value for point in self.points) / len(self.points)


def letter(index: int) -> str:
    """Return the letter by which chart and tables name a line."""
    return chr(ord("A") + index)


def series_of(rows: Iterable[Mapping[str, object]]) -> list[Series]:
    """Return the series in rows of `timestamp`, `label` and `value`, the one with the highest peak first."""
    found: dict[str, list[Point]] = defaultdict(list)
    for row in rows:
        at = datetime.fromisoformat(str(row["timestamp"])).timestamp()
        found[str(row["label"])].append(Point(at, float(str(row["value"]))))
    series = [
        Series(label, tuple(sorted(points)), max(points, key=lambda point: point.value))
        for label, points in found.items()
    ]
    return sorted(series, key=lambda one: (-one.peak.value, one.label))


def draw(series: Sequence[Series], unit: str, name: str, width: int = 920, height: int = 360) -> str:
    """Return the SVG of the highest series, their peaks marked.

    Parameters
    ----------
    series
        As `series_of` returns them, at least one.
    unit
        In words, see `flowquery.widget.wording.unit_in_words`.
    name
        Begins the ids in it, which have to be unique on a page; letters only.
    width, height
        In CSS pixels. From 600 on labels stand beside the lines, else letters alone do.
    """
    drawn = series[:MOST_LINES]
    frame = _Frame.around(drawn, width, height)
    parts = [*_grid(frame, unit), *(_line(frame, index, one) for index, one in enumerate(drawn))]
    parts += [*_labels(frame, drawn), _highest(frame, drawn[0])]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-labelledby="{name}Title {name}Description" font-family="system-ui, sans-serif" '
        f'font-size="12" fill="currentColor"><title id="{name}Title">{_title(series, unit)}</title>'
        f'<desc id="{name}Description">{_description(drawn, unit)}</desc>{"".join(parts)}</svg>'
    )


def swatch(index: int) -> str:
    """Return the line of a letter in small, for tables."""
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 12" width="32" height="12" aria-hidden="true">'
        f'<path d="M1 6H31" fill="none" stroke="{COLORS[index]}" stroke-width="2" stroke-dasharray="{DASHES[index]}"/>'
        f'<path d="{MARKERS[index]}" transform="translate(16 6)" fill="{COLORS[index]}"/></svg>'
    )


def thinned(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """Return the highest point of each of `most` stretches, so that no peak is lost."""
    if len(points) <= most:
        return list(points)
    edges = [index * len(points) // most for index in range(most + 1)]
    stretches = (points[start:end] for start, end in pairwise(edges))
    return [max(stretch, key=lambda point: point.value) for stretch in stretches]


@dataclass(frozen=True)
class _Frame:
    """Where times and values stand: the plot's edges in pixels, its range in seconds and in the unit."""

    left: float
    right: float
    top: float
    bottom: float
    first: float
    last: float
    ticks: tuple[float, ...]

    @classmethod
    def around(cls, series: Sequence[Series], width: int, height: int) -> _Frame:
        times = [point.at for one in series for point in (one.points[0], one.points[-1])]
        lowest = min(min(point.value for point in one.points) for one in series)
        ticks = _value_ticks(min(0.0, lowest), series[0].peak.value)
        left = 14 + 7 * max(len(_short(tick)) for tick in ticks)
        right = width - (170 if width >= 600 else 26)
        return cls(left, right, 44, height - 30, min(times), max(times), ticks)

    def x(self, at: float) -> float:
        span = self.last - self.first
        share = (at - self.first) / span if span else 0.5
        return round(self.left + 8 + share * (self.right - self.left - 16), 1)

    def y(self, value: float) -> float:
        low, high = self.ticks[0], self.ticks[-1]
        return round(self.bottom - (value - low) / (high - low) * (self.bottom - self.top), 1)

    @property
    def wide(self) -> bool:
        return self.right >= 430


def _value_ticks(low: float, high: float) -> tuple[float, ...]:
    """Return round values from below `low` to above `high`, four to seven of them."""
    span = max((high - low) or abs(high) or 1.0, 1e-290)  # smaller ones have no power of ten
    rough = span / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    start, end = math.floor(low / step), max(math.ceil(high / step), math.floor(low / step) + 1)
    return tuple(index * step for index in range(start, end + 1))


def _time_ticks(first: float, last: float, most: int) -> list[float]:
    fitting = (step for step in STEPS if (last - first) / step <= most)
    step = next(fitting, DAY * math.ceil((last - first) / DAY / most) or DAY)
    start = float(math.ceil(first / step) * step)
    return [start + index * step for index in range(int((last - start) // step) + 1)] or [first]


def _short(value: float) -> str:
    for size, suffix in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e4, " k")):
        if abs(value) >= size:
            return f"{number(value / (1e3 if suffix == ' k' else size))}{suffix}"
    return number(value)


def _grid(frame: _Frame, unit: str) -> list[str]:
    parts = [f'<text x="2" y="14" font-size="13">{shown(unit, 60)}</text>']
    for tick in frame.ticks:
        y = frame.y(tick)
        parts.append(
            f'<path d="M{frame.left} {y}H{frame.right}" stroke="currentColor" stroke-opacity="'
            f'{0.5 if tick == frame.ticks[0] else 0.15}"/>'
            f'<text x="{frame.left - 6}" y="{y + 4}" text-anchor="end" fill-opacity="0.8">{_short(tick)}</text>'
        )
    times = _time_ticks(frame.first, frame.last, int((frame.right - frame.left) // (75 if frame.wide else 55)))
    for index, at in enumerate(times):
        form = "%d %b" if at % DAY == 0 and frame.last - frame.first >= DAY else "%H:%M"
        zone = " UTC" if index == len(times) - 1 and frame.wide else ""
        parts.append(
            f'<path d="M{frame.x(at)} {frame.bottom}v5" stroke="currentColor" stroke-opacity="0.5"/>'
            f'<text x="{frame.x(at)}" y="{frame.bottom + 19}" text-anchor="middle" fill-opacity="0.8">'
            f"{moment(at, form)}{zone}</text>"
        )
    return parts


def _line(frame: _Frame, index: int, one: Series) -> str:
    points = [(frame.x(point.at), frame.y(point.value)) for point in thinned(one.points)]
    path = "M" + "L".join(f"{x} {y}" for x, y in points)
    every = math.ceil(len(points) / (MOST_MARKERS if frame.wide else MOST_MARKERS // 2))
    marks = "".join(f'<path d="{MARKERS[index]}" transform="translate({x} {y})"/>' for x, y in points[::every])
    at_peak = f'cx="{frame.x(one.peak.at)}" cy="{frame.y(one.peak.value)}"'
    color = COLORS[index]
    return (
        f'<g fill="{color}"><path d="{path}" fill="none" stroke="{color}" stroke-width="2" stroke-linejoin="round" '
        f'stroke-dasharray="{DASHES[index]}"/>{marks}'
        f'<circle {at_peak} r="7.5" fill="none" stroke="{color}" stroke-width="1.5">'
        f"<title>{letter(index)}: {_peak(one)}</title></circle></g>"
    )


def _labels(frame: _Frame, drawn: Sequence[Series]) -> list[str]:
    """Return each line's name at its end, moved apart where they would overlap, and a thin line to it."""
    ends = sorted((frame.y(one.points[-1].value), index) for index, one in enumerate(drawn))
    lowest = frame.bottom - LINE_HEIGHT * (len(ends) - 1)
    parts, y = [], frame.top - LINE_HEIGHT
    for rank, (end, index) in enumerate(ends):
        y = max(y + LINE_HEIGHT, min(end, lowest + LINE_HEIGHT * rank))
        x = frame.x(drawn[index].points[-1].at)
        name = f"{letter(index)}  {shown(drawn[index].label, 19)}" if frame.wide else letter(index)
        parts.append(
            f'<path d="M{x + 5} {end}L{frame.right + 4} {y}" stroke="{COLORS[index]}" stroke-opacity="0.5"/>'
            f'<text x="{frame.right + 8}" y="{y + 4}" direction="ltr" font-weight="600">{name}</text>'
        )
    return parts


def _highest(frame: _Frame, one: Series) -> str:
    x, y = frame.x(one.peak.at), frame.y(one.peak.value)
    anchor = "start" if x < frame.left + 70 else "end" if x > frame.right - 70 else "middle"
    form = "%d %b %H:%M" if frame.last - frame.first >= DAY else "%H:%M"
    text = f"peak {number(one.peak.value)} at {moment(one.peak.at, form)}"
    return f'<text x="{x}" y="{y - 13}" text-anchor="{anchor}" font-weight="600">{text}</text>'


def _title(series: Sequence[Series], unit: str) -> str:
    many = f", the {MOST_LINES} with the highest peaks drawn" if len(series) > MOST_LINES else ""
    return f"{shown(unit, 60)} over time, {len(series)} series{many}"


def _description(drawn: Sequence[Series], unit: str) -> str:
    first = min(one.points[0].at for one in drawn)
    last = max(one.points[-1].at for one in drawn)
    peaks = "; ".join(f"{letter(index)}, {shown(one.label, 60)}: {_peak(one)}" for index, one in enumerate(drawn))
    return f"From {moment(first)} to {moment(last)} UTC, in {shown(unit, 60)}. {peaks}."


def _peak(one: Series) -> str:
    return f"peak {number(one.peak.value)} at {moment(one.peak.at)} UTC"
