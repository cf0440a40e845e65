"""What every invocation that works on a sweep has: the sweep's time, its pace, and what it is charged."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from flowquery.aws import clock
from flowquery.core.errors import Throttled

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowquery.sweep.state import Sweep

Reply = TypeVar("Reply")


class SweepInvocation:
    """The work of one invocation. `sweep` is its state so far."""

    def __init__(self, sweep: Sweep) -> None:
        self._began, self._spent_before = clock.monotonic(), sweep.poll.elapsed_seconds
        self.sweep = sweep

    @property
    def now(self) -> float:
        """Seconds of the sweep's budget."""
        return self._spent_before + clock.monotonic() - self._began

    @property
    def sweep_at_present(self) -> Sweep:
        """The sweep with the budget spent so far, for more work in the same invocation."""
        return replace(self.sweep, poll=replace(self.sweep.poll, elapsed_seconds=self.now))

    def _sleep_until(self, moment: float) -> None:
        if moment > self.now:
            clock.sleep(max(moment - self.now, 0.001))  # less than the clock's resolution would be no time at all

    def _paced(self, call: Callable[[], Reply]) -> Reply:
        """Send a request, and count it and a throttle in the pace."""
        self.sweep = replace(self.sweep, pace=self.sweep.pace.sent(self.now))
        try:
            return call()
        except Throttled:
            self.sweep = replace(self.sweep, pace=self.sweep.pace.throttled(self.now))
            raise

    def _charged(self, memory_mb: str | int, state_transitions: int, requests: int, wait_seconds: int = 0) -> Sweep:
        """Return the sweep with what this invocation took, and the wait that it advises."""
        poll = replace(self.sweep.poll, wait_seconds=wait_seconds, elapsed_seconds=self.now + wait_seconds)
        gb_seconds = clock.gb_seconds(self._began, memory_mb)
        return replace(self.sweep, poll=poll.plus(state_transitions, requests, gb_seconds))
