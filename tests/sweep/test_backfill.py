"""What a backfill takes, and which windows are left of it."""

from __future__ import annotations

from typing import Any

import pytest

from flowquery.aws import network_flow_monitor
from flowquery.core.errors import InvalidInput
from flowquery.sweep.backfill import MOST_WINDOWS, Backfill
from tests.loopback import SCOPE_ID

MONTH = {"scopeId": SCOPE_ID, "from": "2026-11-01T00:00:00Z", "to": "2026-12-01T00:00:00Z"}


def parsed(**more: Any) -> Backfill:
    return Backfill.parse({**MONTH, **more}, network_flow_monitor.allowed_values(), 5, 1800)


@pytest.mark.parametrize(
    ("minutes", "windows", "queries", "hours"),
    [(15, 2880, 95_040, 15.84), (1440, 30, 990, 0.17), (10_080, 5, 165, 0.03)],
)
def test_a_month_takes_so_many_queries_and_hours(minutes: int, windows: int, queries: int, hours: float) -> None:
    backfill = parsed(windowMinutes=minutes)
    told = backfill.estimate(dict.fromkeys(backfill.windows, frozenset()), "us-east-1")

    assert (told["windows"], told["todo"], told["queries"], told["hours"]) == (windows, windows, queries, hours)
    assert told["dollars"]


def test_where_no_price_is_known_none_is_told() -> None:
    backfill = parsed()

    assert "dollars" not in backfill.estimate(dict.fromkeys(backfill.windows, frozenset()), "eu-west-9")


def test_what_is_stored_is_not_counted_and_a_window_stored_in_part_is_left() -> None:
    backfill = parsed()
    stored = dict.fromkeys(backfill.windows, backfill.selections)
    partly = backfill.windows[3]
    stored[partly] = backfill.selections - set(sorted(backfill.selections)[:2])

    told = backfill.estimate(stored, "us-east-1")

    assert backfill.left(stored) == [partly]
    assert (told["stored"], told["todo"], told["queries"]) == (29, 1, 2)
    assert [item["window"] for item in backfill.items(stored)] == [partly.to_json()]


def test_names_of_sweeps_are_the_same_each_time_and_others_for_another_input() -> None:
    def names(backfill: Backfill) -> set[str]:
        nothing = dict.fromkeys(backfill.windows, frozenset[Any]())
        return {str(item["name"]) for item in backfill.items(nothing)}

    first = names(parsed())
    assert len(first) == 30
    assert first == names(parsed())
    assert not first & names(parsed(metricNames=["TIMEOUTS"]))
    assert all(len(name) + len("-12345678") <= 80 for name in first)


def test_the_rate_is_shared_by_the_sweeps_that_run_at_once() -> None:
    assert parsed(maxConcurrency=4).sweep["requestsPerSecond"] == 1.25


def test_more_windows_than_there_may_be_are_refused() -> None:
    with pytest.raises(InvalidInput, match=f"^windowMinutes: .*{MOST_WINDOWS:,}"):
        parsed(**{"from": "2025-11-01T00:00:00Z", "windowMinutes": 5})
