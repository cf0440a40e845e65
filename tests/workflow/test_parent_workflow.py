"""RunQuery as one box of somebody else's workflow: the example, deployed as an application of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from localaws.scripted_network_flow_monitor import Script
from tests.loopback import ROOT, SCOPE_ID, Stack

EXAMPLE = ROOT / "examples/parent_workflow"


@pytest.fixture(scope="module")
def machine(deployed: Stack) -> Iterator[str]:
    arn = deployed.outputs["RunQueryArn"]
    parameters = {
        "FirstRunQueryArn": arn,
        "FirstScopeId": SCOPE_ID,
        "SecondRunQueryArn": arn,
        "SecondScopeId": "second-scope",
    }
    outputs = deployed.aws.deploy(parameters, "parent", EXAMPLE / "template.yaml")
    yield outputs["CompareScopesArn"]
    deployed.aws.client("cloudformation").delete_stack(StackName="parent")


def compare(stack: Stack, machine: str, script: Script, quiet_up_to: float = 500) -> list[dict[str, Any]]:
    stack.aws.network_flow_monitor.script = script
    event = {**json.loads((EXAMPLE / "event.json").read_text("utf-8")), "timeoutSeconds": 20, "quietUpTo": quiet_up_to}
    started = stack.aws.client("stepfunctions").start_execution(stateMachineArn=machine, input=json.dumps(event))
    run = stack.ended(started["executionArn"])
    assert run.status == "SUCCEEDED", run.cause
    verdicts: Any = run.output
    return list(verdicts)


@pytest.mark.parametrize(
    ("script", "quiet_up_to", "verdict"),
    [
        (Script(), 0, "LOUD"),
        (Script(), 1_000_000, "QUIET"),
        (Script(series=0), 0, "QUIET"),
    ],
)
def test_a_parent_branches_on_the_peak_of_each_scope(
    stack: Stack, machine: str, script: Script, quiet_up_to: float, verdict: str
) -> None:
    verdicts = compare(stack, machine, script, quiet_up_to)

    assert [(found["scopeId"], found["verdict"]) for found in verdicts] == [
        (SCOPE_ID, verdict),
        ("second-scope", verdict),
    ]
    assert all((found["peak"] is None) == (script.series == 0) for found in verdicts)


@pytest.mark.parametrize(
    ("script", "verdict", "error"),
    [
        (Script(("RUNNING", "FAILED")), "ASK_AGAIN", "QueryFailed"),
        (Script(("RUNNING",)), "ASK_FOR_LESS", "QueryTimedOut"),
        (Script(("CANCELED",)), "LEFT_TO_PEOPLE", "QueryCanceled"),
        (Script(start_faults=("AccessDeniedException",) * 2), "LEFT_TO_PEOPLE", "AccessDenied"),
    ],
)
def test_a_parent_catches_errors_by_their_names(
    stack: Stack, machine: str, script: Script, verdict: str, error: str
) -> None:
    verdicts = compare(stack, machine, script)

    assert [(found["verdict"], found["error"]) for found in verdicts] == [(verdict, error)] * 2
    assert all(found["cause"] for found in verdicts)


def test_a_nested_execution_is_told_in_the_members_that_aws_writes(stack: Stack, machine: str) -> None:
    client = stack.aws.client("stepfunctions")
    compare(stack, machine, Script())

    execution = client.list_executions(stateMachineArn=machine)["executions"][0]["executionArn"]
    history = client.get_execution_history(executionArn=execution)["events"]
    ended = [entry["taskSucceededEventDetails"] for entry in history if "taskSucceededEventDetails" in entry]
    nested = json.loads(ended[0]["output"])
    assert {"ExecutionArn", "StateMachineArn", "Name", "Status", "StartDate", "StopDate", "Input", "Output"} <= set(
        nested
    )
    assert nested["Output"]["status"] == "SUCCEEDED"
    assert nested["Input"]["AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"] == execution
