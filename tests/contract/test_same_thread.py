"""Requests that the sending thread answers get the replies that they get over the socket of the loopback AWS."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session
from urllib3 import HTTPConnectionPool

from tests import same_thread
from tests.loopback import SCOPE_ID, Stack, event

Call = Callable[[Stack], Any]
KEY = "results/a b+c/ü%2F?&=.json"
METADATA = {"snake_case": "1", "kebab-case": "2"}


def put(stack: Stack, body: Any = b"x" * 100_000, **more: Any) -> Any:
    bucket = stack.outputs["ResultsBucketName"]
    return stack.aws.client("s3").put_object(Bucket=bucket, Key=KEY, Body=body, Metadata=METADATA, **more)


def put_twice(stack: Stack) -> Any:
    put(stack)
    return put(stack, IfNoneMatch="*")


def get(stack: Stack) -> Any:
    put(stack, BytesIO(b"from a file" * 9000))
    reply = stack.aws.client("s3").get_object(Bucket=stack.outputs["ResultsBucketName"], Key=KEY)
    return {**reply, "Body": reply["Body"].read()}


def head(stack: Stack) -> Any:
    put(stack)
    return stack.aws.client("s3").head_object(Bucket=stack.outputs["ResultsBucketName"], Key=KEY)


def head_of_nothing(stack: Stack) -> Any:
    return stack.aws.client("s3").head_object(Bucket=stack.outputs["ResultsBucketName"], Key="nothing")


def list_objects(stack: Stack) -> Any:
    put(stack)
    return stack.aws.client("s3").list_objects_v2(Bucket=stack.outputs["ResultsBucketName"], Prefix="results/a b+")


def invoke(stack: Stack) -> Any:
    reply = stack.aws.client("lambda").invoke(FunctionName=stack.function_name("StopQueryFunction"), Payload="{}")
    return {**reply, "Payload": b"errorType" in reply["Payload"].read()}


def describe_machine(stack: Stack) -> Any:
    arn = stack.outputs["RunQueryArn"]
    return stack.aws.client("stepfunctions").describe_state_machine(stateMachineArn=arn)


def topic_attributes(stack: Stack) -> Any:
    return stack.aws.client("sns").get_topic_attributes(TopicArn=stack.outputs["AlarmTopicArn"])


def look_at_a_query_that_nobody_started(stack: Stack) -> Any:
    client = stack.aws.client("networkflowmonitor")
    look = client.get_query_status_workload_insights_top_contributors_data
    return look(scopeId=SCOPE_ID, queryId="nobody's")


def break_the_server(stack: Stack) -> Any:
    """Let the application raise something that moto does not expect."""

    def fail(_: object) -> None:
        raise RuntimeError("nobody expects this")

    stack.aws.network_flow_monitor.observer = fail
    try:
        return look_at_a_query_that_nobody_started(stack)
    finally:
        stack.aws.network_flow_monitor.observer = None


CALLS = [
    put,
    put_twice,
    get,
    head,
    head_of_nothing,
    list_objects,
    invoke,
    describe_machine,
    topic_attributes,
    look_at_a_query_that_nobody_started,
    break_the_server,
]
# What no two replies have in common, and what the socket's server adds.
DIFFERS = {"requestid", "hostid", "date", "server", "connection", "lastmodified", "last-modified", "x-amz-log-result"}
DIFFERS |= {"x-amzn-requestid", "x-amz-request-id", "x-amz-id-2", "x-amz-crc32", "logresult"}


@pytest.mark.parametrize("call", CALLS)
def test_the_reply_is_the_one_over_http(stack: Stack, monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    in_this_thread = answer(call, stack)
    stack.forget()
    monkeypatch.setattr(URLLib3Session, "send", same_thread.send_over_http)

    assert in_this_thread == answer(call, stack)


def answer(call: Call, stack: Stack) -> Any:
    try:
        return comparable(call(stack))
    except ClientError as refused:
        return comparable(refused.response)


def comparable(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: comparable(member) for name, member in value.items() if name.lower() not in DIFFERS}


def test_a_whole_run_sends_nothing_over_http(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a request went over HTTP")

    monkeypatch.setattr(HTTPConnectionPool, "urlopen", refuse)

    run = stack.run(event("run_query"))

    assert run.status == "SUCCEEDED", run.cause
