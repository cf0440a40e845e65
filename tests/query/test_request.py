"""The input of RunQuery: every field is checked before any call, and those that are absent get the stack's values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowquery.aws.network_flow_monitor import allowed_values
from flowquery.core.errors import InvalidInput
from flowquery.core.model import Family, Query
from flowquery.query.request import QUERY_INPUT_FIELDS, QueryDefaults, QueryInput
from tests.json_values import json_values
from tests.loopback import ENVIRONMENT, QUERY_ID, SCOPE_ID, SELECTION

START = {"scopeId": SCOPE_ID, **SELECTION}
HANDED_IN = {"scopeId": SCOPE_ID, "queryId": QUERY_ID}
RANKING = {"family": Family.RANKING.value}
DEFAULTS = QueryDefaults(hold_seconds=30, timeout_seconds=900, limit=7)


def parse(fields: object, defaults: QueryDefaults = DEFAULTS) -> QueryInput:
    return QueryInput.parse(fields, allowed_values, defaults)


def answered(fields: object) -> Mapping[str, object]:
    """Return what StartQuery answers of an input: the input of every later step."""
    given = parse(fields)
    return given.to_json(given.handed_in or Query(given.scope_id, "started", given.family))


def test_absent_fields_get_the_values_of_the_stacks_parameters() -> None:
    environment = {**ENVIRONMENT, "HOLD_SECONDS": "0", "TIMEOUT_SECONDS": "90", "RANKING_LIMIT": "500"}

    given = parse(START, QueryDefaults.from_environment(environment))

    assert (given.hold_seconds, given.timeout_seconds, given.limit) == (0, 90, 500)
    assert (given.family, given.alarm_above, given.handed_in) == (Family.DATA, None, None)


@pytest.mark.parametrize("name", ["HOLD_SECONDS", "TIMEOUT_SECONDS", "RANKING_LIMIT"])
def test_a_stack_without_one_of_them_is_noticed_at_the_start(name: str) -> None:
    environment = {key: value for key, value in ENVIRONMENT.items() if key != name}

    with pytest.raises(KeyError, match=name):
        QueryDefaults.from_environment(environment)


def test_fields_of_the_input_outweigh_the_stacks_values() -> None:
    given = parse({**START, "holdSeconds": 1.5, "timeoutSeconds": 60, "limit": 3, "alarmAbove": -0.5})

    assert (given.hold_seconds, given.timeout_seconds, given.limit, given.alarm_above) == (1.5, 60, 3, -0.5)


def test_a_null_is_the_same_as_no_field() -> None:
    optional = [name for name in QUERY_INPUT_FIELDS if name not in START]

    assert answered({**START, **dict.fromkeys(optional)}) == answered(START)


def test_the_answer_has_every_field_whatever_the_input_leaves_out() -> None:
    assert set(answered(START)) == set(answered(HANDED_IN)) == set(QUERY_INPUT_FIELDS)
    assert answered(HANDED_IN) == {
        **HANDED_IN,
        **dict.fromkeys(SELECTION),
        "family": Family.DATA.value,
        "limit": 7,
        "alarmAbove": None,
        "holdSeconds": 30,
        "timeoutSeconds": 900,
    }


@pytest.mark.parametrize("more", [{}, SELECTION, {**SELECTION, "alarmAbove": 5}, {**SELECTION, **RANKING, "limit": 9}])
def test_what_is_answered_is_an_input_that_means_the_same(more: dict[str, object]) -> None:
    answer = answered({**HANDED_IN, **more})

    assert answered(answer) == answer


# --- A query that was handed in ---


def test_a_query_id_alone_hands_a_query_in() -> None:
    given = parse(HANDED_IN)

    assert given.handed_in == Query(SCOPE_ID, QUERY_ID)
    assert given.query_request is None


def test_a_query_is_handed_in_with_its_request_where_the_caller_has_it() -> None:
    given = parse({**HANDED_IN, **SELECTION, "limit": 5})

    assert given.query_request == given.required_request == parse({**START, "limit": 5}).query_request
    assert given.handed_in == Query(SCOPE_ID, QUERY_ID)


@pytest.mark.parametrize("missing", SELECTION)
@pytest.mark.parametrize("fields", [START, {**HANDED_IN, **SELECTION}, {**HANDED_IN, **SELECTION, **RANKING}])
def test_a_request_is_whole_or_refused_by_what_it_lacks(fields: dict[str, str], missing: str) -> None:
    with pytest.raises(InvalidInput, match=rf"^{missing} is missing\.$"):
        parse({name: value for name, value in fields.items() if name != missing})


def test_a_finding_needs_to_know_what_the_query_is_about() -> None:
    with pytest.raises(InvalidInput, match=r"^alarmAbove: needs metricName, destinationCategory, startTime, endTime"):
        parse({**HANDED_IN, "alarmAbove": 5})


def test_a_ranking_that_is_handed_in_needs_its_request_since_its_rows_have_no_times() -> None:
    with pytest.raises(InvalidInput, match=r"^metricName is missing\.$"):
        parse({**HANDED_IN, **RANKING})


@pytest.mark.parametrize("fields", [{**START, **RANKING}, {**HANDED_IN, **SELECTION, **RANKING}])
def test_a_ranking_has_no_peaks_to_be_above_anything(fields: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match=r"^alarmAbove: for the family WorkloadInsightsTopContributorsData only"):
        parse({**fields, "alarmAbove": 5})


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("holdSeconds", 841, "a number from 0 to 840"),
        ("holdSeconds", "60", "a number from 0 to 840"),
        ("timeoutSeconds", 0, "a number from 1 to 86400"),
        ("limit", 1.5, "a whole number from 1 to 500"),
        ("limit", 501, "a whole number from 1 to 500"),
        ("alarmAbove", "5", "a number"),
        ("alarmAbove", float("nan"), "a number"),
        ("alarmAbove", True, "a number"),
        ("family", "MonitorTopContributors", "one of WorkloadInsightsTopContributorsData"),
        ("scopeId", "..", "letters, digits"),
        ("queryId", "../x", "letters, digits"),
        ("queryId", 5, "letters, digits"),
    ],
)
@pytest.mark.parametrize("fields", [START, {**HANDED_IN, **SELECTION}], ids=["to start", "handed in"])
def test_options_are_checked_of_a_query_that_is_handed_in_too(
    fields: dict[str, str], field: str, value: object, expected: str
) -> None:
    with pytest.raises(InvalidInput, match=rf"^{field}: expected (a string of .*)?{expected}"):
        parse({**fields, field: value})


# --- Names ---


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("alarmabove", "alarmAbove"),
        ("AlarmAbove", "alarmAbove"),
        ("ScopeID", "scopeId"),
        ("queryID", "queryId"),
        ("metricNames", "metricName"),
        ("destinationCategories", "destinationCategory"),
        ("timeoutSecs", "timeoutSeconds"),
        ("holdSecond", "holdSeconds"),
        ("starttime", "startTime"),
        ("endTIME", "endTime"),
        ("limits", "limit"),
        ("familly", "family"),
    ],
)
@pytest.mark.parametrize("fields", [START, HANDED_IN], ids=["to start", "handed in"])
def test_an_unknown_name_is_refused_with_the_one_that_was_probably_meant(
    fields: dict[str, str], name: str, meant: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse({**fields, name: "x"})

    assert str(refusal.value) == f'"{name}" is not a field of this input. Did you mean "{meant}"?'


@pytest.mark.parametrize("name", ["poll", "windows", "retryCount", "started", "gbSeconds", "rankedPeaks"])
def test_fields_of_other_inputs_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match=f'^"{name}" is not a field of this input'):
        parse({**START, name: 1})


def test_the_execution_that_started_this_one_may_be_named() -> None:
    started_by = {"AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": "arn:aws:states:…"}

    assert answered({**START, **started_by}) == answered(START)


@given(st.dictionaries(st.sampled_from([*QUERY_INPUT_FIELDS, "other"]), json_values))
def test_any_input_is_accepted_with_every_field_or_refused_by_name(fields: dict[str, Any]) -> None:
    try:
        answer = answered(fields)
    except InvalidInput as refusal:
        assert any(name in str(refusal) for name in (*QUERY_INPUT_FIELDS, "other"))
    else:
        assert set(answer) == set(QUERY_INPUT_FIELDS)
