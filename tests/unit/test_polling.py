"""The poll decision, over durations, fault sequences and knobs."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from flowquery.inputs import parse_poll
from flowquery.model import IN_PROGRESS, Poll
from flowquery.polling import POLICY, Limits, charge_retries, count_check, decide

if TYPE_CHECKING:
    from collections.abc import Sequence

EVENTS_A_ROUND = 10  # of the state machine's history; the workflow tests measure it
LONGEST_BUDGET = 86_400


@dataclass(frozen=True)
class Watched:
    """What a caller who does as advised sees of a query that takes `duration` seconds."""

    polls: Sequence[Poll]
    looks: Sequence[float]
    ended: bool


def watch(duration: float, hold: float, timeout: float, dice: float, retries: int = 0, call: float = 0.15) -> Watched:
    """Follow the advice until the query has ended or the budget is spent; each invocation is frozen a day after it."""
    poll, now, looks, polls = Poll(), 0.0, [], []
    while not poll.exhausted:
        poll = charge_retries(poll, retries)
        began = now
        while True:
            now += call
            looks.append(now)
            status = "SUCCEEDED" if now >= duration else "RUNNING"
            poll = count_check(poll, status)
            spent = Poll(**{**vars(poll), "elapsed_seconds": poll.elapsed_seconds + now - began})
            decision = decide(status, spent, Limits(began + hold - now, timeout), lambda: dice)
            if decision.look_after is None:
                break
            now += decision.look_after
        poll = parse_poll({"poll": json.loads(json.dumps(decision.poll.to_json()))})
        polls.append(poll)
        if status == "SUCCEEDED":
            return Watched(polls, looks, ended=True)
        now += poll.wait_seconds
    return Watched(polls, looks, ended=False)


durations = st.floats(0.1, 5_000)
holds = st.sampled_from([0.0, 5.0, 60.0, 600.0])
timeouts = st.floats(1, 5_000)
unit = st.floats(0, 1, exclude_max=True)


@given(durations, holds, timeouts, unit, st.integers(0, 6))
def test_the_loop_always_ends_and_overruns_its_budget_by_one_call_at_most(
    duration: float, hold: float, timeout: float, dice: float, retries: int
) -> None:
    watched = watch(duration, hold, timeout, dice, retries)

    last = watched.polls[-1]
    charge = retries * (POLICY.longest_backoff + POLICY.slowest_call)
    assert watched.ended or last.exhausted
    assert last.elapsed_seconds <= timeout + POLICY.shortest_interval + 0.15 + charge + 0.001
    assert last.wait_seconds == 0


@given(st.floats(1_000, 5_000), holds, unit)
def test_never_two_looks_closer_than_the_shortest_interval(duration: float, hold: float, dice: float) -> None:
    looks = watch(duration, hold, 5_000, dice).looks

    gaps = [later - earlier - 0.15 for earlier, later in itertools.pairwise(looks)]
    assert min(gaps) >= POLICY.shortest_interval - 1e-6


@given(durations, holds, timeouts, st.floats(0, 5_000), unit)
def test_more_budget_never_gives_up_earlier(
    duration: float, hold: float, timeout: float, more: float, dice: float
) -> None:
    less, longer = watch(duration, hold, timeout, dice), watch(duration, hold, timeout + more, dice)

    assert longer.ended or not less.ended
    if not longer.ended:
        assert longer.polls[-1].elapsed_seconds >= less.polls[-1].elapsed_seconds - POLICY.shortest_interval - 0.15


def test_the_longest_budget_stays_under_25_000_events() -> None:
    for hold in (0.0, 60.0, 600.0):
        rounds = len(watch(10**9, hold, LONGEST_BUDGET, 0.0).polls)
        assert rounds * EVENTS_A_ROUND < 25_000


@given(st.integers(1, 12), unit)
def test_a_wait_is_whole_seconds_of_budget(looks: int, dice: float) -> None:
    poll = Poll(elapsed_seconds=looks * 10.0, checks=looks)

    answer = decide("RUNNING", poll, Limits(0, 1_000), lambda: dice).poll

    assert answer.wait_seconds >= 1
    assert answer.elapsed_seconds == poll.elapsed_seconds + answer.wait_seconds


@given(st.text(min_size=1).filter(lambda status: status not in IN_PROGRESS), durations, timeouts)
def test_any_status_but_queued_and_running_is_answered_at_once(status: str, elapsed: float, timeout: float) -> None:
    decision = decide(status, Poll(elapsed_seconds=elapsed), Limits(600, timeout), lambda: 0.5)

    assert decision.look_after is None
    assert (decision.poll.wait_seconds, decision.poll.exhausted) == (0, False)


def test_jitter_parts_queries_that_started_together() -> None:
    intervals = {
        decide("RUNNING", Poll(), Limits(600, 600), iter([part / 10]).__next__).look_after for part in range(10)
    }

    assert len(intervals) == 10
