"""The one clock of this package. It counts time spent and never tells the time of day."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.utilities.typing import LambdaContext

    Seconds = Callable[[], float]

monotonic = time.monotonic
sleep = time.sleep


def remaining_seconds(context: LambdaContext) -> Seconds:
    """Return a function that says how long the invocation may still take."""
    return lambda: context.get_remaining_time_in_millis() / 1000


def gb_seconds(began: float, memory_mb: str | int) -> float:
    """Return what an invocation that `began` at that time of `monotonic` has taken so far, as Lambda bills it."""
    return (monotonic() - began) * int(memory_mb) / 1024
