"""Sweeps to their end: rates, faults, lost invocations and frozen clocks, as a state machine lives through them."""

from __future__ import annotations

import dataclasses
import itertools
import json
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowquery.core.errors import AccessDenied, InvalidInput, InvalidRequest, QuotaExceeded, Throttled, TransientFault
from flowquery.core.model import Family, Query, QueryRequest
from flowquery.polling.pace import Pace
from flowquery.polling.policy import POLICY
from flowquery.results.windows import Selection, Window
from flowquery.sweep.round import MARGIN_SECONDS, Calls, Round
from flowquery.sweep.state import WAITING, Progress, Sweep, SweepQuery
from tests.loopback import event

EVENTS_A_ROUND = 9  # of the state machine's history: Task, Choice, Wait
MOST_EVENTS = 25_000
MOST_ROUNDS = 2_000
WINDOW = Window(datetime(2026, 11, 24, 8, tzinfo=UTC), datetime(2026, 11, 24, 9, tzinfo=UTC))
FAULTS = {
    "throttled": Throttled,
    "fault": TransientFault,
    "slow": TransientFault,
    "quota": QuotaExceeded,
    "denied": AccessDenied,
    "invalid": InvalidRequest,
}
ENDS = {"SUCCEEDED", "QueryFailed", "UnknownStatus", "QueryTimedOut", *(error.__name__ for error in FAULTS.values())}


def sweep_of(count: int, rate: float = 5.0, timeout: float = 600.0, **more: Any) -> Sweep:
    queries = tuple(SweepQuery(0, Selection("TIMEOUTS", f"CATEGORY_{number}")) for number in range(count))
    return Sweep("scope", (WINDOW,), queries, Pace(rate, rate), timeout, **more)


def through_json(sweep: Sweep) -> Sweep:
    return Sweep.parse(json.loads(json.dumps(sweep.to_json())))


@dataclass
class Service:
    """Queries in virtual time; `script` says what goes wrong with the first requests."""

    seconds: tuple[float, ...] = (20.0,)
    script: tuple[str, ...] = ()
    concurrent: int = 10**6
    limit: float | None = None  # starts a second
    call: float = 0.1
    slow: float = 7.0
    end: str = "SUCCEEDED"
    now: float = 0.0
    requests: list[tuple[float, str, str]] = field(default_factory=list)
    started: dict[str, float] = field(default_factory=dict)
    stopped: dict[str, float] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)

    def calls(self) -> Calls:
        return Calls(self._start, self._look, self._stop)

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds

    def status(self, query_id: str) -> str:
        if query_id in self.stopped:
            return "CANCELED"
        number = list(self.started).index(query_id)
        seconds = self.seconds[number % len(self.seconds)]
        return self.end if self.now >= self.started[query_id] + seconds else "RUNNING"

    def times(self, *kinds: str) -> list[float]:
        return [at for at, kind, _ in self.requests if not kinds or kind in kinds]

    def _request(self, kind: str, name: str) -> None:
        number = len(self.requests)
        self.requests.append((self.now, kind, name))
        failure = self.script[number] if number < len(self.script) else "none"
        self.sleep(self.slow if failure == "slow" else self.call)
        if failure in FAULTS and (failure != "quota" or kind == "start"):
            raise FAULTS[failure](failure)

    def _start(self, scope_id: str, request: QueryRequest, family: Family) -> Query:
        self._request("start", request.destination_category)
        running = sum(self.status(query_id) == "RUNNING" for query_id in self.started)
        if running >= self.concurrent:
            raise QuotaExceeded("at once")
        if self.limit is not None and any(self.now - at < 1 / self.limit for at in self.started.values()):
            raise Throttled("starts")
        query_id = f"q{len(self.started)}"
        self.started[query_id] = self.now
        return Query(scope_id, query_id, family)

    def _look(self, query: Query) -> str:
        self._request("look", query.query_id)
        return self.status(query.query_id)

    def _stop(self, query: Query) -> None:
        self._request("stop", query.query_id)
        if self.status(query.query_id) != "RUNNING":
            raise InvalidRequest("ended")
        self.stopped[query.query_id] = self.now


