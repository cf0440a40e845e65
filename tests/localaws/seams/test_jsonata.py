"""State machines in JSONata on the loopback: what AWS documents, and what moto leaves out or takes lightly."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from tests.loopback import Run, Stack

WRONG = "States.QueryEvaluationError"
VALUES: list[Any] = [
    'He said "no", \\ twice',
    "two\nlines\tand\ra tab",
    "{% $states.input %}",
    "ends %} here",
    "\U0001f6a8 é",
    "half a pair \ud83d",
    "",
    None,
    True,
    False,
    0,
    5,
    -1,
    0.1,
    2**53 + 1,
    2**63 - 1,
    [],
    [1],
    [[]],
    [None],
    {},
    {"a": [None, {"b": 'c"', "d": None}], "$e": {"f.g": []}},
]


def run(stack: Stack, states: dict[str, Any], event: Any = None, language: str = "JSONata") -> Run:
    """Run a state machine of `states`, the first of which it starts at."""
    return start(stack, create(stack, states, language), {} if event is None else event)


def start(stack: Stack, machine: str, event: Any) -> Run:
    client = stack.aws.client("stepfunctions")
    return stack.ended(client.start_execution(stateMachineArn=machine, input=json.dumps(event))["executionArn"])


def create(stack: Stack, states: dict[str, Any], language: str = "JSONata") -> str:
    client = stack.aws.client("stepfunctions")
    role = client.describe_state_machine(stateMachineArn=stack.outputs["RunQueryArn"])["roleArn"]
    definition = json.dumps({"QueryLanguage": language, "StartAt": next(iter(states)), "States": states})
    arn: str = client.create_state_machine(name=f"jsonata-{uuid4().hex}", definition=definition, roleArn=role)[
        "stateMachineArn"
    ]
    return arn


def test_values_pass_through_variables_arguments_and_outputs_as_they_are(stack: Stack) -> None:
    give = create(stack, {"Give": {"Type": "Succeed", "Output": "{% $states.context.Execution.Input %}"}})
    pass_through = create(
        stack,
        {
            "Keep": {"Type": "Pass", "Assign": {"kept": "{% $states.input.value %}"}, "Output": {}, "Next": "Nest"},
            "Nest": {
                "Type": "Task",
                "Resource": "arn:aws:states:::states:startExecution.sync:2",
                "Arguments": {"StateMachineArn": give, "Input": {"value": "{% $kept %}"}},
                "Assign": {"given": "{% $states.result.Output.value %}"},
                "Next": "Give",
            },
            "Give": {"Type": "Succeed", "Output": {"value": "{% $given %}", "same": "{% $given = $kept %}"}},
        },
    )

    for value in VALUES:
        output = start(stack, pass_through, {"value": value}).output
        assert output == {"value": value, "same": True}
        assert type(output["value"]) is type(value)


def test_an_input_may_be_anything(stack: Stack) -> None:
    whole = {"input": "{% $states.input %}", "context": "{% $states.context.Execution.Input %}"}
    machine = create(stack, {"Only": {"Type": "Succeed", "Output": whole}})
    alone = create(stack, {"Only": {"Type": "Pass", "End": True}})

    for event in VALUES:
        assert start(stack, machine, event).output == {"input": event, "context": event}
        assert start(stack, alone, event).output == event


MISSING_OBJECT = {
    "Type": "Task",
    "Resource": "arn:aws:states:::aws-sdk:s3:getObject",
    "Arguments": {"Bucket": "{% $states.input.bucket %}", "Key": "no/such/key"},
}


def fail(stack: Stack, output: Any, event: Any = None, **variables: Any) -> Run:
    """Run a Pass and a Succeed state, which has to fail, and return the execution."""
    keep = {"Type": "Pass", "Assign": {"given": "{% $states.input %}", **variables}, "Next": "Give"}
    ended = run(stack, {"Keep": keep, "Give": {"Type": "Succeed", "Output": output}}, event)
    assert ended.status == "FAILED"
    return ended


def test_a_catch_assigns_the_error_and_a_fail_state_gives_it(stack: Stack) -> None:
    ended = run(
        stack,
        {
            "Get": {
                **MISSING_OBJECT,
                "Retry": [{"ErrorEquals": ["States.TaskFailed"], "MaxAttempts": 2}],
                "Catch": [
                    {
                        "ErrorEquals": ["States.ALL"],
                        "Assign": {
                            "failure": "{% $states.errorOutput %}",
                            "retries": "{% $states.context.State.RetryCount %}",
                        },
                        "Output": {"from": "{% $states.input.bucket %}"},
                        "Next": "Fail",
                    }
                ],
                "End": True,
            },
            "Fail": {
                "Type": "Fail",
                "Error": "{% $failure.Error %}",
                "Cause": "{% $states.input.from & ': ' & $failure.Cause & ' after ' & $retries & ' retries' %}",
            },
        },
        {"bucket": stack.outputs["ResultsBucketName"]},
    )

    assert str(ended.error).endswith(".NoSuchKeyException")
    assert ended.cause is not None
    assert ended.cause.startswith(stack.outputs["ResultsBucketName"] + ": ")
    assert ended.cause.endswith(" after 2 retries")


CHOICE = {
    "Type": "Choice",
    "Choices": [
        {
            "Condition": "{% $states.input.kind = 'odd' %}",
            "Assign": {"by": "rule"},
            "Output": {"kind": "{% $states.input.kind %}"},
            "Next": "Wait",
        },
        {"Condition": "{% $states.input.kind in ['even', 'null'] %}", "Next": "End"},
    ],
    "Assign": {"by": "default", "waits": 7},
    "Output": {"kind": "{% $by %}"},
    "Default": "Wait",
}
CHOICES = {
    "Begin": {"Type": "Pass", "Assign": {"by": None, "waits": 5}, "Next": "Choose"},
    "Choose": CHOICE,
    "Wait": {
        "Type": "Wait",
        "Seconds": "{% $waits %}",
        "Assign": {"waited": "{% $states.input.kind %}"},
        "Next": "End",
    },
    "End": {"Type": "Succeed", "Output": {"by": "{% $by %}", "waited": "{% $waited %}", "waits": "{% $waits %}"}},
}


@pytest.mark.parametrize(("kind", "by", "waited", "waits"), [("odd", "rule", "odd", 5), ("other", "default", None, 7)])
def test_a_choice_assigns_by_its_rule_or_its_default(
    stack: Stack, kind: str, by: str, waited: str | None, waits: int
) -> None:
    ended = run(stack, CHOICES, {"kind": kind})

    assert ended.output == {"by": by, "waited": waited, "waits": waits}
    assert stack.clock.sleeps == [waits]


def test_a_variable_that_was_never_assigned_fails(stack: Stack) -> None:
    ended = run(stack, CHOICES, {"kind": "even"})

    assert ended.error == WRONG
    assert "'$waited' was never assigned" in str(ended.cause)
    assert [event["type"] for event in ended.history].count("EvaluationFailed") == 1
