"""The poll state: a call takes what the call before answered, and refuses what no call answers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowquery.core.errors import InvalidInput
from flowquery.core.limits import POLL_STATUSES
from flowquery.polling.state import Poll
from tests.json_values import json_values

amounts = st.floats(0, 10**8).map(lambda amount: round(amount, 3))
counts = st.integers(0, 10**6)
statuses = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=64)
polls = st.builds(
    Poll,
    wait_seconds=counts,
    exhausted=st.booleans(),
    elapsed_seconds=amounts,
    checks=counts,
    observed=st.dictionaries(statuses, counts, max_size=POLL_STATUSES),
    transitions=counts,
    requests=counts,
    gb_seconds=amounts,
)


@given(polls)
def test_what_a_call_answers_the_next_one_takes(poll: Poll) -> None:
    assert Poll.parse({"poll": json.loads(json.dumps(poll.to_json()))}) == poll


@pytest.mark.parametrize("fields", [{}, {"poll": None}])
def test_without_a_poll_watching_begins_anew(fields: dict[str, object]) -> None:
    assert Poll.parse(fields) == Poll()


@given(st.dictionaries(st.sampled_from([*Poll().to_json(), "other"]), json_values))
def test_a_poll_is_what_a_call_answered_or_is_refused(value: dict[str, object]) -> None:
    try:
        poll = Poll.parse({"poll": value})
    except InvalidInput as refusal:
        assert "poll" in str(refusal)
    else:
        assert Poll.parse({"poll": poll.to_json()}) == poll


@given(json_values)
def test_no_value_in_its_place_raises_anything_but_invalid_input(value: object) -> None:
    for fields in ({"poll": value}, {"poll": {**Poll().to_json(), "observed": value}}):
        try:
            Poll.parse(fields)
        except InvalidInput as refusal:
            assert "poll" in str(refusal)


@given(polls, st.dictionaries(st.text().filter(lambda name: name not in Poll().to_json()), json_values))
def test_fields_that_a_newer_version_adds_are_ignored(poll: Poll, added: dict[str, object]) -> None:
    assert Poll.parse({"poll": {**added, **poll.to_json()}}) == poll


@pytest.mark.parametrize(
    ("observed", "status"),
    [
        ({}, None),
        ({"Throttled": 3}, None),
        ({"QUEUED": 1}, "QUEUED"),
        ({"QUEUED": 1, "TransientFault": 2, "RUNNING": 1}, "RUNNING"),
        ({"SUCCEEDED": 1, "PAUSED": 1}, None),
    ],
)
def test_only_a_status_after_which_checks_go_on_is_assumed(observed: dict[str, int], status: str | None) -> None:
    assert Poll(observed=observed).last_status == status


@given(polls, st.lists(st.sampled_from(["RUNNING", "Throttled"])))
def test_each_check_is_counted_under_its_outcome(poll: Poll, outcomes: list[str]) -> None:
    after = poll
    for outcome in outcomes:
        after = after.with_check(outcome)

    assert after.checks == poll.checks + len(outcomes)
    for name in ("RUNNING", "Throttled"):
        assert after.observed.get(name, 0) == poll.observed.get(name, 0) + outcomes.count(name)
