"""Input is checked field by field, and a refusal names the field."""

from __future__ import annotations

import math
import string
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowquery.core.errors import FlowqueryError, InvalidInput
from flowquery.core.fields import (
    parse_amount,
    parse_choices,
    parse_count,
    parse_id,
    parse_number,
    parse_time,
    parse_whole_within,
    parse_within,
    refuse_unknown_names,
    required,
)
from flowquery.core.limits import Bounds
from flowquery.core.model import QueryRequest
from tests.json_values import json_values

LETTERS_AND_DIGITS = string.ascii_letters + string.digits
ALLOWED = ("scopeId", "metricName", "alarmAbove", "timeoutSeconds")
good_ids = st.builds(
    str.__add__,
    st.sampled_from(LETTERS_AND_DIGITS),
    st.text(alphabet=LETTERS_AND_DIGITS + "-_", max_size=127),
)


@given(good_ids)
def test_an_id_is_returned_as_it_is(text: str) -> None:
    assert parse_id({"scopeId": text}, "scopeId") == text


@given(json_values)
def test_any_other_value_is_refused_by_the_fields_name(value: object) -> None:
    try:
        accepted = parse_id({"scopeId": value}, "scopeId")
    except InvalidInput as refusal:
        assert str(refusal).startswith(("scopeId: ", "scopeId is missing."))
    else:
        assert accepted == value
        assert set(accepted) <= set(LETTERS_AND_DIGITS + "-_")
        assert 1 <= len(accepted) <= 128


def test_a_subclass_of_str_is_no_id() -> None:
    class Text(str):
        __slots__ = ()

    with pytest.raises(InvalidInput):
        parse_id({"scopeId": Text("scope-1")}, "scopeId")


