"""The poll decision: pure functions of policy, state and status.

Time is budget spent, never the difference of two wall clocks. A skewed clock or a frozen environment changes nothing.
"""

from dataclasses import dataclass, replace
from math import sqrt
from typing import NamedTuple

from flowquery.core.model import IN_PROGRESS
from flowquery.polling.state import Poll


@dataclass(frozen=True)
class PollPolicy:
    """How to watch a query of unknown duration.

    *Waits.* A query that has run for t seconds ends within the next w seconds with a probability of about w / t,
    whatever its scale. It is then seen w / 2 seconds late on average. Let `weight` be the price of a second of lag, in
    Wait-Task-Choice rounds, and r the seconds of holding that cost as much as a round. A Wait of w seconds before a
    hold of h seconds costs (1 + h / r + weight w² / (2 t)) / (w + h) rounds a second. That is least at
    w = sqrt(h² + 2 (t / weight) (1 + h / r)) - h. With h = 0 it is w = sqrt(2 t / weight), which costs more than
    holding until t = 2 weight r², 8,100 seconds. So before that a Wait only bridges two invocations. After it there
    are only Waits, of 90 s and more.

    *Intervals.* A hold is paid by its time, so a status check costs no money. It costs a share of the service's request
    rate, which is not documented. Checks are as close as allowed until 6 % of the elapsed time is more, then about a
    second apart, and 0.8 % of the elapsed time once that is more than a second. The three numbers give the closest
    checks whose mean number stays under 12, 35 and 110 for median durations of 5, 20 and 90 s, and under 400 for 20
    minutes.

    `benchmarks/polling_frontier.py` compares this with the optimum that knows the distribution of durations, and with
    other choices of each number.

    Attributes
    ----------
    lag_weight
        What a second of lag is worth, in rounds.
    round_seconds
        How long a function of 128 MB (arm64) runs for the price of a round: 3 transitions at $25 a million, against
        $0.0000133334 a GB-second.
    shortest_interval
        Seconds. Two checks are never closer than this, from the beginning of one to the beginning of the next.
    early_growth, steady_interval, late_growth
        The interval as a part of the elapsed time at first, then its length in seconds, then as a part again.
    first_jitter, jitter
        Intervals and waits are longer by up to this part, evenly. The first one separates queries that started
        together, the second keeps them apart.
    longest_fault_interval
        Seconds. Each fault in a row doubles the interval, up to this.
    longest_blind_hold
        Seconds. While no status is known, a hold can only end in an error, and each retry is charged for all of it.
    slowest_call
        Seconds that one status check can take: 2 attempts with timeouts of 2 and 5 s, and a backoff of 1 s between.
    unknown_query_seconds
        How long after the start an unknown query id is a fault like a throttle: the service may not know it yet.
    longest_backoff
        Seconds: MaxDelaySeconds of the state machine's Retry. A test compares the two.
    most_attempts_retried
        MaxAttempts of the state machine's Retry for attempts that may have run. All other retries are those of an
        account without a free concurrent execution, where nothing ran. A test compares the two.
    """

    lag_weight: float = 2.0
    round_seconds: float = 45.0
    shortest_interval: float = 0.5
    early_growth: float = 0.06
    steady_interval: float = 0.9
    late_growth: float = 0.008
    first_jitter: float = 1.0
    jitter: float = 0.25
    longest_fault_interval: float = 10.0
    longest_blind_hold: float = 60.0
    slowest_call: float = 15.0
    unknown_query_seconds: float = 10.0
    longest_backoff: float = 30.0
    most_attempts_retried: int = 6

    def interval(self, elapsed: float, faults: int) -> float:
        """Return the seconds between two checks of a hold, after `elapsed` seconds and so many faults in a row."""
        longest = max(self.steady_interval, self.late_growth * elapsed)
        interval = min(max(self.shortest_interval, self.early_growth * elapsed), longest)
        return max(interval, min(interval * 2.0 ** min(faults, 9), self.longest_fault_interval))

    def holding_pays(self, elapsed: float) -> bool:
        return elapsed < 2 * self.lag_weight * self.round_seconds**2

    def wait(self, elapsed: float, hold: float) -> float:
        """Return the seconds to wait before an invocation that holds for `hold` seconds, or checks once (0)."""
        hold = hold if self.holding_pays(elapsed) else 0.0
        return sqrt(hold**2 + 2 * elapsed / self.lag_weight * (1 + hold / self.round_seconds)) - hold


POLICY = PollPolicy()


class Hold(NamedTuple):
    """How far an invocation has come in watching a query.

    Attributes
    ----------
    seconds
        How long the invocation may hold.
    timeout_seconds
        The budget of the query.
    held
        Seconds held so far.
    call_seconds
        How long the last status check took.
    faults
        Transient faults in a row.
    """

    seconds: float
    timeout_seconds: float
    held: float = 0.0
    call_seconds: float = 0.0
    faults: int = 0


class Decision(NamedTuple):
    """What comes next: another check after `check_after` seconds, or, where that is None, an answer with `poll`."""

    poll: Poll
    check_after: float | None = None


def charge_retries(poll: Poll, retry_count: int, hold: float = 0.0, policy: PollPolicy = POLICY) -> Poll:
    """Charge what the state machine's retries may have taken: a retried Task gets the same `poll` again."""
    blind = 0.0 if poll.last_status else min(hold, policy.longest_blind_hold)
    ran = min(retry_count, policy.most_attempts_retried)
    charge = ran * (blind + policy.slowest_call) + retry_count * policy.longest_backoff
    return replace(poll, elapsed_seconds=poll.elapsed_seconds + charge)


def decide(status: str | None, poll: Poll, hold: Hold, uniform: float, policy: PollPolicy = POLICY) -> Decision:
    """Decide what follows a status check.

    Parameters
    ----------
    status
        The last status that was observed, or None. One that has ended, or that the service model does not have, is
        answered as it is.
    poll
        The state, that check included.
    hold
        How far the invocation has come.
    uniform
        A random number, uniform in [0, 1), for the jitter.
    """
    answer = replace(poll, wait_seconds=0, exhausted=False)
    if status is not None and status not in IN_PROGRESS:
        return Decision(answer)
    spent, remaining = poll.elapsed_seconds, hold.timeout_seconds - poll.elapsed_seconds
    longest_hold = hold.seconds if status else min(hold.seconds, policy.longest_blind_hold)
    stretch = 1 + (policy.jitter if poll.checks > 1 else policy.first_jitter) * uniform
    interval = max(min(stretch * policy.interval(spent, hold.faults), remaining), policy.shortest_interval)
    check_after = max(interval - hold.call_seconds, interval / 2)  # after a slow reply, not at once
    if policy.holding_pays(spent) and check_after <= min(longest_hold - hold.held, remaining):
        return Decision(poll, check_after)
    wait_seconds = max(int(min(max(round(stretch * policy.wait(spent, hold.seconds)), 1), remaining)), 0)
    answer = replace(answer, wait_seconds=wait_seconds, elapsed_seconds=spent + wait_seconds)
    return Decision(replace(answer, exhausted=not wait_seconds))
