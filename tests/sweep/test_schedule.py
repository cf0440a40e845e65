"""From a scheduled time to the execution that it means: the same one however often it is delivered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowquery.aws.network_flow_monitor import allowed_values
from flowquery.core.errors import InvalidInput
from flowquery.core.model import Family
from flowquery.query.request import QueryDefaults, QueryInput
from flowquery.sweep.plan import SweepDefaults, plan_sweep
from flowquery.sweep.schedule import ALIGNMENT_MINUTES, ScheduledExecution, StateMachine
from tests.loopback import SCOPE_ID

QUERY = {
    "scheduledTime": "2026-11-24T09:10:00Z",
    "scopeId": SCOPE_ID,
    "metricName": "RETRANSMISSIONS",
    "destinationCategory": "INTER_AZ",
}
SWEEP = {"workflow": "SweepScope", "scheduledTime": "2026-11-24T09:15:00Z", "scopeId": SCOPE_ID}
EVENTS = {"RunQuery": QUERY, "SweepScope": SWEEP}


def parse(event: object) -> ScheduledExecution:
    return ScheduledExecution.parse(event, allowed_values)


def time(text: object) -> datetime:
    return datetime.fromisoformat(str(text))


moments = st.datetimes(datetime(2001, 1, 1), datetime(2090, 1, 1)).map(lambda moment: moment.replace(microsecond=0))


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
@given(moment=moments, minutes=st.integers(5, 10_000), delay=st.integers(0, 1_440))
def test_a_window_ends_aligned_and_no_later_than_the_delay_before_its_time(
    event: dict[str, Any], moment: datetime, minutes: int, delay: int
) -> None:
    options = {"scheduledTime": f"{moment.isoformat()}Z", "windowMinutes": minutes, "delayMinutes": delay}

    given_input = parse({**event, **options}).input

    start, end = time(given_input["startTime"]), time(given_input["endTime"])
    due = moment.replace(tzinfo=UTC) - timedelta(minutes=delay)
    assert timedelta(0) <= due - end < timedelta(minutes=ALIGNMENT_MINUTES)
    assert (end.timestamp() / 60) % ALIGNMENT_MINUTES == 0
    assert end - start == timedelta(minutes=minutes)


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
@given(moments, moments)
def test_times_in_one_alignment_mean_one_execution_and_others_another(
    event: dict[str, Any], first: datetime, second: datetime
) -> None:
    one, other = (parse({**event, "scheduledTime": f"{moment.isoformat()}Z"}) for moment in (first, second))

    assert (one == other) == (one.input["endTime"] == other.input["endTime"])
    assert (one.name == other.name) == (one == other)


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_a_suffix_makes_another_execution_over_the_same_window(event: dict[str, Any]) -> None:
    first, again = parse(event), parse({**event, "suffix": "again-and-again"})

    assert again.name != first.name
    assert again.name != parse({**event, "suffix": "again-and-another"}).name
    assert again.input == first.input


def test_other_scopes_and_selections_have_other_names() -> None:
    scopes = [parse({**event, "scopeId": scope}).name for event in EVENTS.values() for scope in ("a", "b")]
    selections = [parse({**SWEEP, "metricNames": names}).name for names in (["TIMEOUTS"], ["RETRANSMISSIONS"], None)]

    assert len({*scopes, *selections}) == 7


def test_a_sweep_over_the_same_selections_has_the_same_name_however_they_are_written() -> None:
    metrics, categories = ["TIMEOUTS"], ["INTER_AZ", "INTRA_AZ"]
    selections = [{"metricName": "TIMEOUTS", "destinationCategory": name} for name in reversed(categories)]

    names = {
        parse({**SWEEP, "metricNames": metrics, "destinationCategories": categories}).name,
        parse({**SWEEP, "selections": selections}).name,
    }

    assert len(names) == 1


# --- The inputs ---


def test_options_of_a_query_reach_it() -> None:
    options = {"alarmAbove": 5, "limit": 7, "holdSeconds": 0, "timeoutSeconds": 60}

    execution = parse({**QUERY, **options, "windowMinutes": 60})

    assert execution.state_machine is StateMachine.RUN_QUERY
    query = QueryInput.parse(execution.input, allowed_values, QueryDefaults())
    assert execution.input.items() >= options.items()
    assert (query.alarm_above, query.limit, query.hold_seconds, query.timeout_seconds) == (5, 7, 0, 60)


def test_options_of_a_sweep_reach_it() -> None:
    options = {
        "metricNames": ["TIMEOUTS"],
        "destinationCategories": ["INTER_AZ"],
        "alarmAbove": {"TIMEOUTS": 5},
        "allowPartial": True,
        "requestsPerSecond": 2,
        "timeoutSeconds": 60,
        "rankedPeaks": 1,
        "limit": 7,
    }

    execution = parse({**SWEEP, **options})

    assert execution.state_machine is StateMachine.SWEEP_SCOPE
    assert execution.input == {
        "scopeId": SCOPE_ID,
        "startTime": "2026-11-24T08:50:00Z",
        "endTime": "2026-11-24T09:05:00Z",
        **options,
    }
    assert len(plan_sweep(execution.input, allowed_values(), SweepDefaults()).queries) == 1


def test_a_sweep_of_rankings_is_scheduled_too() -> None:
    assert parse({**SWEEP, "family": Family.RANKING.value}).input["family"] == Family.RANKING


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_an_alarm_that_is_null_is_none(event: dict[str, Any]) -> None:
    """The template's parameter says `null` for never."""
    assert "alarmAbove" not in parse({**event, "alarmAbove": None}).input


