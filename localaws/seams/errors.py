"""Errors: which of them ErrorEquals matches, and which a state may give on.

As "Handling errors in Step Functions workflows" (Developer Guide) has it: States.ALL matches neither
States.DataLimitExceeded nor States.Runtime, and States.TaskFailed everything but these and a timeout. moto lets
States.ALL match everything, and States.TaskFailed no error of Step Functions itself. And what a Catch was given, such
as States.Timeout, may be given on by a Fail state, a Map or a Parallel, where moto refuses names that begin so.
"""

from __future__ import annotations

from typing import Any

from moto.stepfunctions.parser.api import HistoryEventType, TaskFailedEventDetails
from moto.stepfunctions.parser.asl.component.common.error_name.error_equals_decl import ErrorEqualsDecl
from moto.stepfunctions.parser.asl.component.common.error_name.error_name import ErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration import iteration_worker
from moto.stepfunctions.parser.asl.component.state.exec.state_parallel import branches_decl
from moto.stepfunctions.parser.asl.component.state.fail import state_fail
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails

TIMEOUTS = {"States.Timeout", "States.HeartbeatTimeout"}
NEVER_IN_ALL = {"States.DataLimitExceeded", "States.Runtime"}


def install() -> None:
    ErrorEqualsDecl._eval_body = _match
    for module in (state_fail, iteration_worker, branches_decl):
        module.CustomErrorName = ErrorName


def _match(component: Any, env: Any) -> None:
    error = env.stack.pop()
    names = {given.error_name for given in component.error_names}
    env.stack.append(_is_matched(error.error_name if error else None, names))


def _is_matched(name: str | None, names: set[str]) -> bool:
    if name in names:
        return True
    if name in NEVER_IN_ALL:
        return False
    if name in TIMEOUTS:
        return bool(names & {"States.ALL", "States.Timeout"})
    return bool(names & {"States.ALL", "States.TaskFailed"})


def failed(env: Any, kind: StatesErrorNameType, cause: str) -> FailureEventException:
    name = StatesErrorName(typ=kind)
    details = TaskFailedEventDetails(error=name.error_name, cause=cause)
    return FailureEventException(
        FailureEvent(
            env=env,
            error_name=name,
            event_type=HistoryEventType.TaskFailed,
            event_details=EventDetails(taskFailedEventDetails=details),
        )
    )
