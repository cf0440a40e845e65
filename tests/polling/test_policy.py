"""The poll decision: what it derives from its prices, and what it promises for every state."""

from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.plans import LAMBDA_SECOND, ROUND
from flowquery.core.model import IN_PROGRESS
from flowquery.polling.policy import POLICY, Decision, Hold, charge_retries, decide
from flowquery.polling.state import Poll
from tests.loopback import ROOT

elapsed = st.floats(0, 100_000)
holds = st.floats(0, 840)
unit = st.floats(0, 1, exclude_max=True)


@given(elapsed, holds, st.floats(0, 900), st.floats(1, 100_000), st.floats(0, 15), st.integers(0, 500), unit)
def test_a_decision_keeps_within_the_hold_the_budget_and_the_floor(
    spent: float, hold: float, held: float, timeout: float, call: float, faults: int, dice: float
) -> None:
    poll = Poll(elapsed_seconds=spent, checks=2)

    decision = decide("RUNNING", poll, Hold(hold, timeout, held, call, faults), dice)

    if decision.check_after is not None:
        assert decision.check_after + call >= POLICY.shortest_interval
        assert decision.check_after <= min(hold - held, timeout - spent)
    elif decision.poll.exhausted:
        assert timeout - spent < 1
        assert decision.poll.wait_seconds == 0
    else:
        assert decision.poll.wait_seconds >= 1
        assert decision.poll.elapsed_seconds == spent + decision.poll.wait_seconds <= timeout


@given(st.floats(0, 8_000), unit, st.integers(0, 20))
def test_a_hold_checks_less_often_with_time_and_less_often_still_after_faults(
    spent: float, dice: float, faults: int
) -> None:
    intervals = [POLICY.interval(spent * share, 0) for share in (0.0, 0.25, 0.5, 1.0)]

    assert intervals == sorted(intervals)
    assert intervals[0] == POLICY.shortest_interval
    assert POLICY.interval(spent, faults) <= POLICY.interval(spent, faults + 1)
    assert POLICY.interval(spent, faults) <= max(POLICY.interval(spent, 0), POLICY.longest_fault_interval)


@pytest.mark.parametrize("hold", [0.0, 30.0, 600.0])
@pytest.mark.parametrize("spent", [5.0, 120.0, 1200.0, 8_000.0])
def test_the_wait_is_the_cheapest_by_its_derivation(spent: float, hold: float) -> None:
    def rounds_a_second(wait: float) -> float:
        lag = POLICY.lag_weight * wait**2 / (2 * spent)
        return (1 + hold / POLICY.round_seconds + lag) / (wait + hold)

    best = POLICY.wait(spent, hold)

    assert rounds_a_second(best) <= min(rounds_a_second(best * factor) for factor in (0.9, 1.1))


def test_holding_pays_as_long_as_it_is_cheaper_than_the_cheapest_waits() -> None:
    turn = 2 * POLICY.lag_weight * POLICY.round_seconds**2
    by_waiting = math.sqrt(2 * POLICY.lag_weight / turn)

    assert by_waiting == pytest.approx(1 / POLICY.round_seconds)
    assert POLICY.holding_pays(turn - 1)
    assert not POLICY.holding_pays(turn + 1)
    assert POLICY.wait(turn - 1, 600) == pytest.approx(POLICY.wait(turn + 1, 600), abs=0.1)


def test_a_round_costs_as_much_as_the_policy_says() -> None:
    assert abs(ROUND / LAMBDA_SECOND - POLICY.round_seconds) < 0.01


def test_the_longest_backoff_is_the_state_machines() -> None:
    states = yaml.safe_load((ROOT / "statemachines/run_query.asl.yaml").read_text("utf-8"))["States"]

    retries = [retry for retry in states["GetQueryStatus"]["Retry"] if retry["MaxAttempts"]]
    assert {retry["MaxDelaySeconds"] for retry in retries} == {POLICY.longest_backoff}


@given(st.text(min_size=1).filter(lambda status: status not in IN_PROGRESS), elapsed, st.floats(1, 5_000))
def test_any_status_but_queued_and_running_is_answered_at_once(status: str, spent: float, timeout: float) -> None:
    decision = decide(status, Poll(elapsed_seconds=spent), Hold(600, timeout), 0.5)

    assert decision.check_after is None
    assert (decision.poll.wait_seconds, decision.poll.exhausted) == (0, False)


def over_the_dice(poll: Poll, hold: Hold) -> list[Decision]:
    return [decide("RUNNING", poll, hold, tenth / 10) for tenth in range(10)]


@pytest.mark.parametrize(("checks", "at_least"), [(1, 0.4), (2, 0.1), (50, 0.1)])
def test_jitter_separates_queries_that_started_together_by_their_first_interval(checks: int, at_least: float) -> None:
    intervals = [decision.check_after or 0 for decision in over_the_dice(Poll(checks=checks), Hold(600, 600))]

    assert max(intervals) - min(intervals) >= at_least
    assert len(set(intervals)) == 10


def test_waits_are_jittered_too() -> None:
    decisions = over_the_dice(Poll(checks=9, elapsed_seconds=2_000), Hold(0, 9_000))

    assert len({decision.poll.wait_seconds for decision in decisions}) > 5


@given(st.integers(0, 6), holds)
def test_a_retry_is_charged_for_a_hold_only_while_no_status_is_known(retries: int, hold: float) -> None:
    observed = charge_retries(Poll(observed={"RUNNING": 1}), retries, hold)
    blind = charge_retries(Poll(observed={"Throttled": 1}), retries, hold)

    assert observed.elapsed_seconds == retries * (POLICY.longest_backoff + POLICY.slowest_call)
    assert blind.elapsed_seconds - observed.elapsed_seconds == pytest.approx(
        retries * min(hold, POLICY.longest_blind_hold)
    )
