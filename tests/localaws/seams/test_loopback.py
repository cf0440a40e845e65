"""The seams of the loopback AWS. Each test fails loudly when moto, or what it stands in for, changes."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError

from localaws.clock import TurnedClock
from localaws.lambda_runtimes.deployed_function import DeployedFunction, Runtime
from localaws.lambda_runtimes.in_process import InProcessRuntime
from localaws.lambda_runtimes.process import ProcessRuntime
from localaws.networkflowmonitor.responses import NetworkFlowMonitorResponse
from localaws.scripted_network_flow_monitor import Script
from tests.loopback import ROOT, SCOPE_ID, SELECTION, Stack, event

pytestmark = pytest.mark.usefixtures("over_http")

FAMILY = "workload_insights_top_contributors_data"


# --- Network Flow Monitor ---


@pytest.fixture
def nfm(stack: Stack) -> Any:
    return boto3.client("networkflowmonitor", config=Config(retries={"total_max_attempts": 1}))


def start(nfm: Any, **more: Any) -> Any:
    return getattr(nfm, f"start_query_{FAMILY}")(scopeId=SCOPE_ID, **{**SELECTION, **more})["queryId"]


def test_both_families_are_served(nfm: Any) -> None:
    names = nfm.meta.service_model.operation_names

    families = ("WorkloadInsightsTopContributors", "WorkloadInsightsTopContributorsData")
    family = [xform_name(name) for name in names if name.endswith(families)]
    assert len(family) == 8
    assert all(hasattr(NetworkFlowMonitorResponse, name) for name in family)


def test_a_query_moves_on_by_being_looked_at(stack: Stack, nfm: Any) -> None:
    stack.aws.network_flow_monitor.script = Script(("QUEUED", "RUNNING", "ThrottlingException", "SUCCEEDED"))
    query_id, seen = start(nfm), []
    for _ in range(5):
        try:
            seen.append(getattr(nfm, f"get_query_status_{FAMILY}")(scopeId=SCOPE_ID, queryId=query_id)["status"])
        except nfm.exceptions.ThrottlingException as throttled:
            seen.append(throttled.response["ResponseMetadata"]["HTTPStatusCode"])

    assert seen == ["QUEUED", "RUNNING", 429, "SUCCEEDED", "SUCCEEDED"]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("metricName", "ROUND_TRIP_TIME"),
        ("destinationCategory", "AWS_SERVICES"),
        ("startTime", "yesterday"),
        ("endTime", SELECTION["startTime"]),
        ("metricName", None),
        ("metricName", 5),
        ("metricName", ["TIMEOUTS"]),
    ],
)
def test_a_request_is_held_to_the_service_model(nfm: Any, member: str, value: object) -> None:
    def send(params: dict[str, Any], **_: Any) -> None:
        params["body"] = json.dumps({**SELECTION, member: value}).encode()  # whatever the SDK would refuse itself

    nfm.meta.events.register("before-call", send)

    with pytest.raises(ClientError) as refused:
        start(nfm)

    assert refused.value.response["Error"]["Code"] == "ValidationException"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


@pytest.mark.parametrize("code", ["AccessDeniedException", "InternalServerException", "ServiceQuotaExceededException"])
def test_errors_have_the_models_http_codes(stack: Stack, nfm: Any, code: str) -> None:
    stack.aws.network_flow_monitor.script = Script((code,))
    query_id = start(nfm)

    with pytest.raises(ClientError) as refused:
        getattr(nfm, f"get_query_status_{FAMILY}")(scopeId=SCOPE_ID, queryId=query_id)

    expected = nfm.meta.service_model.shape_for(code).metadata["error"]["httpStatusCode"]
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == expected


def test_results_come_in_pages_in_the_published_samples_shape(stack: Stack, nfm: Any) -> None:
    stack.aws.network_flow_monitor.script = Script(("SUCCEEDED",), series=5, page_size=2)
    query_id = start(nfm)
    getattr(nfm, f"get_query_status_{FAMILY}")(scopeId=SCOPE_ID, queryId=query_id)

    pages = list(nfm.get_paginator(f"get_query_results_{FAMILY}").paginate(scopeId=SCOPE_ID, queryId=query_id))

    sample = event("replies/get_query_results")
    series = [part for page in pages for part in page["datapoints"]]
    assert [len(page["datapoints"]) for page in pages] == [2, 2, 1]
    assert all(set(part) == set(sample["datapoints"][0]) for part in series)
    assert [part["label"] for part in series] == [f"use1-az{number}" for number in range(1, 6)]
    steps = {late - early for part in series for early, late in pairwise(part["timestamps"])}
    assert steps == {timedelta(minutes=5)}


def test_results_are_the_same_for_the_same_seed(stack: Stack, nfm: Any) -> None:
    results = []
    for seed in (1, 1, 2):
        stack.aws.network_flow_monitor.script = Script(("SUCCEEDED",), seed=seed)
        query_id = start(nfm)
        getattr(nfm, f"get_query_status_{FAMILY}")(scopeId=SCOPE_ID, queryId=query_id)
        results.append(getattr(nfm, f"get_query_results_{FAMILY}")(scopeId=SCOPE_ID, queryId=query_id)["datapoints"])

    assert results[0] == results[1] != results[2]


def test_a_stopped_query_is_canceled(nfm: Any) -> None:
    query_id = start(nfm)
    getattr(nfm, f"stop_query_{FAMILY}")(scopeId=SCOPE_ID, queryId=query_id)

    assert getattr(nfm, f"get_query_status_{FAMILY}")(scopeId=SCOPE_ID, queryId=query_id)["status"] == "CANCELED"
    with pytest.raises(nfm.exceptions.ValidationException):
        getattr(nfm, f"stop_query_{FAMILY}")(scopeId=SCOPE_ID, queryId=query_id)


def test_a_query_is_known_in_its_own_scope_only(nfm: Any) -> None:
    query_id = start(nfm)

    with pytest.raises(nfm.exceptions.ValidationException):
        getattr(nfm, f"get_query_status_{FAMILY}")(scopeId="other", queryId=query_id)


def status_of(nfm: Any, query_id: str) -> str:
    return str(getattr(nfm, f"get_query_status_{FAMILY}")(scopeId=SCOPE_ID, queryId=query_id)["status"])


def code_of(call: Any, **arguments: Any) -> str:
    """Return OK, or the code of the error that a call of this family gets."""
    try:
        call(scopeId=SCOPE_ID, **arguments)
    except ClientError as refused:
        return str(refused.response["Error"]["Code"])
    return "OK"


def test_a_query_with_a_duration_moves_on_by_time_however_often_it_is_looked_at(stack: Stack, nfm: Any) -> None:
    stack.aws.network_flow_monitor.script = Script(seconds=(10.0, 20.0))
    first, second = start(nfm), start(nfm)
    seen = []
    for seconds in (0, 1, 1, 7, 1, 9, 1):
        stack.clock.sleep(seconds)
        seen.append((status_of(nfm, first), status_of(nfm, second)))

    assert [mine for mine, _ in seen] == ["QUEUED", "QUEUED", *["RUNNING"] * 2, *["SUCCEEDED"] * 3]
    assert [theirs for _, theirs in seen] == [*["QUEUED"] * 3, *["RUNNING"] * 3, "SUCCEEDED"]


def test_a_query_with_a_duration_has_results_once_its_time_is_over_and_can_be_stopped_before(
    stack: Stack, nfm: Any
) -> None:
    stack.aws.network_flow_monitor.script = Script(seconds=(10.0,))
    results = getattr(nfm, f"get_query_results_{FAMILY}")
    kept, stopped = start(nfm), start(nfm)
    getattr(nfm, f"stop_query_{FAMILY}")(scopeId=SCOPE_ID, queryId=stopped)

    early = code_of(results, queryId=kept)
    stack.clock.sleep(10)

    assert (early, code_of(results, queryId=kept)) == ("ValidationException", "OK")
    assert status_of(nfm, stopped) == "CANCELED"


@pytest.mark.parametrize("seconds", [(), (5.0,)], ids=["by looks", "by time"])
def test_single_queries_end_as_the_script_says(stack: Stack, nfm: Any, seconds: tuple[float, ...]) -> None:
    stack.aws.network_flow_monitor.script = Script(
        ("QUEUED", "SUCCEEDED"),
        seconds=seconds,
        ends={
            ("TIMEOUTS", "INTRA_AZ"): "FAILED",
            ("TIMEOUTS", "INTERNET"): "CANCELED",
            ("TIMEOUTS", "AMAZON_S3"): "InternalServerException",
        },
    )
    found = {}
    for category in ("INTRA_AZ", "INTERNET", "AMAZON_S3", "INTER_AZ"):
        query_id = start(nfm, metricName="TIMEOUTS", destinationCategory=category)
        status_of(nfm, query_id)
        stack.clock.sleep(5)
        results = getattr(nfm, f"get_query_results_{FAMILY}")
        found[category] = (status_of(nfm, query_id), code_of(results, queryId=query_id))

    assert found == {
        "INTRA_AZ": ("FAILED", "ValidationException"),
        "INTERNET": ("CANCELED", "ValidationException"),
        "AMAZON_S3": ("SUCCEEDED", "InternalServerException"),
        "INTER_AZ": ("SUCCEEDED", "OK"),
    }


def test_a_refused_metric_and_category_cannot_be_started(stack: Stack, nfm: Any) -> None:
    stack.aws.network_flow_monitor.script = Script(refused=(("TIMEOUTS", "INTER_AZ"),))

    with pytest.raises(nfm.exceptions.ValidationException):
        start(nfm, metricName="TIMEOUTS")

    assert start(nfm, metricName="RETRANSMISSIONS")


def test_requests_beyond_the_rate_are_throttled_and_take_nothing_from_later_ones(stack: Stack, nfm: Any) -> None:
    stack.aws.network_flow_monitor.script = Script(requests_per_second=2, burst=3)
    query_id = start(nfm)
    look = getattr(nfm, f"get_query_status_{FAMILY}")

    burst = [code_of(look, queryId=query_id) for _ in range(10)]
    stack.clock.sleep(0.5)
    half_a_second_on = [code_of(look, queryId=query_id) for _ in range(3)]
    stack.clock.sleep(60)
    a_minute_on = [code_of(look, queryId=query_id) for _ in range(4)]

    throttled = "ThrottlingException"
    assert burst == ["OK"] * 2 + [throttled] * 8
    assert half_a_second_on == ["OK", throttled, throttled]
    assert a_minute_on == ["OK"] * 3 + [throttled]
    # The rate counts every operation: nothing else gets through either.
    assert code_of(getattr(nfm, f"start_query_{FAMILY}"), **SELECTION) == throttled
    assert len(stack.aws.network_flow_monitor.queries) == 1


def test_a_query_beyond_the_quota_is_refused_until_another_has_ended(stack: Stack, nfm: Any) -> None:
    stack.aws.network_flow_monitor.script = Script(seconds=(10.0, 20.0), concurrent_queries=2)
    start(nfm), start(nfm)

    with pytest.raises(nfm.exceptions.ServiceQuotaExceededException):
        start(nfm)
    stack.clock.sleep(10)

    assert start(nfm)


def test_a_call_takes_its_latency_and_tells_what_was_so_when_it_began(stack: Stack, nfm: Any) -> None:
    stack.aws.network_flow_monitor.script = Script(seconds=(0.2,), latency=0.15)
    began = stack.clock.monotonic()
    query_id = start(nfm)

    assert status_of(nfm, query_id) == "RUNNING"
    assert status_of(nfm, query_id) == "SUCCEEDED"
    times = [call.at - began for call in stack.aws.network_flow_monitor.calls]
    assert times == pytest.approx([0, 0.15, 0.3])
    assert stack.clock.monotonic() - began == pytest.approx(0.45)


def test_results_differ_by_metric_and_by_category(stack: Stack, nfm: Any) -> None:
    stack.aws.network_flow_monitor.script = Script(("SUCCEEDED",))
    results = []
    for more in ({}, {"metricName": "TIMEOUTS"}, {"destinationCategory": "INTERNET"}):
        page = getattr(nfm, f"get_query_results_{FAMILY}")(scopeId=SCOPE_ID, queryId=start(nfm, **more))
        results.append(page["datapoints"][0]["values"])

    assert results[0] != results[1] != results[2] != results[0]


def test_mock_aws_serves_it_too() -> None:
    # In a process of its own: leaving mock_aws resets every backend of the one that it is in.
    code = f"""
