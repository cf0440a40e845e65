"""RunQuery as one box of somebody else's workflow: the example, deployed as an application of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from moto.stepfunctions.models import stepfunctions_backends

from localaws.scripted_network_flow_monitor import Call, RankingScript, Script
from localaws.seams import task_timeouts
from localaws.server import ACCOUNT_ID, REGION
from tests.loopback import ROOT, SCOPE_ID, Run, Stack
from tests.workflow.arrows import arrows_of, load, walked

EXAMPLE = ROOT / "examples/parent_workflow"
EVENT: dict[str, Any] = json.loads((EXAMPLE / "event.json").read_text("utf-8"))
SECOND = "second-scope"


@pytest.fixture(scope="module")
def machine(deployed: Stack) -> Iterator[str]:
    yield deploy(deployed, "parent", deployed.outputs["RunQueryArn"])
    deployed.aws.client("cloudformation").delete_stack(StackName="parent")


@pytest.fixture(scope="module")
def half_broken(deployed: Stack) -> Iterator[str]:
    """Deploy it where the state machine of the first scope does not exist."""
    yield deploy(deployed, "half-broken", f"{deployed.outputs['RunQueryArn']}-gone")
    deployed.aws.client("cloudformation").delete_stack(StackName="half-broken")


def deploy(deployed: Stack, name: str, first: str) -> str:
    parameters = {
        "FirstRunQueryArn": first,
        "FirstScopeId": SCOPE_ID,
        "SecondRunQueryArn": deployed.outputs["RunQueryArn"],
        "SecondScopeId": SECOND,
    }
    return deployed.aws.deploy(parameters, name, EXAMPLE / "template.yaml")["CompareScopesArn"]


def compare(stack: Stack, machine: str, script: Script | None = None, **changes: Any) -> Run:
    stack.aws.network_flow_monitor.script = script or Script()
    query = {**EVENT["query"], "timeoutSeconds": 20, **changes.pop("query", {})}
    client = stack.aws.client("stepfunctions")
    event = json.dumps({**EVENT, "query": query, **changes})
    run = stack.ended(client.start_execution(stateMachineArn=machine, input=event)["executionArn"])
    assert run.status == "SUCCEEDED", run.cause
    return run


def verdicts_of(run: Run) -> list[dict[str, Any]]:
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
    verdicts = verdicts_of(compare(stack, machine, script, quietUpTo=quiet_up_to))

    assert [(found["scopeId"], found["verdict"]) for found in verdicts] == [(SCOPE_ID, verdict), (SECOND, verdict)]
    assert all((found["peak"] is None) == (script.series == 0) for found in verdicts)


@pytest.mark.parametrize(
    ("script", "query", "verdict", "error"),
    [
        (Script(("RUNNING", "FAILED")), {}, "ASK_AGAIN", "QueryFailed"),
        (Script(("RUNNING",)), {}, "ASK_FOR_LESS", "QueryTimedOut"),
        (Script(("CANCELED",)), {}, "LEFT_TO_PEOPLE", "QueryCanceled"),
        (Script(start_faults=("AccessDeniedException",) * 2), {}, "LEFT_TO_PEOPLE", "AccessDenied"),
        (Script(), {"metricName": "LATENCY"}, "LEFT_TO_PEOPLE", "InvalidInput"),
    ],
)
def test_a_parent_catches_errors_by_their_names(
    stack: Stack, machine: str, script: Script, query: Mapping[str, Any], verdict: str, error: str
) -> None:
    verdicts = verdicts_of(compare(stack, machine, script, query=query))

    assert [(found["verdict"], found["error"]) for found in verdicts] == [(verdict, error)] * 2
    assert all(found["cause"] for found in verdicts)


def test_without_a_bound_nothing_is_quiet(stack: Stack, machine: str) -> None:
    stack.aws.network_flow_monitor.script = Script()
    client, event = stack.aws.client("stepfunctions"), json.dumps({"query": EVENT["query"]})
    run = stack.ended(client.start_execution(stateMachineArn=machine, input=event)["executionArn"])

    assert [found["verdict"] for found in verdicts_of(run)] == ["LOUD"] * 2


# --- One scope does not fail the other ---


def stopping(stack: Stack, stop: Callable[[Any], object]) -> Callable[[Call], None]:
    """Return an observer that stops the nested execution of the first scope once its query is started."""

    def observe(call: Call) -> None:
        if call.operation == "StartQuery" and call.scope_id == SCOPE_ID:
            backend = stepfunctions_backends[ACCOUNT_ID][REGION]
            [execution] = [
                execution
                for execution in backend.describe_state_machine(stack.outputs["RunQueryArn"]).executions
                if json.loads(execution.execution_input)["scopeId"] == SCOPE_ID
            ]
            stop(execution)

    return observe


@pytest.mark.parametrize("status", ["ABORTED", "TIMED_OUT"])
def test_a_nested_execution_that_is_stopped_or_times_out_fails_its_scope_alone(
    stack: Stack, machine: str, status: str
) -> None:
    client = stack.aws.client("stepfunctions")
    stops: dict[str, Callable[[Any], object]] = {
        "ABORTED": lambda execution: client.stop_execution(executionArn=execution.execution_arn),
        # What the interpreter does when TimeoutSeconds of a state machine have passed, which a turned clock does not.
        "TIMED_OUT": lambda execution: execution.exec_worker.env.set_timed_out(),
    }
    stack.aws.network_flow_monitor.observer = stopping(stack, stops[status])
    first, second = verdicts_of(compare(stack, machine))

    assert (first["scopeId"], first["verdict"], first["error"]) == (SCOPE_ID, "LEFT_TO_PEOPLE", status)
    assert first["cause"].startswith(f"{stack.outputs['RunQueryArn'].replace(':stateMachine:', ':execution:')}:")
    assert first["cause"].endswith(f" has ended as {status}")
    assert (second["scopeId"], second["verdict"]) == (SECOND, "LOUD")


def test_a_nested_execution_that_cannot_be_started_fails_its_scope_alone(stack: Stack, half_broken: str) -> None:
    first, second = verdicts_of(compare(stack, half_broken))

    assert (first["verdict"], first["error"]) == (
        "LEFT_TO_PEOPLE",
        "StepFunctions.StateMachineDoesNotExistException",
    )
    assert "State Machine Does Not Exist" in first["cause"]
    assert (second["scopeId"], second["verdict"]) == (SECOND, "LOUD")


def test_a_task_that_times_out_is_a_verdict_too(stack: Stack, machine: str) -> None:
    task_timeouts.expiring["RunQuery"] = 2
    verdicts = verdicts_of(compare(stack, machine))

    assert [(found["verdict"], found["error"]) for found in verdicts] == [("LEFT_TO_PEOPLE", "States.Timeout")] * 2


def test_a_query_without_a_peak_is_a_verdict_too(stack: Stack, machine: str) -> None:
    ranking = {"family": "WorkloadInsightsTopContributors"}
    verdicts = verdicts_of(compare(stack, machine, Script(ranking=RankingScript()), query=ranking))

    assert [(found["verdict"], found["error"]) for found in verdicts] == [
        ("LEFT_TO_PEOPLE", "States.QueryEvaluationError")
    ] * 2


def test_every_arrow_is_walked_by_a_case() -> None:
    [inner] = [state["ItemProcessor"] for state in load(EXAMPLE / "compare_scopes.asl.yaml")["States"].values()]
    paths = ["RunQuery ChooseByPeak ScopeCompared", "RunQuery! ReadFailure ChooseByError ScopeNotCompared"]

    assert walked(paths) == arrows_of(inner)


def test_a_nested_execution_has_the_members_that_aws_writes(stack: Stack, machine: str) -> None:
    client = stack.aws.client("stepfunctions")
    compare(stack, machine)

    execution = client.list_executions(stateMachineArn=machine)["executions"][0]["executionArn"]
    history = client.get_execution_history(executionArn=execution)["events"]
    ended = [entry["taskSucceededEventDetails"] for entry in history if "taskSucceededEventDetails" in entry]
    nested = json.loads(ended[0]["output"])
    assert {"ExecutionArn", "StateMachineArn", "Name", "Status", "StartDate", "StopDate", "Input", "Output"} <= set(
        nested
    )
    assert nested["Output"]["status"] == "SUCCEEDED"
    assert nested["Input"]["AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"] == execution


def test_the_parent_may_follow_executions_of_the_two_state_machines_alone(stack: Stack, half_broken: str) -> None:
    client = stack.aws.client("iam")
    role = stack.aws.client("stepfunctions").describe_state_machine(stateMachineArn=half_broken)["roleArn"]
    [name] = client.list_role_policies(RoleName=role.rsplit("/", 1)[1])["PolicyNames"]
    document: Any = client.get_role_policy(RoleName=role.rsplit("/", 1)[1], PolicyName=name)["PolicyDocument"]
    [follow] = [statement for statement in document["Statement"] if "states:DescribeExecution" in statement["Action"]]

    second = stack.outputs["RunQueryArn"].replace(":stateMachine:", ":execution:")
    assert follow["Resource"] == [f"{second}-gone:*", f"{second}:*"]