@given(st.text(min_size=200))
def test_a_refused_id_is_not_in_the_message(secret: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_id({"scopeId": secret}, "scopeId")

    assert secret not in str(refusal.value)


times = st.datetimes(datetime(2000, 1, 2), datetime(2099, 12, 30)).map(lambda moment: moment.replace(microsecond=0))


@given(times, st.integers(-14 * 60, 14 * 60))
def test_times_are_normalised_to_utc_whatever_their_form(moment: datetime, offset_minutes: int) -> None:
    utc = moment.replace(tzinfo=UTC)
    local = utc.astimezone(timezone(timedelta(minutes=offset_minutes)))

    for form in (local.isoformat(), utc.isoformat().replace("+00:00", "Z"), moment.isoformat(), int(utc.timestamp())):
        assert parse_time({"startTime": form}, "startTime") == utc


@given(json_values)
def test_no_value_raises_anything_but_invalid_input(value: object) -> None:
    allowed = {"metricName": ("TIMEOUTS",), "destinationCategory": ("INTER_AZ",)}
    fields = {"metricName": "TIMEOUTS", "destinationCategory": "INTER_AZ", "startTime": value, "endTime": value}
    for check in (
        lambda: QueryRequest.parse(fields, allowed),
        lambda: parse_within({"holdSeconds": value}, "holdSeconds", Bounds(0, 10, 0)),
        lambda: parse_whole_within({"limit": value}, "limit", Bounds(1, 500, 10)),
        lambda: parse_count({"retryCount": value}, "retryCount", 0),
        lambda: parse_amount({"gbSeconds": value}, "gbSeconds", 0),
        lambda: parse_number({"alarmAbove": value}, "alarmAbove"),
        lambda: parse_choices({"metricNames": value}, "metricNames", ("TIMEOUTS", "RETRANSMISSIONS")),
    ):
        try:
            check()
        except FlowqueryError as refusal:
            assert isinstance(refusal, InvalidInput)
            assert len(str(refusal)) < 400


bounds = st.tuples(st.integers(-1000, 1000), st.integers(0, 1000)).map(
    lambda drawn: Bounds(drawn[0], drawn[0] + drawn[1], drawn[0])
)


@given(bounds, st.integers(-3000, 3000) | st.floats(-3000, 3000))
def test_a_number_is_accepted_if_and_only_if_it_is_within_its_bounds(bounds: Bounds, value: float) -> None:
    inside = bounds.least <= value <= bounds.most
    try:
        accepted = parse_within({"field": value}, "field", bounds)
    except InvalidInput as refusal:
        assert not inside
        assert f"expected a number from {bounds.least:g} to {bounds.most:g}" in str(refusal)
    else:
        assert inside
        assert accepted == value


@given(bounds, st.integers(-3000, 3000) | st.floats(-3000, 3000))
def test_a_whole_number_is_accepted_if_and_only_if_it_is_whole_and_within_its_bounds(
    bounds: Bounds, value: float
) -> None:
    inside = type(value) is int and bounds.least <= value <= bounds.most
    try:
        accepted = parse_whole_within({"field": value}, "field", bounds)
    except InvalidInput:
        assert not inside
    else:
        assert inside
        assert accepted == value


def test_an_absent_field_takes_the_default_that_is_given_and_else_that_of_the_bounds() -> None:
    bounds = Bounds(1, 500, 10)

    for fields in ({}, {"limit": None}):
        assert (parse_whole_within(fields, "limit", bounds), parse_within(fields, "limit", bounds)) == (10, 10)
        assert (parse_whole_within(fields, "limit", bounds, 7), parse_within(fields, "limit", bounds, 7)) == (7, 7)


@pytest.mark.parametrize("value", [True, math.nan, math.inf, 10**400, "5"])
def test_what_is_no_finite_number_is_refused(value: object) -> None:
    for parse in (parse_number, parse_amount):
        with pytest.raises(InvalidInput, match=r"^poll\.elapsedSeconds: "):
            parse({"poll.elapsedSeconds": value}, "poll.elapsedSeconds", *([0] if parse is parse_amount else []))


# --- Names ---


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("alarmabove", "alarmAbove"),
        ("AlarmAbove", "alarmAbove"),
        ("alarm_above", "alarmAbove"),
        ("alarmAbov", "alarmAbove"),
        ("ScopeID", "scopeId"),
        ("metricNames", "metricName"),
        ("timeoutSecond", "timeoutSeconds"),
    ],
)
def test_an_unknown_name_is_refused_with_the_one_that_was_probably_meant(name: str, meant: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        refuse_unknown_names({"scopeId": "s", name: 5}, ALLOWED)

    assert str(refusal.value) == f'"{name}" is not a field of this input. Did you mean "{meant}"?'


def test_a_name_that_is_like_no_other_is_refused_with_all_that_there_are() -> None:
    with pytest.raises(InvalidInput) as refusal:
        refuse_unknown_names({"colour": 5}, ALLOWED)

    assert str(refusal.value) == (
        '"colour" is not a field of this input. It takes alarmAbove, metricName, scopeId, timeoutSeconds.'
    )


@given(st.dictionaries(st.sampled_from([*ALLOWED, "AWS_STEP_FUNCTIONS_"]) | st.text(), json_values))
def test_names_are_accepted_if_and_only_if_all_are_fields_or_those_of_step_functions(
    fields: dict[str, object],
) -> None:
    unknown = [name for name in fields if name not in ALLOWED and not name.startswith("AWS_STEP_FUNCTIONS_")]
    try:
        refuse_unknown_names(fields, ALLOWED)
    except InvalidInput as refusal:
        assert unknown
        assert "is not a field of this input." in str(refusal)
        assert len(str(refusal)) < 300
        str(refusal).encode()  # half a surrogate pair would fail here
    else:
        assert not unknown


def test_the_execution_that_started_this_one_may_be_named() -> None:
    """Step Functions recommends this field in the input of a nested execution, to link the two in its console."""
    refuse_unknown_names({"scopeId": "s", "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": "arn"}, ALLOWED)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "scopeId is missing."),
        ({"scopeId": None}, "scopeId is missing."),
        ({"ScopeID": "s"}, 'scopeId is missing. Did you mean "ScopeID"? Field names are case-sensitive.'),
        ({"Payload": {}}, "scopeId is missing. The event is wrapped in 'Payload'; pass what is in it."),
    ],
)
def test_a_missing_field_is_named_with_what_is_in_its_place(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        required(fields, "scopeId")

    assert str(refusal.value) == message