# --- Refusals ---


@pytest.mark.parametrize(
    ("event", "name", "message"),
    [
        (QUERY, "alarmabove", 'Did you mean "alarmAbove"?'),
        (QUERY, "metricNames", 'Did you mean "metricName"?'),
        (QUERY, "delayMinute", 'Did you mean "delayMinutes"?'),
        (QUERY, "windowminutes", 'Did you mean "windowMinutes"?'),
        (QUERY, "Workflow", 'Did you mean "workflow"?'),
        (QUERY, "rankedPeaks", "It takes alarmAbove, "),
        (QUERY, "startTime", "It takes alarmAbove, "),
        (SWEEP, "metricname", 'Did you mean "metricNames"?'),
        (SWEEP, "metricName", 'Did you mean "metricNames"?'),
        (SWEEP, "rankedPeak", 'Did you mean "rankedPeaks"?'),
        (SWEEP, "holdSeconds", "is not a field of this input."),
        (SWEEP, "windows", "is not a field of this input."),
    ],
)
def test_an_unknown_name_is_refused_with_the_one_that_was_probably_meant(
    event: dict[str, Any], name: str, message: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse({**event, name: "x"})

    assert str(refusal.value).startswith(f'"{name}" is not a field of this input.')
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("event", "change", "message"),
    [
        (QUERY, {"scheduledTime": "<aws.scheduler.scheduled-time>"}, "scheduledTime: expected whole seconds"),
        (QUERY, {"scheduledTime": None}, "scheduledTime is missing."),
        (QUERY, {"scopeId": None}, "scopeId is missing."),
        (QUERY, {"metricName": None}, "metricName is missing."),
        (QUERY, {"metricName": "LATENCY"}, "metricName: expected one of"),
        (QUERY, {"windowMinutes": 0}, "windowMinutes: expected a whole number from 5"),
        (QUERY, {"windowMinutes": 7.5}, "windowMinutes: expected a whole number from 5"),
        (QUERY, {"delayMinutes": -5}, "delayMinutes: expected a whole number from 0"),
        (QUERY, {"workflow": "Backfill"}, "workflow: expected one of RunQuery, SweepScope"),
        (QUERY, {"suffix": "a:b"}, "suffix: expected a string"),
        (QUERY, {"alarmAbove": {"TIMEOUTS": 5}}, "alarmAbove: expected a number"),
        (SWEEP, {"alarmAbove": 5}, "alarmAbove: expected an object"),
        (SWEEP, {"alarmAbove": {"LATENCY": 5}}, "alarmAbove: expected one of"),
        (SWEEP, {"rankedPeaks": 21}, "rankedPeaks: expected a whole number from 0 to 20"),
        (SWEEP, {"requestsPerSecond": 0}, "requestsPerSecond: expected a number from 0.1"),
    ],
)
def test_what_the_workflow_would_refuse_is_refused_before_it_is_started(
    event: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse({**event, **change})

    assert str(refusal.value).startswith(message)


@pytest.mark.parametrize(
    "longest",
    [
        {**QUERY, "scopeId": "s" * 128, "metricName": "DATA_TRANSFERRED", "destinationCategory": "AMAZON_DYNAMODB"},
        {**SWEEP, "scopeId": "s" * 128},
    ],
)
def test_names_are_legal_at_their_longest(longest: dict[str, Any]) -> None:
    name, again = (parse({**longest, **suffix}).name for suffix in ({}, {"suffix": "x" * 128}))

    assert len(name) == len(again) <= 80
    assert name != again
    assert set(name + again) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
