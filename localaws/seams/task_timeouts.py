"""Timeouts of Tasks without the wait.

moto measures a Task's TimeoutSeconds in real seconds, and a clock that tests turn does not turn those. A Task that is
named here times out at once, after it was scheduled and before anything is called: as one that never answers.
"""

from __future__ import annotations

from typing import Any

from moto.stepfunctions.parser.asl.component.common.timeouts.timeout import EvalTimeoutError
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service import StateTaskService

# The attempts that still time out, by the name of the state.
expiring: dict[str, int] = {}
_schedule = StateTaskService._before_eval_execution


def install() -> None:
    StateTaskService._before_eval_execution = _schedule_or_expire


def _schedule_or_expire(state: Any, *args: Any, **kwargs: Any) -> None:
    _schedule(state, *args, **kwargs)
    if attempts := expiring.get(state.name):
        expiring[state.name] = attempts - 1
        raise EvalTimeoutError
