"""RunQuery: every arrow of the picture, to the right end, with the right alarm, the query stopped where due."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from localaws.demo.scenarios import SCENARIOS
from localaws.lambda_runtimes.deployed_function import InvocationResult
from localaws.scripted_network_flow_monitor import RankingScript, Script
from localaws.seams import task_timeouts
from tests.contract.schemas import check_attempts
from tests.loopback import LAMBDA_FAULTS, QUERY_ID, SCOPE_ID, Run, Stack, event
from tests.workflow.arrows import arrows, named_errors, walked

CHECK = "GetQueryStatus ChooseByStatus"
WAIT = f"{CHECK} WaitBeforeNextCheck"
STORED = "GetQueryResults ChooseFinding QuerySucceeded"
FAILED = "RaiseAlarm QueryNotSucceeded"
FOUND = f"StartQuery {CHECK} GetQueryResults ChooseFinding"
REPORTED = "ReportFinding QuerySucceeded"
ENDLESS = Script(("RUNNING",))
FINDING = {**event("run_query"), "alarmAbove": 1}
EVENTS_A_ROUND = 10
LOST = "Lambda.Unknown"


@dataclass(frozen=True)
class Case:
    """What is given, and what is expected.

    Attributes
    ----------
    path
        The states in order; a Catch left those with a "!".
    alarm
        The second word of the alarm's subject; by default the error.
    stops
        Queries that were stopped.
    objects
        How many are stored.
    faults, expiring
        By function the errors of Lambda that its invocations get; by state how many attempts time out.
    uncounted
        Transitions and requests that come after the output was made, or that the output of a failed Task would tell.
    """

    path: str
    error: str | None = None
    script: Script = field(default_factory=Script)
    event: Mapping[str, Any] = field(default_factory=lambda: event("run_query"))
    alarm: str | None = None
    stops: int = 0
    objects: int = 1
    retries: int = 0
    faults: Mapping[str, list[str]] = field(default_factory=dict)
    expiring: Mapping[str, int] = field(default_factory=dict)
    uncounted: tuple[int, int] = (0, 0)


def with_script(name: str) -> Script:
    return SCENARIOS[name].script


CASES = {
    "a query that succeeds": Case(f"StartQuery {CHECK} {STORED}"),
    "a query that is handed in running": Case(f"StartQuery {CHECK} {STORED}", event=event("run_query_running")),
    "waits between status checks": Case(
        f"StartQuery {WAIT} {WAIT} {CHECK} {STORED}",
        script=Script(("QUEUED", "RUNNING", "SUCCEEDED")),
        event={**event("run_query"), "holdSeconds": 0},
    ),
    "a slow query": Case(f"StartQuery {CHECK} {STORED}", script=with_script("slow")),
    "throttled": Case(f"StartQuery {CHECK} {STORED}", script=with_script("throttled"), retries=1),
    "every step retried": Case(
        f"StartQuery {CHECK} {STORED}",
        faults={"StartQuery": [LOST], "GetQueryStatus": [LOST] * 2, "GetQueryResults": [LOST] * 3},
        retries=6,
    ),
    "no data": Case(f"StartQuery {CHECK} {STORED}", script=with_script("empty")),
    "a ranking that is asked for": Case(
        f"StartQuery {CHECK} {STORED}",
        event={**event("run_query"), "family": "WorkloadInsightsTopContributors", "limit": 2},
    ),
    "a peak that is no finding": Case(
        f"StartQuery {CHECK} {STORED}",
        event={**event("run_query"), "alarmAbove": 1_000_000},
    ),
    "failed": Case(f"StartQuery {CHECK} {FAILED}", "QueryFailed", script=with_script("failed")),
    "canceled": Case(f"StartQuery {CHECK} {FAILED}", "QueryCanceled", script=with_script("canceled")),
    "out of time": Case(
        f"StartQuery {WAIT} {CHECK} StopQuery {FAILED}",
        "QueryTimedOut",
        stops=1,
        script=with_script("never-ends"),
        event={**event("run_query"), "holdSeconds": 4, "timeoutSeconds": 6},
    ),
    "an unknown status": Case(
        f"StartQuery {CHECK} StopQuery {FAILED}",
        "UnknownStatus",
        stops=1,
        script=with_script("unknown-status"),
    ),
    "an input that cannot be used": Case(
        f"StartQuery! {FAILED}",
        "InvalidInput",
        event={**event("run_query_running"), "timeoutSeconds": "soon"},
    ),
    "a start that is refused": Case(
        f"StartQuery! {FAILED}",
        "AccessDenied",
        script=Script(start_faults=("AccessDeniedException",)),
    ),
    "a start whose outcome stays unclear": Case(
        f"StartQuery! {FAILED}",
        "UnclearOutcome",
        script=Script(start_faults=("InternalServerException",) * 9),
        retries=2,
    ),
    "a start that takes too long": Case(
        f"StartQuery! {FAILED}", "States.Timeout", expiring={"StartQuery": 3}, retries=2
    ),
    "a status that is refused": Case(
        f"StartQuery GetQueryStatus! StopQuery {FAILED}",
        "AccessDenied",
        stops=1,
        script=Script(("AccessDeniedException",)),
    ),
    "throttled for ever": Case(
        f"StartQuery GetQueryStatus! StopQuery {FAILED}",
        "Throttled",
        stops=1,
        script=Script(("ThrottlingException",)),
        retries=6,
    ),
    "a status step that takes too long": Case(
        f"StartQuery GetQueryStatus! StopQuery {FAILED}",
        "States.Timeout",
        stops=1,
        expiring={"GetQueryStatus": 7},
        retries=6,
    ),
    "a stop that fails": Case(
        f"StartQuery {CHECK} StopQuery! {FAILED}",
        "UnknownStatus",
        script=Script(("PAUSED",), stop_faults=("AccessDeniedException",) * 21),
        retries=20,
    ),
    "results that are gone": Case(
        f"StartQuery {CHECK} GetQueryResults! {FAILED}",
        "ResultsExpired",
        script=Script(result_faults=("ResourceNotFoundException",)),
    ),
    "a finding": Case(f"{FOUND} RankContributors {REPORTED}", event=FINDING, alarm="finding:", objects=2),
    "a finding whose steps are retried": Case(
        f"{FOUND} RankContributors {REPORTED}",
        event=FINDING,
        alarm="finding:",
        objects=2,
        faults={"GetQueryResults": [LOST], "RankContributors": [LOST] * 2, "RaiseAlarm": [LOST] * 3},
        retries=6,
        uncounted=(3, 3),
    ),
    "a finding whose ranking does not start": Case(
        f"{FOUND} RankContributors {REPORTED}",
        event=FINDING,
        alarm="finding:",
        script=Script(ranking=RankingScript(start_faults=("AccessDeniedException",))),
    ),
    "a finding whose ranking fails": Case(
        f"{FOUND} RankContributors {REPORTED}",
        event=FINDING,
        alarm="finding:",
        script=Script(ranking=RankingScript(("FAILED",))),
    ),
    "a finding whose ranking does not end": Case(
        f"{FOUND} RankContributors {REPORTED}",
        event={**FINDING, "holdSeconds": 4, "timeoutSeconds": 6},
        alarm="finding:",
        stops=1,
        script=Script(("SUCCEEDED",), ranking=RankingScript(("RUNNING",))),
    ),
    "a finding whose ranking cannot be fetched": Case(
        f"{FOUND} RankContributors {REPORTED}",
        event=FINDING,
        alarm="finding:",
        script=Script(ranking=RankingScript(result_faults=("ResourceNotFoundException",))),
    ),
    "a finding whose ranking breaks": Case(
        f"{FOUND} RankContributors! {REPORTED}",
        event=FINDING,
        alarm="finding:",
        faults={"RankContributors": [LOST] * 3},
        retries=2,
        uncounted=(2, 3),
    ),
    "a finding whose ranking takes too long": Case(
        f"{FOUND} RankContributors! {REPORTED}",
        event=FINDING,
        alarm="finding:",
        expiring={"RankContributors": 3},  # which invokes nothing
        retries=2,
        uncounted=(2, 0),
    ),
    "a finding that cannot be reported": Case(
        f"{FOUND} RankContributors ReportFinding! QueryNotSucceeded",
        LOST,
        event=FINDING,
        alarm="",
        objects=2,
        faults={"RaiseAlarm": [LOST] * 21},
        retries=20,
        uncounted=(20, 20),
    ),
    "an alarm that cannot be sent": Case(
        f"StartQuery {CHECK} RaiseAlarm! QueryNotSucceeded",
        "QueryFailed",
        script=with_script("failed"),
        alarm="",
        faults={"RaiseAlarm": [LOST] * 21},
        retries=20,
    ),
}


@dataclass(frozen=True)
class Outcome:
    run: Run
    objects: list[str]
    invocations: list[InvocationResult]


OUTCOMES: dict[str, Outcome] = {}


def outcome_of(stack: Stack, name: str) -> Outcome:
    """Run a case, unless another test has."""
    case = CASES[name]
    if name not in OUTCOMES:
        stack.runtime.faults = {function: list(faults) for function, faults in case.faults.items()}
        task_timeouts.expiring.update(case.expiring)
        run = stack.run(case.event, case.script)
        OUTCOMES[name] = Outcome(run, stack.stored(), list(stack.aws.lambda_backend.invocations))
    return OUTCOMES[name]


@pytest.mark.parametrize("name", CASES)
def test_an_execution_takes_its_path_to_its_end(stack: Stack, name: str) -> None:
    case, outcome = CASES[name], outcome_of(stack, name)

    run = outcome.run
    assert run.steps == case.path.split()
    assert run.retries == case.retries
    assert (run.status, run.error) == ("FAILED" if case.error else "SUCCEEDED", case.error)
    alarm = case.error if case.alarm is None else case.alarm
    assert [sent["Subject"].split()[1] for sent in run.alarms] == ([alarm] if alarm else [])
    stops = [call.outcome for call in run.calls if call.operation.startswith("StopQuery")]
    assert stops.count("OK") == case.stops
    stored = "GetQueryResults ChooseFinding" in case.path
    assert len(outcome.objects) == (case.objects if stored else 0)


def test_no_state_and_no_arrow_is_left_without_a_case() -> None:
    assert walked(case.path for case in CASES.values()) == arrows("run_query")
    assert named_errors("run_query") <= {case.error for case in CASES.values()}


@pytest.mark.parametrize("name", CASES)
def test_functions_get_and_answer_what_their_schemas_say(stack: Stack, name: str) -> None:
    check_attempts(outcome_of(stack, name).run)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "ReportFinding" in case.path])
def test_a_finding_has_a_ranking_or_the_reason_why_not(stack: Stack, name: str) -> None:
    case, run = CASES[name], outcome_of(stack, name).run
    output = output_of(run)

    ranked = case.objects == 2
    assert output["finding"] is True
    assert (output["ranking"] is not None) == ranked
    assert (output["rankingFailure"] is None) == ranked


# Their outputs are handed to ReportFinding where the execution has none.
WITH_OUTPUT = [name for name, case in CASES.items() if f"{CHECK} GetQueryResults ChooseFinding" in case.path]


def output_of(run: Run) -> dict[str, Any]:
    output: dict[str, Any] = run.output or run.attempts[-1].payload["finding"]
    return output


@pytest.mark.parametrize("name", WITH_OUTPUT)
def test_the_output_says_what_the_execution_took(stack: Stack, name: str) -> None:
    case, outcome = CASES[name], outcome_of(stack, name)

    cost, run, invocations = output_of(outcome.run)["cost"], outcome.run, outcome.invocations
    late_transitions, late_requests = case.uncounted
    assert cost["transitions"] == len(run.path) + run.retries - late_transitions
    assert cost["requests"] == len(invocations) - late_requests
    measured = sum(call.duration_ms / 1000 * call.function.memory_mb / 1024 for call in invocations if not call.error)
    assert cost["gbSeconds"] == pytest.approx(measured, abs=0.01)
    assert cost["dollars"] == pytest.approx(
        cost["transitions"] * 25e-6 + cost["requests"] * 2e-7 + cost["gbSeconds"] * 1.33334e-5, abs=1e-7
    )
    # A retried status check is one that no answer counted.
    statuses = (*case.script.statuses, *case.script.ranking.statuses)
    operations = ("GetQueryStatus", "GetQueryStatusRanking")
    made = [call for call in run.calls if call.operation in operations and call.outcome in statuses]
    assert cost["checks"] <= len(made)
    assert cost["checks"] >= len([call for call in made if not call.outcome.endswith("Exception")])


def test_success_takes_six_transitions(stack: Stack) -> None:
    assert outcome_of(stack, "a query that succeeds").run.output["cost"]["transitions"] == 6


def test_the_first_status_check_is_at_once(stack: Stack) -> None:
    run = stack.run(event("run_query"), Script(("SUCCEEDED",)))

    assert run.status == "SUCCEEDED"
    assert stack.clock.sleeps == []


def test_a_wait_is_as_long_as_the_status_step_says(stack: Stack) -> None:
    run = stack.run({**event("run_query"), "holdSeconds": 0}, Script(("RUNNING", "SUCCEEDED")))

    first, last = (answer["poll"]["waitSeconds"] for answer in run.answers("GetQueryStatus"))
    assert stack.clock.sleeps == [first]
    assert (first >= 1, last) == (True, 0)


@pytest.mark.parametrize("seconds", [300, pytest.param(3600, marks=pytest.mark.slow)])
def test_polling_ends_with_its_budget_and_a_small_history(stack: Stack, seconds: int) -> None:
    began = stack.clock.monotonic()

    run = stack.run({**event("run_query"), "holdSeconds": 0, "timeoutSeconds": seconds}, ENDLESS)

    assert run.error == "QueryTimedOut"
    assert seconds - 10 <= stack.clock.monotonic() - began <= seconds + 20
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
    results = outcome_of(stack, "no data").run.output["results"]

    assert results["empty"] is True
    assert results["rows"] == 0
    assert results["peak"] is None


def test_the_same_window_twice_is_one_object(stack: Stack) -> None:
    first, second = (stack.run(event("run_query")) for _ in range(2))

    assert first.output["results"] == second.output["results"]
    assert len(stack.stored()) == 1


def test_a_query_that_is_handed_in_is_not_started(stack: Stack) -> None:
    run = stack.run({**event("run_query"), "queryId": QUERY_ID, "alarmAbove": 1})

    assert "StartQuery" not in run.operations()
    assert (run.output["queryId"], run.output["finding"]) == (QUERY_ID, True)


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({}, "scopeId"),
        ([], "the event"),
        ("scope", "the event"),
        ('half a "pair" \\ \ud83d', "the event"),
        ({"scopeid": SCOPE_ID, "queryid": QUERY_ID}, "scopeId"),
        ({"scopeId": SCOPE_ID, "queryId": "../../x"}, "queryId"),
        ({"scopeId": "..", "queryId": QUERY_ID}, "scopeId"),
        ({"scopeId": SCOPE_ID, "queryId": None}, "metricName"),
        ({"Payload": {"scopeId": SCOPE_ID, "queryId": QUERY_ID}}, "Payload"),
        ({**event("run_query"), "destinationCategory": "AWS_SERVICES"}, "destinationCategory"),
        ({**event("run_query"), "timeoutSeconds": -1}, "timeoutSeconds"),
        ({**event("run_query"), "scopeId": "s" * 90_000}, "scopeId"),
        ({**event("run_query"), "alarmabove": 1}, "alarmAbove"),
        ({**event("run_query_running"), "alarmAbove": 1}, "alarmAbove"),
        ({**event("run_query_running"), "holdSeconds": 841}, "holdSeconds"),
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


FUNCTIONS = ["StartQuery", "GetQueryStatus", "GetQueryResults", "RankContributors"]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("faults", [LAMBDA_FAULTS[:2], LAMBDA_FAULTS[2:4], LAMBDA_FAULTS[4:6], LAMBDA_FAULTS[6:]])
def test_lambdas_own_faults_are_retried(stack: Stack, function: str, faults: list[str]) -> None:
    stack.runtime.faults = {function: list(faults)}

    run = stack.run(FINDING)

    assert (run.status, run.retries) == ("SUCCEEDED", len(faults))
    assert run.output["cost"]["transitions"] == len(run.path) + len(faults)


@pytest.mark.parametrize("function", ["StartQuery", "GetQueryStatus", "RankContributors", "RaiseAlarm"])
def test_an_account_without_free_concurrency_is_outlasted_for_longer(stack: Stack, function: str) -> None:
    stack.runtime.faults = {function: ["Lambda.TooManyRequestsException"] * 20}

    run = stack.run(FINDING)

    assert (run.status, run.retries) == ("SUCCEEDED", 20)


def test_an_error_that_nobody_has_named_is_retried(stack: Stack) -> None:
    stack.runtime.faults = {"GetQueryResults": ["Lambda.NewException", "KeyError", "Runtime.ExitError"]}

    run = stack.run(event("run_query"))

    assert (run.status, run.retries) == ("SUCCEEDED", 3)


def test_a_retried_status_check_is_charged_to_the_budget(stack: Stack) -> None:
    stack.runtime.faults = {"GetQueryStatusFunction": ["Lambda.Unknown"] * 2}

    run = stack.run({**event("run_query"), "timeoutSeconds": 60}, ENDLESS)

    assert run.error == "QueryTimedOut"
    assert "1 status checks" in str(run.cause)


def test_the_cause_says_what_was_observed(stack: Stack) -> None:
    run = outcome_of(stack, "an unknown status").run

    [query] = run.answers("StartQuery")
    assert run.cause is not None
    assert run.cause.startswith(f"Query {query['queryId']} of scope {SCOPE_ID} is PAUSED after ")
    assert run.cause.endswith('observed {"QUEUED":1,"RUNNING":1,"PAUSED":1}')
    assert run.cause in run.alarms[0]["Message"]


def test_an_alarm_that_cannot_be_sent_leaves_the_execution_red_under_its_own_name(stack: Stack) -> None:
    with stack.without_topic():
        run = stack.run(event("run_query"), with_script("failed"))

    assert (run.error, run.alarms) == ("QueryFailed", [])


def test_a_finding_that_cannot_be_reported_is_red(stack: Stack) -> None:
    with stack.without_topic():
        run = stack.run(FINDING)

    assert run.steps[-2:] == ["ReportFinding!", "QueryNotSucceeded"]
    assert (run.status, run.error, run.alarms) == ("FAILED", "InvalidRequest", [])


def test_a_finding_says_who_contributed_most_to_it(stack: Stack) -> None:
    run = stack.run({**FINDING, "limit": 2}, Script(ranking=RankingScript(rows=9)))

    ranked = run.output["ranking"]["results"]
    assert run.output["finding"] is True
    assert ranked["rows"] == 2
    assert ranked["key"] in stack.stored()
    for contributor in ranked["topContributors"]:
        assert contributor["localSubnetId"] in run.alarms[0]["Message"]


@pytest.mark.parametrize(
    ("name", "error", "cause"),
    [
        ("a finding whose ranking breaks", LOST, "said Lambda"),
        ("a finding whose ranking takes too long", "States.Timeout", ""),
        ("a finding whose ranking does not start", "AccessDenied", "AccessDeniedException"),
        ("a finding whose ranking does not end", "QueryTimedOut", "stopped"),
    ],
)
def test_the_alarm_and_the_output_say_why_there_is_no_ranking(stack: Stack, name: str, error: str, cause: str) -> None:
    run = outcome_of(stack, name).run

    failure = run.output["rankingFailure"]
    assert failure["error"] == error
    assert cause in failure["cause"]
    assert f"could not be ranked: {error}: " in run.alarms[0]["Message"]


def test_the_alarm_says_that_stopping_failed_too(stack: Stack) -> None:
    run = outcome_of(stack, "a stop that fails").run

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
