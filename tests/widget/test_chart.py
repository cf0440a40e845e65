"""The chart: well-formed whatever the labels, nothing outside it, no peak lost, no meaning in a colour alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowquery.widget import chart
from flowquery.widget.chart import MOST_LINES, MOST_POINTS, Point, Series, draw, series_of, thinned
from flowquery.widget.wording import number, shown, subject, unit_in_words
from tests.hostile import HOSTILE

START = datetime(2026, 11, 24, 8, tzinfo=UTC)
SVG = "{http://www.w3.org/2000/svg}"
VALUES = st.floats(min_value=-1e18, max_value=1e18) | st.sampled_from([5e-324, -5e-324, 1e-300, 1e300])


def rows(**values: Sequence[float]) -> list[dict[str, object]]:
    """Rows of each label, five minutes apart, in the order of storing."""
    return [
        {"timestamp": text(index), "label": label, "value": value}
        for label, of in values.items()
        for index, value in enumerate(of)
    ]


def text(index: int) -> str:
    return (START + timedelta(minutes=5 * index)).isoformat().replace("+00:00", "Z")


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def texts(svg: str) -> list[str]:
    return ["".join(found.itertext()) for found in parsed(svg).iter(f"{SVG}text")]


def test_series_come_with_the_highest_peak_first_and_their_points_by_time() -> None:
    found = series_of([*rows(low=[1, 2]), *reversed(rows(high=[9, 3]))])

    assert [(one.label, one.peak.value, one.mean) for one in found] == [("high", 9, 6), ("low", 2, 1.5)]
    assert found[0].points == (Point(START.timestamp(), 9), Point(START.timestamp() + 300, 3))


def test_the_text_alternatives_say_what_the_chart_does() -> None:
    svg = parsed(draw(series_of(rows(a=[1, 7.5], b=[2, 3])), "TCP retransmissions", "one"))

    title, description = svg.find(f"{SVG}title"), svg.find(f"{SVG}desc")
    assert title is not None
    assert description is not None
    assert svg.get("role") == "img"
    assert svg.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    assert title.text == "TCP retransmissions over time, 2 series"
    assert description.text == (
        "From 2026-11-24 08:00 to 2026-11-24 08:05 UTC, in TCP retransmissions. "
        "A, a: peak 7.5 at 2026-11-24 08:05 UTC; B, b: peak 3 at 2026-11-24 08:05 UTC."
    )


def test_the_highest_peak_is_named_and_every_lines_is_ringed() -> None:
    svg = draw(series_of(rows(a=[1, 7.5], b=[2, 3])), "bytes", "one")

    assert "peak 7.5 at 08:05" in texts(svg)
    assert len(list(parsed(svg).iter(f"{SVG}circle"))) == 2


def test_lines_differ_in_more_than_their_colour() -> None:
    assert len(set(chart.DASHES)) == len(set(chart.MARKERS)) == len(set(chart.COLORS)) == MOST_LINES


@pytest.mark.parametrize("ground", ["#ffffff", "#0d1117", "#161b22"])
@pytest.mark.parametrize("color", chart.COLORS)
def test_each_colour_stands_out_on_light_and_on_dark(color: str, ground: str) -> None:
    lighter, darker = sorted((luminance(color), luminance(ground)), reverse=True)

    assert (lighter + 0.05) / (darker + 0.05) >= 3  # WCAG 2.2, 1.4.11


def luminance(color: str) -> float:
    channels = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_of_more_series_the_highest_are_drawn_and_the_title_says_so() -> None:
    svg = draw(series_of(rows(**{f"s{number}": [number, 1] for number in range(9)})), "bytes", "one")

    drawn = [text for text in texts(svg) if re.match(r"[A-Z] ", text)]
    assert sorted(drawn) == [f"{letter}  s{8 - rank}" for rank, letter in enumerate("ABCDEF")]
    assert "9 series, the 6 with the highest peaks drawn" in svg


def test_labels_do_not_overlap() -> None:
    svg = parsed(draw(series_of(rows(**{f"s{number}": [number, 5] for number in range(6)})), "bytes", "one"))

    heights = sorted(float(found.get("y", "")) for found in svg.iter(f"{SVG}text") if found.get("direction"))
    assert all(after - before >= 15.9 for before, after in pairwise(heights))


def test_thinning_keeps_the_peak_and_the_ends_stretch() -> None:
    points = [Point(at, 1.0) for at in range(9000)]
    points[4567] = Point(4567, 99.0)

    found = thinned(points)

    assert len(found) == MOST_POINTS
    assert max(found, key=lambda point: point.value) == (4567, 99.0)
    assert thinned(points[:3]) == points[:3]


@pytest.mark.parametrize("width", [358, 920])
@pytest.mark.parametrize("label", HOSTILE)
def test_a_hostile_label_is_text_and_nothing_else(label: str, width: int) -> None:
    svg = draw(series_of([{"timestamp": text(0), "label": label, "value": 1.0}]), "bytes", "one", width)

    kinds = {found.tag.removeprefix(SVG) for found in parsed(svg).iter()}
    assert kinds <= {"svg", "title", "desc", "path", "text", "g", "circle"}
    assert not any(name.startswith("on") or "href" in name for found in parsed(svg).iter() for name in found.attrib)
    svg.encode()  # a lone surrogate would fail here
    assert "\u202e" not in svg
    assert max(map(len, texts(svg))) < 60


@given(st.lists(st.tuples(st.text(max_size=9), st.integers(0, 200), VALUES), min_size=1, max_size=40), st.booleans())
def test_whatever_the_rows_the_chart_is_well_formed_and_inside_its_frame(found: Any, narrow: bool) -> None:
    width, height = (358, 300) if narrow else (920, 360)
    given_rows = [{"timestamp": text(at), "label": label, "value": value} for label, at, value in found]

    svg = parsed(draw(series_of(given_rows), "bytes", "one", width, height))

    for ring in svg.iter(f"{SVG}circle"):
        assert 0 <= float(ring.get("cx", "")) <= width
        assert 0 <= float(ring.get("cy", "")) <= height
    labels = [float(found_text.get("y", "")) for found_text in svg.iter(f"{SVG}text")]
    assert all(0 <= y <= height for y in labels)


@pytest.mark.parametrize(
    ("minutes", "ticks"),
    [
        ([0, 5, 10, 15], ["08:00", "08:05", "08:10", "08:15 UTC"]),
        ([0], ["08:00 UTC"]),
        ([0, 60 * 24 * 30], ["27 Nov", "01 Dec", "05 Dec"]),
    ],
)
def test_times_are_round_and_say_their_zone(minutes: list[int], ticks: list[str]) -> None:
    points = tuple(Point(START.timestamp() + 60 * at, 1.0) for at in minutes)

    drawn = texts(draw([Series("a", points, points[0])], "bytes", "one"))

    assert set(ticks) <= set(drawn)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1234567.891, "1,234,567.89"), (10.5, "10.5"), (0.00123456, "0.00123"), (-5, "-5"), (2e18, "2e+18")],
)
def test_numbers_read_as_people_write_them(value: float, text: str) -> None:
    assert number(value) == text


def test_words_say_what_is_counted() -> None:
    assert unit_in_words("Count", "TIMEOUTS") == "TCP retransmission timeouts"
    assert unit_in_words("Bytes", "DATA_TRANSFERRED") == "bytes"
    assert "does not say" in unit_in_words("Count", None)
    assert subject("RETRANSMISSIONS", "INTER_AZ") == "TCP retransmissions between Availability Zones"
    assert subject(None, None) == "A query that was handed in"


def test_what_cannot_be_seen_is_shown_as_its_number() -> None:
    assert shown("a\u202e<b>") == "a⟨U+202E⟩&lt;b&gt;"
    assert shown("x" * 300, 10) == "x" * 9 + "…"
