"""What a sweep found as one drawing, a row for each destination category and a column for each metric and window.

`heat_map` is the drawing; `show` puts it on a terminal, `write` into a report. A cell has its peak as a number and a
mark beside its colour, so that no meaning is in a colour alone. Metrics have units of their own, so a colour is a share
of the highest peak of its metric.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from flowquery.core.text import visible
from flowquery.widget.wording import CATEGORIES, METRICS, number, shown, subject, unit_in_words
from localaws.demo.page import minute, scrolling, span

LEVELS = 5
STYLES = (
    "",
    "#ffffff on #0c2d6b",
    "#ffffff on #0d419d",
    "#ffffff on #1158c7",
    "#0d1117 on #58a6ff",
    "#0d1117 on #a5d6ff",
)
_CELL_WIDTH = 10  # with its border


class Mark(StrEnum):
    NONE = ""
    FINDING = "!"
    FAILED = "x"
    STORED = "="
    NO_DATA = "."


MARK_WORDS = {
    Mark.FINDING: "finding, above its threshold",
    Mark.FAILED: "failed, nothing is stored",
    Mark.STORED: "stored by an earlier run",
    Mark.NO_DATA: "no data, a valid result",
}
SHADES = f"A stronger shade is a higher peak, in {LEVELS} steps up to the highest of the metric."


@dataclass(frozen=True)
class Cell:
    """Of one query: a shade from 0 (none) to LEVELS, its peak in few characters, a mark, and all of it in words."""

    level: int
    text: str
    mark: Mark
    words: str


@dataclass(frozen=True)
class Column:
    metric: str
    start: str
    end: str


@dataclass(frozen=True)
class HeatMap:
    """`cells` has a row for each category, with None where there is no query."""

    categories: tuple[str, ...]
    columns: tuple[Column, ...]
    units: Mapping[str, str]
    cells: tuple[tuple[Cell | None, ...], ...]

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(column.metric for column in self.columns))

    @property
    def windows(self) -> int:
        return len({(column.start, column.end) for column in self.columns})

    @property
    def marks(self) -> list[Mark]:
        used = {cell.mark for row in self.cells for cell in row if cell}
        return [mark for mark in MARK_WORDS if mark in used]


def heat_map(output: Mapping[str, Any]) -> HeatMap:
    """Return the drawing of an output of SweepScope, `schemas/sweep_scope.output.json`.

    A metric's windows stand side by side, so that time goes from left to right.
    """
    windows, queries = output["windows"], output["queries"]
    metrics = in_order((query["metricName"] for query in queries), METRICS)
    categories = in_order((query["destinationCategory"] for query in queries), CATEGORIES)
    queried = {(query["metricName"], query["window"]) for query in queries}
    by_time = sorted(range(len(windows)), key=lambda index: (windows[index]["startTime"], windows[index]["endTime"]))
    columns = [(metric, index) for metric in metrics for index in by_time if (metric, index) in queried]
    highest = {metric: _highest(queries, metric) for metric in metrics}
    cells = {
        (query["destinationCategory"], query["metricName"], query["window"]): _cell(
            query, windows[query["window"]], highest[query["metricName"]]
        )
        for query in queries
    }
    return HeatMap(
        categories=tuple(categories),
        columns=tuple(
            Column(metric, windows[index]["startTime"], windows[index]["endTime"]) for metric, index in columns
        ),
        units={metric: _unit(queries, metric) for metric in metrics},
        cells=tuple(tuple(cells.get((category, *column)) for column in columns) for category in categories),
    )


def in_order(names: Iterable[str], first: Iterable[str]) -> list[str]:
    """Return each name a single time: those of `first` in their order, then the others."""
    unique = dict.fromkeys(names)
    return [name for name in first if name in unique] + [name for name in unique if name not in set(first)]


def abbreviated(value: float) -> str:
    """Return the value in few characters, as 1.2k, 33 or 0.04."""
    if abs(value) < 1 or abs(value) >= 1e18:
        return f"{value:.2g}"
    suffixes = iter(("", "k", "M", "G", "T", "P", "E"))
    suffix = next(suffixes)
    while round(abs(value)) >= 1000:
        value, suffix = value / 1000, next(suffixes)
    text = f"{value:.1f}" if abs(value) < 9.95 else f"{value:.0f}"
    return text.removesuffix(".0") + suffix


def _highest(queries: Sequence[Mapping[str, Any]], metric: str) -> float:
    peaks = [query["peak"]["value"] for query in queries if query["metricName"] == metric and query["peak"]]
    return max(peaks, default=0)


def _unit(queries: Sequence[Mapping[str, Any]], metric: str) -> str:
    units = [query["unit"] for query in queries if query["metricName"] == metric and query["unit"]]
    return unit_in_words(units[0], metric) if units else ""


def _cell(query: Mapping[str, Any], window: Mapping[str, Any], highest: float) -> Cell:
    peak, mark = query["peak"], _mark(query)
    level = 0
    if peak and peak["value"] > 0:
        level = max(1, math.ceil(LEVELS * (peak["value"] / highest)))
    text = abbreviated(peak["value"]) if peak else ""
    return Cell(level, text, mark, f"{_request_words(query, window)}: {_result_words(query, mark)}")


def _mark(query: Mapping[str, Any]) -> Mark:
    if query["status"] not in ("SUCCEEDED", "STORED"):
        return Mark.FAILED
    if query["finding"]:
        return Mark.FINDING
    if query["status"] == "STORED":
        return Mark.STORED
    return Mark.NONE if query["peak"] else Mark.NO_DATA


def _request_words(query: Mapping[str, Any], window: Mapping[str, Any]) -> str:
    selection = subject(query["metricName"], query["destinationCategory"])
    return f"{selection}, {span(window['startTime'], window['endTime'])}"


def _result_words(query: Mapping[str, Any], mark: Mark) -> str:
    if mark is Mark.FAILED:
        return f"{query['status']}: {query.get('cause', '')}"
    words = [MARK_WORDS[mark]] if mark else []
    if peak := query["peak"]:
        words.append(f"peak {number(peak['value'])} of {visible(peak['label'], 60)} at {minute(peak['timestamp'])} UTC")
    return "; ".join(words)


# --- on a terminal ---


def show(console: Console, drawn: HeatMap) -> None:
    """Print one table of all metrics for one window, else a table for each metric, as many as its windows need."""
    if drawn.windows == 1:
        _show_one_window(console, drawn)
    else:
        for metric in drawn.metrics:
            _show_windows(console, drawn, metric)
    for line in (SHADES, *(f"{mark} {MARK_WORDS[mark]}" for mark in drawn.marks)):
        console.print(f"  {line}", markup=False)


def _show_one_window(console: Console, drawn: HeatMap) -> None:
    heads = [
        f"{escape(visible(column.metric))}\n[dim]{escape(visible(drawn.units[column.metric]))}[/]"
        for column in drawn.columns
    ]
    console.print(_table(drawn, range(len(drawn.columns)), heads, span(drawn.columns[0].start, drawn.columns[0].end)))


def _show_windows(console: Console, drawn: HeatMap, metric: str) -> None:
    most = max(1, (console.width - max(map(len, drawn.categories)) - 4) // _CELL_WIDTH)
    indexes = [index for index, column in enumerate(drawn.columns) if column.metric == metric]
    title = f"{metric}, in {drawn.units[metric]}" if drawn.units[metric] else metric
    for first in range(0, len(indexes), most):
        shown_indexes = indexes[first : first + most]
        heads = [minute(drawn.columns[index].start)[5:].replace(" ", "\n") for index in shown_indexes]
        console.print(_table(drawn, shown_indexes, heads, f"{visible(title)}, windows by their start (UTC)"))


def _table(drawn: HeatMap, indexes: Iterable[int], heads: Sequence[str], title: str) -> Table:
    table = Table(title=escape(title), title_justify="left")
    table.add_column("category", no_wrap=True)
    for head in heads:
        table.add_column(head, justify="right")
    for category, row in zip(drawn.categories, drawn.cells, strict=True):
        table.add_row(escape(visible(category, 40)), *(_text(row[index]) for index in indexes))
    return table


def _text(cell: Cell | None) -> Text:
    if cell is None:
        return Text("")
    style = "red" if cell.mark is Mark.FAILED else STYLES[cell.level]
    return Text(f"{cell.text:>5} {cell.mark:1}", f"{style} bold" if cell.mark is Mark.FINDING else style)


# --- in a report ---


def write(drawn: HeatMap) -> str:
    """Return a table whose cells are coloured, with its legend."""
    rows = []
    for category, row in zip(drawn.categories, drawn.cells, strict=True):
        name = shown(category)
        breaking = name.replace("_", "_<wbr>")  # which is read as a space
        rows.append(f'<tr><th scope="row" aria-label="{name}">{breaking}</th>{"".join(map(_data, row))}</tr>')
    table = f'<table class="heat">{_head(drawn)}<tbody>{"".join(rows)}</tbody></table>'
    return f"{scrolling('Heat map of the highest peaks', table)}{_legend(drawn)}"


def _head(drawn: HeatMap) -> str:
    has_one_window = drawn.windows == 1
    groups, windows = [], ""
    for metric in drawn.metrics:
        columns = [column for column in drawn.columns if column.metric == metric]
        name = shown(METRICS.get(metric, metric)).replace("retransmission", "retrans&shy;mission")
        unit = f"<small>{shown(drawn.units[metric], 40)}</small>" if drawn.units[metric] != METRICS.get(metric) else ""
        scope = 'scope="col"' if has_one_window else f'scope="colgroup" colspan="{len(columns)}"'
        groups.append(f"<th {scope}>{name}{unit}</th>")
        windows += "".join(f'<th scope="col" class="time">{_start(column)}</th>' for column in columns)
    first = f'<th scope="col"{"" if has_one_window else " rowspan=2"}>category</th>'
    return f"<thead><tr>{first}{''.join(groups)}</tr>{'' if has_one_window else f'<tr>{windows}</tr>'}</thead>"


def _start(column: Column) -> str:
    return "<br>".join(map(shown, minute(column.start)[5:].split(" ")))


def _data(cell: Cell | None) -> str:
    if cell is None:
        return '<td class="quiet">–<span class="spoken">not queried</span></td>'
    mark = ""
    if cell.mark:
        words = MARK_WORDS[cell.mark]
        mark = f'<span class="mark" aria-hidden="true">{cell.mark}</span><span class="spoken">{words}</span>'
    kind = f"l{cell.level} {cell.mark.name.lower()}" if cell.mark else f"l{cell.level}"
    return f'<td class="{kind}" title="{shown(cell.words, 400)}">{cell.text}{mark}</td>'


def _legend(drawn: HeatMap) -> str:
    steps = "".join(f'<span class="l{level}"></span>' for level in range(1, LEVELS + 1))
    marks = "".join(f'<li><span class="mark">{mark}</span> {MARK_WORDS[mark]}</li>' for mark in drawn.marks)
    shades = f'<li><span class="steps" aria-hidden="true">{steps}</span> {SHADES}</li>'
    return f'<ul class="legend" aria-label="Legend">{shades}{marks}</ul>'