import boto3
from moto import mock_aws
from localaws.seams import networkflowmonitor
networkflowmonitor.install()
with mock_aws():
    client = boto3.client("networkflowmonitor", "eu-west-1")
    print(client.start_query_{FAMILY}(scopeId="scope-1", **{SELECTION!r})["queryId"])
"""
    made = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert len(made.stdout.strip()) == 36


# --- Step Functions ---


def test_a_machine_that_names_a_function_that_is_not_there_is_red(stack: Stack, tmp_path: Path) -> None:
    definition = stack.definition().replace(":function:flowquery-GetQueryStatusFunction", ":function:flowquery-Renamed")
    assert "Renamed" in definition
    client = stack.aws.client("stepfunctions")
    role = client.describe_state_machine(stateMachineArn=stack.outputs["RunQueryArn"])["roleArn"]
    machine = client.create_state_machine(name="renamed", definition=definition, roleArn=role)["stateMachineArn"]

    started = client.start_execution(stateMachineArn=machine, input=json.dumps(event("run_query")))
    run = stack.ended(started["executionArn"])

    assert run.status == "FAILED"
    assert "ResourceNotFound" in str(run.error)


def test_a_name_is_used_once(stack: Stack) -> None:
    client = stack.aws.client("stepfunctions")
    arguments = {"stateMachineArn": stack.outputs["RunQueryArn"], "name": "once"}
    stack.ended(client.start_execution(**arguments, input=json.dumps(event("run_query")))["executionArn"])

    with pytest.raises(client.exceptions.ExecutionAlreadyExists):
        client.start_execution(**arguments, input="{}")


def test_of_those_that_ask_for_a_name_at_once_one_starts_it(stack: Stack) -> None:
    client, machine = stack.aws.client("stepfunctions"), stack.outputs["RunQueryArn"]
    asked = {"stateMachineArn": machine, "name": "at-once", "input": json.dumps(event("run_query"))}

    with ThreadPoolExecutor() as pool:
        started = list(pool.map(lambda _: client.start_execution(**asked), range(8)))
    run = stack.ended(started[0]["executionArn"])

    assert len({one["executionArn"] for one in started}) == 1
    names = [execution["name"] for execution in client.list_executions(stateMachineArn=machine)["executions"]]
    assert names.count("at-once") == 1
    assert run.operations().count("StartQuery") == 1


def test_an_event_that_its_function_refuses_is_tried_again_and_left_in_the_dead_letter_queue(stack: Stack) -> None:
    sqs, queue = stack.aws.client("sqs"), stack.outputs["DeadLetterQueueUrl"]
    function = stack.outputs["StartExecutionFunctionName"]

    stack.aws.client("lambda").invoke(FunctionName=function, InvocationType="Event", Payload='{"scopeId": 5}')
    while not (left := sqs.receive_message(QueueUrl=queue).get("Messages", [])):
        threading.Event().wait(0.01)
    sqs.purge_queue(QueueUrl=queue)

    said = json.loads(left[0]["Body"])
    assert said["requestPayload"] == {"scopeId": 5}
    assert said["responsePayload"]["errorType"] == "InvalidInput"
    assert len(stack.aws.lambda_backend.invocations) == 3


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


# --- Lambda ---

HANDLERS = """
import os, sys, threading
class Refused(Exception): pass
def answer(event, context):
    return {"event": event, "name": context.function_name, "memory": context.memory_limit_in_mb,
            "arn": context.invoked_function_arn, "id": context.aws_request_id, "mine": os.environ.get("MINE"),
            "left": 0 < context.get_remaining_time_in_millis() <= 60_000, "stranger": os.environ.get("STRANGER")}
