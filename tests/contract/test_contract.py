"""The contract: schemas, sample events, handlers and state machines say the same."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import boto3
import pytest
from botocore.model import StringShape, StructureShape
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from flowquery.alarms.message import ADVICE
from flowquery.aws.network_flow_monitor import allowed_values
from flowquery.core import errors, limits
from flowquery.core.errors import InvalidInput
from flowquery.core.fields import parse_id
from flowquery.core.model import Family
from flowquery.query.request import QueryDefaults, QueryInput
from flowquery.results.rows import CONTRIBUTOR_MEMBERS
from flowquery.results.spool import TOP_CONTRIBUTORS
from flowquery.sweep.backfill import Backfill
from flowquery.sweep.plan import SweepDefaults, plan_sweep
from flowquery.sweep.schedule import ScheduledExecution
from flowquery.sweep.state import QUERY_CAUSE_LENGTH
from localaws.demo.scenarios import SCENARIOS
from localaws.scripted_network_flow_monitor import RankingScript, Script
from tests.contract.schemas import SCHEMAS, check
from tests.loopback import QUERY_ID, ROOT, SCOPE_ID, SELECTION, Stack, event, execution, output
from tests.scripted import PARTLY_STORED, Reply, ScriptedServer, call, http, ok, stored

EVENTS = sorted(path.stem for path in (ROOT / "events").glob("*.json"))
SENT = "<PublishResponse><PublishResult><MessageId>m-1</MessageId></PublishResult></PublishResponse>"
LISTED = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
RANKED = [
    ok(queryId="ranking"),
    ok(status="SUCCEEDED"),
    ok(topContributors=[{"accountId": "123456789012", "value": 7}]),
]
STARTED: list[Reply] = [ok(executionArn="arn", startDate=0)]
# Replies of Network Flow Monitor, and of the other service that a function calls.
REPLIES: dict[str, tuple[list[Reply], list[Reply]]] = {
    "start_query": ([ok(queryId=QUERY_ID)], []),
    "get_query_status": ([ok(status="RUNNING")], []),
    "get_query_status_next": ([ok(status="SUCCEEDED")], []),
    "get_query_results": ([ok(**event("replies/get_query_results"))], [http(200)]),
    "rank_contributors": ([*RANKED], [http(200)]),
    "rank_contributors_sweep": ([*RANKED], [http(200)]),
    "stop_query": ([ok()], []),
    "plan_sweep": ([], [http(200, LISTED)]),
    "advance_queries": ([ok(status="SUCCEEDED"), ok(queryId="second")], []),
    "stop_queries": ([ok()], []),
    "store_sweep": ([ok(**event("replies/get_query_results"))], [http(200)]),
    "raise_alarm": ([], [http(200, SENT)]),
    "start_execution": ([], STARTED),
    "start_execution_sweep": ([], STARTED),
    "plan_backfill": ([], PARTLY_STORED),
    "plan_backfill_check": ([], PARTLY_STORED),
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


def test_the_sample_of_a_ranking_is_ranked(server: ScriptedServer) -> None:
    """An answer that says why there is no ranking would be one by the schema, too."""
    for name in ("rank_contributors", "rank_contributors_sweep"):
        server.replies, server.other_replies = [list(replies) for replies in REPLIES[name]]

        ranked = call("rank_contributors", event(name))["output"]

        rankings = ranked.get("rankings") or [ranked["ranking"]["results"]]
        assert ranked["rankingFailure"] is None
        assert [len(ranking["topContributors"]) for ranking in rankings] == [1]


def test_every_function_and_workflow_has_a_sample_event() -> None:
    assert set(EVENTS) >= FUNCTIONS | WORKFLOWS
    assert set(REPLIES) >= FUNCTIONS


@pytest.mark.parametrize("scenario", ["succeeded", "slow", "throttled", "empty"])
@pytest.mark.parametrize("name", ["run_query", "run_query_running"])
def test_run_query_answers_by_its_schema(stack: Stack, name: str, scenario: str) -> None:
    run = stack.run(event(name), SCENARIOS[scenario].script)

    check(run.output, "run_query.output")


@pytest.mark.parametrize("script", [Script(), Script(ranking=RankingScript(("FAILED",)))])
def test_an_execution_with_a_finding_answers_by_its_schema(stack: Stack, script: Script) -> None:
    check(stack.run({**event("run_query"), "alarmAbove": 1}, script).output, "run_query.output")


def test_a_query_of_the_ranking_family_answers_by_its_schema(stack: Stack) -> None:
    check(stack.run({**event("run_query"), "family": "WorkloadInsightsTopContributors"}).output, "run_query.output")


SELECTIONS = [{"metricName": metric, "destinationCategory": "INTER_AZ"} for metric in ("TIMEOUTS", "RETRANSMISSIONS")]
SWEEP = {
    "scopeId": SCOPE_ID,
    "startTime": "2026-11-24T08:00:00Z",
    "endTime": "2026-11-24T08:15:00Z",
    "selections": SELECTIONS,
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
def test_a_sweep_answers_by_its_schema_however_its_queries_end(
    stack: Stack, script: Script, more: dict[str, Any], status: str
) -> None:
    run = stack.sweep({**SWEEP, **more}, script)

    assert run.output["status"] == status
    check(run.output, "sweep_scope.output")


def test_a_sweep_of_stored_queries_answers_by_its_schema(stack: Stack) -> None:
    stack.sweep({**SWEEP, "allowPartial": True}, PARTLY)

    for counts in ({"SUCCEEDED": 1, "STORED": 1}, {"STORED": 2}):
        run = stack.sweep(SWEEP)
        assert run.output["counts"] == counts
        check(run.output, "sweep_scope.output")


def test_a_backfill_answers_by_its_schema(stack: Stack) -> None:
    times = {"from": "2026-11-23T00:00:00Z", "to": "2026-11-23T01:00:00Z", "windowMinutes": 30}
    given = {"scopeId": SCOPE_ID, "selections": SELECTIONS, "allowPartial": True, **times}
    for script, left in ((PARTLY, 2), (Script(series=0), 0), (Script(), 0)):  # partial, empty, stored
        run = stack.run(given, script, "BackfillArn")
        assert run.output["left"] == left
        check(run.output, "backfill.output")


def test_a_schema_refuses_other_values() -> None:
    good = {"scopeId": "s", "queryId": "q", "status": "RUNNING", "poll": event("get_query_status_next")["poll"]}
    check(good, "get_query_status.output")

    for bad in ({**good, "scopeId": ".."}, {**good, "poll": {}}, {**good, "undescribed": 1}):
        with pytest.raises(ValidationError):
            check(bad, "get_query_status.output")


@pytest.mark.parametrize("name", sorted(name for name in SCHEMAS if name.endswith(".output")))
def test_an_output_leaves_room_for_the_fields_of_later_versions(name: str) -> None:
    assert not [part for part in parts_of(SCHEMAS[name]) if part.get("additionalProperties") is False]


def parts_of(schema: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(schema, dict):
        yield schema
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from parts_of(part)


# --- Inputs that users write: the schema and the code refuse the same ---

Parse = Callable[[Mapping[str, object]], object]
ALLOWED = allowed_values()
PARSERS: Mapping[str, Parse] = {
    "run_query": lambda fields: QueryInput.parse(fields, allowed_values, QueryDefaults()),
    "sweep_scope": lambda fields: plan_sweep(fields, ALLOWED, SweepDefaults()),
    "backfill": lambda fields: Backfill.parse(fields, ALLOWED, SweepDefaults()),
    "start_execution": lambda fields: ScheduledExecution.parse(fields, allowed_values),
}
Values = Mapping[str, list[Any]]
SELECTING: Values = {
    "metricNames": [["TIMEOUTS"], [], ["TIMEOUTS", "TIMEOUTS"], ["LATENCY"], "TIMEOUTS"],
    "destinationCategories": [["INTER_AZ", "INTERNET"], [], ["AWS_SERVICES"]],
    "selections": [
        SELECTIONS,
        [],
        SELECTIONS * 2,
        [{"metricName": "TIMEOUTS"}],
        [{**SELECTIONS[0], "destination": "INTER_AZ"}],
    ],
}
OPTIONS: Values = {
    **SELECTING,
    "family": [*map(str, Family), "WorkloadInsightsTopContributorsDat"],
    "alarmAbove": [{"TIMEOUTS": 5, "RETRANSMISSIONS": None}, {}, {"LATENCY": 5}, {"TIMEOUTS": "5"}, 5],
    "allowPartial": [True, False, "yes", 1],
    "requestsPerSecond": [0.1, 5, 100, 0.09, 101, "5"],
    "timeoutSeconds": [1, 86_400, 0.9, 86_401, True],
    "rankedPeaks": [0, 20, -1, 21, 2.5],
    "limit": [1, 500, 0, 501, "10"],
}
TIMES: Values = {"startTime": [SELECTION["startTime"]], "endTime": [SELECTION["endTime"]]}
WINDOW = {name: times[0] for name, times in TIMES.items()}
ONE_QUERY: Values = {
    "metricName": ["TIMEOUTS", "LATENCY", 5],
    "destinationCategory": ["INTER_AZ", "AWS_SERVICES"],
    "alarmAbove": [0, 2.5, "5", {"TIMEOUTS": 5}],
    "limit": OPTIONS["limit"],
    "holdSeconds": [0, 840, -1, 841],
    "timeoutSeconds": OPTIONS["timeoutSeconds"],
}
UNKNOWN: Values = {
    "alarmabove": [5],
    "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": ["arn"],
    "metricnames": [["TIMEOUTS"]],
}
ID: Values = {"scopeId": ["scope-1", "..", "", 5]}
SCHEDULE: Values = {
    **ID,
    "scheduledTime": [SELECTION["endTime"]],
    "windowMinutes": [5, 44_640, 4, 44_641, 7.5],
    "delayMinutes": [0, 1_440, -1, 1_441],
    "suffix": ["again", "../x"],
}
# For each input the values that its fields may be given; the first of each is good.
FIELDS: Mapping[str, Values] = {
    "run_query": {**ID, "queryId": ["query-1", "../x"], **ONE_QUERY, **TIMES, "family": OPTIONS["family"]},
    "sweep_scope": {
        **ID,
        **TIMES,
        "windows": [[WINDOW], [], [{"startTime": WINDOW["startTime"]}], [{**WINDOW, "minutes": 60}], WINDOW],
        **OPTIONS,
    },
    "backfill": {
        **ID,
        "from": [WINDOW["startTime"]],
        "to": [WINDOW["endTime"]],
        "windowMinutes": [5, 44_640, 4, 44_641],
        "maxConcurrency": [1, 0, 101],  # with more at once the least rate is higher
        "toleratedFailurePercentage": [0, 100, -1, 101, "10"],
        **OPTIONS,
    },
    "start_execution": {**SCHEDULE, **ONE_QUERY, "workflow": ["RunQuery", "Backfill"]},
    "start_execution of a sweep": {"workflow": ["SweepScope"], **SCHEDULE, **OPTIONS},
}


NEEDED = {
    "run_query": ["scopeId", "metricName", "destinationCategory", "startTime", "endTime"],
    "sweep_scope": ["scopeId", "startTime", "endTime"],
    "backfill": ["scopeId", "from", "to"],
    "start_execution": ["scopeId", "scheduledTime", "metricName", "destinationCategory"],
    "start_execution of a sweep": ["workflow", "scopeId", "scheduledTime"],
}


@st.composite
def inputs(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """Draw an input that is good but for some fields, which are missing, null, unknown or have another value."""
    fields = {**FIELDS[name], **UNKNOWN}
    given = {field: fields[field][0] for field in NEEDED[name]}
    for field in draw(st.lists(st.sampled_from(sorted(fields)), max_size=3, unique=True)):
        if draw(st.booleans()):
            given[field] = draw(st.sampled_from([None, *fields[field]]))
        else:
            given[field] = fields[field][0]
    for field in draw(st.lists(st.sampled_from(NEEDED[name]), max_size=1)):
        given.pop(field)
    return given


@pytest.mark.parametrize("name", FIELDS)
@given(data=st.data())
def test_an_input_is_refused_by_its_schema_and_by_the_code_alike(name: str, data: st.DataObject) -> None:
    given = data.draw(inputs(name))
    workflow = name.partition(" ")[0]

    assert takes(PARSERS[workflow], given) == fits(given, f"{workflow}.input")


@pytest.mark.parametrize("name", FIELDS)
def test_the_examples_of_inputs_are_taken_and_refused(name: str) -> None:
    """What is drawn above would agree if all were refused."""
    workflow = name.partition(" ")[0]
    sample = {"run_query": "run_query", "start_execution of a sweep": "start_execution_sweep"}.get(name, workflow)

    assert takes(PARSERS[workflow], event(sample))
    assert not takes(PARSERS[workflow], {**event(sample), "alarmabove": 1})


def takes(parse: Parse, fields: Mapping[str, object]) -> bool:
    try:
        parse(fields)
    except InvalidInput:
        return False
    return True


def fits(value: object, schema: str) -> bool:
    try:
        check(value, schema)
    except ValidationError:
        return False
    return True


# --- Bounds, names and enums are stated in one place of the code ---

DEFS = SCHEMAS["common"]["$defs"]
BOUNDED = {
    "HOLD_SECONDS": [
        DEFS["holdSeconds"],
        SCHEMAS["run_query.input"]["properties"]["holdSeconds"],
        SCHEMAS["start_execution.input"]["oneOf"][0]["properties"]["holdSeconds"],
    ],
    "TIMEOUT_SECONDS": [DEFS["timeoutSeconds"]],
    "RANKING_LIMIT": [DEFS["limit"]],
    "RANKED_PEAKS": [DEFS["rankedPeaks"]],
    "REQUESTS_PER_SECOND": [DEFS["requestsPerSecond"]],
    "WINDOW_MINUTES": [form["properties"]["windowMinutes"] for form in SCHEMAS["start_execution.input"]["oneOf"]],
    "DELAY_MINUTES": [form["properties"]["delayMinutes"] for form in SCHEMAS["start_execution.input"]["oneOf"]],
    "BACKFILL_WINDOW_MINUTES": [SCHEMAS["backfill.input"]["properties"]["windowMinutes"]],
    "MAX_CONCURRENCY": [SCHEMAS["backfill.input"]["properties"]["maxConcurrency"]],
    "TOLERATED_FAILURE_PERCENTAGE": [SCHEMAS["backfill.input"]["properties"]["toleratedFailurePercentage"]],
}


def test_bounds_and_defaults_are_those_of_the_code() -> None:
    assert set(BOUNDED) == {name for name, value in vars(limits).items() if isinstance(value, limits.Bounds)}
    for name, schemas in BOUNDED.items():
        least, most, default = getattr(limits, name)
        said = [schema[word] for schema in schemas for word in ("minimum", "maximum", "default") if word in schema]
        assert set(said) == {least, most, default}, name
        for schema in schemas:
            assert schema.get("minimum", least) == least
            assert schema.get("maximum", most) == most
            assert schema.get("default", default) == default


def test_lengths_are_those_of_the_code() -> None:
    sweep = SCHEMAS["sweep_scope.input"]["properties"]
    found = SCHEMAS["sweep_scope.output"]["properties"]
    minutes = SCHEMAS["backfill.input"]["properties"]["windowMinutes"]

    assert DEFS["id"]["pattern"].endswith(f"{{0,{limits.ID_LENGTH - 1}}}$")
    assert DEFS["poll"]["properties"]["observed"]["maxProperties"] == limits.POLL_STATUSES
    assert DEFS["poll"]["properties"]["observed"]["propertyNames"]["maxLength"] == limits.STATUS_LENGTH
    assert SCHEMAS["get_query_status.output"]["properties"]["status"]["maxLength"] == limits.STATUS_LENGTH
    assert DEFS["peak"]["properties"]["label"]["maxLength"] == limits.LABEL_LENGTH
    assert sweep["windows"]["oneOf"][0]["maxItems"] == DEFS["selections"]["maxItems"] == limits.SWEEP_QUERIES
    assert f"{limits.BACKFILL_WINDOWS:,} windows" in minutes["description"]
    assert found["rankings"]["maxItems"] == limits.RANKED_PEAKS.most
    assert found["queries"]["items"]["properties"]["cause"]["maxLength"] == QUERY_CAUSE_LENGTH
    assert found["rankings"]["items"]["properties"]["topContributors"]["maxItems"] == TOP_CONTRIBUTORS


def test_defaults_of_the_stack_are_those_of_the_code() -> None:
    given = SweepDefaults.from_environment(os.environ), QueryDefaults.from_environment(os.environ)

    assert given == (SweepDefaults(), QueryDefaults())


def test_ids_are_the_same_in_schema_template_and_code() -> None:
    pattern = DEFS["id"]["pattern"]

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
    assert families == set(Family) == set(DEFS["family"]["enum"])
    row = model.shape_for("WorkloadInsightsTopContributorsRow")
    assert isinstance(row, StructureShape)
    assert set(CONTRIBUTOR_MEMBERS) == set(row.members) == set(DEFS["contributor"]["required"])
    for member in ("metricName", "destinationCategory"):
        shape = request.members[member]
        assert isinstance(shape, StringShape)
        assert DEFS[member]["enum"] == list(shape.enum)
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
        "SweepIncomplete",
    }

    assert set(SCHEMAS["errors"]["enum"]) == raised | outcomes
    assert set(ADVICE) == raised | outcomes | {"*"}