@dataclass
class Run:
    """A state machine, whose functions have so many seconds, freeze between invocations, and are lost at times."""

    service: Service
    sweep: Sweep
    seed: int = 0
    function_timeout: float = 900.0
    frozen: float = 0.0
    lose: frozenset[int] = frozenset()
    rounds: int = 0
    overruns: float = 0.0
    known_after: dict[str, float] = field(default_factory=dict)
    ended: list[Counter[str]] = field(default_factory=list)

    def to_end(self) -> Run:
        with self.virtual():
            for attempt in itertools.count():
                if self.sweep.progress is not Progress.GOES_ON:
                    return self
                assert attempt < MOST_ROUNDS
                self._invoke(attempt)
        raise AssertionError

    @contextmanager
    def virtual(self) -> Iterator[None]:
        clock = mock.patch.multiple("flowquery.aws.clock", monotonic=lambda: self.service.now, sleep=self.service.sleep)
        with clock, mock.patch("flowquery.sweep.round.random", random.Random(self.seed)):
            yield

    def _invoke(self, attempt: int) -> None:
        began, before, retries = self.service.now, self.sweep, int(attempt - 1 in self.lose)
        work = Round(before, self.service.calls(), lambda: began + self.function_timeout - self.service.now, retries)
        answer = work.answer(work.run(), 128, retries)
        self.overruns = max(self.overruns, self.service.now - began - self.function_timeout)
        self.rounds += 1
        if attempt in self.lose and attempt - 1 not in self.lose:
            known = {asked.query_id for asked in before.queries}
            self.service.lost |= {query_id for query_id in self.service.started if query_id not in known}
            return
        for asked in answer.queries:
            if asked.query_id:
                self.known_after.setdefault(asked.query_id, self.service.now - self.service.started[asked.query_id])
        parsed = through_json(answer)
        assert parsed.to_json() == answer.to_json()
        self.sweep = parsed
        self.service.now += answer.poll.wait_seconds + self.frozen


scripts = st.lists(
    st.sampled_from(["none", "none", "throttled", "fault", "slow", "quota", "denied", "invalid"]), max_size=60
).map(tuple)
services = st.builds(
    Service,
    seconds=st.lists(st.floats(0.1, 120), min_size=1, max_size=6).map(tuple),
    script=scripts,
    concurrent=st.sampled_from([1, 3, 10**6]),
    limit=st.sampled_from([None, None, 0.5]),
    call=st.sampled_from([0.0, 0.1, 1.0]),
    end=st.sampled_from(["SUCCEEDED", "SUCCEEDED", "FAILED", "PAUSED"]),
)
sweeps = st.builds(
    sweep_of,
    st.integers(0, 12),
    st.sampled_from([0.1, 0.5, 2.0, 5.0, 20.0]),
    st.sampled_from([1.0, 30.0, 100.0]),
)
runs = st.builds(
    Run,
    services,
    sweeps,
    seed=st.integers(0, 99),
    function_timeout=st.sampled_from([1.0, 20.0, 61.0, 90.0, 900.0]),
    frozen=st.sampled_from([0.0, 0.0, 3_600.0]),
    lose=st.frozensets(st.integers(0, 6), max_size=2),
)


@given(runs)
def test_every_sweep_ends_and_each_query_of_it_in_one_status(run: Run) -> None:
    run.to_end()

    by_a_lost_one = {"QueryCanceled"} if run.lose else set()
    assert {asked.status for asked in run.sweep.queries} <= ENDS | by_a_lost_one
    assert all(bool(asked.cause) == asked.failed for asked in run.sweep.queries)


@given(runs)
def test_never_two_looks_at_a_query_closer_than_the_shortest_interval(run: Run) -> None:
    run.to_end()

    by_query: dict[str, list[float]] = {}
    for at, kind, name in run.service.requests:
        if kind == "look":
            by_query.setdefault(name, []).append(at)
    gaps = [later - earlier for times in by_query.values() for earlier, later in itertools.pairwise(times)]
    assert min(gaps, default=1) >= POLICY.shortest_interval - 0.002


@given(runs)
def test_requests_keep_to_the_rate_that_was_asked_for(run: Run) -> None:
    run.to_end()

    rate, times = run.sweep.pace.ceiling, run.service.times()
    for first, last in itertools.combinations(range(min(len(times), 150)), 2):
        assert last - first <= rate * (times[last] - times[first] + Pace.BURST_SECONDS + 0.01) + 1


@given(runs)
def test_what_runs_when_its_sweep_is_over_was_told_to_stop_or_cannot_be_known(run: Run) -> None:
    run.to_end()

    told = {name for _, kind, name in run.service.requests if kind == "stop"} | run.service.lost
    causes = {asked.query_id: asked.cause for asked in run.sweep.queries}
    for query_id in run.service.started:
        if run.service.status(query_id) == "RUNNING" and query_id not in told:
            assert "no time left" in causes[query_id]


@given(runs)
def test_a_round_leaves_the_function_in_time(run: Run) -> None:
    run.to_end()

    assert run.overruns <= max(MARGIN_SECONDS + POLICY.slowest_call - run.function_timeout, 0.0)


