"""The contract: schemas, sample events, handlers and state machine say the same."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.model import StringShape, StructureShape
from flowquery.core.inputs import parse_id
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from referencing import Registry, Resource

from flowquery.alarms.query_alarm import ADVICE
from flowquery.core import errors
from flowquery.core.model import Family
from flowquery.results.rows import MEMBERS
from localaws.demo.scenarios import SCENARIOS
from localaws.scripted_network_flow_monitor import RankingScript, Script
from tests.contract.released import check_released
from tests.loopback import QUERY_ID, ROOT, SCOPE_ID, Stack, event, execution, output
from tests.scripted import PARTLY_STORED, Reply, ScriptedServer, call, http, ok, stored

SCHEMAS = {path.stem: json.loads(path.read_text("utf-8")) for path in (ROOT / "schemas").glob("*.json")}
REGISTRY: Registry[Any] = Registry().with_resources(
    [(schema["$id"], Resource.from_contents(schema)) for schema in SCHEMAS.values()]
    + [(f"{name}.json", Resource.from_contents(schema)) for name, schema in SCHEMAS.items()]
)
EVENTS = sorted(path.stem for path in (ROOT / "events").glob("*.json"))
SENT = "<PublishResponse><PublishResult><MessageId>m-1</MessageId></PublishResult></PublishResponse>"
LISTED = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
# Replies of Network Flow Monitor, and of the other service that a function calls.
REPLIES: dict[str, tuple[list[Reply], list[Reply]]] = {
    "start_query": ([ok(queryId=QUERY_ID)], []),
    "get_query_status": ([ok(status="RUNNING")], []),
    "get_query_status_next": ([ok(status="SUCCEEDED")], []),
    "get_query_results": ([ok(**event("replies/get_query_results"))], [http(200)]),
    "stop_query": ([ok()], []),
    "plan_sweep": ([], [http(200, LISTED)]),
    "advance_queries": ([ok(status="SUCCEEDED"), ok(queryId="second")], []),
    "stop_queries": ([ok()], []),
    "store_sweep": ([ok(**event("replies/get_query_results"))], [http(200)]),
    "raise_alarm": ([], [http(200, SENT)]),
    "start_execution": ([], [ok(executionArn="arn", startDate=0)]),
    "plan_backfill": ([], PARTLY_STORED),
    "start_execution_sweep": ([], [ok(executionArn="arn", startDate=0)]),
    "query_widget": (
        [],
        [
            ok(executions=[execution()]),
            ok(**execution(output=json.dumps(output()))),
            stored({"timestamp": "2026-11-24T08:00:00Z", "label": "use1-az1", "value": 7.5}),
        ],
    ),
}
FUNCTIONS = {path.stem for path in (ROOT / "functions").glob("*.py")}
WORKFLOWS = {path.name.partition(".")[0] for path in (ROOT / "statemachines").glob("*.asl.yaml")}
# GetQueryResults answers what the execution does.
OUTPUT_OF = {"get_query_results": "run_query"}


def check(value: Any, schema: str) -> None:
    Draft202012Validator(SCHEMAS[schema], registry=REGISTRY, format_checker=FormatChecker()).validate(value)
    check_released(value, schema)


def function_of(name: str) -> str:
    named = (function for function in sorted(REPLIES, key=len) if name.startswith(f"{function}_"))
    return name if name in FUNCTIONS else next(named)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_one_and_says_its_version(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert name == "common" or "version 1" in SCHEMAS[name]["title"]


@pytest.mark.parametrize("name", EVENTS)
def test_a_sample_event_is_what_its_schema_says(name: str) -> None:
    schema = next((workflow for workflow in WORKFLOWS if name.startswith(workflow)), None) or function_of(name)

    check(event(name), f"{schema}.input")


@pytest.mark.parametrize("name", REPLIES)
def test_a_function_takes_its_sample_event_and_answers_by_its_schema(server: ScriptedServer, name: str) -> None:
    server.replies, server.other_replies = [list(replies) or [http(200)] for replies in REPLIES[name]]

    answer = call(function_of(name), event(name))

    check(answer, f"{OUTPUT_OF.get(function_of(name), function_of(name))}.output")


def test_every_function_and_workflow_has_a_sample_event() -> None:
    assert set(EVENTS) >= FUNCTIONS | WORKFLOWS


@pytest.mark.parametrize("scenario", ["succeeded", "slow", "throttled", "empty"])
@pytest.mark.parametrize("name", ["run_query", "run_query_running"])
def test_run_query_answers_by_its_schema(stack: Stack, name: str, scenario: str) -> None:
    run = stack.run(event(name), SCENARIOS[scenario].script)

    check(run.output, "run_query.output")


@pytest.mark.parametrize("script", [Script(), Script(ranking=RankingScript(("FAILED",)))])
def test_a_run_with_a_finding_answers_by_its_schema(stack: Stack, script: Script) -> None:
    check(stack.run({**event("run_query"), "alarmAbove": 1}, script).output, "run_query.output")


def test_a_run_of_the_ranking_family_answers_by_its_schema(stack: Stack) -> None:
    check(stack.run({**event("run_query"), "family": "WorkloadInsightsTopContributors"}).output, "run_query.output")


PAIRS = [{"metricName": metric, "destinationCategory": "INTER_AZ"} for metric in ("TIMEOUTS", "RETRANSMISSIONS")]
SWEEP = {
    "scopeId": SCOPE_ID,
    "startTime": "2026-11-24T08:00:00Z",
    "endTime": "2026-11-24T08:15:00Z",
    "selections": PAIRS,
}
PARTLY = Script(ends={("TIMEOUTS", "INTER_AZ"): "FAILED"})


@pytest.mark.parametrize("name", ["sweep_scope", "sweep_scope_findings", "sweep_scope_windows"])
def test_a_sweep_answers_by_its_schema(stack: Stack, name: str) -> None:
    run = stack.sweep(event(name))

    assert run.status == "SUCCEEDED"
    check(run.output, "sweep_scope.output")


@pytest.mark.parametrize(
    ("script", "more", "status"),
    [
        (Script(series=0), {}, "SUCCEEDED"),
        (PARTLY, {"allowPartial": True}, "PARTIAL"),
        (Script(ranking=RankingScript(("FAILED",))), {"alarmAbove": {"TIMEOUTS": 1}}, "SUCCEEDED"),
        (Script(), {"family": "WorkloadInsightsTopContributors", "limit": 2}, "SUCCEEDED"),
        (Script(start_faults=("InternalServerException",)), {"allowPartial": True}, "SUCCEEDED"),
    ],
)
def test_a_sweep_answers_by_its_schema_whatever_comes_of_it(
    stack: Stack, script: Script, more: dict[str, Any], status: str
) -> None:
    run = stack.sweep({**SWEEP, **more}, script)

    assert run.output["status"] == status
    check(run.output, "sweep_scope.output")


def test_a_sweep_of_what_is_stored_answers_by_its_schema(stack: Stack) -> None:
    stack.sweep({**SWEEP, "allowPartial": True}, PARTLY)

    for counts in ({"SUCCEEDED": 1, "STORED": 1}, {"STORED": 2}):
        run = stack.sweep(SWEEP)
        assert run.output["counts"] == counts
        check(run.output, "sweep_scope.output")


def test_a_backfill_answers_by_its_schema(stack: Stack) -> None:
    times = {"from": "2026-11-23T00:00:00Z", "to": "2026-11-23T01:00:00Z", "windowMinutes": 30}
    given = {"scopeId": SCOPE_ID, "selections": PAIRS, "allowPartial": True, **times}
    for script, left in ((PARTLY, 2), (Script(series=0), 0), (Script(), 0)):  # partial, empty, stored
        run = stack.run(given, script, "BackfillArn")
        assert run.output["left"] == left
        check(run.output, "backfill.output")


def test_a_schema_refuses_what_is_not_so() -> None:
    good = {"scopeId": "s", "queryId": "q", "status": "RUNNING", "poll": event("get_query_status_next")["poll"]}
    check(good, "get_query_status.output")

    for bad in ({**good, "scopeId": ".."}, {**good, "poll": {}}, {**good, "more": 1}):
        with pytest.raises(ValidationError):
            check(bad, "get_query_status.output")


def test_ids_are_the_same_in_schema_template_and_code() -> None:
    pattern = SCHEMAS["common"]["$defs"]["id"]["pattern"]

    assert f"AllowedPattern: {pattern}\n" in (ROOT / "template.yaml").read_text("utf-8")
    assert parse_id({"scopeId": "a" * 128}, "scopeId")


def test_enums_are_those_of_the_service_model() -> None:
    model = boto3.client("networkflowmonitor").meta.service_model
    request = model.operation_model("StartQueryWorkloadInsightsTopContributorsData").input_shape
    assert request is not None

    families = {
        name.removeprefix("StartQuery")
        for name in model.operation_names
        if name.startswith("StartQuery")
        and "scopeId" in (model.operation_model(name).input_shape or request).required_members
    }
    assert families == set(Family) == set(SCHEMAS["common"]["$defs"]["family"]["enum"])
    row = model.shape_for("WorkloadInsightsTopContributorsRow")
    assert isinstance(row, StructureShape)
    assert set(MEMBERS) == set(row.members)
    for member in ("metricName", "destinationCategory"):
        shape = request.members[member]
        assert isinstance(shape, StringShape)
        assert SCHEMAS["common"]["$defs"][member]["enum"] == list(shape.enum)
        assert all(value in (ROOT / "template.yaml").read_text("utf-8") for value in shape.enum)


def test_every_error_has_a_name_in_the_schema_and_advice_in_the_alarm() -> None:
    raised = {
        name for name, value in vars(errors).items() if isinstance(value, type) and value is not errors.FlowqueryError
    }
    outcomes = {
        "QueryFailed",
        "QueryCanceled",
        "QueryTimedOut",
        "UnknownStatus",
        "QueryStopped",
        "NotStarted",
        "BackfillIncomplete",
    }

    assert set(SCHEMAS["errors"]["enum"]) == raised | outcomes | {"SweepIncomplete"}
    assert set(ADVICE) == raised | outcomes | {"*"}
