"""Watching a query to its end: durations, faults, options and frozen clocks, as a state machine lives through them."""

from __future__ import annotations

import itertools
import json
import random
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowquery.core.errors import AccessDenied, Throttled, TransientFault
from flowquery.polling.policy import POLICY
from flowquery.query.status_step import StatusRequest, watch
from tests.json_values import json_values

EVENTS_A_ROUND = 10  # of the state machine's history; the workflow tests measure it
EVENTS_A_RETRY = 5
MOST_EVENTS = 25_000
LONGEST_BUDGET = 86_400
MOST_RETRIES = 6
FAULTS = {"throttled": Throttled, "fault": TransientFault}


@dataclass
class Run:
    """A state machine and a query in virtual time; `script` says what goes wrong with the first checks."""

    duration: float
    hold: float = 600.0
    timeout: float = 1800.0
    script: tuple[str, ...] = ()
    seed: int = 0
    frozen: float = 0.0
    call: float = 0.15
    function_timeout: float = 660.0
    now: float = 0.0
    spent: float = 0.0
    began: float = 0.0
    checks: list[float] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)
    retries: int = 0
    attempts: int = 0
    transitions: int = 0

    def to_end(self) -> Run:
        """Do as a state machine does: retry named errors, wait as advised, end with the query or its budget."""
        dice = random.Random(self.seed)
        poll: dict[str, Any] | None = None
        retry_count = 0
        clock = mock.patch.multiple("flowquery.aws.clock", monotonic=lambda: self.now, sleep=self._pass)
        with clock, mock.patch("flowquery.query.status_step.random", dice):
            while not self.ended and not (poll and poll["exhausted"]):
                try:
                    answer = self._invoke(poll, retry_count)
                except (Throttled, TransientFault):
                    if retry_count == MOST_RETRIES:
                        break
                    self._pass(dice.random() * min(2 * 2.0**retry_count, POLICY.longest_backoff))
                    retry_count, self.retries = retry_count + 1, self.retries + 1
                else:
                    self.answers.append(answer)
                    poll = answer["poll"]
                    # GetQueryStatus and its retries, ChooseByStatus, and WaitBeforeNextCheck where it is entered
                    self.transitions += 2 + retry_count + (1 if self._waits(answer) else 0)
                    retry_count = 0
                    self._pass(poll["waitSeconds"])
                self.now += self.frozen
        return self

    def _waits(self, answer: dict[str, Any]) -> bool:
        return answer["status"] in ("QUEUED", "RUNNING") and not answer["poll"]["exhausted"]

    @property
    def ended(self) -> bool:
        return bool(self.answers) and self.answers[-1]["status"] == "SUCCEEDED"

    @property
    def counted(self) -> float:
        """Return the budget that the last answer says was spent."""
        elapsed: float = self.answers[-1]["poll"]["elapsedSeconds"]
        return elapsed

    def _invoke(self, poll: dict[str, Any] | None, retry_count: int) -> dict[str, Any]:
        options = {"holdSeconds": self.hold, "timeoutSeconds": self.timeout, "retryCount": retry_count}
        event = {"scopeId": "scope", "queryId": "query", "poll": poll, **options}
        self.began, self.attempts = self.now, self.attempts + 1
        answer = watch(StatusRequest.parse(json.loads(json.dumps(event))), self._check, self._remaining)
        parsed: dict[str, Any] = json.loads(json.dumps(answer))
        return parsed

    def _remaining(self) -> float:
        return self.began + self.function_timeout - self.now

    def _check(self, _: object) -> str:
        assert self.now - self.began <= self.function_timeout - POLICY.slowest_call or self.now == self.began
        self.checks.append(self.spent)
        failure = self.script[len(self.checks) - 1] if len(self.checks) <= len(self.script) else "none"
        status = "SUCCEEDED" if self.spent >= self.duration else "RUNNING"
        self._pass(POLICY.slowest_call if failure == "slow" else self.call)
        if failure in FAULTS:
            raise FAULTS[failure](failure)
        return status

    def _pass(self, seconds: float) -> None:
        self.now += seconds
        self.spent += seconds


durations = st.floats(0.1, 5_000)
holds = st.one_of(st.sampled_from([0.0, 0.5, 5.0, 60.0, 600.0, 840.0]), st.floats(0, 840))
timeouts = st.floats(1, 5_000)
scripts = st.lists(st.sampled_from(["throttled", "fault", "slow", "none"]), max_size=30).map(tuple)
runs = st.builds(
    Run,
    durations,
    holds,
    timeouts,
    scripts,
    seed=st.integers(0, 99),
    frozen=st.sampled_from([0.0, 3_600.0, 1e6]),
    function_timeout=st.sampled_from([20.0, 180.0, 660.0, 900.0]),
)


@given(runs)
def test_the_loop_always_ends_and_overruns_its_budget_by_one_call_at_most(run: Run) -> None:
    run.to_end()

    if run.retries < MOST_RETRIES:
        assert run.ended or run.answers[-1]["poll"]["exhausted"]
    if not run.retries:
        assert run.spent <= run.timeout + POLICY.slowest_call + 0.001
        assert run.counted == pytest.approx(run.spent, abs=0.01)


@given(runs)
def test_no_more_time_is_spent_than_is_counted(run: Run) -> None:
    run.to_end()

    if run.answers:
        assert run.spent <= run.counted + 0.01


