"""SweepScope on the loopback AWS, in turned time: many queries of one scope, each stored or in the alarm."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from localaws.lambda_runtimes.deployed_function import InvocationResult
from localaws.scripted_network_flow_monitor import RankingScript, Script
from tests.contract.schemas import check_attempts
from tests.loopback import LAMBDA_FAULTS, SCOPE_ID, Run, Stack, event
from tests.workflow.arrows import arrows, named_errors, walked

WINDOW = {"startTime": "2026-11-24T08:00:00Z", "endTime": "2026-11-24T08:15:00Z"}
FULL = {"scopeId": SCOPE_ID, **WINDOW}
FEW = {**FULL, "metricNames": ["RETRANSMISSIONS", "TIMEOUTS"], "destinationCategories": ["INTRA_AZ", "INTER_AZ"]}
ONE = {"metricNames": ["TIMEOUTS"], "destinationCategories": ["INTER_AZ"]}
BAD = {("RETRANSMISSIONS", "INTER_AZ"): "FAILED"}
FINDING = {**FEW, "alarmAbove": {"RETRANSMISSIONS": 1}}
ROUND, STORE = "AdvanceQueries ChooseByProgress", "StoreSweep ChooseOutcome"
BEGIN = f"PlanSweep {ROUND} {ROUND} {STORE}"
FAILED = "RaiseAlarm SweepNotSucceeded"
BROKEN = "AdvanceQueries! StopQueries ChooseByProgress"
RANK = "RankContributors ChooseOutcome"
LOST = ["Lambda.Unknown"]


def windows(count: int) -> list[dict[str, str]]:
    hours = [f"2026-11-2{hour // 24}T{hour % 24:02}" for hour in range(count)]
    return [{"startTime": f"{hour}:00:00Z", "endTime": f"{hour}:15:00Z"} for hour in hours]


def started(run: Run) -> int:
    return sum(call.operation == "StartQuery" and call.outcome == "OK" for call in run.calls)


def rows(stack: Stack, key: str) -> list[dict[str, Any]]:
    body = stack.aws.client("s3").get_object(Bucket=stack.outputs["ResultsBucketName"], Key=key)["Body"].read()
    return [json.loads(line) for line in gzip.decompress(body).splitlines()]


def statuses(run: Run) -> dict[tuple[str, str], str]:
    return {(query["metricName"], query["destinationCategory"]): query["status"] for query in run.output["queries"]}


@dataclass(frozen=True)
class Case:
    """What is given, and what is expected.

    Attributes
    ----------
    path
        The states in order; a Catch left those with a "!".
    subject
        How the alarm's subject begins, where there is one.
    objects
        How many are stored.
    faults, timeouts
        By function the errors of Lambda that its invocations get, an empty one for none; its timeout in seconds.
    uncounted
        Transitions and requests that come after the output was made, or that the output of a failed Task would tell.
    any_rounds
        The number and order of rounds and waits is left to the jitter.
    """

    path: str
    error: str | None = None
    script: Script = field(default_factory=Script)
    event: Mapping[str, Any] = field(default_factory=lambda: FEW)
    subject: str = ""
    objects: int = 1
    retries: int = 0
    faults: Mapping[str, list[str]] = field(default_factory=dict)
    timeouts: Mapping[str, int] = field(default_factory=dict)
    uncounted: tuple[int, int] = (0, 0)
    any_rounds: bool = False


CASES = {
    "all succeed": Case(f"{BEGIN} SweepSucceeded"),
    "no data": Case(f"{BEGIN} SweepSucceeded", script=Script(series=0)),
    "every step retried": Case(
        f"{BEGIN} SweepSucceeded",
        faults={"PlanSweep": LOST, "AdvanceQueries": ["", *LOST * 2], "StoreSweep": LOST * 3},
        retries=6,
    ),
    "rounds that take all their time": Case(
        f"PlanSweep {ROUND} {ROUND} {ROUND} {ROUND} {STORE} SweepSucceeded",
        script=Script(seconds=(25,), latency=0.1),
        timeouts={"AdvanceQueries": 70},
    ),
    "waits between rounds": Case(
        f"PlanSweep {ROUND} {ROUND} WaitBeforeNextRound {ROUND} {STORE} SweepSucceeded",
        script=Script(seconds=(20,)),
        timeouts={"AdvanceQueries": 61},  # of which a second is for holding
        any_rounds=True,
    ),
    "a store that takes all its time": Case(
        f"{BEGIN} {STORE} SweepSucceeded",
        script=Script(latency=15),
        event={"scopeId": SCOPE_ID, "windows": windows(4), **ONE},
        objects=4,
        timeouts={"StoreSweep": 100},
    ),
    "some queries fail": Case(
        f"{BEGIN} {FAILED}", "SweepIncomplete", script=Script(ends=BAD), subject="Flowquery: 1 of 4 queries failed"
    ),
    "all queries fail": Case(
        f"{BEGIN} {FAILED}",
        "SweepIncomplete",
        script=Script(("RUNNING", "FAILED")),
        subject="Flowquery: 4 of 4 queries failed",
        objects=0,
    ),
    "failures that are allowed": Case(
        f"{BEGIN} SweepSucceeded", script=Script(ends=BAD), event={**FEW, "allowPartial": True}
    ),
    "an input that cannot be used": Case(
        f"PlanSweep! {FAILED}",
        "InvalidInput",
        event={**FEW, "limit": 0},
        subject="Flowquery: the sweep broke: InvalidInput",
        objects=0,
    ),
    "a plan that breaks": Case(
        f"PlanSweep! {FAILED}",
        "Lambda.Unknown",
        subject="Flowquery: the sweep broke: Lambda.Unknown",
        objects=0,
        faults={"PlanSweep": LOST * 7},
        retries=6,
    ),
    "a first round that breaks": Case(
        f"PlanSweep {BROKEN} {STORE} {FAILED}",
        "SweepIncomplete",
        subject="Flowquery: 4 of 4 queries failed",
        objects=0,
        faults={"AdvanceQueries": LOST * 7},
        retries=6,
    ),
    "a later round that breaks": Case(
        f"PlanSweep {ROUND} {BROKEN} {STORE} {FAILED}",
        "SweepIncomplete",
        script=Script(seconds=(1, 1, 5000, 5000), concurrent_queries=2, latency=0.1),
        subject="Flowquery: 2 of 4 queries failed",
        faults={"AdvanceQueries": ["", *LOST * 7]},
        retries=6,
    ),
    "a round that breaks when all have succeeded": Case(
        f"PlanSweep {ROUND} {BROKEN} {STORE} SweepSucceeded",
        script=Script(seconds=(1,), latency=0.1),
        faults={"AdvanceQueries": ["", *LOST * 7]},
        retries=6,
    ),
    "a stop that takes all its time": Case(
        f"PlanSweep {ROUND} {BROKEN} StopQueries ChooseByProgress {STORE} {FAILED}",
        "SweepIncomplete",
        script=Script(seconds=(5000,), latency=6),
        subject="Flowquery: 4 of 4 queries failed",
        objects=0,
        faults={"AdvanceQueries": ["", *LOST * 7], "StopQueries": LOST},
        timeouts={"StopQueries": 70},
        retries=7,
    ),
    "a stop that breaks": Case(
        f"PlanSweep {ROUND} AdvanceQueries! StopQueries! {FAILED}",
        "Lambda.Unknown",
        script=Script(seconds=(5000,)),
        subject="Flowquery: the sweep broke: Lambda.Unknown",
        objects=0,
        faults={"AdvanceQueries": ["", *LOST * 7], "StopQueries": ["Sandbox.Timedout"] * 21},
        retries=26,
    ),
    "a store that breaks": Case(
        f"PlanSweep {ROUND} {ROUND} StoreSweep! {FAILED}",
        "Lambda.Unknown",
        subject="Flowquery: the sweep broke: Lambda.Unknown",
        objects=0,
        faults={"StoreSweep": LOST * 21},
        retries=20,
    ),
    "findings": Case(
        f"{BEGIN} {RANK} ReportFinding SweepSucceeded",
        event=FINDING,
        subject="Flowquery finding: 2 findings, the highest RETRANSMISSIONS",
        objects=2,
    ),
    "findings whose steps are retried": Case(
        f"{BEGIN} {RANK} ReportFinding SweepSucceeded",
        event=FINDING,
        subject="Flowquery finding: 2 findings",
        objects=2,
        faults={"RankContributors": LOST * 2, "RaiseAlarm": LOST * 3},
        retries=5,
        uncounted=(3, 3),
    ),
    "findings of which none is ranked": Case(
        f"{BEGIN} {RANK} ReportFinding SweepSucceeded",
        event={**FINDING, "rankedPeaks": 0},
        subject="Flowquery finding: 2 findings",
    ),
    "findings whose rankings fail": Case(
        f"{BEGIN} {RANK} ReportFinding SweepSucceeded",
        script=Script(ranking=RankingScript(("FAILED",))),
        event=FINDING,
        subject="Flowquery finding: 2 findings",
    ),
    "findings whose rankings cannot be fetched": Case(
        f"{BEGIN} {RANK} ReportFinding SweepSucceeded",
        script=Script(ranking=RankingScript(result_faults=("InternalServerException",) * 99)),
        event=FINDING,
        subject="Flowquery finding: 2 findings",
    ),
    "findings whose ranking breaks": Case(
        f"{BEGIN} RankContributors! ChooseOutcome ReportFinding SweepSucceeded",
        event=FINDING,
        subject="Flowquery finding: 2 findings",
        faults={"RankContributors": LOST * 3},
        retries=2,
        uncounted=(2, 3),
    ),
    "findings that cannot be reported": Case(
        f"{BEGIN} {RANK} ReportFinding! SweepNotSucceeded",
        "Lambda.Unknown",
        event=FINDING,
        objects=2,
        faults={"RaiseAlarm": LOST * 21},
        retries=20,
        uncounted=(20, 20),
    ),
    "findings and failures": Case(
        f"{BEGIN} {RANK} {FAILED}",
        "SweepIncomplete",
        script=Script(ends=BAD),
        event={**FEW, "alarmAbove": {"TIMEOUTS": 1}},
        subject="Flowquery: 1 of 4 queries failed; 2 findings",
        objects=2,
    ),
    "findings and failures that are allowed": Case(
        f"{BEGIN} {RANK} ReportFinding SweepSucceeded",
        script=Script(ends=BAD),
        event={**FEW, "alarmAbove": {"TIMEOUTS": 1}, "allowPartial": True},
        subject="Flowquery finding: 1 of 4 queries failed; 2 findings",
        objects=2,
    ),
    "findings and failures whose ranking breaks": Case(
        f"{BEGIN} RankContributors! ChooseOutcome {FAILED}",
        "SweepIncomplete",
        script=Script(ends=BAD),
        event={**FEW, "alarmAbove": {"TIMEOUTS": 1}},
        subject="Flowquery: 1 of 4 queries failed; 2 findings",
        faults={"RankContributors": LOST * 3, "RaiseAlarm": LOST},
        retries=3,
        uncounted=(3, 4),
    ),
    "an alarm that cannot be sent": Case(
        f"{BEGIN} RaiseAlarm! SweepNotSucceeded",
        "SweepIncomplete",
        script=Script(ends=BAD),
        faults={"RaiseAlarm": LOST * 21},
        retries=20,
        uncounted=(20, 20),
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
        with ExitStack() as configured:
            for function, seconds in case.timeouts.items():
                configured.enter_context(stack.with_timeout(function, seconds))
            run = stack.sweep(case.event, case.script)
        OUTCOMES[name] = Outcome(run, stack.stored(), list(stack.aws.lambda_backend.invocations))
    return OUTCOMES[name]


@pytest.mark.parametrize("name", CASES)
def test_an_execution_takes_its_path_to_its_end(stack: Stack, name: str) -> None:
    case, outcome = CASES[name], outcome_of(stack, name)

    run = outcome.run
    if case.any_rounds:
        assert walked([" ".join(run.steps)]) == walked([case.path])
    else:
        assert run.steps == case.path.split()
    assert run.retries == case.retries
    assert (run.status, run.error) == ("FAILED" if case.error else "SUCCEEDED", case.error)
    assert len(run.alarms) == bool(case.subject)
    assert all(alarm["Subject"].startswith(case.subject) for alarm in run.alarms)
    assert len(outcome.objects) == case.objects


def test_no_state_and_no_arrow_is_left_without_a_case() -> None:
    assert walked(case.path for case in CASES.values()) == arrows("sweep_scope")
    assert named_errors("sweep_scope") <= {case.error for case in CASES.values()}


@pytest.mark.parametrize("name", CASES)
def test_functions_get_and_answer_what_their_schemas_say(stack: Stack, name: str) -> None:
    check_attempts(outcome_of(stack, name).run)


# The output of a sweep that does not succeed is handed to RaiseAlarm or ReportFinding.
WITH_OUTPUT = [name for name, case in CASES.items() if f"{STORE}" in case.path]


def output_of(run: Run) -> dict[str, Any]:
    payload = run.attempts[-1].payload
    output: dict[str, Any] = run.output or payload.get("output") or payload["finding"]
    return output


@pytest.mark.parametrize("name", WITH_OUTPUT)
def test_the_output_says_what_the_execution_took(stack: Stack, name: str) -> None:
    case, outcome = CASES[name], outcome_of(stack, name)

    cost, run = output_of(outcome.run)["cost"], outcome.run
    late_transitions, late_requests = case.uncounted
    assert cost["transitions"] == len(run.path) + run.retries - late_transitions
    assert cost["requests"] == len(outcome.invocations) - late_requests
    assert cost["dollars"] == pytest.approx(
        cost["transitions"] * 25e-6 + cost["requests"] * 2e-7 + cost["gbSeconds"] * 1.33334e-5, abs=1e-7
    )
    assert cost["checks"] == sum(call.operation.startswith("GetQueryStatus") for call in run.calls)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "Report" in case.path or RANK in case.path])
def test_findings_have_rankings_or_the_reason_why_not(stack: Stack, name: str) -> None:
    output = output_of(outcome_of(stack, name).run)

    reasons = [ranking["cause"] for ranking in output["rankings"] if "cause" in ranking]
    is_ranked = bool(output["rankings"]) and not reasons
    assert output["finding"] is True
    assert is_ranked == (CASES[name].objects == 2)
    if not is_ranked and name != "findings of which none is ranked":
        assert reasons or output["rankingFailure"]["cause"]


def test_two_rounds_take_eight_transitions(stack: Stack) -> None:
    assert outcome_of(stack, "all succeed").run.output["cost"]["transitions"] == 8


def test_all_metrics_and_categories_of_a_window_are_one_loop_and_one_object(stack: Stack) -> None:
    run = stack.sweep(FULL)

    assert run.path == f"{BEGIN} SweepSucceeded".split()
    assert run.output["counts"] == {"SUCCEEDED": 33}
    assert run.output["cost"]["requests"] == 4
    assert not run.alarms
    [key] = stack.stored()
    [place] = run.output["windows"][0]["objects"]
    assert (place["key"], place["rows"]) == (key, 33 * 9)
    stored = rows(stack, key)
    assert len(stored) == len({json.dumps(row) for row in stored}) == 33 * 9
    counts = Counter((row["metricName"], row["destinationCategory"]) for row in stored)
    assert set(counts.values()) == {9}
    assert set(counts) == set(statuses(run))
    for query in run.output["queries"]:
        values = [
            row["value"]
            for row in stored
            if row["metricName"] == query["metricName"] and row["destinationCategory"] == query["destinationCategory"]
        ]
        assert query["peak"]["value"] == max(values)


def test_any_subset_and_several_windows_are_an_object_each(stack: Stack) -> None:
    chosen = [
        {"metricName": "TIMEOUTS", "destinationCategory": "INTERNET"},
        {"metricName": "RETRANSMISSIONS", "destinationCategory": "INTER_AZ"},
    ]
    run = stack.sweep({"scopeId": SCOPE_ID, "windows": windows(3), "selections": chosen})

    assert run.output["counts"] == {"SUCCEEDED": 6}
    assert [len(window["objects"]) for window in run.output["windows"]] == [1, 1, 1]
    assert len(stack.stored()) == 3
    assert {query["window"] for query in run.output["queries"]} == {0, 1, 2}


def test_a_wholly_empty_scope_is_green_and_says_so(stack: Stack) -> None:
    run = stack.sweep(FEW, Script(series=0))

    assert (run.status, run.output["empty"], len(stack.stored())) == ("SUCCEEDED", True, 1)
    assert stack.sweep(FEW).output["counts"] == {"STORED": 4}  # and is not queried again


# --- Partial failure ---


def test_some_that_fail_are_one_alarm_and_a_red_execution_with_results(stack: Stack) -> None:
    ends = {**BAD, ("TIMEOUTS", "INTRA_AZ"): "CANCELED", ("TIMEOUTS", "INTER_AZ"): "ResourceNotFoundException"}

    run = stack.sweep(FEW, Script(ends=ends))

    assert (run.status, run.error) == ("FAILED", "SweepIncomplete")
    [key] = stack.stored()
    assert run.cause is not None
    assert "3 of 4 queries did not succeed" in run.cause
    assert all(f"1 {name}" in run.cause for name in ("QueryFailed", "QueryCanceled", "ResultsExpired"))
    assert key in run.cause
    assert {(row["metricName"], row["destinationCategory"]) for row in rows(stack, key)} == {
        ("RETRANSMISSIONS", "INTRA_AZ")
    }
    [alarm] = run.alarms
    assert alarm["Subject"] == "Flowquery: 3 of 4 queries failed"
    assert "RETRANSMISSIONS INTER_AZ: QueryFailed" in alarm["Message"]
    assert key in alarm["Message"]


def test_allow_partial_turns_it_green_with_the_list_in_the_output(stack: Stack) -> None:
    run = outcome_of(stack, "failures that are allowed").run

    assert (run.status, run.output["status"], run.alarms) == ("SUCCEEDED", "PARTIAL", [])
    assert run.output["counts"] == {"SUCCEEDED": 3, "QueryFailed": 1}
    [failed] = [query for query in run.output["queries"] if "cause" in query]
    assert "said FAILED" in failed["cause"]


def test_a_window_that_failed_in_part_is_completed_by_the_next_execution(stack: Stack) -> None:
    stack.sweep(FEW, Script(ends=BAD))

    again = stack.sweep(FEW)

    assert again.status == "SUCCEEDED"
    assert statuses(again)["RETRANSMISSIONS", "INTER_AZ"] == "SUCCEEDED"
    assert again.output["counts"] == {"STORED": 3, "SUCCEEDED": 1}
    assert len(stack.stored()) == 2
    stored = [json.dumps(row) for key in stack.stored() for row in rows(stack, key)]
    assert len(stored) == len(set(stored)) == 4 * 9
    nothing = stack.sweep(FEW)
    assert nothing.output["counts"] == {"STORED": 4}
    assert started(nothing) == started(again) == 5  # since the stack began anew: four, then one, then none
    assert nothing.path == f"PlanSweep {ROUND} {STORE} SweepSucceeded".split()


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (Script(refused=tuple(BAD)), "InvalidRequest"),
        (Script(statuses=("QUEUED", "PAUSED")), "UnknownStatus"),
        (Script(statuses=("RUNNING", "AccessDeniedException")), "AccessDenied"),
        (Script(start_faults=("ServiceQuotaExceededException",) * 99), "QuotaExceeded"),
        (Script(start_faults=("ThrottlingException",) * 999), "Throttled"),
        (Script(start_faults=("InternalServerException",) * 99), "UnclearOutcome"),
    ],
)
def test_what_goes_wrong_with_a_query_is_its_own_end(stack: Stack, script: Script, error: str) -> None:
    run = stack.sweep({**FEW, "timeoutSeconds": 60}, script)

    assert run.error == "SweepIncomplete"
    assert run.cause is not None
    assert error in run.cause
    assert len(run.alarms) == 1
    statuses = [query.status for query in stack.aws.network_flow_monitor.queries.values()]
    assert "RUNNING" not in statuses
    assert "PAUSED" not in statuses  # was stopped


def test_a_query_whose_budget_is_spent_is_stopped_while_the_others_go_on(stack: Stack) -> None:
    run = stack.sweep({**FEW, "timeoutSeconds": 30, "allowPartial": True}, Script(seconds=(5, 1000, 5, 5), latency=0.1))

    assert run.output["counts"] == {"SUCCEEDED": 3, "QueryTimedOut": 1}
    [failed] = [query for query in run.output["queries"] if "cause" in query]
    assert re.match(r"stopped; (QUEUED|RUNNING) after (29|30)\.\d s", failed["cause"])
    assert run.operations().count("StopQuery") == 1
    [stopped] = [query for query in stack.aws.network_flow_monitor.queries.values() if query.status == "CANCELED"]
    assert stopped.query_id == failed["queryId"]


# --- Rates and quotas ---


def test_a_quota_waits_for_running_queries_to_end_and_goes_on(stack: Stack) -> None:
    given = {**FULL, "metricNames": ["TIMEOUTS"]}

    run = stack.sweep(given, Script(seconds=(10,), concurrent_queries=3, latency=0.1))

    assert run.output["counts"] == {"SUCCEEDED": 11}
    refused = sum(call.outcome == "ServiceQuotaExceededException" for call in run.calls)
    assert 0 < refused < 11
    assert run.path.count("AdvanceQueries") < 6


def test_a_quota_that_refuses_status_checks_is_outlasted(stack: Stack) -> None:
    run = stack.sweep(FEW, Script(("RUNNING", "ServiceQuotaExceededException", "SUCCEEDED")))

    assert run.output["counts"] == {"SUCCEEDED": 4}


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("burst", "count"), [(1, 1), (5, 1), pytest.param(1, 4, marks=SLOW), pytest.param(5, 4, marks=SLOW)]
)
def test_a_rate_above_the_limit_yields_to_throttles(stack: Stack, burst: int, count: int) -> None:
    script = Script(seconds=(20,), requests_per_second=5, burst=burst, latency=0.05)

    run = stack.sweep({"scopeId": SCOPE_ID, "windows": windows(count), "requestsPerSecond": 10}, script)

    assert run.output["counts"] == {"SUCCEEDED": count * 33}
    throttled = sum(call.outcome == "ThrottlingException" for call in run.calls)
    taken = len(run.calls) - throttled
    span = run.calls[-1].at - run.calls[0].at
    assert taken / span > 0.85 * 5
    assert throttled < 0.15 * taken


def test_requests_keep_to_the_rate_of_the_input(stack: Stack) -> None:
    run = stack.sweep({**FULL, "requestsPerSecond": 4}, Script(seconds=(20,), latency=0.01))

    times = [call.at for call in run.calls]
    assert all(times[index + 8] - times[index] >= 1 - 1e-6 for index in range(len(times) - 8))  # a second's burst
    assert len(times) / (times[-1] - times[0]) < 1.1 * 4


# --- Steps that break ---


def test_a_sweep_that_breaks_stops_what_it_started_and_stores_what_succeeded(stack: Stack) -> None:
    stack.runtime.faults = {"AdvanceQueries": ["", *LOST * 7]}

    run = stack.sweep(FEW, CASES["a later round that breaks"].script)

    assert not [query for query in stack.aws.network_flow_monitor.queries.values() if query.status == "RUNNING"]
    [alarm] = run.alarms
    assert "A step broke: Lambda.Unknown: said Lambda" in alarm["Message"]
    assert "QueryStopped" in alarm["Message"]
    assert run.cause is not None
    assert "2 QueryStopped; 2 are stored" in run.cause


def test_a_stop_that_takes_all_its_time_goes_on_where_it_was(stack: Stack) -> None:
    run = outcome_of(stack, "a stop that takes all its time").run

    first, second = [answer["sweep"]["queries"] for answer in run.answers("StopQueries")]
    assert [query["status"] for query in first] == ["QueryStopped"] * 2 + ["QUEUED"] * 2
    assert [query["status"] for query in second] == ["QueryStopped"] * 4
    assert run.operations().count("StopQuery") == 4


def test_a_stop_that_breaks_is_in_the_alarm(stack: Stack) -> None:
    [alarm] = outcome_of(stack, "a stop that breaks").run.alarms

    assert "A step broke: Lambda.Unknown: said Lambda" in alarm["Message"]
    assert "stopping failed too (Sandbox.Timedout)" in alarm["Message"]


def test_a_round_that_breaks_when_all_have_succeeded_loses_nothing(stack: Stack) -> None:
    run = outcome_of(stack, "a round that breaks when all have succeeded").run

    assert run.output["counts"] == {"SUCCEEDED": 4}


def test_a_sweep_whose_first_round_is_lost_says_which_queries_may_run_unknown(stack: Stack) -> None:
    stack.runtime.faults = {"AdvanceQueries": list(LOST)}

    run = stack.sweep(FEW)

    assert run.output["counts"] == {"SUCCEEDED": 4}
    assert [query.get("unclear") for query in run.output["queries"]] == [True] * 4
    assert run.output["cost"]["transitions"] == len(run.path) + run.retries
    assert run.retries == 1


@pytest.mark.parametrize("function", ["PlanSweep", "AdvanceQueries", "StoreSweep"])
def test_lambdas_own_faults_are_retried(stack: Stack, function: str) -> None:
    """One after another, so each has to be matched for the next one to come."""
    stack.runtime.faults = {function: list(LAMBDA_FAULTS)}

    run = stack.sweep(FEW)

    assert (run.status, run.retries) == ("SUCCEEDED", len(LAMBDA_FAULTS))
    assert run.output["cost"]["transitions"] == len(run.path) + len(LAMBDA_FAULTS)
    assert len(stack.stored()) == 1


@pytest.mark.parametrize("faults", [LAMBDA_FAULTS[:2], LAMBDA_FAULTS[2:4], LAMBDA_FAULTS[4:6], LAMBDA_FAULTS[6:]])
def test_lambdas_own_faults_of_a_ranking_are_retried(stack: Stack, faults: list[str]) -> None:
    stack.runtime.faults = {"RankContributors": list(faults)}

    run = stack.sweep(FINDING)

    assert (run.status, run.retries, run.output["rankingFailure"]) == ("SUCCEEDED", len(faults), None)


def test_an_account_without_free_concurrency_is_outlasted_for_longer(stack: Stack) -> None:
    stack.runtime.faults = {name: ["Lambda.TooManyRequestsException"] * 20 for name in ("PlanSweep", "AdvanceQueries")}

    run = stack.sweep(FEW)

    assert (run.status, run.retries) == ("SUCCEEDED", 40)


def test_results_that_do_not_come_at_first_are_fetched_again(stack: Stack) -> None:
    run = stack.sweep(FEW, Script(result_faults=("ThrottlingException", "InternalServerException") * 2))

    assert run.output["counts"] == {"SUCCEEDED": 4}


def test_windows_that_are_left_are_stored_by_the_next_invocation(stack: Stack) -> None:
    run = outcome_of(stack, "a store that takes all its time").run

    assert run.output["counts"] == {"SUCCEEDED": 4}
    first, second = run.answers("StoreSweep")
    assert (first["output"], second["sweep"]) == (None, None)
    assert 1 <= len(first["sweep"]["stored"]) < 4


# --- Findings ---


def test_findings_are_one_alarm_with_who_contributed_most_to_the_highest_peaks(stack: Stack) -> None:
    run = stack.sweep({**FEW, "alarmAbove": {"RETRANSMISSIONS": 1, "TIMEOUTS": 1e9}, "rankedPeaks": 1, "limit": 2})

    assert (run.status, run.output["finding"]) == ("SUCCEEDED", True)
    assert [query["finding"] for query in run.output["queries"]] == [True, True, False, False]
    assert run.output["alarmAbove"] == {"RETRANSMISSIONS": 1, "TIMEOUTS": 1e9}
    [ranking] = run.output["rankings"]
    highest = max(run.output["queries"][:2], key=lambda query: query["peak"]["value"])
    assert ranking["destinationCategory"] == highest["destinationCategory"]
    assert len(ranking["topContributors"]) == 2
    [alarm] = run.alarms
    assert alarm["Subject"].startswith("Flowquery finding: 2 findings, the highest RETRANSMISSIONS")
    assert ranking["topContributors"][0]["localSubnetId"] in alarm["Message"]
    assert [key.split("/")[0] for key in stack.stored()] == ["contributors", "results"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("findings whose rankings fail", "could not be ranked: QueryFailed: "),
        ("findings whose rankings cannot be fetched", "could not be ranked: TransientFault: "),
        ("findings whose ranking breaks", "could not be ranked: Lambda.Unknown: said Lambda"),
        ("findings and failures whose ranking breaks", "could not be ranked: Lambda.Unknown: said Lambda"),
    ],
)
def test_findings_are_reported_without_their_rankings_too(stack: Stack, name: str, reason: str) -> None:
    [alarm] = outcome_of(stack, name).run.alarms

    assert "2 findings" in alarm["Subject"]
    assert reason in alarm["Message"]


def test_an_alarm_says_which_window_and_which_queries_may_run_unknown(stack: Stack) -> None:
    stack.runtime.faults = {"AdvanceQueries": list(LOST)}

    run = stack.sweep({"scopeId": SCOPE_ID, "windows": windows(2), **ONE}, Script(("FAILED",)))

    [alarm] = run.alarms
    for window in windows(2):
        assert f"TIMEOUTS INTER_AZ {window['startTime']}: QueryFailed" in alarm["Message"]
    assert f"it ends by itself: TIMEOUTS INTER_AZ {windows(2)[0]['startTime']}, TIMEOUTS" in alarm["Message"]


def test_a_sweep_of_the_ranking_family_is_stored_in_its_table(stack: Stack) -> None:
    run = stack.sweep({**FEW, "family": "WorkloadInsightsTopContributors", "limit": 2})

    [key] = stack.stored()
    assert key.startswith("contributors/date=2026-11-24/")
    assert [row["rank"] for row in rows(stack, key)] == [1, 2] * 4
    assert run.output["family"] == "WorkloadInsightsTopContributors"


# --- Input ---


@pytest.mark.parametrize(
    ("more", "cause"),
    [
        ({"scopeId": ".."}, "scopeId: expected"),
        ({"metricNames": ["LATENCY"]}, "metricNames: expected one of"),
        ({"metricNames": []}, "metricNames: expected a list of 1 to 3"),
        ({"metricNames": "TIMEOUTS"}, "metricNames: expected a list"),
        ({"destinationCategories": ["INTER_AZ", "INTER_AZ"]}, "destinationCategories: expected each name once"),
        ({"selections": [{"metricName": "TIMEOUTS"}]}, "destinationCategory is missing"),
        ({"selections": [], "metricNames": ["TIMEOUTS"]}, "metricNames: expected either this or selections"),
        ({"endTime": WINDOW["startTime"]}, "endTime: expected a time after startTime"),
        ({"windows": windows(1)}, "windows: expected either this or startTime and endTime"),
        ({"startTime": None, "endTime": None, "windows": windows(6)}, "at most 165 queries in one sweep"),
        ({"startTime": None, "endTime": None, "windows": windows(1) * 2}, "windows: expected each window once"),
        ({"requestsPerSecond": 0}, "requestsPerSecond: expected a number from 0.1 to 100"),
        ({"timeoutSeconds": True}, "timeoutSeconds: expected a number"),
        ({"allowPartial": "yes"}, "allowPartial: expected true or false"),
        ({"alarmAbove": 5}, "alarmAbove: expected an object"),
        ({"alarmAbove": {"LATENCY": 5}}, "alarmAbove: expected one of"),
        ({"alarmAbove": {"TIMEOUTS": "5"}}, "TIMEOUTS: expected a number"),
        ({"rankedPeaks": 21}, "rankedPeaks: expected a whole number from 0 to 20"),
        ({"limit": 0}, "limit: expected a whole number from 1 to 500"),
        ({"alarmabove": {"TIMEOUTS": 5}}, '"alarmabove" is not a field of this input. Did you mean "alarmAbove"?'),
        ({"metricName": "TIMEOUTS"}, '"metricName" is not a field of this input. Did you mean "metricNames"?'),
        ({"holdSeconds": 5}, '"holdSeconds" is not a field of this input.'),
    ],
)
def test_an_input_that_cannot_be_used_is_refused_by_name(stack: Stack, more: dict[str, Any], cause: str) -> None:
    run = stack.sweep({**FULL, **more})

    assert run.error == "InvalidInput"
    assert run.cause is not None
    assert cause in json.loads(run.cause)["errorMessage"]
    assert run.calls == []
    [alarm] = run.alarms
    assert cause in alarm["Message"]


@pytest.mark.parametrize("given", [None, [], "sweep", 7, {}])
def test_whatever_is_no_input_is_refused(stack: Stack, given: object) -> None:
    assert stack.sweep(given).error == "InvalidInput"


# --- Schedule ---


def deliver(stack: Stack, **more: object) -> dict[str, Any]:
    payload = json.dumps({**event("start_execution_sweep"), "alarmAbove": {}, **more})
    function = stack.outputs["StartExecutionFunctionName"]
    reply = stack.aws.client("lambda").invoke(FunctionName=function, Payload=payload)
    answer: dict[str, Any] = json.loads(reply["Payload"].read())
    assert "FunctionError" not in reply, answer
    return answer


def executions(stack: Stack, name: str) -> list[str]:
    listed = stack.aws.client("stepfunctions").list_executions(stateMachineArn=stack.outputs["SweepScopeArn"])
    return [found["executionArn"] for found in listed["executions"] if found["name"].startswith(name)]


def test_a_scheduled_time_delivered_five_times_is_one_execution(stack: Stack) -> None:
    names = {deliver(stack)["name"] for _ in range(3)}
    [name] = names
    [arn] = executions(stack, name)
    run = stack.ended(arn)
    late = [deliver(stack)["started"] for _ in range(2)]

    assert late == [False, False]
    assert executions(stack, name) == [arn]
    assert (run.status, started(run), len(stack.stored()), run.alarms) == ("SUCCEEDED", 22, 1, [])
    by_hand = stack.sweep(json.loads(json.dumps(deliver(stack)["input"])))
    assert by_hand.output["counts"] == {"STORED": 22}
    assert (len(stack.stored()), by_hand.alarms) == (1, [])


def test_a_scheduled_window_that_failed_is_swept_again_by_a_suffix(stack: Stack) -> None:
    stack.aws.network_flow_monitor.script = Script(ends=BAD)
    failed = deliver(stack, scheduledTime="2026-11-24T10:15:00Z")
    assert stack.ended(*executions(stack, failed["name"])).error == "SweepIncomplete"
    stack.aws.network_flow_monitor.script = Script()

    again = deliver(stack, scheduledTime="2026-11-24T10:15:00Z", suffix="again")

    assert again["name"] != failed["name"]
    run = stack.ended(*executions(stack, again["name"]))
    assert run.output["counts"] == {"STORED": 21, "SUCCEEDED": 1}
