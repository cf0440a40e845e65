"""AWS Step Functions: executions that are started, listed and described."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3

from flowquery.aws.session import CONFIG, named_errors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mypy_boto3_stepfunctions import SFNClient


@dataclass(frozen=True)
class Execution:
    """An execution of a state machine. Times are in UTC; output, error and cause are there where it was described."""

    name: str
    status: str
    started: datetime
    seconds: float | None = None
    output: Mapping[str, object] = field(default_factory=dict)
    error: str = ""
    cause: str = ""


@cache
def client() -> SFNClient:
    return boto3.client("stepfunctions", config=CONFIG)


def start_once(state_machine_arn: str, name: str, execution_input: Mapping[str, object]) -> bool:
    """Start the execution (StartExecution). Return False where one of that name has ended.

    While it runs, Step Functions answers the same name and input as if this call had started it.
    """
    with named_errors():
        try:
            client().start_execution(stateMachineArn=state_machine_arn, name=name, input=json.dumps(execution_input))
        except client().exceptions.ExecutionAlreadyExists:
            return False
    return True


def recent_executions(state_machine_arn: str, most: int) -> list[Execution]:
    """Return the newest executions (ListExecutions, one page), the newest first."""
    with named_errors():
        listed = client().list_executions(stateMachineArn=state_machine_arn, maxResults=most)["executions"]
        return [_execution(described) for described in listed[:most]]


def describe_execution(state_machine_arn: str, name: str) -> Execution:
    """Return one execution of the state machine with its output (DescribeExecution)."""
    arn = f"{state_machine_arn.replace(':stateMachine:', ':execution:')}:{name}"
    with named_errors():
        return _execution(client().describe_execution(executionArn=arn))


def _execution(described: Mapping[str, Any]) -> Execution:
    started, stopped = described["startDate"], described.get("stopDate")
    return Execution(
        name=described["name"],
        status=described["status"],
        started=started.astimezone(UTC),
        seconds=(stopped - started).total_seconds() if stopped else None,
        output=json.loads(described.get("output") or "{}"),
        error=described.get("error", ""),
        cause=described.get("cause", ""),
    )
