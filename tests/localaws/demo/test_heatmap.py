"""The heat map of a sweep: what its cells say, and that the terminal and the report draw the same."""

from __future__ import annotations

import itertools
import re
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from localaws.demo.heatmap import LEVELS, MARK_WORDS, SHADES, Cell, HeatMap, Mark, abbreviated, heat_map, show, write
from localaws.demo.sweep_report import write_sweep_report
from tests.hostile import HOSTILE
from tests.markup import parsed
from tests.sweeps import failed, query, stored, swept

CONTRIBUTOR = {"value": 5, "accountId": "123456789012", "metricName": "TIMEOUTS", "destinationCategory": "INTERNET"}


def cell(drawn: HeatMap, category: str, metric: str, window: int = 0) -> Cell:
    column = [index for index, column in enumerate(drawn.columns) if column.metric == metric][window]
    drawn_cell = drawn.cells[drawn.categories.index(category)][column]
    assert drawn_cell
    return drawn_cell


def printed(output: dict[str, Any], width: int = 100, terminal: bool = False) -> str:
    console = Console(
        file=StringIO(),
        width=width,
        force_terminal=terminal,
        color_system="truecolor" if terminal else None,
        highlight=False,
        soft_wrap=True,
    )
    show(console, heat_map(output))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


# --- the drawing ---


def test_a_shade_is_a_share_of_the_highest_peak_of_its_metric() -> None:
    drawn = heat_map(
        swept(
            query("RETRANSMISSIONS", "INTER_AZ", 10),
            query("RETRANSMISSIONS", "INTRA_AZ", 5),
            query("RETRANSMISSIONS", "INTERNET", 0.001),
            query("RETRANSMISSIONS", "AMAZON_S3", 0),
            query("DATA_TRANSFERRED", "INTER_AZ", 4e9),
        )
    )

    shades = [cell(drawn, name, "RETRANSMISSIONS").level for name in ("INTER_AZ", "INTRA_AZ", "INTERNET", "AMAZON_S3")]
    assert shades == [LEVELS, 3, 1, 0]
    assert cell(drawn, "INTER_AZ", "DATA_TRANSFERRED").level == LEVELS


def test_windows_share_the_shades_of_a_metric_and_stand_in_the_order_of_time() -> None:
    output = swept(query("TIMEOUTS", "INTER_AZ", 1, 1), query("TIMEOUTS", "INTER_AZ", 100, 0), windows=2)
    output["windows"].reverse()

    drawn = heat_map(output)

    assert [column.start for column in drawn.columns] == ["2026-11-24T08:00:00Z", "2026-11-24T08:15:00Z"]
    assert [cell(drawn, "INTER_AZ", "TIMEOUTS", window).level for window in (0, 1)] == [1, LEVELS]


@pytest.mark.parametrize(
    ("given", "mark", "text", "words"),
    [
        (query("TIMEOUTS", "INTERNET", 1234.5, finding=True), Mark.FINDING, "1.2k", "finding, above its threshold"),
        (query("TIMEOUTS", "INTERNET", 3), Mark.NONE, "3", "peak 3 of use1-az1 at 2026-11-24 08:00 UTC"),
        (query("TIMEOUTS", "INTERNET", None), Mark.NO_DATA, "", "no data"),
        (failed("TIMEOUTS", "INTERNET", "QuotaExceeded"), Mark.FAILED, "", "QuotaExceeded: Network Flow Monitor said"),
        (stored("TIMEOUTS", "INTERNET"), Mark.STORED, "", "stored by an earlier run"),
        (query("TIMEOUTS", "INTERNET", 3, status="STORED"), Mark.STORED, "3", "peak 3"),
    ],
)
def test_a_cell_says_its_end_by_a_mark_and_in_words(given: dict[str, Any], mark: Mark, text: str, words: str) -> None:
    drawn_cell = cell(heat_map(swept(given)), "INTERNET", "TIMEOUTS")

    assert (drawn_cell.mark, drawn_cell.text) == (mark, text)
    assert drawn_cell.words.startswith("TCP retransmission timeouts to the internet, 2026-11-24 08:00 to")
    assert words in drawn_cell.words


def test_what_was_not_queried_has_no_cell() -> None:
    drawn = heat_map(swept(query("TIMEOUTS", "INTERNET"), query("DATA_TRANSFERRED", "INTER_AZ")))

    assert drawn.categories == ("INTER_AZ", "INTERNET")
    assert [[bool(drawn_cell) for drawn_cell in row] for row in drawn.cells] == [[False, True], [True, False]]


def test_metrics_and_categories_that_the_service_adds_come_last() -> None:
    drawn = heat_map(swept(query("JITTER", "TO_THE_MOON"), query("TIMEOUTS", "INTERNET")))

    assert (drawn.metrics, drawn.categories) == (("TIMEOUTS", "JITTER"), ("INTERNET", "TO_THE_MOON"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.0412, "0.041"),
        (7.5, "7.5"),
        (9.96, "10"),
        (787.1, "787"),
        (999.6, "1k"),
        (1234, "1.2k"),
        (49_900, "50k"),
        (4.1e9, "4.1G"),
        (999_999, "1M"),
        (3e16, "30P"),
        (2e20, "2e+20"),
        (-1234, "-1.2k"),
        (1e-300, "1e-300"),
    ],
)
def test_a_peak_is_an_abbreviated_number(value: float, text: str) -> None:
    assert abbreviated(value) == text


