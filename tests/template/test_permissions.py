"""Each function may make the calls that its handler makes, and no other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import boto3
import pytest
from samtranslator.yaml_helper import yaml_parse

from flowquery.aws import clock
from flowquery.core.model import Family
from localaws.clock import TurnedClock
from tests.loopback import QUERY_ID, ROOT, SCOPE_ID, event, execution, output
from tests.scripted import PARTLY_STORED, SWEPT, Reply, ScriptedServer, call, error, http, listed, ok, stored

RESOURCES = yaml_parse((ROOT / "template.yaml").read_text("utf-8"))["Resources"]
ROLES = [name for name, resource in RESOURCES.items() if resource["Type"] == "AWS::IAM::Role"]
FUNCTIONS = [name for name, resource in RESOURCES.items() if resource["Type"] == "AWS::Serverless::Function"]
STATE_MACHINES = [name for name, resource in RESOURCES.items() if resource["Type"] == "AWS::Serverless::StateMachine"]
SCOPE_ARN = {"Fn::Sub": "arn:${AWS::Partition}:networkflowmonitor:${AWS::Region}:${AWS::AccountId}:scope/${ScopeId}"}
SERVICE_PREFIXES = {"sfn": "states", "stepfunctions": "states"}
ACTION_OF = {"s3:HeadObject": "s3:GetObject", "s3:ListObjectsV2": "s3:ListBucket"}
# What publishing to an encrypted topic takes, and what Lambda itself does with an event that a function cannot handle.
NOT_BY_THE_HANDLER = {"kms:GenerateDataKey", "kms:Decrypt", "sqs:SendMessage"}
FUNCTION_ACTIONS = {
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
}
TAKES_NO_RESOURCE = {"xray", "logs"}


class Way(NamedTuple):
    """A call of a handler: its event, and what Network Flow Monitor and the other services reply."""

    event: dict[str, Any]
    replies: list[Reply]
    other_replies: list[Reply]


def ways(event: dict[str, Any], replies: list[Reply], ranking_replies: list[Reply], others: list[Reply]) -> list[Way]:
    """Return the same way in both families."""
    return [Way(event, replies, others), Way(of_family(event, Family.RANKING), ranking_replies, others)]


def of_family(event: dict[str, Any], family: Family) -> dict[str, Any]:
    for name in ("sweep", "input"):
        if name in event:
            return {**event, name: {**event[name], "family": family.value}}
    return {**event, "family": family.value}


def as_ranking(key: str) -> str:
    return key.replace("results/", "contributors/").replace(".jsonl.gz", "-top10.jsonl.gz")


SWEPT_WINDOW = f"results/date=2026-11-24/{SCOPE_ID}-sweep-20261124T080000Z-20261124T081500Z-0123abcd.jsonl.gz"
NO_REPLY: list[Reply] = [http(500)]
# An object of the window with another selection, its metadata, and the put of the rest.
HELD = http(200, headers="x-amz-meta-selection: TIMEOUTS:LOCAL_ZONE\r\nx-amz-meta-rows: 3\r\n")
COMPLETED: list[Reply] = [listed(SWEPT_WINDOW), HELD, http(200)]
RESULTS: list[Reply] = [ok(**event("replies/get_query_results"))]
RANKED: list[Reply] = [ok(topContributors=[{"value": 1}])]
SELECTION: Reply = http(200, headers="x-amz-meta-selection: TIMEOUTS:INTER_AZ\r\n")
SUMMARY: Reply = http(
    200, headers="".join(f"x-amz-meta-{name}: 1\r\n" for name in ("unit", "rows", "series", "sha256"))
)
# The object is there already, so its metadata are read, and the first rows of a ranking.
TAKEN: list[Reply] = [http(412), SUMMARY, stored({"rank": 1})]
PUBLISHED: Reply = http(
    200, "<PublishResponse><PublishResult><MessageId>m-1</MessageId></PublishResult></PublishResponse>"
)

# For each function what makes it take all its ways.
WAYS: dict[str, list[Way]] = {
    "StartQuery": ways(event("start_query"), [ok(queryId=QUERY_ID)], [ok(queryId=QUERY_ID)], NO_REPLY),
    "GetQueryStatus": ways(event("get_query_status"), [ok(status="SUCCEEDED")], [ok(status="SUCCEEDED")], NO_REPLY),
    "GetQueryResults": ways(event("get_query_results"), RESULTS, RANKED, TAKEN),
    "StopQuery": ways(
        event("stop_query"),
        [error(400, "ValidationException"), ok(status="FAILED")],
        [error(400, "ValidationException"), ok(status="FAILED")],
        NO_REPLY,
    ),
    "RankContributors": [
        Way(
            event("rank_contributors"),
            [ok(queryId=QUERY_ID), ok(status="SUCCEEDED"), *RANKED],
            [listed(as_ranking(SWEPT_WINDOW).replace("081500Z", "090000Z")), HELD, http(200)],
        ),
        Way(event("rank_contributors"), [ok(queryId=QUERY_ID), ok(status="PAUSED"), ok()], NO_REPLY),
    ],
    "RaiseAlarm": [Way(event("raise_alarm"), NO_REPLY, [PUBLISHED])],
    "PlanSweep": [
        Way(event("plan_sweep"), NO_REPLY, [listed(SWEPT_WINDOW), SELECTION]),
        Way(of_family(event("plan_sweep"), Family.RANKING), NO_REPLY, [listed(as_ranking(SWEPT_WINDOW)), SELECTION]),
    ],
    "AdvanceQueries": ways(
        event("advance_queries"),
        [ok(status="PAUSED"), ok(), ok(queryId="second"), ok(status="SUCCEEDED")],
        [ok(status="PAUSED"), ok(), ok(queryId="second"), ok(status="SUCCEEDED")],
        NO_REPLY,
    ),
    "StopQueries": ways(
        event("stop_queries"),
        [error(400, "ValidationException"), ok(status="SUCCEEDED")],
        [error(400, "ValidationException"), ok(status="SUCCEEDED")],
        NO_REPLY,
    ),
    "StoreSweep": [
        Way(event("store_sweep"), RESULTS, COMPLETED),
        Way(
            of_family(event("store_sweep"), Family.RANKING), RANKED, [listed(as_ranking(SWEPT_WINDOW)), HELD, http(200)]
        ),
    ],
    "StartExecution": [Way(event("start_execution"), NO_REPLY, [ok(executionArn="arn", startDate=0)])],
    "PlanBackfill": [
        Way(event("plan_backfill"), NO_REPLY, PARTLY_STORED),
        Way(
            of_family(event("plan_backfill"), Family.RANKING),
            NO_REPLY,
            [listed(as_ranking(SWEPT)), SELECTION, listed()],
        ),
    ],
    "QueryWidget": [
        Way(
            event("query_widget"),
            NO_REPLY,
            [ok(executions=[execution()]), ok(**execution(output=json.dumps(output()))), stored()],
        )
    ],
}


@pytest.fixture
def made(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the calls of handlers, those of S3 with the first folder of the key or prefix."""
    calls: set[str] = set()

    def record(params: dict[str, Any], model: Any, **_: Any) -> None:
        service = model.service_model.service_name
        operation = f"{SERVICE_PREFIXES.get(service, service)}:{model.name}"
        key = params.get("Key") or params.get("Prefix")
        calls.add(ACTION_OF.get(operation, operation) + (f" {key.split('/')[0]}/*" if key else ""))

    session = boto3.Session()
    session.events.register("before-parameter-build", record)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
    turned = TurnedClock()
    monkeypatch.setattr(clock, "monotonic", turned.monotonic)
    monkeypatch.setattr(clock, "sleep", turned.sleep)
    return calls


