"""The optimum of somebody who knows how long queries take: dynamic programs over the time of the last check.

Nothing is learned while a query runs but that it still does, so the best plan is a fixed list of checks. Time is a grid
of 0.05 s, on which a call is 3 steps, a Wait a multiple of 20 (whole seconds) and a gap of 0.5 s is 10.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.plans import CALL, LAMBDA_CHECK, LAMBDA_SECOND, ROUND, TRANSITION, Plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from benchmarks.plans import Floats

    Checks = NDArray[np.intp]  # steps of the grid at which checks begin

STEP = 0.05
CALL_STEPS, GAP_STEPS, SECOND_STEPS = 3, 10, 20
LONGEST_WAIT = 600
HOLD_CHECKS = 120  # 0.5 s apart: 60 s


@dataclass(frozen=True)
class Grid:
    """A distribution of durations on the grid: P(D <= t), its integral, and the price of a second of lag in dollars."""

    cdf: Floats
    integral: Floats
    lag_price: float

    @classmethod
    def of(cls, cdf: Callable[[Floats], Floats], longest: float, weight: float) -> Grid:
        times = np.arange(int(longest / STEP) + 2) * STEP
        below = cdf(times)
        return cls(below, np.concatenate(([0.0], np.cumsum((below[1:] + below[:-1]) / 2 * STEP))), weight * ROUND)

    @property
    def last(self) -> int:
        return len(self.cdf) - 1

    def lag_cost(self, begin: int, end: int | Checks) -> Floats:
        """Return what the lag costs of queries that end after the check at `begin`, observed by that at `end`."""
        ends = np.asarray(end)
        late = self.integral[ends] - self.integral[begin] - (ends - begin) * STEP * self.cdf[begin]
        cost: Floats = self.lag_price * (late + CALL * (self.cdf[ends] - self.cdf[begin]))
        return cost

    def after_waits(self, begin: int, first: int = 1) -> Checks:
        """Return the checks that a Wait of 1, 2, 3… seconds can lead to; those past the grid are its end."""
        room = min((self.last - begin) // SECOND_STEPS + 2, LONGEST_WAIT)
        return np.minimum(begin + SECOND_STEPS * np.arange(first, max(room, first + 1)), self.last)


def best_wait_loop(name: str, grid: Grid, beyond: float) -> Plan:
    """Return the cheapest Wait-Task-Choice loop without a Lambda; it may wait before its first check, too."""
    future = np.zeros(grid.last + 1)
    following = np.zeros(grid.last + 1, dtype=np.intp)
    for check in range(grid.last - 1, -1, -1):
        checks = grid.after_waits(check + CALL_STEPS)
        costs = grid.lag_cost(check, checks) + future[checks]
        best = int(np.argmin(costs))
        future[check] = costs[best] + (1 - grid.cdf[check]) * ROUND
        following[check] = checks[best]
    path = [_first_check(grid, future)]
    while path[-1] < grid.last:
        path.append(int(following[path[-1]]))
    starts = _extended(np.array(path) * STEP, beyond)
    dollars = (2 + (path[0] > 0)) * TRANSITION + np.arange(len(starts)) * ROUND
    return Plan(name, starts, dollars, np.zeros(len(starts)))


def best_hold_plan(name: str, grid: Grid, beyond: float) -> Plan:
    """Return the cheapest plan of Waits and holds (checks 0.5 s apart, for 60 s at most); it may wait at first."""
    first_checks, following, handed_back = _solve_hold(grid)
    check, in_hold = _first_check(grid, first_checks), 0
    start_cost = (2 + (check > 0)) * TRANSITION
    path, dollars, slots = [check], [start_cost + LAMBDA_CHECK], [CALL]
    while check < grid.last:
        if in_hold + 1 < HOLD_CHECKS and not handed_back[check, in_hold]:
            check, in_hold = min(check + GAP_STEPS, grid.last), in_hold + 1
            paid, occupied = GAP_STEPS * STEP * LAMBDA_SECOND, GAP_STEPS * STEP
        else:
            check, in_hold = int(following[check]), 0
            paid, occupied = ROUND + LAMBDA_CHECK, CALL
        path.append(check)
        dollars.append(dollars[-1] + paid)
        slots.append(slots[-1] + occupied)
    starts = _extended(np.array(path) * STEP, beyond)
    more = np.arange(1, len(starts) - len(path) + 1)
    return Plan(
        name,
        starts,
        np.concatenate((dollars, dollars[-1] + more * (ROUND + LAMBDA_CHECK))),
        np.concatenate((slots, slots[-1] + more * CALL)),
    )


def _solve_hold(grid: Grid) -> tuple[Floats, Checks, NDArray[np.bool_]]:
    """Return by check: the expected cost after a hold's first check, the check after a Wait, and whether to wait."""
    first_checks = np.zeros(grid.last + 1)
    following = np.zeros(grid.last + 1, dtype=np.intp)
    handed_back = np.ones((grid.last + 1, HOLD_CHECKS), dtype=np.bool_)
    recent = np.zeros((GAP_STEPS + 1, HOLD_CHECKS))  # the expected costs of the last checks, by place in their hold
    for check in range(grid.last - 1, -1, -1):
        going_on = 1 - grid.cdf[check]
        checks = grid.after_waits(check + CALL_STEPS)
        costs = grid.lag_cost(check, checks) + first_checks[checks]
        best = int(np.argmin(costs))
        following[check] = checks[best]
        by_waiting = costs[best] + going_on * (ROUND + LAMBDA_CHECK)
        after = min(check + GAP_STEPS, grid.last)
        on = recent[after % len(recent), 1:] + grid.lag_cost(check, after) + going_on * GAP_STEPS * STEP * LAMBDA_SECOND
        row = recent[check % len(recent)]
        row[:-1] = np.minimum(on, by_waiting)
        row[-1] = by_waiting
        handed_back[check, :-1] = on > by_waiting
        first_checks[check] = row[0]
    return first_checks, following, handed_back


def _first_check(grid: Grid, future: Floats) -> int:
    checks = grid.after_waits(0, first=0)
    costs = grid.lag_cost(0, checks) + future[checks] + (checks > 0) * TRANSITION
    return int(checks[np.argmin(costs)])


def _extended(starts: Floats, beyond: float) -> Floats:
    """Check every minute after the grid's end, which is beyond all but a hundred-thousandth of the queries."""
    more = np.arange(1, int(max(beyond - starts[-1], 0) / 60) + 2) * 60.0
    return np.concatenate((starts, starts[-1] + more))
