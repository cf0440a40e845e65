"""The poll decision: pure functions of policy, state and status. Standard library only.

Time is budget spent, never the difference of two wall clocks: a skewed clock or a frozen environment changes nothing.
"""

from dataclasses import dataclass, replace
from math import sqrt
from typing import NamedTuple

from flowquery.core.model import IN_PROGRESS, Poll


@dataclass(frozen=True)
class PollPolicy:
    """How to watch a query of which nothing is known but how long it has been going on.

    *Waits.* A query that has gone on for t seconds ends within the next w with a probability of about w / t, whatever
    its scale, and is then seen w / 2 late on average. With a weight for each second of lag, in Wait-Task-Choice rounds,
    and r seconds of holding for the price of a round, a Wait of w seconds before a hold of h costs
    (1 + h / r + weight w² / (2 t)) / (w + h) rounds a second, least at w = sqrt(h² + 2 (t / weight) (1 + h / r)) - h.
    With h = 0 that is w = sqrt(2 t / weight), dearer than holding until t = 2 weight r², 8,100 seconds. So before that
    a Wait only bridges two invocations, and after it there are only Waits, of 90 s and more.

    *Intervals.* A hold is paid by its time, so looks cost no money but a share of the service's request rate, which
    nobody documents. They are as close as allowed until 6 % of the elapsed time is more, then about a second apart, and
    0.8 % of the elapsed time once that is more, which nobody notices who has waited that long. The three numbers are
    the closest that keep the mean of looks under 12, 35, 110 for medians of 5, 20, 90 s, and 20 minutes under 400.

    `benchmarks/polling_frontier.py` measures this against the optimum that knows how long queries take, and against
    other choices of each number.

    Attributes
    ----------
    lag_weight
        What a second of lag is worth, in rounds.
    round_seconds
        How long a function of 128 MB (arm64) runs for the price of a round: 3 transitions at $25 a million, against
        $0.0000133334 a GB-second.
    shortest_interval
        Seconds; never two looks closer than this, from the beginning of one to the beginning of the next.
    early_growth, steady_interval, late_growth
        The interval as a part of the elapsed time at first, its length then (seconds), and as a part again.
    first_jitter, jitter
        Intervals and waits are longer by up to this part, evenly. The first one parts queries that started together,
        the others keep them apart.
    longest_fault_interval
        Seconds; each fault in a row doubles the interval, up to this.
    longest_blind_hold
        Seconds; as long as no status is known a hold can end in an error only, and each retry is charged for all of it.
    slowest_call
        Seconds that one look can take: 2 attempts with timeouts of 2 and 5 s, and a backoff of 1 s between them.
    longest_backoff
        Seconds: MaxDelaySeconds of the state machine's Retry; a test holds the two together.
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
    longest_backoff: float = 30.0

    def interval(self, elapsed: float, faults: int) -> float:
        """Return the seconds from look to look in a hold, `elapsed` seconds on and after so many faults in a row."""
        longest = max(self.steady_interval, self.late_growth * elapsed)
        interval = min(max(self.shortest_interval, self.early_growth * elapsed), longest)
        return max(interval, min(interval * 2.0 ** min(faults, 9), self.longest_fault_interval))

    def holding_pays(self, elapsed: float) -> bool:
        return elapsed < 2 * self.lag_weight * self.round_seconds**2

    def wait(self, elapsed: float, hold: float) -> float:
        """Return the seconds to wait before an invocation that holds for `hold` seconds, or looks once (0)."""
        hold = hold if self.holding_pays(elapsed) else 0.0
        return sqrt(hold**2 + 2 * elapsed / self.lag_weight * (1 + hold / self.round_seconds)) - hold


POLICY = PollPolicy()


class Limits(NamedTuple):
    """What bounds an invocation: seconds to hold, of budget, held so far, and that the look took; faults in a row."""

    hold: float
    timeout: float
    held: float = 0.0
    call: float = 0.0
    faults: int = 0


class Decision(NamedTuple):
    """What comes next: look again after `look_after` seconds, or, where that is None, answer with `poll`."""

    poll: Poll
    look_after: float | None = None


def charge_retries(poll: Poll, retry_count: int, hold: float = 0.0, policy: PollPolicy = POLICY) -> Poll:
    """Count what the state machine's retries may have taken: a retried Task gets the same `poll` again."""
    blind = 0.0 if poll.last_status else min(hold, policy.longest_blind_hold)
    charge = retry_count * (blind + policy.longest_backoff + policy.slowest_call)
    return replace(poll, elapsed_seconds=poll.elapsed_seconds + charge, transitions=poll.transitions + retry_count)


def count_check(poll: Poll, outcome: str) -> Poll:
    observed = {**poll.observed, outcome: poll.observed.get(outcome, 0) + 1}
    return replace(poll, checks=poll.checks + 1, observed=observed)


def decide(status: str | None, poll: Poll, limits: Limits, dice: float, policy: PollPolicy = POLICY) -> Decision:
    """Decide what follows a check, `poll` including that check; `dice` fall evenly in [0, 1).

    `status` is the last one known, None where there has not been any. One that has ended, or that the service model
    does not have, is answered as it is.
    """
    answer = replace(poll, wait_seconds=0, exhausted=False, transitions=poll.transitions + 2)
    if status is not None and status not in IN_PROGRESS:
        return Decision(answer)
    spent, left = poll.elapsed_seconds, limits.timeout - poll.elapsed_seconds
    hold = limits.hold if status else min(limits.hold, policy.longest_blind_hold)
    stretch = 1 + (policy.jitter if poll.checks > 1 else policy.first_jitter) * dice
    interval = max(min(stretch * policy.interval(spent, limits.faults), left), policy.shortest_interval)
    look_after = max(interval - limits.call, interval / 2)  # a slow reply is no reason to ask again at once
    if policy.holding_pays(spent) and look_after <= min(hold - limits.held, left):
        return Decision(poll, look_after)
    wait_seconds = max(int(min(max(round(stretch * policy.wait(spent, limits.hold)), 1), left)), 0)
    answer = replace(answer, wait_seconds=wait_seconds, elapsed_seconds=spent + wait_seconds)
    return Decision(replace(answer, exhausted=not wait_seconds, transitions=answer.transitions + bool(wait_seconds)))
