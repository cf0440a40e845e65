"""The grid of a sweep that runs, by what the service's calls say."""

from __future__ import annotations

from datetime import datetime, timedelta
from io import StringIO

import pytest
from rich.console import Console

from localaws.demo.live_grid import Asked, Ended, Grid, LiveGrid, draw
from localaws.demo.run_sweep import planned
from localaws.networkflowmonitor.models import DATA, RANKING, TopContributorsQuery
from localaws.scripted_network_flow_monitor import Call
from tests.sweeps import failed, stored, swept, window
from tests.sweeps import query as succeeded

ASKED = Asked("2026-11-24T08:00:00Z", "TIMEOUTS", "INTERNET")


def query(asked: Asked = ASKED, family: str = DATA) -> TopContributorsQuery:
    start = datetime.fromisoformat(asked.start.removesuffix("Z"))
    return TopContributorsQuery(
        family=family,
        query_id="q",
        account_id="123456789012",
        region_name="us-east-1",
        scope_id="scope",
        metric_name=asked.metric,
        destination_category=asked.category,
        start_time=start,
        end_time=start + timedelta(minutes=15),
    )


def call(operation: str, outcome: str = "OK") -> Call:
    return Call(operation, "scope", "q", outcome)


def drawn(grid: Grid, width: int = 100) -> str:
    console = Console(file=StringIO(), width=width)
    console.print(draw(grid))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("said", "word"),
    [
        (call("StartQuery"), "started"),
        (call("GetQueryStatus", "QUEUED"), "queued"),
        (call("GetQueryStatus", "RUNNING"), "running"),
        (call("GetQueryStatus", "SUCCEEDED"), "done"),
        (call("GetQueryStatus", "FAILED"), "FAILED"),
        (call("GetQueryStatus", "CANCELED"), "CANCELED"),
        (call("GetQueryStatus", "PAUSED"), "unknown"),
        (call("StopQuery"), "STOPPED"),
        (call("GetQueryStatus", "ThrottlingException"), "waiting"),
        (call("StopQuery", "ValidationException"), "waiting"),
        (call("GetQueryResults"), "fetched"),
        (call("GetQueryResults", "ResourceNotFoundException"), "waiting"),
    ],
)
def test_a_call_says_what_its_query_is_at(said: Call, word: str) -> None:
    grid = Grid([ASKED])

    grid.see(said, query())

    assert grid.states[ASKED].word == word
    assert word in drawn(grid)


def test_a_query_that_ends_is_told_once() -> None:
    grid = Grid([ASKED, ASKED._replace(category="INTER_AZ")])

    told = [grid.see(call("GetQueryStatus", status), query()) for status in ("RUNNING", "SUCCEEDED", "SUCCEEDED")]

    assert told == [None, Ended(ASKED, "done", 1, 2), None]


def test_a_query_that_is_started_again_has_not_ended() -> None:
    grid = Grid([ASKED])
    grid.see(call("GetQueryStatus", "FAILED"), query())

    grid.see(call("StartQuery"), query())

    assert grid.ended == 0


def test_what_was_not_planned_is_shown_too_and_rankings_are_not() -> None:
    grid = Grid()

    grid.see(call("StartQuery"), query())
    grid.see(call("StartQueryRanking"), query(ASKED._replace(category="INTER_AZ"), RANKING))
    grid.see(call("StartQuery", "ThrottlingException"), None)

    assert list(grid.states) == [ASKED]


def test_what_is_planned_late_forgets_nothing() -> None:
    grid = Grid()
    grid.see(call("GetQueryStatus", "RUNNING"), query())

    grid.plan([ASKED, ASKED._replace(category="INTER_AZ")])

    assert [state.word for state in grid.states.values()] == ["running", "waiting"]


