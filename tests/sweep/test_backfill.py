"""What a backfill takes, and which windows are left of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowquery.aws.network_flow_monitor import allowed_values
from flowquery.core import transitions
from flowquery.core.errors import InvalidInput
from flowquery.core.limits import BACKFILL_HOURS, BACKFILL_WINDOWS
from flowquery.core.model import Family
from flowquery.query.cost import dollars
from flowquery.sweep.backfill import INVOCATIONS_PER_WINDOW, Backfill, cut_into_windows, incomplete_cause
from flowquery.sweep.plan import SweepDefaults, plan_sweep
from tests.loopback import SCOPE_ID

MONTH = {"scopeId": SCOPE_ID, "from": "2026-11-01T00:00:00Z", "to": "2026-12-01T00:00:00Z"}
SELECTIONS = {"metricNames": ["TIMEOUTS"], "destinationCategories": ["INTER_AZ", "INTERNET"]}
DEFAULTS = SweepDefaults(timeout_seconds=900, requests_per_second=4)
moments = st.integers(0, 3_000_000_000).map(
    lambda seconds: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)


def parsed(**more: Any) -> Backfill:
    return Backfill.parse({**MONTH, **more}, allowed_values(), SweepDefaults())


def nothing_stored(backfill: Backfill) -> dict[Any, frozenset[Any]]:
    return dict.fromkeys(backfill.windows, frozenset())


@given(moments, st.integers(1, 10_000), st.integers(1, 1_000))
def test_windows_cover_the_stretch_without_gap_or_overlap(start: datetime, length: int, minutes: int) -> None:
    end = start + timedelta(minutes=length)

    windows = cut_into_windows(start, end, minutes)

    assert (windows[0].start_time, windows[-1].end_time) == (start, end)
    assert all(earlier.end_time == later.start_time for earlier, later in pairwise(windows))
    assert {window.end_time - window.start_time for window in windows[:-1]} <= {timedelta(minutes=minutes)}
    assert timedelta(0) < windows[-1].end_time - windows[-1].start_time <= timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("minutes", "windows", "queries", "hours"),
    [(15, 2880, 95_040, 15.84), (1440, 30, 990, 0.17), (10_080, 5, 165, 0.03)],
)
def test_a_month_takes_so_many_queries_and_hours(minutes: int, windows: int, queries: int, hours: float) -> None:
    backfill = parsed(windowMinutes=minutes)

    estimate = backfill.estimate(nothing_stored(backfill), "us-east-1")

    assert (estimate["windows"], estimate["todo"], estimate["queries"]) == (windows, windows, queries)
    assert estimate["hours"] == hours
    assert estimate["dollars"]


def test_the_dollars_are_those_of_the_transitions_invocations_and_seconds() -> None:
    backfill = parsed(windowMinutes=1440, **SELECTIONS)
    gb_seconds = 30 * 2 * 3 / 5 * 0.125

    estimate = backfill.estimate(nothing_stored(backfill), "us-east-1")

    price = dollars("us-east-1", 30 * transitions.BACKFILL_WINDOW, 30 * INVOCATIONS_PER_WINDOW, gb_seconds)
    assert price is not None
    assert estimate["dollars"] == round(price, 4) > 0


def test_a_region_without_prices_has_no_dollars() -> None:
    backfill = parsed()

    assert "dollars" not in backfill.estimate(nothing_stored(backfill), "eu-west-9")


def test_what_is_stored_is_not_counted_and_a_window_stored_in_part_is_left() -> None:
    backfill = parsed()
    stored = dict.fromkeys(backfill.windows, backfill.selections)
    incomplete = backfill.windows[3]
    stored[incomplete] = backfill.selections - set(sorted(backfill.selections)[:2])

    estimate = backfill.estimate(stored, "us-east-1")

    assert backfill.windows_to_do(stored) == [incomplete]
    assert (estimate["stored"], estimate["todo"], estimate["queries"]) == (29, 1, 2)
    assert [item["window"] for item in backfill.items(stored)] == [incomplete.to_json()]


@pytest.mark.parametrize(
    "change",
    [SELECTIONS, {"alarmAbove": {"TIMEOUTS": 5}}, {"limit": 5}, {"requestsPerSecond": 1}, {"allowPartial": True}],
)
def test_names_of_sweeps_are_the_same_each_time_and_others_for_another_input(change: dict[str, Any]) -> None:
    def names(backfill: Backfill) -> set[str]:
        return {str(item["name"]) for item in backfill.items(nothing_stored(backfill))}

    first = names(parsed())
    assert len(first) == 30
    assert first == names(parsed())
    assert not first & names(parsed(**change))
    assert all(len(name) + len("-12345678") <= 80 for name in first)


# --- The inputs of its sweeps ---


def test_options_reach_every_sweep() -> None:
    """Nothing of an input is dropped: what a sweep may have, its backfill may have."""
    options = {
        **SELECTIONS,
        "alarmAbove": {"TIMEOUTS": 5},
        "timeoutSeconds": 60,
        "rankedPeaks": 1,
        "limit": 7,
        "allowPartial": True,
    }

    backfill = parsed(**options, requestsPerSecond=8, maxConcurrency=2)

    assert backfill.sweep_input == {"scopeId": SCOPE_ID, **options, "requestsPerSecond": 4}


@pytest.mark.parametrize("more", [{}, SELECTIONS, {"family": Family.RANKING.value, "limit": 9}])
def test_the_sweep_of_a_window_is_planned_as_the_backfill_planned_it(more: dict[str, Any]) -> None:
    backfill = Backfill.parse({**MONTH, **more}, allowed_values(), DEFAULTS)

    sweep = plan_sweep({**backfill.sweep_input, **backfill.windows[0].to_json()}, allowed_values(), DEFAULTS)

    assert {query.selection for query in sweep.queries} == backfill.selections
    assert (sweep.family, sweep.limit) == (backfill.family, backfill.limit)
    assert (sweep.timeout_seconds, sweep.pace.ceiling) == (900, 4)


def test_the_rate_is_shared_by_the_sweeps_that_run_at_once() -> None:
    assert parsed(maxConcurrency=4).sweep_input["requestsPerSecond"] == 1.25


def test_each_sweep_gets_the_least_rate() -> None:
    with pytest.raises(InvalidInput, match=r"^requestsPerSecond: expected a number from 0\.4 to 100, got 0\.3"):
        parsed(maxConcurrency=4, requestsPerSecond=0.3)


# --- Refusals ---


def test_more_windows_than_there_may_be_are_refused() -> None:
    with pytest.raises(InvalidInput, match=f"^windowMinutes: .*{BACKFILL_WINDOWS:,}"):
        parsed(**{"from": "2025-11-01T00:00:00Z", "windowMinutes": 5})


def test_what_takes_longer_than_an_execution_may_is_refused() -> None:
    with pytest.raises(InvalidInput, match=f"^requestsPerSecond: .*at most {BACKFILL_HOURS} hours, got 0.1, at which"):
        parsed(windowMinutes=5, requestsPerSecond=0.1)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("alarmabove", "alarmAbove"),
        ("rankedpeaks", "rankedPeaks"),
        ("limits", "limit"),
        ("windowMinute", "windowMinutes"),
        ("From", "from"),
        ("metricName", "metricNames"),
        ("maxConcurency", "maxConcurrency"),
        ("toleratedFailurePercent", "toleratedFailurePercentage"),
    ],
)
def test_an_unknown_name_is_refused_with_the_one_that_was_probably_meant(name: str, meant: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parsed(**{name: 5})

    assert str(refusal.value) == f'"{name}" is not a field of this input. Did you mean "{meant}"?'


@pytest.mark.parametrize("name", ["startTime", "endTime", "windows", "queryId", "holdSeconds"])
def test_fields_of_other_inputs_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match=f'^"{name}" is not a field of this input'):
        parsed(**{name: "2026-11-24T08:00:00Z"})


def test_the_execution_that_started_this_one_may_be_named() -> None:
    assert parsed(AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID="arn") == parsed()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"to": MONTH["from"]}, "to: expected a time after from"),
        ({"from": None}, "from is missing."),
        ({"scopeId": None}, "scopeId is missing."),
        ({"windowMinutes": 7.5}, "windowMinutes: expected a whole number"),
        ({"maxConcurrency": 1.5}, "maxConcurrency: expected a whole number"),
        ({"allowPartial": "no"}, "allowPartial: expected true or false"),
        ({"metricNames": ["LATENCY"]}, "metricNames: expected one of"),
        ({"alarmAbove": {"LATENCY": 1}}, "alarmAbove: expected one of"),
    ],
)
def test_an_input_that_cannot_be_meant_is_refused_by_field(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parsed(**change)

    assert str(refusal.value).startswith(message)


# --- The output ---


def test_the_output_says_how_many_windows_were_stored_done_and_are_left() -> None:
    place = {"bucket": "results", "key": "backfills/a/left.json"}

    output = parsed().output(to_do=2, planned=10, list_place=place, manifest=None)

    assert (output["windows"], output["stored"], output["done"], output["left"]) == (30, 28, 8, 2)
    assert output["list"] == place
    assert incomplete_cause(output, "results", "backfills/a").startswith(
        f"2 of 30 windows of scope {SCOPE_ID} are left, 8 were done. s3://results/backfills/a/left.json lists them"
    )


def test_windows_that_vanished_meanwhile_are_not_counted_as_done() -> None:
    assert parsed().output(to_do=12, planned=10, list_place={}, manifest=None)["done"] == 0
