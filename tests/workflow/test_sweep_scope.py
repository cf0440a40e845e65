"""SweepScope on the loopback AWS, in turned time: many queries of one scope, whole or told."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from typing import Any

import pytest

from flowquery.sweep.state import MOST_QUERIES
from localaws.scripted_network_flow_monitor import RankingScript, Script
from tests.loopback import LAMBDA_FAULTS, SCOPE_ID, Run, Stack, event

WINDOW = {"startTime": "2026-11-24T08:00:00Z", "endTime": "2026-11-24T08:15:00Z"}
FULL = {"scopeId": SCOPE_ID, **WINDOW}
FEW = {**FULL, "metricNames": ["RETRANSMISSIONS", "TIMEOUTS"], "destinationCategories": ["INTRA_AZ", "INTER_AZ"]}
BAD = {("RETRANSMISSIONS", "INTER_AZ"): "FAILED"}
ROUND = ["AdvanceQueries", "ChooseByProgress"]
BEFORE, AFTER = ["ReceiveInput", "PlanSweep", "ChooseByProgress"], ["StoreSweep", "ChooseOutcome"]


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


def test_all_metrics_and_categories_of_a_window_are_one_loop_and_one_object(stack: Stack) -> None:
    run = stack.sweep(FULL)

    assert run.path == [*BEFORE, *ROUND, *ROUND, *AFTER, "SweepSucceeded"]
    assert run.output["counts"] == {"SUCCEEDED": 33}
    assert run.output["cost"]["transitions"] == len(run.path)
    assert run.output["cost"]["requests"] == len(stack.aws.lambda_backend.invocations) == 4
    assert run.output["cost"]["checks"] == run.operations().count("GetQueryStatus")
    assert not run.alarms
    [key] = stack.stored()
    [place] = run.output["windows"][0]["objects"]
    assert (place["key"], place["rows"]) == (key, 33 * 9)
    stored = rows(stack, key)
    assert len(stored) == len({json.dumps(row) for row in stored}) == 33 * 9
    asked = Counter((row["metricName"], row["destinationCategory"]) for row in stored)
    assert set(asked.values()) == {9}
    assert set(asked) == set(statuses(run))
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
    assert stack.sweep(FEW).output["counts"] == {"STORED": 4}  # and is not asked again


# --- Partial failure ---


def test_some_that_fail_are_one_alarm_and_a_red_run_with_results(stack: Stack) -> None:
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
    run = stack.sweep({**FEW, "allowPartial": True}, Script(ends=BAD))

    assert (run.status, run.output["status"], run.alarms) == ("SUCCEEDED", "PARTIAL", [])
    assert run.output["counts"] == {"SUCCEEDED": 3, "QueryFailed": 1}
    [failed] = [query for query in run.output["queries"] if "cause" in query]
    assert "said FAILED" in failed["cause"]


def test_a_window_that_failed_in_part_is_completed_by_the_next_run(stack: Stack) -> None:
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
    assert nothing.path == [*BEFORE, *AFTER, "SweepSucceeded"]


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (Script(refused=tuple(BAD)), "InvalidRequest"),
        (Script(statuses=("QUEUED", "PAUSED")), "UnknownStatus"),
        (Script(statuses=("RUNNING", "AccessDeniedException")), "AccessDenied"),
        (Script(start_faults=("ServiceQuotaExceededException",) * 99), "QuotaExceeded"),
        (Script(start_faults=("ThrottlingException",) * 999), "Throttled"),
        (Script(start_faults=("InternalServerException",) * 99), "TransientFault"),
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
    assert "PAUSED" not in statuses  # was told to stop


def test_a_query_whose_budget_is_spent_is_stopped_while_the_others_go_on(stack: Stack) -> None:
    run = stack.sweep({**FEW, "timeoutSeconds": 30, "allowPartial": True}, Script(seconds=(5, 1000, 5, 5), latency=0.1))

    assert run.output["counts"] == {"SUCCEEDED": 3, "QueryTimedOut": 1}
    [failed] = [query for query in run.output["queries"] if "cause" in query]
    assert "told to stop" in failed["cause"]
    assert run.operations().count("StopQuery") == 1
    [stopped] = [query for query in stack.aws.network_flow_monitor.queries.values() if query.canceled]
    assert stopped.query_id == failed["queryId"]


# --- Rates and quotas ---


def test_a_quota_waits_for_running_queries_to_end_and_goes_on(stack: Stack) -> None:
    run = stack.sweep(FULL, Script(seconds=(10,), concurrent_queries=5, latency=0.1))

    assert run.output["counts"] == {"SUCCEEDED": 33}
    refused = sum(call.outcome == "ServiceQuotaExceededException" for call in run.calls)
    assert 0 < refused < 33
    assert run.path.count("AdvanceQueries") < 6


def test_a_quota_that_refuses_looks_is_outlasted(stack: Stack) -> None:
    run = stack.sweep(FEW, Script(("RUNNING", "ServiceQuotaExceededException", "SUCCEEDED")))

    assert run.output["counts"] == {"SUCCEEDED": 4}


@pytest.mark.parametrize("burst", [1, 5])
def test_a_rate_above_the_limit_yields_to_throttles(stack: Stack, burst: int) -> None:
    script = Script(seconds=(20,), requests_per_second=5, burst=burst, latency=0.05)

    run = stack.sweep({"scopeId": SCOPE_ID, "windows": windows(4), "requestsPerSecond": 10}, script)

    assert run.output["counts"] == {"SUCCEEDED": 132}
    throttled = sum(call.outcome == "ThrottlingException" for call in run.calls)
    taken = len(run.calls) - throttled
    span = run.calls[-1].at - run.calls[0].at
    assert taken / span > 0.85 * 5
    assert throttled < 0.15 * taken


def test_requests_keep_to_the_rate_that_was_asked_for(stack: Stack) -> None:
    run = stack.sweep({**FULL, "requestsPerSecond": 4}, Script(seconds=(20,), latency=0.01))

    times = [call.at for call in run.calls]
    assert all(times[index + 8] - times[index] >= 1 - 1e-6 for index in range(len(times) - 8))  # a second's burst
    assert len(times) / (times[-1] - times[0]) < 1.1 * 4


# --- Steps that break ---


def test_a_sweep_that_gives_up_stops_what_it_started_and_stores_what_succeeded(stack: Stack) -> None:
    stack.runtime.faults = {"AdvanceQueries": ["", *["Lambda.Unknown"] * 7]}

    run = stack.sweep(FEW, Script(seconds=(1, 1, 5000, 5000), concurrent_queries=2, latency=0.1))

    assert run.error == "SweepIncomplete"
    assert run.path[-8:-3] == ["StopQueries", "ChooseByStop", "StoreSweep", "ChooseOutcome", "KeepOutput"]
    assert not [query for query in stack.aws.network_flow_monitor.queries.values() if query.status == "RUNNING"]
    [alarm] = run.alarms
    assert "A step broke: Lambda.Unknown" in alarm["Message"]
    assert "QueryStopped" in alarm["Message"]
    assert run.cause is not None
    assert "2 QueryStopped; 2 are stored" in run.cause
    assert len(stack.stored()) == 1


def test_a_sweep_whose_first_round_is_lost_says_of_which_queries_another_may_run(stack: Stack) -> None:
    stack.runtime.faults = {"AdvanceQueries": ["Lambda.Unknown"]}

    run = stack.sweep(FEW)

    assert run.output["counts"] == {"SUCCEEDED": 4}
    assert [query.get("unclear") for query in run.output["queries"]] == [True] * 4
    assert run.output["cost"]["transitions"] == len(run.path) + run.retries
    assert run.retries == 1


@pytest.mark.parametrize("fault", LAMBDA_FAULTS)
@pytest.mark.parametrize("function", ["PlanSweep", "AdvanceQueries", "StoreSweep"])
def test_lambdas_own_faults_are_retried(stack: Stack, function: str, fault: str) -> None:
    stack.runtime.faults = {function: [fault]}

    run = stack.sweep(FEW)

    assert (run.status, run.retries) == ("SUCCEEDED", 1)
    assert run.output["cost"]["transitions"] == len(run.path) + 1
    assert len(stack.stored()) == 1


@pytest.mark.parametrize(("function", "starts"), [("PlanSweep", 0), ("AdvanceQueries", 0), ("StoreSweep", 4)])
def test_a_step_that_breaks_for_good_is_one_alarm_and_a_red_run(stack: Stack, function: str, starts: int) -> None:
    stack.runtime.faults = {function: ["Lambda.Unknown"] * 7}

    run = stack.sweep(FEW)

    assert run.status == "FAILED"
    assert run.error == ("SweepIncomplete" if function == "AdvanceQueries" else "Lambda.Unknown")
    assert started(run) == starts
    assert len(run.alarms) == 1
    assert stack.stored() == []


def test_results_that_do_not_come_at_first_are_asked_for_again(stack: Stack) -> None:
    run = stack.sweep(FEW, Script(result_faults=("ThrottlingException", "InternalServerException") * 2))

    assert run.output["counts"] == {"SUCCEEDED": 4}


def test_a_store_that_takes_all_its_time_goes_on_in_the_next_invocation(stack: Stack) -> None:
    stack.configure("StoreSweep", Timeout=100)
    try:
        run = stack.sweep({**FULL, "startTime": None, "endTime": None, "windows": windows(4)}, Script(latency=1))
    finally:
        stack.configure("StoreSweep", Timeout=900)

    assert run.output["counts"] == {"SUCCEEDED": 132}
    assert run.path.count("StoreSweep") > 1
    assert len(stack.stored()) == 4
    assert run.output["cost"]["transitions"] == len(run.path)


def test_a_round_that_takes_all_its_time_goes_on_in_the_next_invocation(stack: Stack) -> None:
    run = stack.sweep({**FEW, "timeoutSeconds": 3600}, Script(seconds=(1000,), latency=0.1))

    assert run.output["counts"] == {"SUCCEEDED": 4}
    assert 3 <= run.path.count("AdvanceQueries") <= 4
    assert run.output["cost"]["transitions"] == len(run.path)


# --- Findings ---


def test_findings_are_one_alarm_with_who_is_behind_the_highest_peaks(stack: Stack) -> None:
    run = stack.sweep({**FEW, "alarmAbove": {"RETRANSMISSIONS": 1, "TIMEOUTS": 1e9}, "rankedPeaks": 1, "limit": 2})

    assert (run.status, run.output["finding"]) == ("SUCCEEDED", True)
    assert run.path[-3:] == ["RaiseAlarm", "ChooseEnd", "FindingReported"]
    assert run.output["cost"]["transitions"] == len(run.path)
    assert [query["finding"] for query in run.output["queries"]] == [True, True, False, False]
    [ranking] = run.output["rankings"]
    highest = max(run.output["queries"][:2], key=lambda query: query["peak"]["value"])
    assert ranking["destinationCategory"] == highest["destinationCategory"]
    assert len(ranking["topContributors"]) == 2
    [alarm] = run.alarms
    assert alarm["Subject"].startswith("Flowquery finding: 2 findings, the highest RETRANSMISSIONS")
    assert ranking["topContributors"][0]["localSubnetId"] in alarm["Message"]
    assert [key.split("/")[0] for key in stack.stored()] == ["contributors", "results"]


@pytest.mark.parametrize(
    ("script", "more"),
    [(Script(ranking=RankingScript(("FAILED",))), {}), (Script(), {"rankedPeaks": 0})],
)
def test_a_finding_is_told_without_its_ranking_too(stack: Stack, script: Script, more: dict[str, int]) -> None:
    run = stack.sweep({**FEW, "alarmAbove": {"RETRANSMISSIONS": 1}, **more}, script)

    assert run.status == "SUCCEEDED"
    [alarm] = run.alarms
    assert "findings" in alarm["Subject"]
    assert "topContributors" not in json.dumps(run.output["rankings"])
    assert ("could not be ranked" in alarm["Message"]) == (not more)


def test_an_alarm_says_of_which_window_and_of_which_queries_another_may_run(stack: Stack) -> None:
    stack.runtime.faults = {"AdvanceQueries": ["Lambda.Unknown"]}
    chosen = {"metricNames": ["TIMEOUTS"], "destinationCategories": ["INTER_AZ"]}

    run = stack.sweep({"scopeId": SCOPE_ID, "windows": windows(2), **chosen}, Script(("FAILED",)))

    [alarm] = run.alarms
    for window in windows(2):
        assert f"TIMEOUTS INTER_AZ {window['startTime']}: QueryFailed" in alarm["Message"]
    assert f"it ends by itself: TIMEOUTS INTER_AZ {windows(2)[0]['startTime']}, TIMEOUTS" in alarm["Message"]


def test_failures_and_findings_are_told_in_one_alarm(stack: Stack) -> None:
    run = stack.sweep({**FEW, "alarmAbove": {"TIMEOUTS": 1}}, Script(ends=BAD))

    assert run.error == "SweepIncomplete"
    [alarm] = run.alarms
    assert alarm["Subject"].startswith("Flowquery: 1 of 4 queries failed; 2 findings")


def test_a_finding_that_nobody_was_told_of_is_red(stack: Stack) -> None:
    stack.runtime.faults = {"RaiseAlarm": ["Lambda.Unknown"] * 7}

    run = stack.sweep({**FEW, "alarmAbove": {"TIMEOUTS": 1}})

    assert (run.status, run.path[-2:]) == ("FAILED", ["ReportUntold", "StepFailed"])


def test_a_sweep_of_the_ranking_family_is_stored_in_its_table(stack: Stack) -> None:
    run = stack.sweep({**FEW, "family": "WorkloadInsightsTopContributors", "limit": 2})

    [key] = stack.stored()
    assert key.startswith("contributors/date=2026-11-24/")
    assert [row["rank"] for row in rows(stack, key)] == [1, 2] * 4
    assert run.output["family"] == "WorkloadInsightsTopContributors"


# --- Size ---


def test_the_payload_stays_small(stack: Stack) -> None:
    run = stack.sweep({"scopeId": SCOPE_ID, "windows": windows(4)})

    assert payload(run) < 80_000


def test_the_largest_sweep_fits_whatever_its_ids_and_labels(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = stack.aws.network_flow_monitor
    add = backend.add_query
    number = iter(range(10**6))
    monkeypatch.setattr(backend, "add_query", lambda scope, _, *more: add(scope, f"{next(number):0>128}", *more))
    script = Script(series=1, label="\N{PILE OF POO}" * 1000, unit="u" * 64)

    run = stack.sweep({"scopeId": SCOPE_ID, "windows": windows(5), "alarmAbove": {"TIMEOUTS": 1e9}}, script)

    assert run.status == "SUCCEEDED", run.cause
    assert run.output["counts"] == {"SUCCEEDED": MOST_QUERIES}
    assert payload(run) < 256 * 1024


def test_the_largest_sweep_of_rankings_fits_too(stack: Stack) -> None:
    asked = {"scopeId": SCOPE_ID, "windows": windows(5), "family": "WorkloadInsightsTopContributors"}

    run = stack.sweep(asked, Script(ranking=RankingScript(rows=10)))

    assert run.status == "SUCCEEDED", run.cause
    assert run.output["counts"] == {"SUCCEEDED": MOST_QUERIES}
    assert payload(run) < 256 * 1024


def payload(run: Run) -> int:
    inputs = (
        entry["stateEnteredEventDetails"]["input"] for entry in run.history if "stateEnteredEventDetails" in entry
    )
    return max(len(json.dumps(json.loads(text), ensure_ascii=False).encode()) for text in inputs)


# --- Input ---


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"scopeId": ".."}, "scopeId: expected"),
        ({"metricNames": ["LATENCY"]}, "metricNames: expected one of"),
        ({"metricNames": []}, "metricNames: expected a list of 1 to 3"),
        ({"metricNames": "TIMEOUTS"}, "metricNames: expected a list"),
        ({"destinationCategories": ["INTER_AZ", "INTER_AZ"]}, "destinationCategories: expected each name once"),
        ({"selections": [{"metricName": "TIMEOUTS"}]}, "destinationCategory: required"),
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
    ],
)
def test_an_input_that_cannot_be_used_is_refused_by_name(stack: Stack, more: dict[str, Any], said: str) -> None:
    run = stack.sweep({**FULL, **more})

    assert run.error == "InvalidInput"
    assert run.cause is not None
    assert said in json.loads(run.cause)["errorMessage"]
    assert run.calls == []
    assert len(run.alarms) == 1


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


def test_a_scheduled_time_delivered_five_times_is_one_run(stack: Stack) -> None:
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


def test_a_scheduled_window_that_failed_is_run_again_by_a_suffix(stack: Stack) -> None:
    stack.aws.network_flow_monitor.script = Script(ends=BAD)
    failed = deliver(stack, scheduledTime="2026-11-24T10:15:00Z")
    assert stack.ended(*executions(stack, failed["name"])).error == "SweepIncomplete"
    stack.aws.network_flow_monitor.script = Script()

    again = deliver(stack, scheduledTime="2026-11-24T10:15:00Z", suffix="again")

    assert again["name"] == f"{failed['name']}-again"
    run = stack.ended(*executions(stack, again["name"]))
    assert run.output["counts"] == {"STORED": 21, "SUCCEEDED": 1}
