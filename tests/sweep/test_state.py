"""The state of a sweep: each step takes what the step before answered, and refuses what no step answers."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowquery.core.errors import InvalidInput
from flowquery.core.model import Family, Peak, Selection
from flowquery.polling.state import Poll
from flowquery.sweep.round import Round
from flowquery.sweep.state import QUERY_CAUSE_LENGTH, STORED, WAITING, Progress, StoredObject, Sweep, SweepQuery
from tests.sweep.service import WINDOW, Service, sweep_of, through_json

SELECTION = Selection("TIMEOUTS", "INTER_AZ")
RUNNING = SweepQuery(0, SELECTION, "q0", "RUNNING", started_at=1.2, checked_at=1.2, due_at=1.9, checks=1, faults=2)
CANNOT_START = SweepQuery(0, SELECTION, faults=1, unclear=True)
FAILED = SweepQuery(0, SELECTION, "q1", "QueryFailed", "Network Flow Monitor said FAILED after 14.2 s and 3 checks")
ENDED = SweepQuery(0, SELECTION, "q2", "SUCCEEDED")
FETCHED = replace(ENDED, rows=3, unit="Count", peak=Peak(7.5, "use1-az1", "2026-11-24T08:00:00Z"))
RANKED = replace(ENDED, rows=1, unit="None", contributors=({"localAz": "use1-az1", "value": 9},))


def sweep(*queries: SweepQuery, **more: Any) -> Sweep:
    return replace(sweep_of(0), queries=queries, poll=Poll(elapsed_seconds=2.0), progressed_at=1.2, **more)


SWEEPS = [
    sweep(RUNNING, CANNOT_START, starts_at=7.0, start_error="QuotaExceeded", alarm_above={"TIMEOUTS": 5.0}),
    sweep(ENDED, FAILED, SweepQuery(0, SELECTION, status=STORED), allow_partial=True, limit=10),
    sweep(FETCHED, stored=(StoredObject(0, "results", "results/date=2026-11-24/a.jsonl.gz", 3),)),
    sweep(RANKED, family=Family.RANKING, limit=500),
]
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["WAITING", "RUNNING", "SUCCEEDED", "STORED", "..", [], {}, [[]], [{}], [None], {"x": "y"}, [1]]),
    st.integers(0, 100),
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths to all values in a JSON value."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for name, member in members for found in paths(member, (*path, name)))]


@st.composite
def tampered(draw: st.DrawFn) -> Any:
    state = json.loads(json.dumps(draw(st.sampled_from(SWEEPS)).to_json()))
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from([path for path in paths(state) if path] or [("x",)]))
        holder = state
        for name in way:
            holder = holder[name]
        if draw(st.booleans()) or isinstance(holder, list):
            holder[last] = deepcopy(draw(values))  # what is drawn is shared, and may be tampered with in turn
        else:
            del holder[last]
    return state


@given(tampered())
def test_a_state_that_was_tampered_with_is_refused_by_name_or_taken(state: Any) -> None:
    try:
        parsed = Sweep.parse(state)
    except InvalidInput as refusal:
        assert ":" in str(refusal) or str(refusal).endswith(" is missing.")
        return
    json.dumps(parsed.to_json())
    service = Service((0.0,))
    service.started = {query.query_id: 0.0 for query in parsed.queries if query.query_id}
    with service.clock():
        work = Round(parsed, service, lambda: 900.0 - service.now)
        work.answer(work.run(), 128)
        assert all(isinstance(parsed.is_finding(query), bool) for query in work.sweep.queries)


@pytest.mark.parametrize("given", [None, [], "sweep", 7, {}, {"windows": []}])
def test_whatever_is_no_state_is_refused(given: object) -> None:
    with pytest.raises(InvalidInput):
        Sweep.parse(given)


@pytest.mark.parametrize("state", SWEEPS)
def test_a_state_survives_json(state: Sweep) -> None:
    assert through_json(state) == state


def test_a_sweep_as_it_was_planned_survives_json() -> None:
    planned = sweep_of(3, alarm_above={"TIMEOUTS": 5.0}, allow_partial=True, limit=7, start_error="Throttled")

    assert through_json(planned) == planned
    assert {query.status for query in planned.queries} == {WAITING}


def test_a_state_says_nothing_of_members_that_have_their_initial_value() -> None:
    """The state of 165 queries has to fit the 256 KiB of Step Functions."""
    assert SweepQuery(0, SELECTION).to_json() == {"window": 0, **SELECTION.to_json(), "status": "WAITING"}
    assert ENDED.to_json() == {"window": 0, **SELECTION.to_json(), "status": "SUCCEEDED", "queryId": "q2"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"queryId": None}, "hand back what the previous step answered"),
        ({"queryId": "../x"}, "hand back what the previous step answered"),
        ({"startedAt": 3.0}, "hand back what the previous step answered"),
        ({"dueAt": 1.0}, "hand back what the previous step answered"),
        ({"status": "RUN\nNING"}, "hand back what the previous step answered"),
        ({"startedAt": 2.5, "checkedAt": 2.5, "dueAt": 3.0}, "no startedAt after poll.elapsedSeconds"),
        ({"window": 1}, "window: expected a whole number from 0 to 0"),
    ],
)
def test_a_query_that_no_step_answered_is_refused(change: dict[str, object], message: str) -> None:
    state = json.loads(json.dumps(SWEEPS[0].to_json()))
    state["queries"][0] |= change

    with pytest.raises(InvalidInput, match=message):
        Sweep.parse(state)


@pytest.mark.parametrize("name", ["requestsPerSecond", "timeoutSeconds"])
def test_what_defaults_would_change_is_required(name: str) -> None:
    state = {key: value for key, value in SWEEPS[0].to_json().items() if key != name}

    with pytest.raises(InvalidInput, match=rf"^{name} is missing\."):
        Sweep.parse(state)


@pytest.mark.parametrize(
    ("queries", "progress"),
    [
        ([], Progress.COMPLETE),
        ([CANNOT_START], Progress.GOES_ON),
        ([FETCHED, RUNNING], Progress.GOES_ON),
        ([FETCHED, ENDED, FAILED], Progress.ENDED),
        ([FETCHED, FAILED, SweepQuery(0, SELECTION, status=STORED)], Progress.COMPLETE),
    ],
)
def test_the_progress_says_what_comes_next(queries: list[SweepQuery], progress: Progress) -> None:
    state = sweep(*queries)

    assert state.progress is progress
    assert state.to_json()["progress"] == progress.value


@given(st.text())
def test_the_cause_of_a_failure_is_bounded_and_ascii(cause: str) -> None:
    failed = RUNNING.fail("QueryFailed", cause)

    assert failed.has_failed
    assert len(failed.cause) <= QUERY_CAUSE_LENGTH
    assert failed.cause.isascii()
    assert failed.cause.isprintable()
    assert through_json(sweep(failed)).queries == (replace(failed, **NO_LONGER_STATED),)


NO_LONGER_STATED: dict[str, Any] = dict.fromkeys(("started_at", "checked_at", "due_at", "checks", "faults"), 0)


def test_a_peak_is_a_finding_only_above_what_the_input_sets_for_its_metric() -> None:
    for above, finding in ((7.4, True), (7.5, False)):
        assert sweep(FETCHED, alarm_above={"TIMEOUTS": above}).is_finding(FETCHED) is finding
    assert sweep(FETCHED, alarm_above={"RETRANSMISSIONS": 0.0}).is_finding(FETCHED) is False
    assert sweep(ENDED, alarm_above={"TIMEOUTS": 0.0}).is_finding(ENDED) is False


def test_windows_are_those_of_the_input() -> None:
    assert through_json(SWEEPS[0]).windows == (WINDOW,)
