"""The clock of the loopback AWS: the real one, or one that tests turn."""

import time
from threading import Lock
from typing import Protocol


class Clock(Protocol):
    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class TurnedClock:
    """Sleeping turns it on at once, and is recorded."""

    def __init__(self) -> None:
        self._now = 0.0
        self._lock = Lock()
        self.sleeps: list[float] = []

    def monotonic(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self._now += seconds
            self.sleeps.append(seconds)
