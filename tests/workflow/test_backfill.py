"""Backfill on the loopback in turned time: what is left is done once, however it was stopped or failed before."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any
from uuid import uuid4

import pytest

from localaws.scripted_network_flow_monitor import Call, Script
from tests.contract.schemas import check
from tests.loopback import SCOPE_ID, Run, Stack

PAIRS = [
    {"metricName": metric, "destinationCategory": category}
    for metric in ("RETRANSMISSIONS", "TIMEOUTS")
    for category in ("INTER_AZ", "INTERNET")
]
TWO_DAYS: dict[str, Any] = {
    "scopeId": SCOPE_ID,
    "from": "2026-11-22T00:00:00Z",
    "to": "2026-11-24T00:00:00Z",
    "windowMinutes": 360,
    "selections": PAIRS,
}


def start(stack: Stack, **more: Any) -> str:
    client = stack.aws.client("stepfunctions")
    arguments = {"stateMachineArn": stack.outputs["BackfillArn"], "name": f"backfill-{uuid4().hex[:12]}"}
    return str(client.start_execution(**arguments, input=json.dumps({**TWO_DAYS, **more}))["executionArn"])


def backfill(stack: Stack, script: Script | None = None, **more: Any) -> Run:
    stack.aws.network_flow_monitor.script = script or Script()
    return stack.ended(start(stack, **more))


def asked(stack: Stack) -> Counter[tuple[str, str]]:
    """Return how often each window and metric was queried; the categories are not recorded."""
    queries = stack.aws.network_flow_monitor.queries.values()
    return Counter((str(query.start_time), query.metric_name) for query in queries)


def read(stack: Stack, place: dict[str, str]) -> Any:
    key, bucket = place.get("key") or place["Key"], place.get("bucket") or place["Bucket"]
    return json.loads(stack.aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())


def stored(stack: Stack) -> list[str]:
    return [key for key in stack.stored() if key.startswith("results/")]


def test_every_window_of_two_days_is_queried_once_and_stored(stack: Stack) -> None:
    run = backfill(stack)

    assert run.status == "SUCCEEDED", run.cause
    check(run.output, "backfill.output")
    assert {name: run.output[name] for name in ("windows", "stored", "done", "left")} == {
        "windows": 8,
        "stored": 8,
        "done": 8,
        "left": 0,
    }
    assert len(stored(stack)) == 8
    assert set(asked(stack).values()) == {2}
    assert len(asked(stack)) == 16
    assert run.alarms == []


def test_the_summary_leads_to_how_each_sweep_ended(stack: Stack) -> None:
    run = backfill(stack)

    files = read(stack, run.output["manifest"])["ResultFiles"]
    bucket = run.output["manifest"]["Bucket"]
    [file] = files["SUCCEEDED"]
    children = read(stack, {"bucket": bucket, "key": file["Key"]})
    assert len(children) == 8
    assert all(json.loads(child["Output"])["counts"] for child in children)
    assert all(":execution:flowquery-Backfill/SweepWindows:" in child["ExecutionArn"] for child in children)


def test_windows_that_are_stored_are_not_queried_again(stack: Stack) -> None:
    backfill(stack, to="2026-11-23T00:00:00Z")
    before = asked(stack)

    run = backfill(stack)

    assert (run.output["windows"], run.output["done"], run.output["left"]) == (8, 4, 0)
    assert set(asked(stack).values()) == {2}
    assert asked(stack) - before == {key: 2 for key in asked(stack) if key[0].startswith("2026-11-23")}


def test_with_all_windows_stored_nothing_runs(stack: Stack) -> None:
    backfill(stack)
    queries = len(stack.aws.network_flow_monitor.queries)

    run = backfill(stack)

    assert run.status == "SUCCEEDED"
    check(run.output, "backfill.output")
    assert (run.output["stored"], run.output["done"], run.output["manifest"]) == (8, 0, None)
    assert "SweepWindows" not in run.path
    assert len(stack.aws.network_flow_monitor.queries) == queries


@pytest.mark.parametrize("at", [1, 3, 10, 17, 40])
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
    assert len(stored(stack)) == 8
    assert set(asked(stack).values()) == {2}
    assert len(asked(stack)) == 16


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


def test_failures_that_are_tolerated_are_left_and_told(stack: Stack) -> None:
    failing(stack, "22 06")
    run = backfill(stack, toleratedFailurePercentage=20)
    stack.aws.network_flow_monitor.observer = None

    assert run.status == "SUCCEEDED", run.cause
    check(run.output, "backfill.output")
    assert (run.output["done"], run.output["left"]) == (7, 1)
    [left] = read(stack, run.output["list"])
    assert left["window"]["startTime"] == "2026-11-22T06:00:00Z"
    assert {name: len(files) for name, files in read(stack, run.output["manifest"])["ResultFiles"].items()} == {
        "FAILED": 1,
        "PENDING": 0,
        "SUCCEEDED": 1,
    }


def test_more_failures_than_tolerated_end_red_with_an_alarm(stack: Stack) -> None:
    failing(stack, "22 06", "22 18")
    run = backfill(stack, toleratedFailurePercentage=20)
    stack.aws.network_flow_monitor.observer = None

    assert (run.status, run.error) == ("FAILED", "BackfillIncomplete")
    assert "of 8 windows" in str(run.cause)
    assert "left.json" in str(run.cause)
    mine = [alarm for alarm in run.alarms if "BackfillIncomplete" in alarm["Subject"]]
    assert len(mine) == 1
    assert mine[0]["Message"].startswith(
        "A backfill of Network Flow Monitor queries did not succeed: BackfillIncomplete."
    )
    assert SCOPE_ID in mine[0]["Message"]
    assert "2026-11-22T00:00:00Z to 2026-11-24T00:00:00Z" in mine[0]["Message"]


def test_a_window_that_failed_is_done_when_the_backfill_is_started_again(stack: Stack) -> None:
    failing(stack, "22 06")
    first = backfill(stack)
    stack.aws.network_flow_monitor.observer = None

    run = backfill(stack)

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
    assert len(stored(stack)) == 8


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
    ],
)
def test_an_input_that_cannot_be_used_is_refused_by_name(stack: Stack, more: dict[str, Any], field: str) -> None:
    run = backfill(stack, **more)

    assert (run.status, run.error) == ("FAILED", "InvalidInput")
    assert f'"errorMessage": "{field}:' in str(run.cause) or f'"errorMessage":"{field}:' in str(run.cause)
    assert stack.stored() == []
    assert len(run.alarms) == 1


def test_an_input_that_is_no_object_is_refused(stack: Stack) -> None:
    client = stack.aws.client("stepfunctions")
    started = client.start_execution(stateMachineArn=stack.outputs["BackfillArn"], name=uuid4().hex, input="[]")
    run = stack.ended(started["executionArn"])

    assert (run.status, run.error) == ("FAILED", "InvalidInput")
