"""The grid of a sweep that runs, by what the service's calls say."""

from __future__ import annotations

from datetime import datetime, timedelta
from io import StringIO

import pytest
from rich.console import Console

from localaws.demo.live_grid import EndedQuery, Grid, GridKey, LiveGrid, draw
from localaws.demo.run_sweep import planned_queries
from localaws.networkflowmonitor.models import DATA, RANKING, TopContributorsQuery
from localaws.scripted_network_flow_monitor import Call
from tests.sweeps import failed, stored, swept, window
from tests.sweeps import query as succeeded

KEY = GridKey("2026-11-24T08:00:00Z", "TIMEOUTS", "INTERNET")


def query(key: GridKey = KEY, family: str = DATA) -> TopContributorsQuery:
    start = datetime.fromisoformat(key.start.removesuffix("Z"))
    return TopContributorsQuery(
        family=family,
        query_id="q",
        account_id="123456789012",
        region_name="us-east-1",
        scope_id="scope",
        metric_name=key.metric,
        destination_category=key.category,
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
    ("one_call", "word"),
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
def test_a_call_shows_the_state_of_its_query(one_call: Call, word: str) -> None:
    grid = Grid([KEY])

    grid.take_call(one_call, query())

    assert grid.states[KEY].word == word
    assert word in drawn(grid)


def test_the_end_of_a_query_is_reported_a_single_time() -> None:
    grid = Grid([KEY, KEY._replace(category="INTER_AZ")])

    ended = [
        grid.take_call(call("GetQueryStatus", status), query()) for status in ("RUNNING", "SUCCEEDED", "SUCCEEDED")
    ]

    assert ended == [None, EndedQuery(KEY, "done", 1, 2), None]


def test_a_query_that_is_started_again_has_not_ended() -> None:
    grid = Grid([KEY])
    grid.take_call(call("GetQueryStatus", "FAILED"), query())

    grid.take_call(call("StartQuery"), query())

    assert grid.ended == 0


def test_what_was_not_planned_is_shown_too_and_rankings_are_not() -> None:
    grid = Grid()

    grid.take_call(call("StartQuery"), query())
    grid.take_call(call("StartQueryRanking"), query(KEY._replace(category="INTER_AZ"), RANKING))
    grid.take_call(call("StartQuery", "ThrottlingException"), None)

    assert list(grid.states) == [KEY]


def test_what_is_planned_late_forgets_nothing() -> None:
    grid = Grid()
    grid.take_call(call("GetQueryStatus", "RUNNING"), query())

    grid.plan([KEY, KEY._replace(category="INTER_AZ")])

    assert [state.word for state in grid.states.values()] == ["running", "waiting"]


def test_of_several_windows_a_cell_has_a_letter_each_in_the_order_of_time() -> None:
    later = KEY._replace(start="2026-11-24T08:15:00Z")
    grid = Grid([later, KEY])
    grid.take_call(call("GetQueryStatus", "SUCCEEDED"), query(later))

    shown = drawn(grid)

    assert "│ .d " in shown
    assert "d done" in shown


def test_a_query_whose_end_no_call_has_shown_ends_by_the_output() -> None:
    grid = Grid(planned_queries({**window(0), "metricNames": ["TIMEOUTS"]}))
    grid.take_call(call("GetQueryResults"), query())
    grid.take_call(call("StartQuery"), query(KEY._replace(category="AMAZON_S3")))
    before = grid.states[KEY]
    output = swept(
        succeeded("TIMEOUTS", "INTERNET"),
        stored("TIMEOUTS", "INTER_AZ"),
        succeeded("TIMEOUTS", "AMAZON_S3"),
        failed("TIMEOUTS", "LOCAL_ZONE", "InvalidRequest"),
    )

    ended = grid.take_output(output)

    assert [(query.key.category, query.word, query.ended) for query in ended] == [
        ("INTER_AZ", "stored before", 2),
        ("AMAZON_S3", "fetched", 3),
        ("LOCAL_ZONE", "InvalidRequest", 4),
    ]
    assert grid.states[KEY] is before
    assert grid.take_output(output) == []
    assert grid.take_output({}) == []


def test_a_query_whose_results_could_not_be_fetched_is_shown_as_failed_without_another_end() -> None:
    grid = Grid([KEY, KEY._replace(category="INTER_AZ")])
    grid.take_call(call("GetQueryStatus", "SUCCEEDED"), query())
    grid.take_call(call("GetQueryStatus", "FAILED"), query(KEY._replace(category="INTER_AZ")))

    ended = grid.take_output(swept(failed("TIMEOUTS", "INTERNET", "NotFound"), failed("TIMEOUTS", "INTER_AZ")))

    assert ended == []
    assert [state.word for state in grid.states.values()] == ["NotFound", "FAILED"]


def test_a_bar_ends_full_where_a_query_was_stored_before() -> None:
    console = Console(file=StringIO(), force_terminal=True, width=100, height=40)

    with LiveGrid(console, print) as live:
        live.plan([KEY, KEY._replace(category="INTER_AZ")])
        live.take_call(call("GetQueryStatus", "SUCCEEDED"), query())
        live.take_output(swept(succeeded("TIMEOUTS", "INTERNET"), stored("TIMEOUTS", "INTER_AZ")))

    assert isinstance(console.file, StringIO)
    assert "2/2" in console.file.getvalue()


def test_into_a_pipe_a_line_is_printed_for_each_query_that_ends() -> None:
    lines: list[str] = []
    console = Console(file=StringIO(), force_terminal=False)

    with LiveGrid(console, lines.append) as live:
        live.plan([KEY, KEY._replace(category="INTER_AZ")])
        for status in ("QUEUED", "ThrottlingException", "SUCCEEDED"):
            live.take_call(call("GetQueryStatus", status), query())

    assert lines == ["  TIMEOUTS INTERNET 2026-11-24T08:00:00Z: done (1 of 2)"]
    assert isinstance(console.file, StringIO)
    assert console.file.getvalue() == ""


def test_on_a_terminal_the_grid_stands_above_a_bar_and_leaves_nothing_behind() -> None:
    lines: list[str] = []
    console = Console(file=StringIO(), force_terminal=True, width=100, height=40)

    with LiveGrid(console, lines.append) as live:
        live.plan([KEY, KEY._replace(category="INTER_AZ")])
        for status in ("ThrottlingException", "SUCCEEDED"):
            live.take_call(call("GetQueryStatus", status), query())

    assert isinstance(console.file, StringIO)
    written = console.file.getvalue()
    assert lines == []
    for part in ("done", "waiting", "1/2", "1 ThrottlingException"):
        assert part in written
    assert written.endswith("\x1b[2K")