def role_of(function: str) -> str:
    role, _ = RESOURCES[f"{function}Function"]["Properties"]["Role"]["Fn::GetAtt"]
    return str(role)


def own_statements(role: str) -> list[dict[str, Any]]:
    """Return the statements of the role alone, those that are kept beside it included."""
    documents = [policy["PolicyDocument"] for policy in RESOURCES[role]["Properties"].get("Policies", [])]
    beside = [resource["Properties"] for resource in RESOURCES.values() if resource["Type"] == "AWS::IAM::Policy"]
    documents += [policy["PolicyDocument"] for policy in beside if {"Ref": role} in policy["Roles"]]
    return [statement for document in documents for statement in document["Statement"]]


def shared_policies(role: str) -> list[str]:
    return [policy["Ref"] for policy in RESOURCES[role]["Properties"].get("ManagedPolicyArns", [])]


def statements(role: str) -> list[dict[str, Any]]:
    documents = [RESOURCES[policy]["Properties"]["PolicyDocument"] for policy in shared_policies(role)]
    return [*own_statements(role), *(statement for document in documents for statement in document["Statement"])]


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def granted(statement: dict[str, Any]) -> Iterator[str]:
    """Yield what a statement allows, actions of S3 with the folder of the bucket."""
    for action in as_list(statement["Action"]):
        if action == "s3:ListBucket":
            yield from (f"{action} {prefix}" for prefix in statement["Condition"]["StringLike"]["s3:prefix"])
        elif action.startswith("s3:"):
            keys = [
                resource["Fn::Sub"].removeprefix("${ResultsBucket.Arn}/") for resource in as_list(statement["Resource"])
            ]
            yield from (f"{action} {key}" for key in keys)
        else:
            yield action


# StoreSweep, which has the same role, lists the objects of a window.
OF_A_SHARED_ROLE = {"GetQueryResults": {"s3:ListBucket results/*", "s3:ListBucket contributors/*"}}


