"""The one clock of this package: it counts time spent and never tells the time of day."""

import time

monotonic = time.monotonic
sleep = time.sleep


def gb_seconds(began: float, memory_mb: str | int) -> float:
    """Return what an invocation that `began` at that time of `monotonic` has taken so far, as Lambda bills it."""
    return (monotonic() - began) * int(memory_mb) / 1024
