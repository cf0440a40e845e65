"""The only module that starts executions."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING

import boto3

from flowquery.sdk import CONFIG, named_errors

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

    from flowquery.schedule import ScheduledRun


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