def test_of_several_windows_a_cell_has_a_letter_each_in_the_order_of_time() -> None:
    later = ASKED._replace(start="2026-11-24T08:15:00Z")
    grid = Grid([later, ASKED])
    grid.see(call("GetQueryStatus", "SUCCEEDED"), query(later))

    shown = drawn(grid)

    assert "│ .d " in shown
    assert "d done" in shown


def test_what_no_call_has_told_the_end_of_ends_by_the_output() -> None:
    grid = Grid(planned({**window(0), "metricNames": ["TIMEOUTS"]}))
    grid.see(call("GetQueryResults"), query())
    grid.see(call("StartQuery"), query(ASKED._replace(category="AMAZON_S3")))
    before = grid.states[ASKED]
    output = swept(
        succeeded("TIMEOUTS", "INTERNET"),
        stored("TIMEOUTS", "INTER_AZ"),
        succeeded("TIMEOUTS", "AMAZON_S3"),
        failed("TIMEOUTS", "LOCAL_ZONE", "InvalidRequest"),
    )

    told = grid.end(output)

    assert [(ended.asked.category, ended.word, ended.count) for ended in told] == [
        ("INTER_AZ", "stored before", 2),
        ("AMAZON_S3", "fetched", 3),
        ("LOCAL_ZONE", "InvalidRequest", 4),
    ]
    assert grid.states[ASKED] is before
    assert grid.end(output) == []
    assert grid.end({}) == []


def test_a_query_whose_results_could_not_be_had_is_shown_as_failed_and_told_once() -> None:
    grid = Grid([ASKED, ASKED._replace(category="INTER_AZ")])
    grid.see(call("GetQueryStatus", "SUCCEEDED"), query())
    grid.see(call("GetQueryStatus", "FAILED"), query(ASKED._replace(category="INTER_AZ")))

    told = grid.end(swept(failed("TIMEOUTS", "INTERNET", "NotFound"), failed("TIMEOUTS", "INTER_AZ")))

    assert told == []
    assert [state.word for state in grid.states.values()] == ["NotFound", "FAILED"]


def test_a_bar_ends_full_where_a_query_was_stored_before() -> None:
    console = Console(file=StringIO(), force_terminal=True, width=100, height=40)

    with LiveGrid(console, print) as live:
        live.plan([ASKED, ASKED._replace(category="INTER_AZ")])
        live.see(call("GetQueryStatus", "SUCCEEDED"), query())
        live.end(swept(succeeded("TIMEOUTS", "INTERNET"), stored("TIMEOUTS", "INTER_AZ")))

    assert isinstance(console.file, StringIO)
    assert "2/2" in console.file.getvalue()


def test_into_a_pipe_a_line_is_said_for_each_query_that_ends() -> None:
    lines: list[str] = []
    console = Console(file=StringIO(), force_terminal=False)

    with LiveGrid(console, lines.append) as live:
        live.plan([ASKED, ASKED._replace(category="INTER_AZ")])
        for status in ("QUEUED", "ThrottlingException", "SUCCEEDED"):
            live.see(call("GetQueryStatus", status), query())

    assert lines == ["  TIMEOUTS INTERNET 2026-11-24T08:00:00Z: done (1 of 2)"]
    assert isinstance(console.file, StringIO)
    assert console.file.getvalue() == ""


def test_on_a_terminal_the_grid_stands_above_a_bar_and_leaves_nothing_behind() -> None:
    lines: list[str] = []
    console = Console(file=StringIO(), force_terminal=True, width=100, height=40)

    with LiveGrid(console, lines.append) as live:
        live.plan([ASKED, ASKED._replace(category="INTER_AZ")])
        for status in ("ThrottlingException", "SUCCEEDED"):
            live.see(call("GetQueryStatus", status), query())

    assert isinstance(console.file, StringIO)
    written = console.file.getvalue()
    assert lines == []
    for part in ("done", "waiting", "1/2", "1 ThrottlingException"):
        assert part in written
    assert written.endswith("\x1b[2K")