@pytest.mark.parametrize("function", WAYS)
def test_a_function_may_do_exactly_what_its_handler_does(server: ScriptedServer, made: set[str], function: str) -> None:
    handler = RESOURCES[f"{function}Function"]["Properties"]["Handler"].removesuffix(".handler")
    for way in WAYS[function]:
        server.replies, server.other_replies = list(way.replies), list(way.other_replies)
        call(handler, way.event)

    allowed = {one for statement in own_statements(role_of(function)) for one in granted(statement)}
    assert made == allowed - NOT_BY_THE_HANDLER - OF_A_SHARED_ROLE.get(function, set())


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_writes_its_log_and_its_trace(function: str) -> None:
    role, _ = RESOURCES[function]["Properties"]["Role"]["Fn::GetAtt"]
    [policy] = shared_policies(role)
    logs, traces = RESOURCES[policy]["Properties"]["PolicyDocument"]["Statement"]

    assert set(logs["Action"]) | set(traces["Action"]) == FUNCTION_ACTIONS
    assert logs["Resource"] == {"Fn::GetAtt": ["FunctionsLogGroup", "Arn"]}


@pytest.mark.parametrize("machine", STATE_MACHINES)
def test_a_state_machine_may_invoke_the_functions_of_its_definition_and_no_other(machine: str) -> None:
    properties = RESOURCES[machine]["Properties"]
    role, _ = properties["Role"]["Fn::GetAtt"]
    [statement] = [one for one in own_statements(role) if one["Action"] == "lambda:InvokeFunction"]

    called = [arn for name, arn in properties["DefinitionSubstitutions"].items() if name.endswith("FunctionArn")]
    assert statement["Resource"] == called
    assert shared_policies(role) == ["StateMachinePolicy"]


@pytest.mark.parametrize("role", ROLES)
def test_no_star_where_the_api_takes_a_resource(role: str) -> None:
    for statement in statements(role):
        assert statement["Effect"] == "Allow"
        for action in as_list(statement["Action"]):
            assert "*" not in action
            if "*" in as_list(statement["Resource"]):
                assert action.split(":")[0] in TAKES_NO_RESOURCE
                assert action not in ("logs:CreateLogStream", "logs:PutLogEvents")
            if action.startswith("networkflowmonitor:"):
                assert as_list(statement["Resource"]) == [SCOPE_ARN]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_has_no_policy_of_aws(role: str) -> None:
    for policy in shared_policies(role):
        assert RESOURCES[policy]["Type"] == "AWS::IAM::ManagedPolicy"


def test_the_widget_reads_its_own_state_machine_and_bucket_alone() -> None:
    allowed = {statement["Action"]: statement["Resource"] for statement in own_statements("QueryWidgetRole")}

    executions = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:execution:${RunQuery.Name}:*"
    assert allowed == {
        "states:ListExecutions": {"Ref": "RunQuery"},
        "states:DescribeExecution": {"Fn::Sub": executions},
        "s3:GetObject": {"Fn::Sub": "${ResultsBucket.Arn}/results/*"},
    }


def test_a_backfill_starts_sweeps_and_the_children_of_its_map_and_stops_no_sweep() -> None:
    def resources(action: str) -> list[Any]:
        allowed = [one for one in own_statements("BackfillRole") if action in as_list(one["Action"])]
        return [resource for statement in allowed for resource in as_list(statement["Resource"])]

    executions = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:execution:"
    children = [{"Fn::Sub": f"{executions}${{Backfill.Name}}:*"}, {"Fn::Sub": f"{executions}${{Backfill.Name}}/*"}]
    assert resources("states:StartExecution") == [{"Ref": "SweepScope"}, {"Ref": "Backfill"}]
    assert resources("states:DescribeExecution") == [{"Fn::Sub": f"{executions}${{SweepScope.Name}}:*"}, *children]
    assert resources("states:StopExecution") == children
    assert resources("s3:PutObject") == [{"Fn::Sub": "${ResultsBucket.Arn}/backfills/*"}]


def test_the_alarm_topic_has_a_key_that_the_alarms_of_this_account_can_use() -> None:
    topic, key = RESOURCES["AlarmTopic"]["Properties"], RESOURCES["AlarmTopicKey"]["Properties"]
    _, alarms = key["KeyPolicy"]["Statement"]

    assert topic["KmsMasterKeyId"]["Fn::If"][1] == {"Fn::GetAtt": ["AlarmTopicKey", "Arn"]}
    assert alarms["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert set(alarms["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey*"}
    assert alarms["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_the_alarms_of_this_account_can_publish_to_the_topic() -> None:
    [statement] = RESOURCES["AlarmTopicPolicy"]["Properties"]["PolicyDocument"]["Statement"]

    assert statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert statement["Action"] == "sns:Publish"
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_results_are_never_public_nor_sent_in_the_clear() -> None:
    bucket = RESOURCES["ResultsBucket"]["Properties"]
    [statement] = RESOURCES["ResultsBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]

    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["BucketEncryption"]
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_functions_share_one_code_and_one_layer() -> None:
    assert sorted(FUNCTIONS) == sorted(f"{function}Function" for function in WAYS)
    for function in FUNCTIONS:
        assert not {"CodeUri", "Layers", "Runtime", "Architectures"} & RESOURCES[function]["Properties"].keys()
