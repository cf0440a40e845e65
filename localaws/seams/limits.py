"""The 256 KiB that a payload, a variable, and all variables of one Assign may have.

moto looks at results and outputs alone, and counts the white space and the escapes that it writes itself. Here the
arguments of a Task and variables are counted, too, all as UTF-8 JSON without white space. AWS documents the limits of
variables, but not which error there is beyond them; here it is that of all other data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
from moto.stepfunctions.parser.asl.component.state import state as common_state
from moto.stepfunctions.parser.asl.component.state.exec.state_task import state_task_lambda
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service
from moto.stepfunctions.parser.asl.component.state.exec.state_task.state_task import StateTask

from localaws.seams.errors import failed

MOST_BYTES = 256 * 1024
EXCEEDED = StatesErrorNameType.StatesStatesDataLimitExceeded
_parameters = StateTask._eval_parameters


def install() -> None:
    StateTask._eval_parameters = _arguments
    for module in (common_state, state_task_lambda, state_task_service):
        module.is_within_size_quota = _fits


def bytes_of(value: Any) -> int:
    """Return the size of a value as Step Functions counts it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return len(text.encode("utf-8", "surrogatepass"))


def check_variables(env: Any, values: Mapping[str, Any]) -> None:
    """Fail the state where its Assign is too large, which it also is where one of its variables is."""
    if sum(bytes_of(value) for value in values.values()) > MOST_BYTES:
        raise failed(env, EXCEEDED, f"The variables {', '.join(values)} exceed the maximum size of one Assign.")


def _fits(value: Any) -> bool:
    return bytes_of(value) <= MOST_BYTES


def _arguments(state: Any, env: Any) -> Any:
    arguments = _parameters(state, env)
    if not _fits(arguments):
        cause = f"The arguments of the state '{state.name}' exceed the maximum size of a payload."
        raise failed(env, EXCEEDED, cause)
    return arguments
