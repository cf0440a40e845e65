"""The optimum of somebody who knows how long queries take: dynamic programs over the time of the last look.

Nothing is learned while a query runs but that it still does, so the best plan is a fixed list of looks. Time is a grid
of 0.05 s, on which a call is 3 steps, a Wait a multiple of 20 (whole seconds) and a gap of 0.5 s is 10.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.plans import CALL, LAMBDA_LOOK, LAMBDA_SECOND, ROUND, TRANSITION, Plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from benchmarks.plans import Floats

    Looks = NDArray[np.intp]  # steps of the grid at which looks begin

STEP = 0.05
CALL_STEPS, GAP_STEPS, SECOND_STEPS = 3, 10, 20
LONGEST_WAIT = 600
HOLD_LOOKS = 120  # 0.5 s apart: 60 s


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

    def lag_cost(self, begin: int, end: int | Looks) -> Floats:
        """Return what the lag costs of queries that end after the look at `begin` and are seen by the one at `end`."""
        ends = np.asarray(end)
        late = self.integral[ends] - self.integral[begin] - (ends - begin) * STEP * self.cdf[begin]
        cost: Floats = self.lag_price * (late + CALL * (self.cdf[ends] - self.cdf[begin]))
        return cost

    def after_waits(self, begin: int, first: int = 1) -> Looks:
        """Return the looks that a Wait of 1, 2, 3… seconds can lead to; those past the grid are its end."""
        room = min((self.last - begin) // SECOND_STEPS + 2, LONGEST_WAIT)
        return np.minimum(begin + SECOND_STEPS * np.arange(first, max(room, first + 1)), self.last)


def best_wait_loop(name: str, grid: Grid, beyond: float) -> Plan:
    """Return the cheapest Wait-Task-Choice loop without a Lambda; it may wait before its first look, too."""
    future = np.zeros(grid.last + 1)
    following = np.zeros(grid.last + 1, dtype=np.intp)
    for look in range(grid.last - 1, -1, -1):
        looks = grid.after_waits(look + CALL_STEPS)
        costs = grid.lag_cost(look, looks) + future[looks]
        best = int(np.argmin(costs))
        future[look] = costs[best] + (1 - grid.cdf[look]) * ROUND
        following[look] = looks[best]
    path = [_first_look(grid, future)]
    while path[-1] < grid.last:
        path.append(int(following[path[-1]]))
    starts = _extended(np.array(path) * STEP, beyond)
    dollars = (2 + (path[0] > 0)) * TRANSITION + np.arange(len(starts)) * ROUND
    return Plan(name, starts, dollars, np.zeros(len(starts)))


def best_hold_plan(name: str, grid: Grid, beyond: float) -> Plan:
    """Return the cheapest plan of Waits and holds (looks begin 0.5 s apart, for 60 s at most); it may wait at first."""
    first_looks, following, handed_back = _solve_hold(grid)
    look, in_hold = _first_look(grid, first_looks), 0
    start_cost = (2 + (look > 0)) * TRANSITION
    path, dollars, slots = [look], [start_cost + LAMBDA_LOOK], [CALL]
    while look < grid.last:
        if in_hold + 1 < HOLD_LOOKS and not handed_back[look, in_hold]:
            look, in_hold = min(look + GAP_STEPS, grid.last), in_hold + 1
            paid, occupied = GAP_STEPS * STEP * LAMBDA_SECOND, GAP_STEPS * STEP
        else:
            look, in_hold = int(following[look]), 0
            paid, occupied = ROUND + LAMBDA_LOOK, CALL
        path.append(look)
        dollars.append(dollars[-1] + paid)
        slots.append(slots[-1] + occupied)
    starts = _extended(np.array(path) * STEP, beyond)
    more = np.arange(1, len(starts) - len(path) + 1)
    return Plan(
        name,
        starts,
        np.concatenate((dollars, dollars[-1] + more * (ROUND + LAMBDA_LOOK))),
        np.concatenate((slots, slots[-1] + more * CALL)),
    )


def _solve_hold(grid: Grid) -> tuple[Floats, Looks, NDArray[np.bool_]]:
    """Return by look: the expected cost after the first look of a hold, the look after a Wait, and whether to wait."""
    first_looks = np.zeros(grid.last + 1)
    following = np.zeros(grid.last + 1, dtype=np.intp)
    handed_back = np.ones((grid.last + 1, HOLD_LOOKS), dtype=np.bool_)
    recent = np.zeros((GAP_STEPS + 1, HOLD_LOOKS))  # the expected costs of the last looks, by place in their hold
    for look in range(grid.last - 1, -1, -1):
        going_on = 1 - grid.cdf[look]
        looks = grid.after_waits(look + CALL_STEPS)
        costs = grid.lag_cost(look, looks) + first_looks[looks]
        best = int(np.argmin(costs))
        following[look] = looks[best]
        by_waiting = costs[best] + going_on * (ROUND + LAMBDA_LOOK)
        after = min(look + GAP_STEPS, grid.last)
        on = recent[after % len(recent), 1:] + grid.lag_cost(look, after) + going_on * GAP_STEPS * STEP * LAMBDA_SECOND
        row = recent[look % len(recent)]
        row[:-1] = np.minimum(on, by_waiting)
        row[-1] = by_waiting
        handed_back[look, :-1] = on > by_waiting
        first_looks[look] = row[0]
    return first_looks, following, handed_back


def _first_look(grid: Grid, future: Floats) -> int:
    looks = grid.after_waits(0, first=0)
    costs = grid.lag_cost(0, looks) + future[looks] + (looks > 0) * TRANSITION
    return int(looks[np.argmin(costs)])


def _extended(starts: Floats, beyond: float) -> Floats:
    """Look every minute after the grid's end, which is beyond all but a hundred-thousandth of the queries."""
    more = np.arange(1, int(max(beyond - starts[-1], 0) / 60) + 2) * 60.0
    return np.concatenate((starts, starts[-1] + more))