@given(runs)
def test_an_id_is_handed_over_a_minute_after_its_start(run: Run) -> None:
    run.to_end()

    if not run.lose:  # a second attempt hands over what the first one started before it, too
        one_more = run.service.slow + 3 * (run.service.slow + 1 / (run.sweep.pace.ceiling * Pace.LEAST))
        assert max(run.known_after.values(), default=0) <= POLICY.longest_blind_hold + one_more


@given(services, st.integers(1, 12), st.floats(20, 300), st.floats(0, 600), st.integers(0, 99))
def test_more_budget_never_gives_up_earlier(
    service: Service, count: int, timeout: float, more: float, seed: int
) -> None:
    longer = Run(dataclasses.replace(service, requests=[], started={}, stopped={}), sweep_of(count, 20, timeout + more))
    longer.seed = seed
    shorter = Run(service, sweep_of(count, 20, timeout), seed).to_end()
    longer.to_end()

    def given_up(run: Run) -> float:
        """Return how soon a query was told to stop by its budget."""
        timed_out = [a.query_id for a in run.sweep.queries if a.status == "QueryTimedOut"]
        stops = {name: at for at, kind, name in reversed(run.service.requests) if kind == "stop"}
        return min((stops[q] - run.service.started[q] for q in timed_out if q in stops), default=1e9)

    if not shorter.service.script:
        assert given_up(longer) >= given_up(shorter) - 1.1


@given(st.integers(1, 12), st.floats(5, 300), st.sampled_from([2.0, 5.0, 20.0]), scripts, st.integers(0, 99))
def test_a_query_is_given_up_soon_after_its_budget(
    count: int, timeout: float, rate: float, script: tuple[str, ...], seed: int
) -> None:
    service = Service((1e6,), tuple(part for part in script if part in ("none", "throttled")))
    run = Run(service, sweep_of(count, rate, timeout), seed).to_end()

    queue = 1 + 3 * count / (rate * 0.9 ** script.count("throttled")) + count * service.call
    for at, kind, name in run.service.requests:
        if kind == "stop" and service.stopped.get(name, at) >= at:
            assert at - service.started[name] <= timeout + queue + POLICY.longest_fault_interval * (
                "throttled" in script
            )
    assert {asked.status for asked in run.sweep.queries} == {"QueryTimedOut"}


@given(st.integers(2, 40), st.sampled_from([0.5, 2.0, 5.0]), st.integers(0, 99))
def test_no_query_that_is_due_is_left_while_others_are_looked_at_many_times(count: int, rate: float, seed: int) -> None:
    service = Service(tuple(float(5 + 17 * number % 300) for number in range(count)))
    Run(service, sweep_of(count, rate, 5_000), seed).to_end()

    waiting: dict[str, Counter[str]] = {}
    for _, kind, name in service.requests:
        if kind == "look":
            waiting[name] = Counter()
            for other, seen in waiting.items():
                if other != name:
                    seen[name] += 1
                    most = 8 + count // 4
                    assert service.status(other) != "RUNNING" or max(seen.values()) <= most


def test_starts_that_are_throttled_leave_running_queries_their_looks() -> None:
    service = Service((10.0, 1e6), limit=0.001)
    run = Run(service, sweep_of(5, 5, 60)).to_end()

    looks = [at for at, kind, name in service.requests if kind == "look" and name == "q0"]
    assert looks[-1] < 20
    assert Counter(asked.status for asked in run.sweep.queries) == {"SUCCEEDED": 1, "Throttled": 4}


def test_a_start_whose_outcome_is_unclear_is_tried_as_often_however_the_rounds_fall() -> None:
    service = Service(script=("fault",) * 99)
    run = Run(service, sweep_of(1), function_timeout=1.0).to_end()

    assert [asked.status for asked in run.sweep.queries] == ["TransientFault"]
    assert len(service.times("start")) == 3


def test_looks_that_were_lost_are_not_sent_again_at_once() -> None:
    service = Service((100.0,))
    run = Run(service, sweep_of(12), lose=frozenset({1})).to_end()

    assert {asked.status for asked in run.sweep.queries} == {"SUCCEEDED"}
    assert run.rounds == 3


@pytest.mark.parametrize("count", [1, 2, 4, 8, 12, 33])
def test_the_longest_budget_stays_under_25_000_events(count: int) -> None:
    run = Run(Service((1e9,)), sweep_of(count, 5, 86_400)).to_end()

    assert run.rounds * EVENTS_A_ROUND < MOST_EVENTS


