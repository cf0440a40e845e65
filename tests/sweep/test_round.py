"""Sweeps to their end: rates, faults, lost invocations and frozen clocks, as a state machine lives through them."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowquery.polling.pace import Pace
from flowquery.polling.policy import POLICY
from flowquery.sweep.round import MARGIN_SECONDS, Round
from flowquery.sweep.state import Progress, Sweep
from tests.sweep.service import FAULTS, Service, sweep_of, through_json

EVENTS_A_ROUND = 9  # of the state machine's history: Task, Choice, Wait
MOST_EVENTS = 25_000
MOST_ROUNDS = 2_000
ENDS = {"SUCCEEDED", "QueryFailed", "UnknownStatus", "QueryTimedOut", *(error.__name__ for error in FAULTS.values())}


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
    handed_over_after: dict[str, float] = field(default_factory=dict)
    transitions: int = 0
    requests: int = 0

    def to_end(self) -> Run:
        with self.service.clock(self.seed):
            for attempt in itertools.count():
                if self.sweep.progress is not Progress.GOES_ON:
                    return self
                assert attempt < MOST_ROUNDS
                self._invoke(attempt)
        raise AssertionError

    def _invoke(self, attempt: int) -> None:
        began, before, retries = self.service.now, self.sweep, int(attempt - 1 in self.lose)
        work = Round(before, self.service, lambda: began + self.function_timeout - self.service.now, retries)
        answer = work.answer(work.run(), 128, retries)
        self.overruns = max(self.overruns, self.service.now - began - self.function_timeout)
        self.rounds += 1
        if attempt in self.lose and attempt - 1 not in self.lose:
            ids = {query.query_id for query in before.queries}
            self.service.lost |= {query_id for query_id in self.service.started if query_id not in ids}
            return
        for query_id in filter(None, (query.query_id for query in answer.queries)):
            self.handed_over_after.setdefault(query_id, self.service.now - self.service.started[query_id])
        # AdvanceQueries and again for each retry, ChooseByProgress, and WaitBeforeNextRound where it is entered
        self.transitions += 2 + retries + (1 if answer.poll.wait_seconds else 0)
        self.requests += 1 + retries
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

    stopped_by_a_lost_attempt = {"QueryCanceled"} if run.lose else set()
    assert {query.status for query in run.sweep.queries} <= ENDS | stopped_by_a_lost_attempt
    assert all(bool(query.cause) == query.has_failed for query in run.sweep.queries)


@given(runs)
def test_never_two_checks_of_a_query_closer_than_the_shortest_interval(run: Run) -> None:
    run.to_end()

    by_query: dict[str, list[float]] = {}
    for at, kind, name in run.service.requests:
        if kind == "check":
            by_query.setdefault(name, []).append(at)
    gaps = [later - earlier for times in by_query.values() for earlier, later in itertools.pairwise(times)]
    assert min(gaps, default=1) >= POLICY.shortest_interval - 0.002


@given(runs)
def test_requests_keep_to_the_rate_of_the_input(run: Run) -> None:
    run.to_end()

    rate, times = run.sweep.pace.ceiling, run.service.times()
    for first, last in itertools.combinations(range(min(len(times), 150)), 2):
        assert last - first <= rate * (times[last] - times[first] + Pace.BURST_SECONDS + 0.01) + 1


@given(runs)
def test_a_query_that_outlives_its_sweep_could_not_be_stopped_or_its_id_was_lost(run: Run) -> None:
    run.to_end()

    stopped = {name for _, kind, name in run.service.requests if kind == "stop"}
    causes = {query.query_id: query.cause for query in run.sweep.queries}
    for query_id in run.service.started:
        if run.service.status(query_id) == "RUNNING" and query_id not in stopped | run.service.lost:
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
        assert max(run.handed_over_after.values(), default=0) <= POLICY.longest_blind_hold + one_more


@given(runs)
def test_transitions_and_invocations_are_counted_as_the_state_machine_makes_them(run: Run) -> None:
    run.to_end()

    assert (run.sweep.poll.transitions, run.sweep.poll.requests) == (run.transitions, run.requests)
    assert run.sweep.poll.checks == len(run.service.times("check")) or run.lose


@given(services, st.integers(1, 12), st.floats(20, 300), st.floats(0, 600), st.integers(0, 99))
def test_more_budget_never_gives_up_earlier(
    service: Service, count: int, timeout: float, more: float, seed: int
) -> None:
    longer = Run(dataclasses.replace(service, requests=[], started={}, stopped={}), sweep_of(count, 20, timeout + more))
    longer.seed = seed
    shorter = Run(service, sweep_of(count, 20, timeout), seed).to_end()
    longer.to_end()

    def given_up(run: Run) -> float:
        """Return how soon a query was stopped because of its budget."""
        timed_out = [query.query_id for query in run.sweep.queries if query.status == "QueryTimedOut"]
        stops = {name: at for at, kind, name in reversed(run.service.requests) if kind == "stop"}
        return min((stops[q] - run.service.started[q] for q in timed_out if q in stops), default=1e9)

    if not shorter.service.script:
        assert given_up(longer) >= given_up(shorter) - 1.1


@given(st.integers(1, 12), st.floats(5, 300), st.sampled_from([2.0, 5.0, 20.0]), scripts, st.integers(0, 99))
def test_a_query_is_given_up_soon_after_its_budget(
    count: int, timeout: float, rate: float, script: tuple[str, ...], seed: int
) -> None:
    service = Service((1e6,), tuple(outcome for outcome in script if outcome in ("none", "throttled")))
    run = Run(service, sweep_of(count, rate, timeout), seed).to_end()

    queue = 1 + 3 * count / (rate * 0.9 ** script.count("throttled")) + count * service.call
    for at, kind, name in run.service.requests:
        if kind == "stop" and service.stopped.get(name, at) >= at:
            assert at - service.started[name] <= timeout + queue + POLICY.longest_fault_interval * (
                "throttled" in script
            )
    assert {query.status for query in run.sweep.queries} == {"QueryTimedOut"}


@given(st.integers(2, 40), st.sampled_from([0.5, 2.0, 5.0]), st.integers(0, 99))
def test_no_query_that_is_due_is_left_while_others_are_checked_many_times(count: int, rate: float, seed: int) -> None:
    service = Service(tuple(float(5 + 17 * number % 300) for number in range(count)))
    Run(service, sweep_of(count, rate, 5_000), seed).to_end()

    waiting: dict[str, Counter[str]] = {}
    for _, kind, name in service.requests:
        if kind == "check":
            waiting[name] = Counter()
            for other, checked in waiting.items():
                if other != name:
                    checked[name] += 1
                    most = 8 + count // 4
                    assert service.status(other) != "RUNNING" or max(checked.values()) <= most


def test_starts_that_are_throttled_leave_running_queries_their_checks() -> None:
    service = Service((10.0, 1e6), limit=0.001)
    run = Run(service, sweep_of(5, 5, 60)).to_end()

    checks = [at for at, kind, name in service.requests if kind == "check" and name == "q0"]
    assert checks[-1] < 20
    assert Counter(query.status for query in run.sweep.queries) == {"SUCCEEDED": 1, "Throttled": 4}


def test_a_start_whose_outcome_is_unclear_is_tried_as_often_however_the_rounds_fall() -> None:
    service = Service(script=("fault",) * 99)
    run = Run(service, sweep_of(1), function_timeout=1.0).to_end()

    assert [query.status for query in run.sweep.queries] == ["TransientFault"]
    assert len(service.times("start")) == 3


def test_checks_that_were_lost_are_not_sent_again_at_once() -> None:
    service = Service((100.0,))
    run = Run(service, sweep_of(12), lose=frozenset({1})).to_end()

    assert {query.status for query in run.sweep.queries} == {"SUCCEEDED"}
    assert run.rounds == 3


LONG = [pytest.param(count, marks=pytest.mark.slow) for count in (8, 12, 33)]  # four take the most rounds


@pytest.mark.parametrize("count", [1, 2, 4, *LONG])
def test_the_longest_budget_stays_under_25_000_events(count: int) -> None:
    run = Run(Service((1e9,)), sweep_of(count, 5, 86_400)).to_end()

    assert run.rounds * EVENTS_A_ROUND < MOST_EVENTS


# --- Stopping a sweep that has failed ---


@given(
    st.integers(0, 12),
    st.integers(0, 12),
    st.sampled_from([0.1, 5.0]),
    st.sampled_from([1.0, 61.0, 90.0, 900.0]),
    st.lists(st.sampled_from(["none", "throttled", "fault", "invalid", "denied"]), max_size=20).map(tuple),
)
def test_a_sweep_that_has_failed_stops_every_query_whose_id_it_has(
    running: int, waiting: int, rate: float, seconds: float, script: tuple[str, ...]
) -> None:
    service, number = Service((1e6,), script), running + waiting
    sweep = sweep_of(number, rate)
    for index in range(running):
        service.started[f"q{index}"] = 0.0
        query = dataclasses.replace(sweep.queries[index], query_id=f"q{index}", status="RUNNING", due_at=1.0)
        sweep = sweep.with_query(index, query)

    with service.clock():
        for attempt in itertools.count():
            began = service.now
            work = Round(sweep, service, lambda began=began: began + seconds - service.now, 1)  # type: ignore[misc]
            work.stop_all()
            assert service.now - began <= max(seconds, MARGIN_SECONDS + POLICY.slowest_call)
            sweep = through_json(work.answer(0.0, 128))
            if sweep.progress is not Progress.GOES_ON:
                break
            assert attempt <= number

    statuses = Counter(query.status for query in sweep.queries)
    assert statuses == Counter({"QueryStopped": running, "NotStarted": waiting}) - Counter()
    assert all(query.unclear for query in sweep.queries if query.status == "NotStarted")
    if not script:
        causes = [query.cause for query in sweep.queries if query.status == "QueryStopped"]
        assert all(cause.startswith(("stopped; ", "not stopped (no time left); ")) for cause in causes)
        assert seconds < MARGIN_SECONDS or len(service.stopped) == running


def test_a_query_that_succeeded_before_it_could_be_stopped_has_not_failed() -> None:
    service = Service((1.0,), started={"q0": -5.0})
    sweep = sweep_of(1)
    sweep = sweep.with_query(0, dataclasses.replace(sweep.queries[0], query_id="q0", status="RUNNING", due_at=1.0))
    with service.clock():
        work = Round(sweep, service, lambda: 900.0)
        work.stop_all()

    assert [query.status for query in work.sweep.queries] == ["SUCCEEDED"]
