"""What comes in is checked field by field, and a refusal names the field."""

from __future__ import annotations

import string
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowquery.core.errors import FlowqueryError, InvalidInput
from flowquery.core.inputs import parse_count, parse_id, parse_poll, parse_query_request, parse_seconds, parse_time
from flowquery.core.model import Poll

LETTERS_AND_DIGITS = string.ascii_letters + string.digits
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
good_ids = st.builds(
    str.__add__,
    st.sampled_from(LETTERS_AND_DIGITS),
    st.text(alphabet=LETTERS_AND_DIGITS + "-_", max_size=127),
)


@given(good_ids)
def test_an_id_comes_back_as_it_is(text: str) -> None:
    assert parse_id({"scopeId": text}, "scopeId") == text


@given(json_values)
def test_whatever_else_is_refused_by_the_fields_name_and_never_quoted(value: object) -> None:
    try:
        accepted = parse_id({"scopeId": value}, "scopeId")
    except InvalidInput as refused:
        assert str(refused).startswith("scopeId: ")
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
    with pytest.raises(InvalidInput) as refused:
        parse_id({"scopeId": secret}, "scopeId")

    assert secret not in str(refused.value)


times = st.datetimes(datetime(2000, 1, 2), datetime(2099, 12, 30)).map(lambda moment: moment.replace(microsecond=0))


@given(times, st.integers(-14 * 60, 14 * 60))
def test_times_are_normalised_to_utc_whatever_their_form(moment: datetime, offset_minutes: int) -> None:
    utc = moment.replace(tzinfo=UTC)
    local = utc.astimezone(timezone(timedelta(minutes=offset_minutes)))

    for form in (local.isoformat(), utc.isoformat().replace("+00:00", "Z"), moment.isoformat(), int(utc.timestamp())):
        assert parse_time({"startTime": form}, "startTime") == utc


@given(json_values)
def test_no_input_raises_anything_but_invalid_input(value: object) -> None:
    allowed = {"metricName": ("TIMEOUTS",), "destinationCategory": ("INTER_AZ",)}
    fields = {"metricName": "TIMEOUTS", "destinationCategory": "INTER_AZ", "startTime": value, "endTime": value}
    for check in (
        lambda: parse_query_request(fields, allowed),
        lambda: parse_seconds({"holdSeconds": value}, "holdSeconds", 0, at_least=0, at_most=10),
        lambda: parse_count({"retryCount": value}, "retryCount", 0),
        lambda: parse_poll({"poll": value}),
        lambda: parse_poll({"poll": {**Poll().to_json(), "observed": value}}),
    ):
        try:
            check()
        except FlowqueryError as refused:
            assert isinstance(refused, InvalidInput)


@given(st.dictionaries(st.sampled_from([*Poll().to_json(), "other"]), json_values))
def test_a_poll_is_what_a_call_answered_or_is_refused(value: dict[str, object]) -> None:
    try:
        poll = parse_poll({"poll": value})
    except InvalidInput as refused:
        assert "poll" in str(refused)
    else:
        assert parse_poll({"poll": poll.to_json()}) == poll
