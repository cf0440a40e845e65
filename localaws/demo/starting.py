"""Starting of executions: by hand, or as the schedule starts them."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from samtranslator.yaml_helper import yaml_parse

from localaws.demo.stage import Stage
from localaws.server import TEMPLATE


@dataclass(frozen=True)
class Delivery:
    """What a schedule delivers: its target, and the event of one scheduled time."""

    target_arn: str
    payload: str


def start_execution(stage: Stage, state_machine_arn: str, event: object) -> str:
    """Start the state machine with an input, and return the execution's ARN."""
    step_functions = stage.aws.client("stepfunctions")
    started = step_functions.start_execution(stateMachineArn=state_machine_arn, input=json.dumps(event))
    return str(started["executionArn"])


def fire_schedule(stage: Stage, state_machine_arn: str, *, sweeps: bool = False) -> str:
    """Start the state machine by the target of its schedule, and return the execution's ARN."""
    deliver(stage, scheduled_delivery(stage, sweeps=sweeps))
    return first_execution(stage, state_machine_arn)


def scheduled_delivery(stage: Stage, *, sweeps: bool) -> Delivery:
    """Return what the schedule delivers as if it were due now."""
    scheduler = stage.aws.client("scheduler")
    names = [schedule["Name"] for schedule in scheduler.list_schedules()["Schedules"]]
    [name] = [name for name in names if ("Sweep" in name) == sweeps]
    schedule = scheduler.get_schedule(Name=name)
    due = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:00Z")
    stage.console.print(f"Firing the schedule {schedule['ScheduleExpression']} as if it were due at {due}")
    target = schedule["Target"]
    return Delivery(target["Arn"], target["Input"].replace("<aws.scheduler.scheduled-time>", due))


def deliver(stage: Stage, delivery: Delivery) -> None:
    """Deliver the event as EventBridge Scheduler does, without waiting for the function's reply."""
    stage.aws.client("lambda").invoke(
        FunctionName=delivery.target_arn, InvocationType="Event", Payload=delivery.payload
    )


def first_execution(stage: Stage, state_machine_arn: str) -> str:
    """Wait for an execution of the state machine, and return its ARN."""
    step_functions = stage.aws.client("stepfunctions")
    while not (executions := step_functions.list_executions(stateMachineArn=state_machine_arn)["executions"]):
        failed = [result for result in stage.aws.lambda_backend.invocations if result.error]
        if failed:
            raise RuntimeError(f"the schedule's target failed: {failed[0].payload.decode()}")
        time.sleep(0.05)
    return str(executions[0]["executionArn"])


def show_rate(stage: Stage) -> None:
    """Say at which rate sweeps run here, and which one a stack has that sets none."""
    if isinstance(stage.event, dict) and "requestsPerSecond" in stage.event:
        return  # the input sets its own
    [stack] = stage.aws.client("cloudformation").describe_stacks(StackName="flowquery")["Stacks"]
    parameters = {item["ParameterKey"]: item["ParameterValue"] for item in stack["Parameters"]}
    default = yaml_parse(TEMPLATE.read_text("utf-8"))["Parameters"]["RequestsPerSecond"]["Default"]
    stage.console.print(
        f"RequestsPerSecond is {parameters['RequestsPerSecond']} here, so that the run is short; "
        f"its default is {default}"
    )
