"""Step Functions: the state machine that CloudFormation created runs, on a clock that tests can turn.

Patches `stepfunctions_backends.backend`, since moto's own switch to its interpreter leaves CloudFormation with another
backend; there, names of executions and lists of Map Runs are as AWS has them. Also `WaitFunction._wait_interval` and
`retrier_decl.time`, which know real time alone; `StateTaskServiceSfn`, which lost the case of a nested execution's
members; and `lambda_eval_utils.boto_client_for`, which makes a client for each Task.
"""

from __future__ import annotations

import importlib
import threading
import uuid
from functools import cache
from typing import Any

from moto.stepfunctions.models import stepfunctions_backends
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_sfn import (
    StateTaskServiceSfn,
)
from moto.stepfunctions.parser.asl.component.state.wait.wait_function import wait_function
from moto.stepfunctions.parser.asl.utils.boto_client import boto_client_for
from moto.stepfunctions.parser.backend.execution import Execution
from moto.stepfunctions.parser.models import StepFunctionsParserBackend

from localaws.clock import Clock, SystemClock
from localaws.seams import definitions, distributed_map, errors, jsonata, limits, task_timeouts

_starting = threading.Lock()
_real_wait = wait_function.WaitFunction._wait_interval
_real_time = retrier_decl.time


class Backend(StepFunctionsParserBackend):
    """The interpreter's backend under the API's name: moto's own switch leaves CloudFormation with another one."""

    @property
    def _url_module(self) -> Any:
        return importlib.import_module("moto.stepfunctions.urls")

    def start_execution(
        self,
        state_machine_arn: str,
        name: str | None = None,
        execution_input: str | None = None,
        trace_header: Any = None,
    ) -> Execution:
        # Executions without a name are all called None, and collide. Of those that ask for the same name at once one
        # starts it, and the others are answered as it was.
        with _starting:
            return super().start_execution(state_machine_arn, name or str(uuid.uuid4()), execution_input, trace_header)

    def list_map_runs(self, execution_arn: str) -> dict[str, Any]:
        started = _has_begun(self.describe_execution(execution_arn=execution_arn))
        return super().list_map_runs(execution_arn) if started else {"mapRuns": []}

    def _get_executions(self, *args: Any, **kwargs: Any) -> list[Execution]:
        return [execution for execution in super()._get_executions(*args, **kwargs) if _has_begun(execution)]


def _has_begun(execution: Execution) -> bool:
    """Tell whether its thread has; until then moto has nothing to look into for Map Runs, and breaks."""
    return getattr(execution.exec_worker, "env", None) is not None


_normalise_parameters = StateTaskServiceSfn._normalise_parameters
_eval_service_task = StateTaskServiceSfn._eval_service_task


def _nest() -> None:
    """Let `states:startExecution` take and give members as AWS writes them: moto lost the mapping of their case."""

    def take(service: Any, parameters: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        _normalise_parameters(service, parameters, *args, **kwargs)
        for name in list(parameters):
            parameters[name[0].lower() + name[1:]] = parameters.pop(name)

    def give(_service: Any, response: dict[str, Any], *_: Any, **__: Any) -> None:
        for name in list(response):
            response[name[0].upper() + name[1:]] = response.pop(name)

    def start(service: Any, env: Any, **kwargs: Any) -> None:
        _eval_service_task(service, env=env, **kwargs)
        give(service, env.stack[-1])

    StateTaskServiceSfn._normalise_parameters = take
    StateTaskServiceSfn._normalise_response = give
    StateTaskServiceSfn._eval_service_task = start


def install(clock: Clock) -> None:
    """Put the interpreter behind the API, its Wait states and backoffs on `clock`."""
    stepfunctions_backends.backend = Backend
    stepfunctions_backends.clear()
    real = isinstance(clock, SystemClock)

    def wait(_function: Any, env: Any, wait_seconds: int) -> None:
        if env.is_running():
            clock.sleep(wait_seconds)

    wait_function.WaitFunction._wait_interval = _real_wait if real else wait
    retrier_decl.time = _real_time if real else clock

    # One client for all tasks: making it takes longer than the call.
    _nest()
    distributed_map.install()
    for seam in (definitions, errors, jsonata, limits, task_timeouts):
        seam.install()
    client = cache(boto_client_for)
    lambda_eval_utils.boto_client_for = lambda region, service, **_: client(region, service)