@given(runs)
def test_never_two_checks_closer_than_the_shortest_interval(run: Run) -> None:
    run.to_end()

    gaps = [later - earlier for earlier, later in itertools.pairwise(run.checks)]
    assert min(gaps, default=1) >= POLICY.shortest_interval - 1e-6


@given(runs, st.floats(0, 5_000))
def test_more_budget_never_gives_up_earlier(run: Run, more: float) -> None:
    longer = Run(**{**vars(run), "timeout": run.timeout + more, "checks": [], "answers": []}).to_end()
    run.to_end()

    assert longer.ended or not run.ended
    if not longer.ended:
        assert longer.spent >= run.spent - POLICY.shortest_interval - POLICY.slowest_call


@given(runs, st.sampled_from([0.5, 3_600.0, 1e7]))
def test_a_runtime_that_is_frozen_between_invocations_changes_nothing(run: Run, frozen: float) -> None:
    other = Run(**{**vars(run), "frozen": frozen, "checks": [], "answers": []}).to_end()
    run.to_end()

    assert [answer["status"] for answer in other.answers] == [answer["status"] for answer in run.answers]
    assert other.spent == pytest.approx(run.spent, abs=0.01)


@given(runs)
def test_every_check_is_counted_under_its_outcome(run: Run) -> None:
    run.to_end()

    if run.answers and not run.retries:
        poll = run.answers[-1]["poll"]
        failures = run.script[: len(run.checks)]
        assert poll["checks"] == len(run.checks) == sum(poll["observed"].values())
        assert poll["observed"].get("Throttled", 0) == failures.count("throttled")
        assert poll["observed"].get("TransientFault", 0) == failures.count("fault")


@given(runs)
def test_transitions_and_invocations_are_counted_as_the_state_machine_makes_them(run: Run) -> None:
    run.to_end()

    if run.answers and run.retries < MOST_RETRIES:
        poll = run.answers[-1]["poll"]
        assert (poll["transitions"], poll["requests"]) == (run.transitions, run.attempts)


@given(runs)
def test_a_wait_is_advised_if_and_only_if_there_is_a_next_check(run: Run) -> None:
    run.to_end()

    for answer in run.answers:
        assert (answer["poll"]["waitSeconds"] >= 1) == run._waits(answer)


@given(st.dictionaries(st.text(), json_values))
def test_other_fields_of_the_input_are_ignored(others: dict[str, Any]) -> None:
    """A caller may pass its whole state."""
    names = ("scopeId", "queryId", "family", "poll", "holdSeconds", "timeoutSeconds", "retryCount")
    added = {name: value for name, value in others.items() if name not in names}

    assert StatusRequest.parse({**added, "scopeId": "s", "queryId": "q"}) == StatusRequest.parse(
        {"scopeId": "s", "queryId": "q"}
    )


@pytest.mark.parametrize("hold", [0.0, 0.5, 5.0, 60.0, 600.0, 840.0])
@pytest.mark.parametrize("script", [(), ("none", *["throttled"] * 100_000)])
def test_the_longest_budget_stays_under_25_000_events(hold: float, script: tuple[str, ...]) -> None:
    run = Run(1e9, hold, LONGEST_BUDGET, script, function_timeout=900).to_end()

    # Each round may be retried as often as the state machine allows.
    assert len(run.answers) * (EVENTS_A_ROUND + MOST_RETRIES * EVENTS_A_RETRY) < MOST_EVENTS


@given(scripts, st.integers(0, 99))
def test_without_a_hold_it_checks_exactly_once(script: tuple[str, ...], seed: int) -> None:
    run = Run(60, 0, 600, script, seed).to_end()

    assert len(run.checks) == run.attempts


def test_a_hold_goes_on_through_faults_until_the_first_good_check() -> None:
    run = Run(10, script=("throttled", "fault", "throttled", "fault")).to_end()

    assert run.ended
    assert (len(run.answers), run.retries) == (1, 0)
    assert run.answers[0]["poll"]["observed"].items() >= {"Throttled": 2, "TransientFault": 2, "SUCCEEDED": 1}.items()


def test_intervals_back_off_while_faults_last() -> None:
    run = Run(30, script=("none", *["throttled"] * 6)).to_end()

    gaps = [later - earlier for earlier, later in itertools.pairwise(run.checks[1:8])]
    assert gaps == sorted(gaps)
    assert gaps[-1] >= 4 * gaps[0]
    assert gaps[-1] <= POLICY.longest_fault_interval * (1 + POLICY.jitter)


def test_while_no_status_is_known_an_attempt_ends_in_time_for_its_charge() -> None:
    run = Run(1e9, script=("throttled",) * 1000).to_end()

    assert not run.answers
    assert run.retries == MOST_RETRIES
    assert run.spent <= 7 * POLICY.longest_blind_hold + 90 + 7


def test_an_error_that_is_not_transient_is_raised_at_once() -> None:
    checked = []

    def check(query: object) -> str:
        checked.append(query)
        raise AccessDenied("no")

    with pytest.raises(AccessDenied):
        watch(StatusRequest.parse({"scopeId": "scope", "queryId": "query", "holdSeconds": 60}), check, lambda: 900.0)
    assert len(checked) == 1


@pytest.mark.parametrize(("seconds", "median"), [(2, 0.5), (60, 1.0), (1200, 12.0)])
def test_without_any_option_the_end_is_observed_soon(seconds: float, median: float) -> None:
    lags = sorted(Run(seconds, seed=seed).to_end().spent - seconds for seed in range(51))

    assert lags[25] <= median
