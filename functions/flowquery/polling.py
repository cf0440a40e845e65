"""The poll decision: pure functions of policy, state and status. Standard library only.

Time is budget spent, never the difference of two wall clocks: a skewed clock or a frozen environment changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flowquery.model import IN_PROGRESS, Poll

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class PollPolicy:
    """How to watch a query. All values in seconds, but for the two factors.

    Attributes
    ----------
    first_interval, interval_growth, longest_interval
        Between two checks while holding: the first, what is added per second spent, and the longest.
    first_wait, wait_growth, longest_wait
        Between two invocations: as above.
    shortest_interval
        Never two checks closer than this.
    jitter
        Intervals and waits vary by this part up and down, so that queries started together part.
    slowest_call
        What one check can take at most: 2 attempts with timeouts of 2 and 5 s, and a backoff of 1 s between them.
    longest_backoff
        MaxDelaySeconds of the state machine's Retry; a test holds the two together.
    """

    first_interval: float = 0.6
    interval_growth: float = 0.05
    longest_interval: float = 1.5
    first_wait: float = 5.0
    wait_growth: float = 0.2
    longest_wait: float = 60.0
    shortest_interval: float = 0.5
    jitter: float = 0.1
    slowest_call: float = 15.0
    longest_backoff: float = 30.0


POLICY = PollPolicy()


@dataclass(frozen=True)
class Limits:
    """Seconds that this invocation may still hold, and the budget for the whole query."""

    hold_left: float
    timeout: float


@dataclass(frozen=True)
class Decision:
    """What comes next: look again after `look_after` seconds, or, where that is None, answer with `poll`."""

    poll: Poll
    look_after: float | None = None


def charge_retries(poll: Poll, retry_count: int, policy: PollPolicy = POLICY) -> Poll:
    """Count what the state machine's retries may have taken: a retried Task gets the same `poll` again."""
    charge = retry_count * (policy.longest_backoff + policy.slowest_call)
    return replace(poll, elapsed_seconds=poll.elapsed_seconds + charge, transitions=poll.transitions + retry_count)


def count_check(poll: Poll, outcome: str) -> Poll:
    observed = {**poll.observed, outcome: poll.observed.get(outcome, 0) + 1}
    return replace(poll, checks=poll.checks + 1, observed=observed)


def decide(
    status: str, poll: Poll, limits: Limits, random: Callable[[], float], policy: PollPolicy = POLICY
) -> Decision:
    """Decide what follows a check that saw `status`, `poll` including that check; `random` is uniform in [0, 1).

    A status that has ended, or that the service model does not have, is answered as it is.
    """
    answer = replace(poll, wait_seconds=0, exhausted=False, transitions=poll.transitions + 2)
    if status not in IN_PROGRESS:
        return Decision(answer)
    left = limits.timeout - poll.elapsed_seconds
    spread = 1 + policy.jitter * (2 * random() - 1)
    spent = poll.elapsed_seconds
    interval = spread * min(policy.first_interval + policy.interval_growth * spent, policy.longest_interval)
    interval = max(min(interval, left), policy.shortest_interval)
    if interval <= min(limits.hold_left, left):
        return Decision(poll, look_after=interval)
    wait = spread * min(policy.first_wait + policy.wait_growth * spent, policy.longest_wait)
    wait_seconds = int(min(max(round(wait), 1), left))
    if wait_seconds < 1:
        return Decision(replace(answer, exhausted=True))
    waited = replace(answer, wait_seconds=wait_seconds, transitions=answer.transitions + 1)
    return Decision(replace(waited, elapsed_seconds=spent + wait_seconds))
