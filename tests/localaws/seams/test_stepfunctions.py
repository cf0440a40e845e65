"""Step Functions on the loopback: the deployed state machine runs, and a name is one execution."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.loopback import Stack, event

pytestmark = pytest.mark.usefixtures("over_http")


def test_a_machine_that_names_a_function_that_is_not_there_fails(stack: Stack) -> None:
    definition = stack.definition().replace(":function:flowquery-GetQueryStatusFunction", ":function:flowquery-Renamed")
    assert "Renamed" in definition
    client = stack.aws.client("stepfunctions")
    role = client.describe_state_machine(stateMachineArn=stack.outputs["RunQueryArn"])["roleArn"]
    machine = client.create_state_machine(name="renamed", definition=definition, roleArn=role)["stateMachineArn"]

    started = client.start_execution(stateMachineArn=machine, input=json.dumps(event("run_query")))
    run = stack.ended(started["executionArn"])

    assert run.status == "FAILED"
    assert "ResourceNotFound" in str(run.error)


def test_a_name_is_used_for_one_execution(stack: Stack) -> None:
    client = stack.aws.client("stepfunctions")
    arguments = {"stateMachineArn": stack.outputs["RunQueryArn"], "name": "a-name"}
    stack.ended(client.start_execution(**arguments, input=json.dumps(event("run_query")))["executionArn"])

    with pytest.raises(client.exceptions.ExecutionAlreadyExists):
        client.start_execution(**arguments, input="{}")


def test_simultaneous_starts_of_one_name_start_one_execution(stack: Stack) -> None:
    client, machine = stack.aws.client("stepfunctions"), stack.outputs["RunQueryArn"]
    arguments = {"stateMachineArn": machine, "name": "at-once", "input": json.dumps(event("run_query"))}

    with ThreadPoolExecutor() as pool:
        started = list(pool.map(lambda _: client.start_execution(**arguments), range(8)))
    run = stack.ended(started[0]["executionArn"])

    assert len({answer["executionArn"] for answer in started}) == 1
    names = [execution["name"] for execution in client.list_executions(stateMachineArn=machine)["executions"]]
    assert names.count("at-once") == 1
    assert run.operations().count("StartQuery") == 1


def test_a_schedule_delivered_twice_runs_once(stack: Stack) -> None:
    function = stack.outputs["StartExecutionFunctionName"]

    def deliver() -> Any:
        reply = stack.aws.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event("start_execution")))
        return json.loads(reply["Payload"].read())

    answers = [deliver(), deliver()]
    run = stack.ended(stack.outputs["RunQueryArn"].replace(":stateMachine:", ":execution:") + f":{answers[0]['name']}")
    answers.append(deliver())

    assert len({answer["name"] for answer in answers}) == 1
    assert answers[2]["started"] is False
    assert run.operations().count("StartQuery") == 1
    assert len(stack.aws.network_flow_monitor.queries) == 1
