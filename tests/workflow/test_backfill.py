"""Backfill on the loopback in turned time: each window is swept once, however it was stopped or failed before."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest

from localaws.scripted_network_flow_monitor import Call, Script
from tests.contract.schemas import check, check_attempts
from tests.loopback import SCOPE_ID, Run, Stack
from tests.workflow.arrows import arrows, named_errors, walked

SELECTIONS = [
    {"metricName": "RETRANSMISSIONS", "destinationCategory": "INTER_AZ"},
    {"metricName": "TIMEOUTS", "destinationCategory": "INTERNET"},
]
TWO_DAYS: dict[str, Any] = {
    "scopeId": SCOPE_ID,
    "from": "2026-11-22T00:00:00Z",
    "to": "2026-11-24T00:00:00Z",
    "windowMinutes": 720,
    "selections": SELECTIONS,
}
ONE_WINDOW = {**TWO_DAYS, "to": "2026-11-22T12:00:00Z", "selections": SELECTIONS[:1]}


def start(stack: Stack, **more: Any) -> str:
    client = stack.aws.client("stepfunctions")
    arguments = {"stateMachineArn": stack.outputs["BackfillArn"], "name": f"backfill-{uuid4().hex[:12]}"}
    return str(client.start_execution(**arguments, input=json.dumps({**TWO_DAYS, **more}))["executionArn"])


def backfill(stack: Stack, script: Script | None = None, **more: Any) -> Run:
    stack.aws.network_flow_monitor.script = script or Script()
    return stack.ended(start(stack, **more))


def queried(stack: Stack) -> Counter[tuple[str, str]]:
    """Return how often each window and metric was queried."""
    queries = stack.aws.network_flow_monitor.queries.values()
    return Counter((str(query.start_time), query.metric_name) for query in queries)


def read(stack: Stack, place: dict[str, str]) -> Any:
    key, bucket = place.get("key") or place["Key"], place.get("bucket") or place["Bucket"]
    return json.loads(stack.aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())


def stored(stack: Stack) -> list[str]:
    return [key for key in stack.stored() if key.startswith("results/")]


BEGIN = "PlanBackfill ChooseByPlan"
CHECK = "CheckBackfill ChooseByMap"
FAILED = "RaiseAlarm BackfillNotSucceeded"
LOST = ["Lambda.Unknown"]


@dataclass(frozen=True)
class Case:
    """What is given, and what is expected: the states in order, a Catch left those with a "!"; alarms of the backfill.

    `faults` are by function the errors of Lambda that its invocations get, an empty one for none.
    """

    path: str
    error: str | None = None
    event: Mapping[str, Any] = field(default_factory=lambda: ONE_WINDOW)
    script: Script = field(default_factory=Script)
    alarms: int = 1
    faults: Mapping[str, list[str]] = field(default_factory=dict)


CASES = {
    "a window is swept": Case(f"{BEGIN} SweepWindows {CHECK} BackfillSucceeded", alarms=0),
    "no data": Case(f"{BEGIN} SweepWindows {CHECK} BackfillSucceeded", script=Script(series=0), alarms=0),
    "every step retried": Case(
        f"{BEGIN} SweepWindows {CHECK} BackfillSucceeded",
        faults={"PlanBackfill": [*LOST * 2, "", *LOST * 3], "PlanSweep": LOST},
        alarms=0,
    ),
    "failures that are tolerated": Case(
        f"{BEGIN} SweepWindows {CHECK} BackfillSucceeded",
        event={**ONE_WINDOW, "toleratedFailurePercentage": 100},
        script=Script(("FAILED",)),
        alarms=0,
    ),
    "failures that are not tolerated": Case(
        f"{BEGIN} SweepWindows! {CHECK} {FAILED}", "BackfillIncomplete", script=Script(("FAILED",))
    ),
    "an input that cannot be used": Case(f"PlanBackfill! {FAILED}", "InvalidInput", event={**ONE_WINDOW, "limit": 0}),
    "a plan that breaks": Case(f"PlanBackfill! {FAILED}", "Lambda.Unknown", faults={"PlanBackfill": LOST * 7}),
    "a check that breaks": Case(
        f"{BEGIN} SweepWindows CheckBackfill! {FAILED}", "Lambda.Unknown", faults={"PlanBackfill": ["", *LOST * 7]}
    ),
    "an alarm that cannot be sent": Case(
        "PlanBackfill! RaiseAlarm! BackfillNotSucceeded",
        "InvalidInput",
        event={**ONE_WINDOW, "limit": 0},
        faults={"RaiseAlarm": LOST * 21},
        alarms=0,
    ),
}
# With the window of a case before it, which is stored by then.
STORED = f"{BEGIN} {CHECK} BackfillSucceeded"


@pytest.mark.parametrize("name", CASES)
def test_an_execution_takes_its_path_to_its_end(stack: Stack, name: str) -> None:
    case = CASES[name]
    stack.runtime.faults = {function: list(faults) for function, faults in case.faults.items()}

    run = backfill(stack, case.script, **case.event)

    assert run.steps == case.path.split()
    assert (run.status, run.error) == ("FAILED" if case.error else "SUCCEEDED", case.error)
    mine = [alarm for alarm in run.alarms if f"Flowquery: {case.error}" == alarm["Subject"]]
    assert len(mine) == case.alarms
    check_attempts(run)
    if not case.error:
        check(run.output, "backfill.output")


def test_no_state_and_no_arrow_is_left_without_a_case() -> None:
    assert walked([STORED, *(case.path for case in CASES.values())]) == arrows("backfill")
    assert named_errors("backfill") <= {case.error for case in CASES.values()}


def test_every_window_of_two_days_is_queried_once_and_stored(stack: Stack) -> None:
    run = backfill(stack)

    assert run.status == "SUCCEEDED", run.cause
    check(run.output, "backfill.output")
    assert {name: run.output[name] for name in ("windows", "stored", "done", "left")} == {
        "windows": 4,
        "stored": 4,
        "done": 4,
        "left": 0,
    }
    assert len(stored(stack)) == 4
    assert set(queried(stack).values()) == {1}
    assert len(queried(stack)) == 8
    assert run.alarms == []
    # The output leads to how each sweep has ended.
    files = read(stack, run.output["manifest"])["ResultFiles"]
    bucket = run.output["manifest"]["Bucket"]
    [file] = files["SUCCEEDED"]
    children = read(stack, {"bucket": bucket, "key": file["Key"]})
    assert len(children) == 4
    assert all(json.loads(child["Output"])["counts"] for child in children)
    machine = stack.outputs["BackfillArn"].replace(":stateMachine:", ":execution:")
    assert all(child["ExecutionArn"].startswith(f"{machine}/SweepWindows:") for child in children)


def test_windows_that_are_stored_are_not_queried_again(stack: Stack) -> None:
    backfill(stack, to="2026-11-23T00:00:00Z")
    before = queried(stack)

    run = backfill(stack)

    assert (run.output["windows"], run.output["done"], run.output["left"]) == (4, 2, 0)
    assert set(queried(stack).values()) == {1}
    assert queried(stack) - before == {key: 1 for key in queried(stack) if key[0].startswith("2026-11-23")}


def test_with_all_windows_stored_nothing_runs(stack: Stack) -> None:
    backfill(stack, **ONE_WINDOW)
    queries = len(stack.aws.network_flow_monitor.queries)

    run = backfill(stack, **ONE_WINDOW)

    assert run.status == "SUCCEEDED"
    check(run.output, "backfill.output")
    assert (run.output["stored"], run.output["done"], run.output["manifest"]) == (1, 0, None)
    assert run.steps == STORED.split()
    assert len(stack.aws.network_flow_monitor.queries) == queries


SLOW = pytest.mark.slow


@pytest.mark.parametrize("at", [10, *(pytest.param(at, marks=SLOW) for at in (1, 3, 17, 40))])
def test_killed_in_the_middle_and_started_again_nothing_is_queried_twice_and_nothing_missed(
    stack: Stack, at: int
) -> None:
    network, client = stack.aws.network_flow_monitor, stack.aws.client("stepfunctions")
    arns: list[str] = []

    def stop(_: Call) -> None:
        if len(network.calls) == at:
            client.stop_execution(executionArn=arns[0])

    network.observer = stop
    network.script = Script()
    arns.append(start(stack))
    killed = stack.ended(arns[0])
    network.observer = None
    run = backfill(stack)

    assert (killed.status, run.status) == ("ABORTED", "SUCCEEDED")
    assert run.output["left"] == 0
    assert len(stored(stack)) == 4
    assert set(queried(stack).values()) == {1}
    assert len(queried(stack)) == 8


FAILING = Script(("RUNNING", "FAILED"))


def failing(stack: Stack, *days_and_hours: str) -> None:
    """Let the queries of these windows fail."""
    network = stack.aws.network_flow_monitor

    def fail(call: Call) -> None:
        if call.operation == "StartQuery" and call.query_id:
            query = network.queries[call.query_id]
            if f"{query.start_time:%d %H}" in days_and_hours:
                query.script = FAILING

    network.observer = fail


def test_failures_that_are_tolerated_are_left_and_listed(stack: Stack) -> None:
    failing(stack, "22 12")
    run = backfill(stack, toleratedFailurePercentage=30)
    stack.aws.network_flow_monitor.observer = None

    assert run.status == "SUCCEEDED", run.cause
    check(run.output, "backfill.output")
    assert (run.output["done"], run.output["left"]) == (3, 1)
    [left] = read(stack, run.output["list"])
    assert left["window"]["startTime"] == "2026-11-22T12:00:00Z"
    assert {name: len(files) for name, files in read(stack, run.output["manifest"])["ResultFiles"].items()} == {
        "FAILED": 1,
        "PENDING": 0,
        "SUCCEEDED": 1,
    }


def test_more_failures_than_tolerated_end_red_with_an_alarm(stack: Stack) -> None:
    failing(stack, "22 00", "22 12")
    run = backfill(stack, toleratedFailurePercentage=30)
    stack.aws.network_flow_monitor.observer = None

    assert (run.status, run.error) == ("FAILED", "BackfillIncomplete")
    assert "of 4 windows" in str(run.cause)
    assert "left.json" in str(run.cause)
    mine = [alarm for alarm in run.alarms if "BackfillIncomplete" in alarm["Subject"]]
    assert len(mine) == 1
    assert mine[0]["Message"].startswith(
        "A backfill of Network Flow Monitor queries did not succeed: BackfillIncomplete."
    )
    assert SCOPE_ID in mine[0]["Message"]
    assert "2026-11-22T00:00:00Z to 2026-11-24T00:00:00Z" in mine[0]["Message"]


def test_a_window_that_failed_is_done_when_the_backfill_is_started_again(stack: Stack) -> None:
    failing(stack, "22 00")
    first = backfill(stack, **ONE_WINDOW)
    stack.aws.network_flow_monitor.observer = None

    run = backfill(stack, **ONE_WINDOW)

    assert (first.status, run.status) == ("FAILED", "SUCCEEDED")
    assert run.output["left"] == 0
    sweeps = stack.aws.client("stepfunctions").list_executions(stateMachineArn=stack.outputs["SweepScopeArn"])
    assert any(sweep["name"].count("-") == 4 for sweep in sweeps["executions"])


def test_several_windows_at_once_share_the_rate(stack: Stack) -> None:
    run = backfill(stack, maxConcurrency=4, requestsPerSecond=6)

    assert run.status == "SUCCEEDED", run.cause
    client = stack.aws.client("stepfunctions")
    sweeps = client.list_executions(stateMachineArn=stack.outputs["SweepScopeArn"])["executions"]
    newest = client.describe_execution(executionArn=sweeps[0]["executionArn"])
    assert json.loads(newest["input"])["requestsPerSecond"] == 1.5
    assert len(stored(stack)) == 4


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"from": "2026-11-24T00:00:00Z"}, "to"),
        ({"windowMinutes": 0}, "windowMinutes"),
        ({"windowMinutes": 5, "from": "2020-01-01T00:00:00Z", "requestsPerSecond": 100}, "windowMinutes"),
        (
            {"selections": None, "windowMinutes": 5, "from": "2026-01-01T00:00:00Z", "requestsPerSecond": 1},
            "requestsPerSecond",
        ),
        ({"requestsPerSecond": 0.2, "maxConcurrency": 3}, "requestsPerSecond"),
        ({"maxConcurrency": 0}, "maxConcurrency"),
        ({"toleratedFailurePercentage": 101}, "toleratedFailurePercentage"),
        ({"selections": None, "metricNames": ["NONE"]}, "metricNames"),
        ({"scopeId": ".."}, "scopeId"),
        ({"allowPartial": "yes"}, "allowPartial"),
        ({"timeoutSeconds": 0}, "timeoutSeconds"),
        ({"rankedPeaks": 21}, "rankedPeaks"),
        ({"alarmAbove": 5}, "alarmAbove"),
    ],
)
def test_an_input_that_cannot_be_used_is_refused_by_name(stack: Stack, more: dict[str, Any], field: str) -> None:
    run = backfill(stack, **more)

    assert (run.status, run.error) == ("FAILED", "InvalidInput")
    assert f'"errorMessage": "{field}:' in str(run.cause) or f'"errorMessage":"{field}:' in str(run.cause)
    assert stack.stored() == []
    assert len(run.alarms) == 1


def test_an_unknown_field_is_refused_with_the_one_that_was_meant(stack: Stack) -> None:
    run = backfill(stack, alarmabove={"TIMEOUTS": 5})

    assert (run.status, run.error) == ("FAILED", "InvalidInput")
    assert 'Did you mean "alarmAbove"?' in json.loads(str(run.cause))["errorMessage"]


def test_options_of_a_sweep_reach_each_window(stack: Stack) -> None:
    run = backfill(stack, **{**ONE_WINDOW, "alarmAbove": {"RETRANSMISSIONS": 1}, "rankedPeaks": 1, "limit": 2})

    assert run.status == "SUCCEEDED", run.cause
    [alarm] = run.alarms
    assert alarm["Subject"].startswith("Flowquery finding: 1 findings")
    assert len([key for key in stack.stored() if key.startswith("contributors/")]) == 1


def test_the_cause_of_an_incomplete_backfill_says_what_is_left_and_where(stack: Stack) -> None:
    run = backfill(stack, Script(("FAILED",)), **ONE_WINDOW)

    assert run.cause is not None
    assert run.cause.startswith(f"1 of 1 windows of scope {SCOPE_ID} are left, 0 were done. s3://")
    assert run.cause.endswith(
        "States.ExceedToleratedFailureThreshold: The specified tolerated failure threshold was exceeded"
    )


def test_an_input_that_is_no_object_is_refused(stack: Stack) -> None:
    client = stack.aws.client("stepfunctions")
    started = client.start_execution(stateMachineArn=stack.outputs["BackfillArn"], name=uuid4().hex, input="[]")
    run = stack.ended(started["executionArn"])

    assert (run.status, run.error) == ("FAILED", "InvalidInput")