def refuse(event, context):
    raise Refused("not today")
def leave(event, context):
    sys.exit(3)
def sleep(event, context):
    threading.Event().wait()
def grow(event, context):
    return len(bytearray(200 * 1024 * 1024))
"""


@pytest.fixture(params=["process", "in process"])
def runtime(request: pytest.FixtureRequest, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    monkeypatch.setenv("STRANGER", "of the caller")
    made: Runtime = ProcessRuntime() if request.param == "process" else InProcessRuntime(TurnedClock())
    yield made
    made.close()


def deployed_function(
    tmp_path: Path, handler: str, memory_mb: int = 256, source: str = HANDLERS, timeout_seconds: int = 60
) -> DeployedFunction:
    (tmp_path / "handlers.py").write_text(source, "utf-8")
    return DeployedFunction(
        name="function",
        arn="arn:aws:lambda:us-east-1:123456789012:function:function",
        handler=f"handlers.{handler}",
        environment={"MINE": "of the deployment"},
        timeout_seconds=timeout_seconds,
        memory_mb=memory_mb,
        code=tmp_path,
    )


def test_a_handler_gets_what_was_deployed_and_nothing_of_the_caller(runtime: Runtime, tmp_path: Path) -> None:
    invocation = runtime.invoke(deployed_function(tmp_path, "answer"), b'{"a": 1}', "request-1")

    assert invocation.error is None
    assert json.loads(invocation.payload) == {
        "event": {"a": 1},
        "name": "function",
        "memory": "256",
        "arn": "arn:aws:lambda:us-east-1:123456789012:function:function",
        "id": "request-1",
        "mine": "of the deployment",
        "left": True,
        "stranger": None,
    }


def test_an_exception_is_answered_in_the_runtimes_shape(runtime: Runtime, tmp_path: Path) -> None:
    invocation = runtime.invoke(deployed_function(tmp_path, "refuse"), b"{}", "request-1")

    said = json.loads(invocation.payload)
    assert invocation.error == "Unhandled"
    assert (said["errorType"], said["errorMessage"]) == ("Refused", "not today")
    assert set(said) == {"errorType", "errorMessage", "stackTrace", "requestId"}


@pytest.fixture
def processes() -> Iterator[ProcessRuntime]:
    made = ProcessRuntime()
    yield made
    made.close()


def test_a_handler_that_does_not_end_is_killed_at_its_timeout(
    processes: ProcessRuntime, stack: Stack, tmp_path: Path
) -> None:
    function = deployed_function(tmp_path, "sleep", timeout_seconds=1)

    invocation = processes.invoke(function, b"{}", "request-1")

    assert invocation.error == "Unhandled"
    assert json.loads(invocation.payload)["errorType"] == "Sandbox.Timedout"


@pytest.mark.parametrize(
    ("handler", "source", "error_type"),
    [
        ("leave", HANDLERS, "Runtime.ExitError"),
        ("answer", "raise ImportError('no such thing')", "Runtime.ImportModuleError"),
        ("missing", HANDLERS, "Runtime.HandlerNotFound"),
    ],
)
def test_a_runtime_that_ends_says_how(
    processes: ProcessRuntime, stack: Stack, tmp_path: Path, handler: str, source: str, error_type: str
) -> None:
    function = deployed_function(tmp_path, handler, source=source)

    invocation = processes.invoke(function, b"{}", "request-1")

    assert invocation.error == "Unhandled"
    assert json.loads(invocation.payload)["errorType"] == error_type


def test_a_handler_that_outgrows_its_memory_is_killed(processes: ProcessRuntime, stack: Stack, tmp_path: Path) -> None:
    invocation = processes.invoke(deployed_function(tmp_path, "grow", memory_mb=128), b"{}", "request-1")

    assert json.loads(invocation.payload)["errorType"] == "Runtime.ExitError"


def test_an_environment_is_kept_warm(processes: ProcessRuntime, stack: Stack, tmp_path: Path) -> None:
    function = deployed_function(tmp_path, "answer")

    first, second = (processes.invoke(function, b"{}", name) for name in ("request-1", "request-2"))

    assert first.init_ms is not None
    assert second.init_ms is None


def test_lambdas_api_runs_the_code_that_was_uploaded(stack: Stack, tmp_path: Path) -> None:
    client, archive = stack.aws.client("lambda"), BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("handlers.py", HANDLERS)
    role = stack.aws.client("iam").list_roles()["Roles"][0]["Arn"]
    code = {"ZipFile": archive.getvalue()}
    client.create_function(FunctionName="mine", Runtime="python3.13", Role=role, Handler="handlers.refuse", Code=code)

    reply = client.invoke(FunctionName="mine", Payload="{}")

    assert reply["FunctionError"] == "Unhandled"
    assert json.loads(reply["Payload"].read())["errorType"] == "Refused"
    client.delete_function(FunctionName="mine")
