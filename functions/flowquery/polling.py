"""The poll decision: pure functions of policy, state and status. Standard library only.

Time is budget spent, never the difference of two wall clocks: a skewed clock or a frozen environment changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt
from typing import TYPE_CHECKING

from flowquery.model import IN_PROGRESS, Poll

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class PollPolicy:
    """How to watch a query of which nothing is known but how long it has been going on.

    A query that has gone on for t seconds ends within the next w with a probability of about w / t, whatever its scale,
    and is then seen w / 2 late on average. With a price for each look and a weight for each second of lag, both in
    Wait-Task-Choice rounds, the cost a second is price / w + weight w / (2 t), lowest at w = sqrt(2 price t / weight).
    That is the gap between two looks while holding. Between two invocations the price is a round; where the next one
    holds for h seconds, and a round costs as much as r seconds of holding, (1 + h / r + weight w² / (2 t)) / (w + h)
    is lowest at w = sqrt(h² + 2 (t / weight) (1 + h / r)) - h. Holding is cheaper than waiting until t = 2 weight r²,
    8,100 seconds: before that a Wait only bridges two invocations, after it there are only Waits, of 90 s and more.
    `benchmarks/polling_frontier.py` measures this against the optimum that knows how long queries take.

    Attributes
    ----------
    lag_weight
        What a second of lag is worth, in rounds.
    round_seconds
        How long a function of 128 MB (arm64) runs for the price of a round: 3 transitions at $25 a million, against
        $0.0000133334 a GB-second.
    look_price
        What a look is worth, in rounds. It costs no money while holding but a share of the service's request rate,
        which nobody documents: 0.02 keeps a query of 20 minutes under 400 looks.
    shortest_interval
        Seconds; never two looks closer than this, from the end of one to the start of the next.
    jitter
        Intervals and waits are longer by up to this part, evenly, so that queries started together part.
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
    look_price: float = 0.02
    shortest_interval: float = 0.5
    jitter: float = 0.25
    longest_fault_interval: float = 10.0
    longest_blind_hold: float = 60.0
    slowest_call: float = 15.0
    longest_backoff: float = 30.0

    def interval(self, elapsed: float, faults: int) -> float:
        """Return the seconds between two looks of a hold, `elapsed` seconds on and after so many faults in a row."""
        interval = max(sqrt(2 * self.look_price * elapsed / self.lag_weight), self.shortest_interval)
        return max(interval, min(interval * 2.0 ** min(faults, 9), self.longest_fault_interval))

    def holding_pays(self, elapsed: float) -> bool:
        return elapsed < 2 * self.lag_weight * self.round_seconds**2

    def wait(self, elapsed: float, hold: float) -> float:
        """Return the seconds to wait before an invocation that holds for `hold` seconds, or looks once (0)."""
        hold = hold if self.holding_pays(elapsed) else 0.0
        return sqrt(hold**2 + 2 * elapsed / self.lag_weight * (1 + hold / self.round_seconds)) - hold


POLICY = PollPolicy()


@dataclass(frozen=True)
class Limits:
    """Seconds that this invocation may hold, the budget, seconds that it has held; and the faults in a row so far."""

    hold: float
    timeout: float
    held: float = 0.0
    faults: int = 0


@dataclass(frozen=True)
class Decision:
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


def decide(
    status: str | None, poll: Poll, limits: Limits, random: Callable[[], float], policy: PollPolicy = POLICY
) -> Decision:
    """Decide what follows a check, `poll` including that check; `random` is uniform in [0, 1).

    `status` is the last one known, None where there has not been any. One that has ended, or that the service model
    does not have, is answered as it is.
    """
    answer = replace(poll, wait_seconds=0, exhausted=False, transitions=poll.transitions + 2)
    if status is not None and status not in IN_PROGRESS:
        return Decision(answer)
    spent, left = poll.elapsed_seconds, limits.timeout - poll.elapsed_seconds
    hold = limits.hold if status else min(limits.hold, policy.longest_blind_hold)
    stretch = 1 + policy.jitter * random()
    interval = max(min(stretch * policy.interval(spent, limits.faults), left), policy.shortest_interval)
    if policy.holding_pays(spent) and interval <= min(hold - limits.held, left):
        return Decision(poll, look_after=interval)
    wait_seconds = max(int(min(max(round(stretch * policy.wait(spent, limits.hold)), 1), left)), 0)
    answer = replace(answer, wait_seconds=wait_seconds, elapsed_seconds=spent + wait_seconds)
    return Decision(replace(answer, exhausted=not wait_seconds, transitions=answer.transitions + bool(wait_seconds)))