# --- on a terminal and in a report ---


@pytest.mark.parametrize("windows", [1, 2, 12])
def test_both_show_the_same_numbers_and_marks_and_explain_them(windows: int) -> None:
    output = swept(windows=windows)
    drawn = heat_map(output)

    on_terminal, in_report = printed(output), parsed(write(drawn)).text

    for drawn_cell in filter(None, itertools.chain(*drawn.cells)):
        assert f"{drawn_cell.text:>5} {drawn_cell.mark:1}".rstrip() in on_terminal
        assert f"{drawn_cell.text}{drawn_cell.mark}" in in_report
    for text in (SHADES, *MARK_WORDS.values()):
        assert text in on_terminal
        assert text in in_report


@pytest.mark.parametrize("windows", [1, 4, 12])
def test_the_terminals_tables_fit_into_its_width(windows: int) -> None:
    lines = [line for line in printed(swept(windows=windows), 80).splitlines() if line[:1] in "│┃└┏"]

    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)


def test_a_mark_that_does_not_occur_is_not_explained() -> None:
    drawn = heat_map(swept(query("TIMEOUTS", "INTERNET")))

    assert drawn.marks == []
    assert MARK_WORDS[Mark.FAILED] not in write(drawn)


def test_who_hears_the_table_hears_what_a_mark_means() -> None:
    text = write(heat_map(swept(failed("TIMEOUTS", "INTERNET"), query("TIMEOUTS", "INTER_AZ", 3, finding=True))))

    for mark in (Mark.FAILED, Mark.FINDING):
        assert (
            f'<span class="mark" aria-hidden="true">{mark}</span><span class="spoken">{MARK_WORDS[mark]}</span>' in text
        )


# --- the report ---


def test_a_report_says_how_all_ended_what_is_stored_and_what_it_cost() -> None:
    page = parsed(write_sweep_report(swept(), [CONTRIBUTOR], 18.4)).text

    for text in (
        "Sweep of 33 queries",
        "2026-11-24 08:00 to 2026-11-24 08:15 UTC",
        "32 of 33",
        "1 QueryFailed",
        "1 stored by an earlier run",
        "queries without data: 1",
        "SUCCEEDED, finding",
        "Network Flow Monitor said FAILED after 14.2 s and 3 checks",
        "270 rows in s3://results/results/date=2026-11-24/",
        "$0.000470",
        "18.4 s",
        "Top contributors of the highest peaks",
    ):
        assert text in page, text
    assert page.index("QueryFailed", page.index("Failures first")) < page.index("SUCCEEDED, finding")


def test_a_sweep_without_data_says_that_this_is_valid() -> None:
    output = swept(query("TIMEOUTS", "INTERNET", None))

    assert "That is a valid result." in parsed(write_sweep_report(output)).text


def test_a_report_of_more_queries_than_a_page_can_show_says_so() -> None:
    page = write_sweep_report(swept(windows=40))

    assert "The first 600 of 1,320" in page


def test_regions_that_scroll_have_names_of_their_own() -> None:
    tags = parsed(write_sweep_report(swept(), [CONTRIBUTOR, {**CONTRIBUTOR, "metricName": "RETRANSMISSIONS"}])).tags

    names = [attributes["aria-label"] for _, attributes in tags if attributes.get("class") == "scrolls"]
    assert len(names) == len(set(names)) == 4


def test_a_ranking_that_failed_is_reported_in_the_place_of_the_contributors() -> None:
    output = {**swept(), "rankingFailure": {"error": "QueryFailed", "cause": "no reason"}}

    assert "The ranking failed: QueryFailed: no reason" in parsed(write_sweep_report(output)).text
    assert "The ranking failed" not in parsed(write_sweep_report(swept())).text


def hostile(text: str) -> dict[str, Any]:
    output = swept(
        query("TIMEOUTS", "INTERNET", 3, finding=True), failed("TIMEOUTS", "INTER_AZ", cause=text), failed(text, text)
    )
    output["queries"][0]["peak"]["label"] = text
    output["windows"][0]["objects"][0]["key"] = text
    return output


@pytest.mark.parametrize("text", [text for text in HOSTILE if text])
def test_hostile_text_changes_no_tag(text: str) -> None:
    def tags(of: str) -> list[str]:
        page = write_sweep_report(hostile(of), [{**CONTRIBUTOR, "remoteIdentifier": of}])
        page.encode()
        return [f"{tag} {sorted(attributes)}" for tag, attributes in parsed(page).tags if tag != "wbr"]

    assert tags(text) == tags("use1-az1")


@pytest.mark.parametrize("text", [*HOSTILE, "[red]markup[/]", "\x1b]0;title\x07\x1b[2J"])
def test_hostile_text_is_only_text_on_a_terminal(text: str) -> None:
    plain = printed(hostile(text))

    plain.encode()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", plain)
    assert "\x1b[2J" not in printed(hostile(text), terminal=True)
    assert ("[red]markup[/]" in plain) == (text == "[red]markup[/]")
