"""What a poller costs: the prices, and the rivals as plans of checks that are fixed before the query begins."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flowquery.query import cost

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

CALL = 0.15  # seconds that a check takes; the status is that of its beginning
MEMORY_GB = 128 / 1024
EXPRESS_GB = 64 / 1024  # the smallest chunk that is billed
EXPRESS_LONGEST = 300.0

REGION = "us-east-1"
# What a run is priced by, and beside it what only rivals pay.
PRICES = {**cost.PRICES["regions"][REGION], **json.loads((Path(__file__).parent / "prices.json").read_text("utf-8"))}
TRANSITION: float = PRICES["standardTransition"]
ROUND = 3 * TRANSITION  # Wait, Task, Choice
LAMBDA_SECOND: float = PRICES["lambdaGbSecondArm64"] * MEMORY_GB
LAMBDA_REQUEST: float = PRICES["lambdaRequest"]
LAMBDA_CHECK = LAMBDA_REQUEST + CALL * LAMBDA_SECOND
DURABLE_OPERATION: float = PRICES["durableOperation"]


@dataclass(frozen=True)
class Outcome:
    """What happened to each draw: seconds of lag, dollars, checks, and seconds that a Lambda slot was occupied."""

    lag: Floats
    dollars: Floats
    checks: Floats
    slot_seconds: Floats


@dataclass(frozen=True)
class Plan:
    """When each check begins, and what has been paid and occupied when that check observes the query's end."""

    name: str
    starts: Floats
    dollars: Floats
    slot_seconds: Floats

    def outcome(self, durations: Floats) -> Outcome:
        last = np.searchsorted(self.starts, durations)
        if np.max(last) >= len(self.starts):
            raise ValueError(f"{self.name}: the plan ends before the longest query")
        lag = self.starts[last] + CALL - durations
        return Outcome(lag, self.dollars[last], last + 1.0, self.slot_seconds[last])


def fixed(seconds: float) -> Iterable[float]:
    return itertools.repeat(seconds)


def growing(first: float, rate: float, longest: float) -> Iterable[float]:
    return (min(first * rate**step, longest) for step in itertools.count())


def wait_loop(name: str, waits: Iterable[float], longest: float, *, with_lambda: bool) -> Plan:
    """Return a Wait-Task-Choice loop that begins with a check; the Task is a function, or the API itself."""
    starts = _starts(waits, longest)
    rounds = np.arange(len(starts))
    check = LAMBDA_CHECK if with_lambda else 0.0
    dollars = 2 * TRANSITION + check + rounds * (ROUND + check)
    return Plan(name, starts, dollars, (rounds + 1) * CALL * with_lambda)


def express_child(name: str, longest: float, *, with_lambda: bool) -> Plan:
    """Return one-second Waits in an Express child of 5 minutes at most, started and awaited by Task and Choice."""
    checks_a_child = int((EXPRESS_LONGEST - CALL) // (1 + CALL)) + 1
    count = int(longest / (1 + CALL)) + 2 * checks_a_child
    child, index = np.divmod(np.arange(count), checks_a_child)
    child_seconds = checks_a_child * (1 + CALL) - 1
    starts = child * child_seconds + index * (1 + CALL)
    running = np.ceil((index * (1 + CALL) + CALL) * 10 - 1e-9) / 10
    whole = np.ceil(child_seconds * 10 - 1e-9) / 10
    second = PRICES["expressGbSecond"] * EXPRESS_GB
    dollars = (child + 1) * (2 * TRANSITION + PRICES["expressRequest"]) + (child * whole + running) * second
    checks = np.arange(count) + 1.0
    return Plan(name, starts, dollars + checks * LAMBDA_CHECK * with_lambda, checks * CALL * with_lambda)


def durable(name: str, waits: Iterable[float], longest: float) -> Plan:
    """Return a durable function's wait_for_condition: an operation to start, one an attempt, an invocation each."""
    starts = _starts(waits, longest)
    checks = np.arange(len(starts)) + 1.0
    return Plan(name, starts, DURABLE_OPERATION + checks * (DURABLE_OPERATION + LAMBDA_CHECK), checks * CALL)


def rivals(longest: float) -> list[Plan]:
    """Return everything a user would pick instead, for queries of up to `longest` seconds."""
    loops = {f"Wait {seconds} s": fixed(seconds) for seconds in (1, 5, 10, 30, 60)}
    loops["doubling Waits (1 to 60 s)"] = growing(1, 2, 60)
    direct = {name: fixed(float(name.split()[1])) for name in list(loops)[:5]}
    direct["doubling Waits (1 to 60 s)"] = growing(1, 2, 60)
    return [
        *(wait_loop(name, waits, longest, with_lambda=True) for name, waits in loops.items()),
        *(wait_loop(f"{name}, no Lambda", waits, longest, with_lambda=False) for name, waits in direct.items()),
        express_child("Express child, Wait 1 s", longest, with_lambda=True),
        express_child("Express child, Wait 1 s, no Lambda", longest, with_lambda=False),
        durable("durable function, 1 s", fixed(1), longest),
        durable("durable function, SDK default", growing(5, 1.5, 300), longest),
    ]


def _starts(waits: Iterable[float], longest: float) -> Floats:
    starts = [0.0]
    for wait in waits:
        if starts[-1] >= longest:
            break
        starts.append(starts[-1] + CALL + wait)
    return np.array(starts)
