"""Patches `BaseExecutionWorkerCommunication.terminated` and the clock of `.sync` Tasks: moto tells nobody of an end.

Who waits for an execution would have to ask again and again, as a Task that waits for a nested one does.
"""

from __future__ import annotations

from threading import Condition
from types import SimpleNamespace
from typing import Any

from moto.stepfunctions.models import stepfunctions_backends
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service_callback
from moto.stepfunctions.parser.backend.execution import BaseExecutionWorkerCommunication

LONGEST_WAIT = 0.2  # of a Task; an end between its question and its wait is not seen before

_ended = Condition()
_terminated = BaseExecutionWorkerCommunication.terminated


def install() -> None:
    BaseExecutionWorkerCommunication.terminated = _terminate
    state_task_service_callback._DELAY_SECONDS_SYNC_CONDITION_CHECK = LONGEST_WAIT
    state_task_service_callback.time = SimpleNamespace(sleep=_wait_for_any)


def wait_for(execution_arn: str) -> None:
    """Return once the execution has ended."""
    _, _, _, region, account_id, *_ = execution_arn.split(":")
    execution = stepfunctions_backends[account_id][region].describe_execution(execution_arn)
    with _ended:
        _ended.wait_for(lambda: execution.status != "RUNNING")


def _wait_for_any(seconds: float) -> None:
    with _ended:
        _ended.wait(seconds)


def _terminate(execution_worker: Any) -> None:
    _terminated(execution_worker)
    with _ended:
        _ended.notify_all()
