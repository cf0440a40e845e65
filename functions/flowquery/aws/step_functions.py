"""The only module that starts executions, and looks at them."""

from __future__ import annotations

import json
from datetime import UTC
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3

from flowquery.aws.session import CONFIG, named_errors
from flowquery.core.model import Run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_stepfunctions import SFNClient

    from flowquery.sweep.schedule import ScheduledRun


@cache
def client() -> SFNClient:
    return boto3.client("stepfunctions", config=CONFIG)


def start_once(state_machine_arn: str, run: ScheduledRun) -> bool:
    """Start the execution (StartExecution); false where one of that name has ended.

    While it runs, Step Functions answers the same name and input as if this call had started it.
    """
    with named_errors():
        try:
            client().start_execution(stateMachineArn=state_machine_arn, name=run.name, input=json.dumps(run.input))
        except client().exceptions.ExecutionAlreadyExists:
            return False
    return True


def recent_executions(state_machine_arn: str, most: int) -> list[Run]:
    """Return the newest executions (ListExecutions, one page), the newest first."""
    with named_errors():
        listed = client().list_executions(stateMachineArn=state_machine_arn, maxResults=most)["executions"]
        return [_run(execution) for execution in listed[:most]]


def describe_execution(state_machine_arn: str, name: str) -> Run:
    """Return one execution of the state machine with its output (DescribeExecution)."""
    arn = f"{state_machine_arn.replace(':stateMachine:', ':execution:')}:{name}"
    with named_errors():
        return _run(client().describe_execution(executionArn=arn))


def _run(execution: Mapping[str, Any]) -> Run:
    started, stopped = execution["startDate"], execution.get("stopDate")
    return Run(
        name=execution["name"],
        status=execution["status"],
        started=started.astimezone(UTC),
        seconds=(stopped - started).total_seconds() if stopped else None,
        output=json.loads(execution.get("output") or "{}"),
        error=execution.get("error", ""),
        cause=execution.get("cause", ""),
    )