# --- Giving up ---


@given(
    st.integers(0, 12),
    st.integers(0, 12),
    st.sampled_from([0.1, 5.0]),
    st.sampled_from([1.0, 61.0, 90.0, 900.0]),
    st.lists(st.sampled_from(["none", "throttled", "fault", "invalid", "denied"]), max_size=20).map(tuple),
)
def test_a_sweep_that_gives_up_stops_what_is_known(
    running: int, waiting: int, rate: float, seconds: float, script: tuple[str, ...]
) -> None:
    service, number = Service((1e6,), script), running + waiting
    sweep = sweep_of(number, rate)
    for index in range(running):
        service.started[f"q{index}"] = 0.0
        asked = dataclasses.replace(sweep.queries[index], query_id=f"q{index}", status="RUNNING", due_at=1.0)
        sweep = sweep.put(index, asked)

    run = Run(service, sweep)
    with run.virtual():
        for attempt in itertools.count():
            began = service.now
            work = Round(sweep, service.calls(), lambda began=began: began + seconds - service.now, 1)  # type: ignore[misc]
            work.stop_all()
            assert service.now - began <= max(seconds, MARGIN_SECONDS + POLICY.slowest_call)
            sweep = through_json(work.answer(0.0, 128))
            if sweep.progress is not Progress.GOES_ON:
                break
            assert attempt <= number

    statuses = Counter(asked.status for asked in sweep.queries)
    assert statuses == Counter({"QueryStopped": running, "NotStarted": waiting}) - Counter()
    assert all(asked.unclear for asked in sweep.queries if asked.status == "NotStarted")
    if not script:
        causes = [asked.cause for asked in sweep.queries if asked.status == "QueryStopped"]
        assert all("told to stop" in cause or "no time left" in cause for cause in causes)
        assert seconds < MARGIN_SECONDS or len(service.stopped) == running


def test_one_that_succeeded_while_it_was_told_to_stop_is_no_failure() -> None:
    service = Service((1.0,), started={"q0": -5.0})
    sweep = sweep_of(1)
    sweep = sweep.put(0, dataclasses.replace(sweep.queries[0], query_id="q0", status="RUNNING", due_at=1.0))
    run = Run(service, sweep)
    with run.virtual():
        work = Round(sweep, service.calls(), lambda: 900.0)
        work.stop_all()

    assert [asked.status for asked in work.sweep.queries] == ["SUCCEEDED"]


# --- States that no step answered ---

STATES = [event("advance_queries")["sweep"], event("store_sweep")["sweep"], event("stop_queries")["sweep"]]
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["WAITING", "RUNNING", "SUCCEEDED", "STORED", "..", [], {}, [[]], [{}], [None], {"x": "y"}, [1]]),
    st.integers(0, 100),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the ways to all parts of a JSON value."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for name, part in parts for place in places(part, (*path, name)))]


@st.composite
def tampered(draw: st.DrawFn) -> Any:
    state = json.loads(json.dumps(draw(st.sampled_from(STATES))))
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from([place for place in places(state) if place] or [("x",)]))
        part = state
        for name in way:
            part = part[name]
        if draw(st.booleans()) or isinstance(part, list):
            part[last] = deepcopy(draw(values))  # what is drawn is shared, and may be tampered with in turn
        else:
            del part[last]
    return state


@settings(max_examples=400)
@given(tampered())
def test_a_state_that_was_tampered_with_is_refused_by_name_or_taken(state: Any) -> None:
    try:
        sweep = Sweep.parse(state)
    except InvalidInput as refusal:
        assert ":" in str(refusal)
        return
    json.dumps(sweep.to_json())
    service = Service((0.0,))
    service.started = {asked.query_id: 0.0 for asked in sweep.queries if asked.query_id}
    with Run(service, sweep).virtual():
        work = Round(sweep, service.calls(), lambda: 900.0 - service.now)
        work.answer(work.run(), 128)
        assert all(isinstance(sweep.is_finding(asked), bool) for asked in work.sweep.queries)


@pytest.mark.parametrize("given", [None, [], "sweep", 7, {}, {"windows": []}])
def test_whatever_is_no_state_is_refused(given: object) -> None:
    with pytest.raises(InvalidInput):
        Sweep.parse(given)


def test_a_sweep_as_it_was_planned_survives_json() -> None:
    sweep = sweep_of(3, alarm_above={"TIMEOUTS": 5.0}, allow_partial=True, ranked_peaks=2, limit=7, refused="Throttled")

    assert through_json(sweep) == sweep
    assert {asked.status for asked in sweep.queries} == {WAITING}
