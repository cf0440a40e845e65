"""Each function may make the calls that its handler makes, and no other."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from samtranslator.yaml_helper import yaml_parse

from flowquery.core import errors
from flowquery.core.model import Family
from tests.loopback import QUERY_ID, ROOT, SCOPE_ID, event, execution, output
from tests.scripted import PARTLY_STORED, Reply, ScriptedServer, call, error, http, ok, stored

RESOURCES = yaml_parse((ROOT / "template.yaml").read_text("utf-8"))["Resources"]
SCOPE_ARN = {"Fn::Sub": "arn:${AWS::Partition}:networkflowmonitor:${AWS::Region}:${AWS::AccountId}:scope/${ScopeId}"}
PREFIX = {"sfn": "states", "stepfunctions": "states"}
ACTION_OF = {"s3:HeadObject": "s3:GetObject", "s3:ListObjectsV2": "s3:ListBucket"}
# What Lambda itself does in a function's name, and what publishing to an encrypted topic takes.
NOT_BY_THE_HANDLER = {
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "kms:GenerateDataKey",
    "kms:Decrypt",
    "sqs:SendMessage",
}
TAKES_NO_RESOURCE = {"xray", "logs"}
LISTED = (
    "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>results/date=2026-11-24/"
    f"{SCOPE_ID}-sweep-20261124T080000Z-20261124T081500Z-0123abcd.jsonl.gz</Key></Contents></ListBucketResult>"
)
PUBLISHED = "<PublishResponse><PublishResult><MessageId>m-1</MessageId></PublishResult></PublishResponse>"

# For each function what makes it take all its ways: replies of Network Flow Monitor, and of the other service.
WAYS: dict[str, tuple[list[Reply], list[Reply]]] = {
    "start_query": ([ok(queryId=QUERY_ID)], []),
    "get_query_status": ([ok(status="SUCCEEDED")], []),
    "get_query_results": ([ok(**event("replies/get_query_results"))], [http(412), http(200)]),
    "stop_query": ([error(400, "ValidationException"), ok(status="FAILED")], []),
    "plan_sweep": ([], [http(200, LISTED), http(200, headers="x-amz-meta-selection: TIMEOUTS:INTER_AZ\r\n")]),
    "advance_queries": ([ok(status="PAUSED"), ok(), ok(queryId="second")], []),
    "stop_queries": ([error(400, "ValidationException"), ok(status="SUCCEEDED")], []),
    "store_sweep": ([ok(**event("replies/get_query_results"))], [http(412), http(200)]),
    "raise_alarm": ([], [http(200, PUBLISHED)]),
    "start_execution": ([], [ok(executionArn="arn", startDate=0)]),
    "plan_backfill": ([], PARTLY_STORED),
    "query_widget": (
        [],
        [ok(executions=[execution()]), ok(**execution(output=json.dumps(output()))), stored()],
    ),
}


@pytest.fixture
def made(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    calls: set[str] = set()

    def record(model: Any, **_: Any) -> None:
        service = model.service_model.service_name
        operation = f"{PREFIX.get(service, service)}:{model.name}"
        calls.add(ACTION_OF.get(operation, operation))

    session = boto3.Session()
    session.events.register("before-call", record)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
    return calls


FAMILIES: list[dict[str, str]] = [{"family": family.value} for family in Family]
RANKED = ok(topContributors=[{"value": 1}])


def statements(role: str) -> list[dict[str, Any]]:
    policies = RESOURCES[role]["Properties"]["Policies"]
    return [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def of_family(given: dict[str, Any], family: dict[str, str]) -> dict[str, Any]:
    return {**given, "sweep": {**given["sweep"], **family}} if "sweep" in given else {**given, **family}


def role_of(function: str) -> str:
    return "".join(part.title() for part in function.split("_")) + "Role"


@pytest.mark.parametrize("function", WAYS)
def test_a_function_may_do_exactly_what_its_handler_does(server: ScriptedServer, made: set[str], function: str) -> None:
    replies, other_replies = [list(replies) or [http(200)] for replies in WAYS[function]]
    for family in FAMILIES if "networkflowmonitor:" in str(statements(role_of(function))) else [{}]:
        gets = function in ("get_query_results", "store_sweep")
        server.replies = [RANKED] if gets and family != FAMILIES[0] else list(replies)
        server.other_replies = list(other_replies)
        try:
            call(function, of_family(event(function), family))
        except errors.MalformedReply:
            assert function == "get_query_results"  # the object that was there already was not one of ours

    allowed = {action for statement in statements(role_of(function)) for action in listed(statement["Action"])}
    assert made == allowed - NOT_BY_THE_HANDLER


@pytest.mark.parametrize("role", [name for name, resource in RESOURCES.items() if resource["Type"] == "AWS::IAM::Role"])
def test_no_star_where_the_api_takes_a_resource(role: str) -> None:
    for statement in statements(role):
        assert statement["Effect"] == "Allow"
        for action in listed(statement["Action"]):
            assert "*" not in action
            if "*" in listed(statement["Resource"]):
                assert action.split(":")[0] in TAKES_NO_RESOURCE
                assert action not in ("logs:CreateLogStream", "logs:PutLogEvents")
            if action.startswith("networkflowmonitor:"):
                assert listed(statement["Resource"]) == [SCOPE_ARN]
    assert "ManagedPolicyArns" not in RESOURCES[role]["Properties"]


def test_the_widget_reads_its_own_state_machine_and_bucket_alone() -> None:
    allowed = {statement["Action"]: statement["Resource"] for statement in statements("QueryWidgetRole")[2:]}

    executions = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:execution:${RunQuery.Name}:*"
    assert allowed == {
        "states:ListExecutions": {"Ref": "RunQuery"},
        "states:DescribeExecution": {"Fn::Sub": executions},
        "s3:GetObject": {"Fn::Sub": "${ResultsBucket.Arn}/results/*"},
    }


def test_a_backfill_starts_sweeps_and_the_children_of_its_map_and_stops_no_sweep() -> None:
    def resources(action: str) -> str:
        allowed = [s for s in statements("BackfillRole") if action in listed(s["Action"])]
        return str([listed(statement["Resource"]) for statement in allowed])

    assert RESOURCES["Backfill"]["Properties"]["Name"] == {"Fn::Sub": "${AWS::StackName}-Backfill"}
    assert "{'Ref': 'SweepScope'}" in resources("states:StartExecution")
    assert "stateMachine:${AWS::StackName}-Backfill'" in resources("states:StartExecution")
    assert "${SweepScope.Name}" in resources("states:DescribeExecution")
    assert "${SweepScope.Name}" not in resources("states:StopExecution")
    assert resources("s3:PutObject") == "[[{'Fn::Sub': '${ResultsBucket.Arn}/backfills/*'}]]"


def test_the_alarm_topic_has_a_key_that_cloudwatch_and_eventbridge_can_use() -> None:
    topic, key = RESOURCES["AlarmTopic"]["Properties"], RESOURCES["AlarmTopicKey"]["Properties"]

    assert topic["KmsMasterKeyId"]["Fn::If"][1] == {"Fn::GetAtt": ["AlarmTopicKey", "Arn"]}
    services = next(s for s in key["KeyPolicy"]["Statement"] if "Service" in s["Principal"])
    assert set(services["Principal"]["Service"]) == {"cloudwatch.amazonaws.com", "events.amazonaws.com"}
    assert set(services["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey*"}
    assert "Condition" not in services


def test_the_topics_policy_lets_the_same_services_publish() -> None:
    [statement] = RESOURCES["AlarmTopicPolicy"]["Properties"]["PolicyDocument"]["Statement"]

    assert set(statement["Principal"]["Service"]) == {"cloudwatch.amazonaws.com", "events.amazonaws.com"}
    assert statement["Action"] == "sns:Publish"


def test_results_are_never_public_nor_sent_in_the_clear() -> None:
    bucket = RESOURCES["ResultsBucket"]["Properties"]
    [statement] = RESOURCES["ResultsBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]

    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["BucketEncryption"]
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_functions_share_one_code_and_one_layer() -> None:
    functions = [r for r in RESOURCES.values() if r["Type"] == "AWS::Serverless::Function"]

    assert len(functions) == len(WAYS)
    for function in functions:
        assert not {"CodeUri", "Layers", "Runtime", "Architectures"} & function["Properties"].keys()
