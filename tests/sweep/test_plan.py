"""From the input of SweepScope to the queries of a sweep."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowquery.aws import network_flow_monitor
from flowquery.core.errors import InvalidInput
from flowquery.core.limits import SWEEP_QUERIES
from flowquery.core.model import Selection
from flowquery.sweep.plan import INPUT_FIELDS, SweepDefaults, leave_out, parse_selections, plan_ranking, plan_sweep
from flowquery.sweep.state import STORED, WAITING, Progress
from tests.json_values import json_values
from tests.loopback import ENVIRONMENT

ALLOWED = {"metricName": ("A", "B", "C"), "destinationCategory": ("X", "Y")}
SELECTIONS = [
    Selection(metric, category) for metric in ALLOWED["metricName"] for category in ALLOWED["destinationCategory"]
]
INPUT = {"scopeId": "scope", "startTime": "2026-11-24T08:00:00Z", "endTime": "2026-11-24T08:15:00Z"}
selections = st.lists(st.sampled_from(SELECTIONS), min_size=1, unique=True)


def windows(count: int) -> list[dict[str, str]]:
    return [{"startTime": f"2026-11-24T07:{minute:02}:00Z", "endTime": INPUT["endTime"]} for minute in range(count)]


@given(selections)
def test_any_subset_is_planned_in_its_order(chosen: list[Selection]) -> None:
    selections = [{"metricName": metric, "destinationCategory": category} for metric, category in chosen]

    assert parse_selections({"selections": selections}, ALLOWED) == tuple(chosen)


@given(
    st.lists(st.sampled_from(ALLOWED["metricName"]), min_size=1, unique=True),
    st.lists(st.sampled_from(ALLOWED["destinationCategory"]), min_size=1, unique=True),
)
def test_metrics_and_categories_are_all_with_all(metrics: list[str], categories: list[str]) -> None:
    planned = parse_selections({"metricNames": metrics, "destinationCategories": categories}, ALLOWED)

    assert len(planned) == len(set(planned)) == len(metrics) * len(categories)
    assert parse_selections({}, ALLOWED) == tuple(SELECTIONS)


def test_by_default_it_is_all_metrics_and_categories_of_the_service() -> None:
    sweep = plan_sweep(INPUT, network_flow_monitor.allowed_values(), SweepDefaults())

    assert len({query.selection for query in sweep.queries}) == len(sweep.queries) == 33
    assert {query.status for query in sweep.queries} == {WAITING}
    assert (sweep.pace.rate, sweep.pace.ceiling, sweep.timeout_seconds) == (5.0, 5.0, 1800.0)


@pytest.mark.parametrize("count", [1, 5, 27, 28])
def test_the_limit_is_on_windows_times_selections(count: int) -> None:
    given = {"scopeId": "scope", "windows": windows(count)}

    if count * len(SELECTIONS) <= SWEEP_QUERIES:
        assert len(plan_sweep(given, ALLOWED, SweepDefaults()).queries) == count * len(SELECTIONS)
    else:
        with pytest.raises(InvalidInput, match=r"^windows: expected at most 165 queries in one sweep, got 28 windows"):
            plan_sweep(given, ALLOWED, SweepDefaults())


@given(selections, selections)
def test_a_stored_selection_is_left_out_of_its_own_window_alone(
    first: list[Selection], second: list[Selection]
) -> None:
    sweep = plan_sweep({"scopeId": "scope", "windows": windows(2)}, ALLOWED, SweepDefaults())

    planned = leave_out(sweep, dict(zip(sweep.windows, (frozenset(first), frozenset(second)), strict=True)))

    for query in planned.queries:
        assert (query.status == STORED) == (query.selection in (first, second)[query.window])
    assert (planned.progress is Progress.COMPLETE) == (len(first) == len(second) == len(SELECTIONS))


def test_absent_options_are_those_of_the_stacks_parameters() -> None:
    values = {"TIMEOUT_SECONDS": "60", "REQUESTS_PER_SECOND": "0.5", "RANKED_PEAKS": "0", "RANKING_LIMIT": "500"}
    defaults = SweepDefaults.from_environment({**ENVIRONMENT, **values})

    sweep, ranking = plan_sweep(INPUT, ALLOWED, defaults), plan_ranking(INPUT, defaults)

    assert (sweep.timeout_seconds, sweep.pace.rate, sweep.pace.ceiling, sweep.limit) == (60, 0.5, 0.5, 500)
    assert ranking == {"rankedPeaks": 0, "limit": 500, "timeoutSeconds": 60, "requestsPerSecond": 0.5}


def test_options_of_the_input_outweigh_the_stacks() -> None:
    options = {"timeoutSeconds": 90, "requestsPerSecond": 2, "limit": 7, "rankedPeaks": 1, "allowPartial": True}
    given = {**INPUT, **options, "alarmAbove": {"A": 5, "B": None, "C": -0.5}}

    sweep, ranking = plan_sweep(given, ALLOWED, SweepDefaults()), plan_ranking(given, SweepDefaults())

    assert (sweep.timeout_seconds, sweep.pace.ceiling, sweep.limit, sweep.allow_partial) == (90, 2, 7, True)
    assert sweep.alarm_above == {"A": 5, "C": -0.5}
    assert ranking == {"rankedPeaks": 1, "limit": 7, "timeoutSeconds": 90, "requestsPerSecond": 2}


# --- Refusals ---

SINGLE_QUERY = {**INPUT, "metricName": "A", "destinationCategory": "X"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (SINGLE_QUERY, '"metricName" is not a field of this input. Did you mean "metricNames"?'),
        (
            {**INPUT, "destinationCategory": "X"},
            '"destinationCategory" is not a field of this input. Did you mean "destinationCategories"?',
        ),
        ({**INPUT, "metricnames": ["A"]}, '"metricnames" is not a field of this input. Did you mean "metricNames"?'),
        ({**INPUT, "alarmabove": {"A": 5}}, '"alarmabove" is not a field of this input. Did you mean "alarmAbove"?'),
        ({**INPUT, "rankedPeak": 5}, '"rankedPeak" is not a field of this input. Did you mean "rankedPeaks"?'),
        ({**INPUT, "allowpartial": True}, '"allowpartial" is not a field of this input. Did you mean "allowPartial"?'),
        ({**INPUT, "window": []}, '"window" is not a field of this input. Did you mean "windows"?'),
        ({**INPUT, "ScopeID": "s"}, '"ScopeID" is not a field of this input. Did you mean "scopeId"?'),
        (
            {"scopeId": "scope", "windows": [{**windows(1)[0], "endtime": "x"}]},
            '"endtime" is not a field of this input. Did you mean "endTime"?',
        ),
        (
            {**INPUT, "selections": [{"metricNames": "A", "destinationCategory": "X"}]},
            '"metricNames" is not a field of this input. Did you mean "metricName"?',
        ),
    ],
)
def test_an_unknown_name_is_refused_with_the_one_that_was_probably_meant(
    given: Mapping[str, object], message: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        plan_sweep(given, ALLOWED, SweepDefaults())

    assert str(refusal.value) == message


@pytest.mark.parametrize("name", ["queryId", "holdSeconds", "from", "maxConcurrency", "Payload", "poll"])
def test_fields_of_other_inputs_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match=f'^"{name}" is not a field of this input'):
        plan_sweep({**INPUT, name: "x"}, ALLOWED, SweepDefaults())


def test_the_execution_that_started_this_one_may_be_named() -> None:
    given = {**INPUT, "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": "arn:aws:states:…"}

    assert plan_sweep(given, ALLOWED, SweepDefaults()) == plan_sweep(INPUT, ALLOWED, SweepDefaults())


TWICE = [{"metricName": "A", "destinationCategory": "X"}] * 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metricNames": ["D"]}, "metricNames: expected one of A, B, C"),
        ({"metricNames": ["A", "A"]}, "metricNames: expected each name once"),
        ({"metricNames": []}, "metricNames: expected a list of 1 to 3, got 0 of them"),
        ({"destinationCategories": "X"}, "destinationCategories: expected a list of 1 to 2, got a string"),
        ({"selections": TWICE}, "selections: expected each pair of metricName and destinationCategory once"),
        ({"selections": []}, "selections: expected a list of 1 to 165, got 0 of them"),
        ({"selections": [5]}, "selections: expected an object, got a number"),
        ({"selections": TWICE[:1], "metricNames": ["A"]}, "metricNames: expected either this or selections, got both"),
        ({"windows": windows(1)}, "windows: expected either this or startTime and endTime, got both"),
        ({"startTime": None}, "startTime is missing."),
        ({"startTime": None, "endTime": None, "windows": windows(1) * 2}, "windows: expected each window once"),
        ({"startTime": INPUT["endTime"]}, "endTime: expected a time after startTime"),
        ({"alarmAbove": 5}, "alarmAbove: expected an object, got a number"),
        ({"alarmAbove": {"D": 5}}, "alarmAbove: expected one of A, B, C"),
        ({"alarmAbove": {"A": "5"}}, "A: expected a number"),
        ({"alarmAbove": {}, "family": "WorkloadInsightsTopContributors"}, "alarmAbove: for the family"),
        ({"allowPartial": "yes"}, "allowPartial: expected true or false"),
        ({"rankedPeaks": 2.5}, "rankedPeaks: expected a whole number from 0 to 20"),
        ({"scopeId": "../x"}, "scopeId: expected a string of 1 to 128"),
    ],
)
def test_an_input_that_cannot_be_meant_is_refused_by_field(change: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        plan_sweep({**INPUT, **change}, ALLOWED, SweepDefaults())

    assert str(refusal.value).startswith(message)


@given(st.dictionaries(st.sampled_from([*INPUT_FIELDS, "other"]), json_values))
def test_any_input_is_planned_or_refused_in_a_line(fields: dict[str, object]) -> None:
    for candidate in (fields, {**INPUT, **fields}):
        try:
            plan_sweep(candidate, ALLOWED, SweepDefaults())
        except InvalidInput as refusal:
            assert len(str(refusal)) < 400
            assert str(refusal).isprintable()
