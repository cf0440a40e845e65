"""How fast requests may follow each other: a token bucket whose rate falls at throttles and rises again."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Pace:
    """A rate that falls by a tenth at each throttle and rises evenly again, up to the ceiling.

    The service's limit is not documented, so the rate has to find it. It then stays within a tenth of the limit. Times
    are seconds of the sweep's budget.

    Attributes
    ----------
    ceiling
        The requests a second of the input.
    rate
        The requests a second at present.
    next_at
        When the next request is due, if all are evenly spaced.
    """

    ceiling: float
    rate: float
    next_at: float = 0.0

    DECREASE = 0.9
    INCREASE = 0.01  # of the ceiling, a second
    LEAST = 0.02  # of the ceiling
    BURST_SECONDS = 1.0  # so much of the delay by slow calls is made up for

    @property
    def ready_at(self) -> float:
        return self.next_at - self.BURST_SECONDS

    def sent(self, now: float) -> Pace:
        """Return the pace after a request that left at `now`."""
        due = max(self.next_at, now)
        passed = due - self.next_at + 1 / self.rate
        rate = min(self.rate + self.ceiling * self.INCREASE * passed, self.ceiling)
        return replace(self, rate=rate, next_at=due + 1 / rate)

    def without_burst(self, now: float) -> Pace:
        """Return the pace after an unknown number of requests up to `now`."""
        return replace(self, next_at=max(self.next_at, now + self.BURST_SECONDS + 1 / self.rate))

    def throttled(self, now: float) -> Pace:
        """Return the pace after a request was refused at `now`: slower, and no burst."""
        rate = max(self.rate * self.DECREASE, self.ceiling * self.LEAST)
        return replace(self, rate=rate, next_at=max(self.next_at, now + self.BURST_SECONDS + 0.5 / rate))
