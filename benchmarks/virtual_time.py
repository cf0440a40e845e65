"""The production code in virtual time: `flowquery.query.status_step.watch`, called as the state machine calls it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np

from benchmarks.plans import CALL, LAMBDA_REQUEST, LAMBDA_SECOND, TRANSITION, Outcome, Plan
from flowquery.core.transitions import STATUS_ANSWER
from flowquery.query.status_step import StatusRequest, watch

if TYPE_CHECKING:
    from benchmarks.plans import Floats
    from flowquery.core.model import Query

SEED = 20261124
HOLD_SECONDS = 600.0  # the template's default
MARGIN_SECONDS = 60.0  # the function's timeout is so much longer than its hold


@dataclass
class World:
    """One query that takes `duration` seconds, the clock it lives by, and what watching it costs, check by check."""

    duration: float
    hold: float = HOLD_SECONDS
    seed: int = SEED
    jitter: bool = True
    now: float = 0.0
    checks: list[float] = field(default_factory=list)
    dollars: list[float] = field(default_factory=list)
    slot_seconds: list[float] = field(default_factory=list)
    poll: dict[str, Any] | None = None
    invocations: int = 0
    _began: float = 0.0
    _occupied: float = 0.0

    def run(self) -> World:
        dice = random.Random(self.seed) if self.jitter else SimpleNamespace(random=lambda: 0.5)
        clock = mock.patch.multiple("flowquery.aws.clock", monotonic=lambda: self.now, sleep=self._sleep)
        with clock, mock.patch("flowquery.query.status_step.random", dice):
            while self._invoke() != "SUCCEEDED":
                pass
        return self

    def plan(self) -> Plan:
        """Return what happened as a plan, good for any query that is no longer than this one."""
        return Plan("Flowquery", np.array(self.checks), np.array(self.dollars), np.array(self.slot_seconds))

    def _invoke(self) -> object:
        self._began, self.invocations = self.now, self.invocations + 1
        ids = {"scopeId": "scope", "queryId": "query"}
        request = StatusRequest.parse({**ids, "poll": self.poll, "holdSeconds": self.hold, "timeoutSeconds": 86_400})
        answer: dict[str, Any] = watch(request, self._check, self._remaining_seconds)
        self._occupied += self.now - self._began
        self.poll = answer["poll"]
        self._sleep(answer["poll"]["waitSeconds"])
        return answer["status"]

    def _remaining_seconds(self) -> float:
        return self._began + self.hold + MARGIN_SECONDS - self.now

    def _sleep(self, seconds: float) -> None:
        self.now += seconds

    def _check(self, _: Query) -> str:
        self.checks.append(self.now)
        status = "SUCCEEDED" if self.now >= self.duration else "RUNNING"
        self.now += CALL
        occupied = self._occupied + self.now - self._began
        transitions = (self.poll["transitions"] if self.poll else 0) + STATUS_ANSWER  # were this the last check
        self.dollars.append(transitions * TRANSITION + self.invocations * LAMBDA_REQUEST + occupied * LAMBDA_SECOND)
        self.slot_seconds.append(occupied)
        return status


def ours(durations: Floats) -> Outcome:
    """Return what the production code makes of each draw, with dice of its own for each."""
    worlds = [World(duration, seed=seed).run() for seed, duration in enumerate(durations.tolist(), SEED)]
    return Outcome(
        np.array([world.now for world in worlds]) - durations,
        np.array([world.dollars[-1] for world in worlds]),
        np.array([float(len(world.checks)) for world in worlds]),
        np.array([world.slot_seconds[-1] for world in worlds]),
    )


def average(durations: Floats, hold: float = HOLD_SECONDS, *, runs: int) -> Outcome:
    """Return the mean outcome of each draw over runs with other dice: less noise than `ours`, to compare policies."""
    longest = float(np.max(durations))
    outcomes = [World(longest, hold, SEED + run).run().plan().outcome(durations) for run in range(runs)]
    return Outcome(
        *(
            np.mean([getattr(outcome, name) for outcome in outcomes], axis=0)
            for name in ("lag", "dollars", "checks", "slot_seconds")
        )
    )
