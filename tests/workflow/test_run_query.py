"""RunQuery: every arrow of the picture, to the right end, with the right alarm, the query stopped where due."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from localaws.demo.scenarios import SCENARIOS
from localaws.scripted_network_flow_monitor import RankingScript, Script
from tests.loopback import LAMBDA_FAULTS, QUERY_ID, ROOT, SCOPE_ID, event

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.loopback import Stack

START = "ReceiveInput ChooseQuery StartQuery ApplyDefaults"
ADOPT = "ReceiveInput ChooseQuery ApplyDefaults"
LOOK = "GetQueryStatus ChooseByStatus"
STORED = "GetQueryResults ChooseFinding QuerySucceeded"
ALARM = "RaiseAlarm ChooseFailure"
ENDLESS = Script(("RUNNING",))
EVENTS_A_ROUND = 10


FOUND = f"{START} {LOOK} GetQueryResults ChooseFinding RankContributors StartQuery"
FINDING = {**event("run_query"), "alarmAbove": 1}


@dataclass(frozen=True)
class Case:
    """What is given, and what is expected: the states in order, the error, and whether the query was stopped."""

    path: str
    error: str | None = None
    stopped: bool = False
    alarm: str | None = None
    stored: int = 1
    script: Script = field(default_factory=Script)
    event: Mapping[str, Any] = field(default_factory=lambda: event("run_query"))
    retries: int = 0


def with_script(name: str) -> Script:
    return SCENARIOS[name].script


CASES = {
    "a query that succeeds": Case(f"{START} {LOOK} {STORED}"),
    "a query that is handed in running": Case(f"{ADOPT} {LOOK} {STORED}", event=event("run_query_running")),
    "waits between looks": Case(
        f"{START} {LOOK} WaitBeforeNextCheck {LOOK} WaitBeforeNextCheck {LOOK} {STORED}",
        script=Script(("QUEUED", "RUNNING", "SUCCEEDED")),
        event={**event("run_query"), "holdSeconds": 0},
    ),
    "a slow query": Case(f"{START} {LOOK} {STORED}", script=with_script("slow")),
    "throttled": Case(f"{START} {LOOK} {STORED}", script=with_script("throttled"), retries=1),
    "no data": Case(f"{START} {LOOK} {STORED}", script=with_script("empty")),
    "failed": Case(f"{START} {LOOK} ReportFailed {ALARM} QueryFailed", "QueryFailed", script=with_script("failed")),
    "canceled": Case(
        f"{START} {LOOK} ReportCanceled {ALARM} QueryCanceled", "QueryCanceled", script=with_script("canceled")
    ),
    "out of time": Case(
        f"{START} {LOOK} WaitBeforeNextCheck {LOOK} ReportTimedOut StopQuery {ALARM} QueryTimedOut",
        "QueryTimedOut",
        stopped=True,
        script=with_script("never-ends"),
        event={**event("run_query"), "holdSeconds": 4, "timeoutSeconds": 6},
    ),
    "an unknown status": Case(
        f"{START} {LOOK} ReportUnknownStatus StopQuery {ALARM} UnknownStatus",
        "UnknownStatus",
        stopped=True,
        script=with_script("unknown-status"),
    ),
    "a start that is refused": Case(
        f"ReceiveInput ChooseQuery StartQuery {ALARM} StepFailed",
        "AccessDenied",
        script=Script(start_faults=("AccessDeniedException",)),
    ),
    "a start whose outcome stays unclear": Case(
        f"ReceiveInput ChooseQuery StartQuery {ALARM} StepFailed",
        "TransientFault",
        script=Script(start_faults=("InternalServerException",) * 9),
        retries=2,
    ),
    "a status that is refused": Case(
        f"{START} GetQueryStatus StopQuery {ALARM} StepFailed",
        "AccessDenied",
        stopped=True,
        script=Script(("AccessDeniedException",)),
    ),
    "throttled for ever": Case(
        f"{START} GetQueryStatus StopQuery {ALARM} StepFailed",
        "Throttled",
        stopped=True,
        script=Script(("ThrottlingException",)),
        retries=6,
    ),
    "a knob that cannot be used": Case(
        f"{ADOPT} GetQueryStatus {ALARM} StepFailed",
        "InvalidInput",
        event={**event("run_query_running"), "timeoutSeconds": "soon"},
    ),
    "results that are gone": Case(
        f"{START} {LOOK} GetQueryResults {ALARM} StepFailed",
        "ResultsExpired",
        script=Script(result_faults=("ResourceNotFoundException",)),
    ),
    "a ranking that is asked for": Case(
        f"{START} {LOOK} {STORED}",
        event={**event("run_query"), "family": "WorkloadInsightsTopContributors", "limit": 2},
    ),
    "a peak that is no finding": Case(
        f"{START} {LOOK} {STORED}",
        event={**event("run_query"), "alarmAbove": 1_000_000},
    ),
    "a finding": Case(
        f"{FOUND} ApplyDefaults {LOOK} GetQueryResults ChooseFinding {ALARM} FindingReported",
        event=FINDING,
        alarm="finding:",
        stored=2,
    ),
    "a finding whose ranking does not start": Case(
        f"{FOUND} {ALARM} FindingReported",
        event=FINDING,
        alarm="finding:",
        script=Script(ranking=RankingScript(start_faults=("AccessDeniedException",))),
    ),
    "a finding whose ranking fails": Case(
        f"{FOUND} ApplyDefaults {LOOK} ReportFailed {ALARM} FindingReported",
        event=FINDING,
        alarm="finding:",
        script=Script(ranking=RankingScript(("FAILED",))),
    ),
    "a finding whose ranking does not end": Case(
        f"{FOUND} ApplyDefaults {LOOK} WaitBeforeNextCheck {LOOK} ReportTimedOut StopQuery {ALARM} FindingReported",
        event={**FINDING, "holdSeconds": 4, "timeoutSeconds": 6},
        alarm="finding:",
        stopped=True,
        script=Script(("SUCCEEDED",), ranking=RankingScript(("RUNNING",))),
    ),
    "a finding whose ranking cannot be fetched": Case(
        f"{FOUND} ApplyDefaults {LOOK} GetQueryResults {ALARM} FindingReported",
        event=FINDING,
        alarm="finding:",
        script=Script(ranking=RankingScript(result_faults=("ResourceNotFoundException",))),
    ),
    "a stop that fails": Case(
        f"{START} {LOOK} ReportUnknownStatus StopQuery {ALARM} UnknownStatus",
        "UnknownStatus",
        script=Script(("PAUSED",), stop_faults=("AccessDeniedException",)),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_run_takes_its_path_to_its_end(stack: Stack, name: str) -> None:
    case = CASES[name]

    run = stack.run(case.event, case.script)

    assert run.path == case.path.split()
    assert run.retries == case.retries
    assert (run.status, run.error) == ("FAILED" if case.error else "SUCCEEDED", case.error)
    alarm = case.alarm or case.error
    assert [sent["Subject"].split()[1] for sent in run.alarms] == ([alarm] if alarm else [])
    stops = [call.outcome for call in run.calls if call.operation.startswith("StopQuery")]
    assert ("OK" in stops) == case.stopped
    assert len(stack.stored()) == (0 if case.error else case.stored)


UNTOLD = {("ChooseFailure", "ReportUntold"), ("ReportUntold", "StepFailed")}  # of the test of a finding that is untold


def test_no_state_and_no_arrow_is_left_without_a_case() -> None:
    definition = yaml.safe_load((ROOT / "statemachines/run_query.asl.yaml").read_text("utf-8"))
    walked = set()
    for case in CASES.values():
        path = case.path.split()
        walked |= set(itertools.pairwise(path))
    walked |= UNTOLD

    assert {state for arrow in walked for state in arrow} == set(definition["States"])
    assert walked == arrows(definition["States"])


def arrows(states: Mapping[str, Any]) -> set[tuple[str, str]]:
    found = set()
    for name, state in states.items():
        ways = [state, *state.get("Choices", []), *state.get("Catch", [])]
        found |= {(name, way["Next"]) for way in ways if "Next" in way}
        found |= {(name, state["Default"])} if "Default" in state else set()
    return found


TOLD_COST = [name for name, case in CASES.items() if not case.error and "whose ranking" not in name]


@pytest.mark.parametrize("name", TOLD_COST)
def test_the_run_tells_what_it_cost(stack: Stack, name: str) -> None:
    case = CASES[name]

    run = stack.run(case.event, case.script)

    cost, invocations = run.output["cost"], stack.aws.lambda_backend.invocations
    assert cost["transitions"] == len(run.path) + run.retries
    assert cost["requests"] == len(invocations)
    measured = sum(call.duration_ms / 1000 * call.function.memory_mb / 1024 for call in invocations if not call.error)
    assert cost["gbSeconds"] == pytest.approx(measured, abs=0.01)
    assert cost["dollars"] == pytest.approx(
        cost["transitions"] * 25e-6 + cost["requests"] * 2e-7 + cost["gbSeconds"] * 1.33334e-5, abs=1e-7
    )
    # A retried look is a check that no answer counted.
    statuses = (*case.script.statuses, *case.script.ranking.statuses)
    looks = ("GetQueryStatus", "GetQueryStatusRanking")
    seen = [call for call in run.calls if call.operation in looks and call.outcome in statuses]
    assert run.output["cost"]["checks"] <= len(seen)
    assert run.output["cost"]["checks"] >= len([call for call in seen if not call.outcome.endswith("Exception")])


def test_the_first_look_is_at_once(stack: Stack) -> None:
    run = stack.run(event("run_query"), Script(("SUCCEEDED",)))

    assert run.status == "SUCCEEDED"
    assert stack.clock.sleeps == []


def test_a_wait_is_as_long_as_the_status_step_says(stack: Stack) -> None:
    run = stack.run({**event("run_query"), "holdSeconds": 0}, Script(("RUNNING", "SUCCEEDED")))

    advised = [
        json.loads(entry["stateEnteredEventDetails"]["input"])["check"]["poll"]["waitSeconds"]
        for entry in run.history
        if entry.get("stateEnteredEventDetails", {}).get("name") == "WaitBeforeNextCheck"
    ]
    assert stack.clock.sleeps == advised
    assert advised[0] >= 1


def test_an_hour_of_polling_ends_with_its_budget_and_a_small_history(stack: Stack) -> None:
    began = stack.clock.monotonic()

    run = stack.run({**event("run_query"), "holdSeconds": 0, "timeoutSeconds": 3600}, ENDLESS)

    assert run.error == "QueryTimedOut"
    assert 3590 <= stack.clock.monotonic() - began <= 3620
    # A day is the longest budget, and 25,000 events the most that an execution may have; see also the unit tests.
    assert len(run.history) / run.path.count("GetQueryStatus") <= EVENTS_A_ROUND


def test_results_are_stored_whole_and_described(stack: Stack) -> None:
    run = stack.run(event("run_query"), Script(series=5))

    results = run.output["results"]
    assert (results["series"], results["rows"], results["unit"]) == (5, 60, "Count")
    assert stack.stored() == [results["key"]]
    described = stack.aws.client("s3").head_object(Bucket=results["bucket"], Key=results["key"])
    assert described["Metadata"]["queryid"] == run.output["queryId"]
    assert described["Metadata"]["sha256"] == results["sha256"]


def test_no_data_is_green_and_says_so(stack: Stack) -> None:
    run = stack.run(event("run_query"), with_script("empty"))

    assert run.output["results"]["empty"] is True
    assert run.output["results"]["rows"] == 0
    assert run.output["results"]["peak"] is None


def test_the_same_window_twice_is_one_object(stack: Stack) -> None:
    first, second = (stack.run(event("run_query")) for _ in range(2))

    assert first.output["results"] == second.output["results"]
    assert len(stack.stored()) == 1


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({}, "scopeId"),
        ([], "the event"),
        ("scope", "the event"),
        ({"scopeid": SCOPE_ID, "queryid": QUERY_ID}, "scopeId"),
        ({"scopeId": SCOPE_ID, "queryId": "../../x"}, "queryId"),
        ({"scopeId": "..", "queryId": QUERY_ID}, "scopeId"),
        ({"scopeId": SCOPE_ID, "queryId": None}, "queryId"),
        ({"Payload": {"scopeId": SCOPE_ID, "queryId": QUERY_ID}}, "Payload"),
        ({**event("run_query"), "destinationCategory": "AWS_SERVICES"}, "destinationCategory"),
        ({**event("run_query"), "timeoutSeconds": -1}, "timeoutSeconds"),
        ({**event("run_query"), "scopeId": "s" * 90_000}, "scopeId"),
    ],
)
def test_bad_input_ends_red_with_the_fields_name_and_an_alarm_and_sends_nothing(
    stack: Stack, bad: object, field: str
) -> None:
    run = stack.run(bad)

    assert run.error == "InvalidInput"
    assert field in str(run.cause)
    assert [alarm["Subject"].split()[1] for alarm in run.alarms] == ["InvalidInput"]
    assert field in run.alarms[0]["Message"]
    assert run.calls == []


FUNCTIONS = ["StartQueryFunction", "GetQueryStatusFunction", "GetQueryResultsFunction"]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("faults", [LAMBDA_FAULTS[:2], LAMBDA_FAULTS[2:4], LAMBDA_FAULTS[4:6], LAMBDA_FAULTS[6:]])
def test_lambdas_own_faults_are_retried(stack: Stack, function: str, faults: list[str]) -> None:
    stack.runtime.faults = {function: list(faults)}

    run = stack.run(event("run_query"))

    assert (run.status, run.retries) == ("SUCCEEDED", len(faults))
    assert run.output["cost"]["transitions"] == len(run.path) + len(faults)


def test_a_retried_look_is_charged_to_the_budget(stack: Stack) -> None:
    stack.runtime.faults = {"GetQueryStatusFunction": ["Lambda.Unknown"] * 2}

    run = stack.run({**event("run_query"), "timeoutSeconds": 60}, ENDLESS)

    assert run.error == "QueryTimedOut"
    assert "1 checks" in str(run.cause)


def test_an_alarm_that_cannot_be_sent_leaves_the_run_red_under_its_own_name(stack: Stack) -> None:
    environment = stack.environment("RaiseAlarmFunction")
    gone = {**environment, "ALARM_TOPIC_ARN": "arn:aws:sns:us-east-1:123456789012:gone"}
    stack.configure("RaiseAlarmFunction", Environment={"Variables": gone})
    try:
        run = stack.run(event("run_query"), with_script("failed"))
    finally:
        stack.configure("RaiseAlarmFunction", Environment={"Variables": environment})

    assert (run.error, run.alarms) == ("QueryFailed", [])


def test_a_finding_that_cannot_be_told_is_red(stack: Stack) -> None:
    environment = stack.environment("RaiseAlarmFunction")
    gone = {**environment, "ALARM_TOPIC_ARN": "arn:aws:sns:us-east-1:123456789012:gone"}
    stack.configure("RaiseAlarmFunction", Environment={"Variables": gone})
    try:
        run = stack.run(FINDING)
    finally:
        stack.configure("RaiseAlarmFunction", Environment={"Variables": environment})

    assert run.path[-3:] == ["ChooseFailure", "ReportUntold", "StepFailed"]
    assert (run.status, run.error, run.alarms) == ("FAILED", "InvalidRequest", [])


def test_a_finding_tells_who_is_behind_it(stack: Stack) -> None:
    run = stack.run({**FINDING, "limit": 2}, Script(ranking=RankingScript(rows=9)))

    ranked = run.output["ranking"]["results"]
    assert run.output["finding"] is True
    assert ranked["rows"] == 2
    assert ranked["key"] in stack.stored()
    for contributor in ranked["topContributors"]:
        assert contributor["localSubnetId"] in run.alarms[0]["Message"]


def test_the_alarm_says_that_stopping_failed_too(stack: Stack) -> None:
    case = CASES["a stop that fails"]

    run = stack.run(case.event, case.script)

    assert "stopping failed too (AccessDenied)" in run.alarms[0]["Message"]


def test_a_query_that_ends_while_it_is_given_up_is_no_second_failure(stack: Stack) -> None:
    run = stack.run({**event("run_query"), "timeoutSeconds": 1, "holdSeconds": 0}, Script(("RUNNING", "RUNNING")))

    assert run.error == "QueryTimedOut"
    assert run.operations()[-1] == "StopQuery"


def test_a_function_that_runs_out_of_its_time_is_retried_and_then_red(stack: Stack) -> None:
    stack.runtime.faults = {"GetQueryResultsFunction": ["Sandbox.Timedout"] * 7}

    run = stack.run(event("run_query"))

    assert (run.error, run.retries) == ("Sandbox.Timedout", 6)
    assert [alarm["Subject"].split()[1] for alarm in run.alarms] == ["Sandbox.Timedout"]


def test_backoffs_are_bounded_and_jittered(stack: Stack) -> None:
    stack.runtime.faults = {"GetQueryResultsFunction": ["Lambda.Unknown"] * 7}

    stack.run(event("run_query"), Script(("SUCCEEDED",)))

    assert len(stack.clock.sleeps) == 6
    assert max(stack.clock.sleeps) <= 30
    assert len(set(stack.clock.sleeps)) > 1
