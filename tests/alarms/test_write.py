"""The texts that people get: written from whatever an execution carries, bounded, in characters that can be seen."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowquery.alarms.message import ADVICE, SUBJECT_LENGTH
from flowquery.alarms.write import write_alarm
from tests.hostile import HOSTILE
from tests.json_values import json_values
from tests.loopback import QUERY_ID, SCOPE_ID, SELECTION, event, output
from tests.sweeps import failed, query, swept

MOST_SNS_BYTES = 256 * 1024
WORKFLOWS = ["RunQuery", "SweepScope", "Backfill"]
FAILURE = {"Error": "Throttled", "Cause": "slow down"}
FOUND = output(finding=True, alarmAbove=5)
RANKED_ROW = {
    "accountId": "123456789012",
    "localSubnetId": "subnet-0a1b2c3d4e5f6a7b8",
    "localAz": "use1-az6",
    "remoteIdentifier": "subnet-0123456789abcdef0",
    "value": 333,
}
RANKING = {"queryId": QUERY_ID, "results": {"topContributors": [RANKED_ROW]}}

# --- Whatever the event holds ---

NAMES = [
    *("workflow", "executionArn", "failure", "finding", "input", "query", "poll", "stop", "plan", "output"),
    *("stepFailure", "Error", "Cause", "error", "cause", "status", "stopped", "observed", "elapsedSeconds", "checks"),
    *("scopeId", "queryId", "metricName", "destinationCategory", "startTime", "endTime", "from", "to", "alarmAbove"),
    *("queries", "windows", "window", "objects", "bucket", "key", "rows", "unit", "peak", "value", "label"),
    *("timestamp", "results", "ranking", "rankings", "rankingFailure", "topContributors", "unclear"),
]
names = st.sampled_from(NAMES)
anything = st.recursive(
    json_values | st.sampled_from(["X", -1, 0, 1, True]),
    lambda inner: (
        st.dictionaries(names, inner, max_size=5) | st.lists(st.dictionaries(names, inner, max_size=4), max_size=3)
    ),
    max_leaves=25,
)
queries = st.fixed_dictionaries(
    {},
    optional={
        "window": st.integers(-9, 9) | anything,
        "metricName": anything,
        "status": anything,
        "cause": anything,
        "finding": st.booleans() | anything,
        "unclear": anything,
        "peak": anything,
        "unit": anything,
        "topContributors": st.lists(anything, max_size=3),
    },
)
outputs = st.fixed_dictionaries(
    {},
    optional={
        "queries": st.lists(queries, max_size=13),
        "rankings": st.lists(queries, max_size=3),
        "windows": st.lists(anything, max_size=3),
        "rankingFailure": anything,
        "ranking": anything,
        "results": anything,
        "alarmAbove": anything,
    },
)
events = st.fixed_dictionaries(
    {"workflow": st.sampled_from(WORKFLOWS)},
    optional={name: anything | outputs for name in NAMES if name not in ("workflow", "queries", "windows")},
)


@given(events | st.dictionaries(st.text(), anything))
@example({"workflow": "SweepScope", "output": {"queries": [{"cause": "no status"}]}})
@example({"workflow": "SweepScope", "output": {"queries": [{"cause": "x", "window": -9}], "windows": [{}, {}]}})
@example({"workflow": "SweepScope", "output": {"queries": [{"finding": True, "peak": {"value": float("nan")}}]}})
def test_an_alarm_is_written_from_any_json(made: dict[str, Any]) -> None:
    alarm = write_alarm(made)

    assert 0 < len(alarm.subject) <= SUBJECT_LENGTH == 100
    assert alarm.subject.isascii()
    assert alarm.subject.isprintable()
    assert alarm.subject == alarm.subject.strip()
    assert len(alarm.text.encode()) < MOST_SNS_BYTES
    assert all(line.isprintable() for line in alarm.text.split("\n"))


HUGE = "\N{GRINNING FACE}" * 70_000
LONG = dict.fromkeys(NAMES, "\N{GRINNING FACE}" * 500)
MANY = {
    **dict.fromkeys(NAMES, HUGE),
    "queries": [{**LONG, "finding": True}] * 165,
    "rankings": [LONG] * 165,
    "windows": [LONG] * 165,
}


@pytest.mark.parametrize("workflow", WORKFLOWS)
@pytest.mark.parametrize(
    ("name", "value"),
    [("finding", MANY), ("output", MANY), *((name, value) for name in NAMES for value in (HUGE, LONG))],
    ids=lambda value: value if value in NAMES else "",
)
def test_an_alarm_stays_small_whatever_a_field_holds(workflow: str, name: str, value: object) -> None:
    failure = {"Error": HUGE, "Cause": HUGE}

    alarm = write_alarm({"failure": failure, "workflow": workflow, name: value})

    assert len(alarm.text.encode()) < MOST_SNS_BYTES
    assert len(alarm.subject) <= SUBJECT_LENGTH
    assert alarm.subject.isascii()


def test_the_link_to_the_execution_is_kept_however_long_the_rest_is() -> None:
    arn = event("raise_alarm")["executionArn"]
    long = "x" * 70_000
    many = [failed("TIMEOUTS", long, f"Error{number}", cause=long) for number in range(165)]

    text = write_alarm({"workflow": "SweepScope", "output": swept(*many), "executionArn": arn}).text

    assert text.endswith(f"#/v2/executions/details/{arn}")
    assert len(text.encode()) < MOST_SNS_BYTES


@pytest.mark.parametrize("label", HOSTILE)
def test_nobody_else_writes_lines_of_the_text(label: str) -> None:
    peak = {"value": 9, "label": label, "timestamp": SELECTION["startTime"]}
    quiet, hostile = (
        write_alarm({"finding": {**FOUND, "results": {**FOUND["results"], "peak": {**peak, "label": text}}}})
        for text in ("use1-az1", label)
    )

    assert len(hostile.text.splitlines()) == len(quiet.text.splitlines())
    hostile.text.encode()  # half a surrogate pair would fail here


# --- What each alarm says ---


@pytest.mark.parametrize(
    ("workflow", "first"),
    [
        ({}, "A Network Flow Monitor query did not succeed: Throttled."),
        ({"workflow": "RunQuery"}, "A Network Flow Monitor query did not succeed: Throttled."),
        ({"workflow": "SweepScope"}, "Of a sweep of Network Flow Monitor queries: the sweep broke: Throttled."),
        ({"workflow": "Backfill"}, "A backfill of Network Flow Monitor queries did not succeed: Throttled."),
    ],
)
def test_an_alarm_begins_with_the_workflow(workflow: dict[str, str], first: str) -> None:
    alarm = write_alarm({"failure": FAILURE, **workflow})

    assert alarm.text.splitlines()[0] == first
    assert ("Stopped:" in alarm.text) == (workflow.get("workflow") in (None, "RunQuery"))
    assert not alarm.is_finding


@pytest.mark.parametrize("workflow", WORKFLOWS)
@pytest.mark.parametrize("error", ADVICE)
def test_every_error_comes_with_what_is_likely_and_what_to_do(workflow: str, error: str) -> None:
    text = write_alarm({"workflow": workflow, "failure": {"Error": error, "Cause": "because"}}).text

    assert f"Likely:     {ADVICE[error]['likely']}" in text
    assert f"Do next:    {ADVICE[error]['next']}" in text
    assert "because" in text


def test_an_error_without_a_name_here_gets_the_general_advice() -> None:
    assert ADVICE["*"]["next"] in write_alarm({"failure": {"Error": "States.Timeout", "Cause": ""}}).text


def test_the_message_of_a_functions_error_is_unwrapped() -> None:
    cause = json.dumps({"errorMessage": "no scope for you", "errorType": "AccessDenied", "stackTrace": []})

    text = write_alarm({"failure": {"Error": "AccessDenied", "Cause": cause}, "query": {"scopeId": SCOPE_ID}}).text

    assert "Cause:      no scope for you\n" in text
    assert f"Scope:      {SCOPE_ID}\n" in text


@pytest.mark.parametrize(
    ("partition", "region", "console"),
    [
        ("aws", "eu-west-1", "console.aws.amazon.com"),
        ("aws-cn", "cn-north-1", "console.amazonaws.cn"),
        ("aws-us-gov", "us-gov-west-1", "console.amazonaws-us-gov.com"),
    ],
)
def test_the_execution_is_linked_in_the_console_of_its_partition(partition: str, region: str, console: str) -> None:
    arn = f"arn:{partition}:states:{region}:123456789012:execution:flowquery-RunQuery:a-run"

    text = write_alarm({"failure": FAILURE, "executionArn": arn}).text

    assert f"Execution:  {arn}\n" in text
    assert f"https://{region}.{console}/states/home?region={region}#/v2/executions/details/{arn}" in text


@pytest.mark.parametrize(
    ("stop", "words"),
    [
        ({"stopped": True, "status": None}, "yes"),
        ({"stopped": False, "status": "SUCCEEDED"}, "not needed, the query had ended as SUCCEEDED"),
        ({"Error": "AccessDenied", "Cause": "no"}, "no, stopping failed too (AccessDenied)"),
        (None, "not needed, or no query id is known"),
    ],
)
def test_the_alarm_of_a_query_says_whether_it_was_stopped(stop: object, words: str) -> None:
    assert f"Stopped:    {words}" in write_alarm({"failure": FAILURE, "stop": stop}).text


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_the_input_is_quoted_where_nothing_else_is_known(workflow: str) -> None:
    text = write_alarm({"workflow": workflow, "failure": FAILURE, "input": '{"a": 1}'}).text

    assert 'Input:      {"a": 1}' in text


def test_the_alarm_of_a_query_says_what_was_observed_and_spent() -> None:
    text = write_alarm(event("raise_alarm")).text

    for words in (SCOPE_ID, QUERY_ID, "2 x QUEUED, 39 x RUNNING", "312.4 s in 41 status checks", "Stopped:    yes"):
        assert words in text


def test_the_alarm_of_a_backfill_says_of_which_stretch() -> None:
    plan = {"scopeId": SCOPE_ID, "from": "2026-11-01T00:00:00Z", "to": "2026-11-08T00:00:00Z"}

    alarm = write_alarm({"workflow": "Backfill", "plan": plan, "failure": {"Error": "BackfillIncomplete"}})

    assert alarm.subject == "Flowquery: BackfillIncomplete"
    assert "Windows:    2026-11-01T00:00:00Z to 2026-11-08T00:00:00Z" in alarm.text


# --- Findings of a query ---


def test_a_finding_names_the_peak_and_the_top_contributors() -> None:
    found = output(finding=True, alarmAbove=500, ranking=RANKING, rankingFailure=None)
    found["results"]["peak"] = {"value": 620.3, "label": "use1-az6", "timestamp": "2026-11-24T08:15:00Z"}

    alarm = write_alarm({"finding": found, "executionArn": "arn"})

    assert alarm.is_finding
    assert alarm.subject == "Flowquery finding: RETRANSMISSIONS INTER_AZ peak 620.3 > 500"
    for words in ("620.3 Count at 2026-11-24T08:15:00Z on use1-az6", "  1. 333: subnet-0a1b", "to subnet-0123"):
        assert words in alarm.text


def test_a_finding_without_its_ranking_says_why() -> None:
    failure = {"error": "Throttled", "cause": json.dumps({"errorMessage": "slow down"})}

    alarm = write_alarm({"finding": {**FOUND, "ranking": None, "rankingFailure": failure}})

    assert "Top contributors could not be ranked: Throttled: slow down" in alarm.text


def test_a_ranking_without_rows_says_so() -> None:
    ranking = {"queryId": QUERY_ID, "results": {"topContributors": []}}

    assert "the ranking has no rows" in write_alarm({"finding": {**FOUND, "ranking": ranking}}).text


# --- Sweeps ---


def sweep_text(found: object, **more: object) -> str:
    return write_alarm({"workflow": "SweepScope", "output": found, "failure": FAILURE, **more}).text


def test_one_alarm_says_what_failed_and_what_was_found() -> None:
    found, broken = query("RETRANSMISSIONS", "INTERNET", 1234.5, finding=True), failed("TIMEOUTS", "INTER_AZ")

    alarm = write_alarm({"workflow": "SweepScope", "output": swept(found, broken), "failure": FAILURE})

    assert alarm.subject == "Flowquery: 1 of 2 queries failed; 1 findings, the highest RETRANSMISSIONS INTERNET"
    for words in (
        f"  TIMEOUTS INTER_AZ: QueryFailed: {broken['cause']}",
        f"QueryFailed: {ADVICE['QueryFailed']['likely']}",
        "  RETRANSMISSIONS INTERNET: 1234.5 Count at 2026-11-24T08:00:00Z",
        "Stored:     s3://results/",
    ):
        assert words in alarm.text, words


def test_a_finding_of_a_sweep_that_succeeds_is_no_failure() -> None:
    found = swept(query("TIMEOUTS", "INTER_AZ", 9, finding=True))

    alarm = write_alarm({"workflow": "SweepScope", "finding": found})

    assert alarm.is_finding
    assert alarm.subject == "Flowquery finding: 1 findings, the highest TIMEOUTS INTER_AZ"


def test_of_many_only_the_first_are_named_and_the_others_counted() -> None:
    many = [failed("TIMEOUTS", f"CATEGORY_{number}", unclear=True) for number in range(25)]

    text = sweep_text(swept(*many))

    assert text.count("\n  TIMEOUTS CATEGORY_") == 10
    assert text.count("and 15 more") == 2
    assert "may be running whose id nobody knows" in text


def test_of_several_windows_each_query_is_named_with_its_own() -> None:
    text = sweep_text(swept(failed("TIMEOUTS", "INTER_AZ", index=1), windows=2))

    assert "  TIMEOUTS INTER_AZ 2026-11-24T08:15:00Z: QueryFailed" in text
    assert " and 1 more windows" in text


def test_rankings_come_with_their_findings_and_those_that_failed_with_their_causes() -> None:
    found = [query("TIMEOUTS", category, 9, finding=True) for category in ("INTER_AZ", "INTERNET")]
    rankings = [
        {**found[0], "topContributors": [RANKED_ROW]},
        {**found[1], "status": "QueryTimedOut", "cause": "stopped", "topContributors": []},
    ]

    text = sweep_text({**swept(*found), "rankings": rankings, "rankingFailure": None})

    assert "TIMEOUTS INTER_AZ:\nTop contributors:\n  1. 333: subnet-0a1b" in text
    assert "TIMEOUTS INTERNET:\nTop contributors could not be ranked: QueryTimedOut: stopped" in text


def test_findings_whose_ranking_failed_as_a_whole_say_why() -> None:
    failure = {"error": "Sandbox.Timedout", "cause": "timed out"}
    found = swept(query("TIMEOUTS", "INTER_AZ", 9, finding=True))

    text = sweep_text({**found, "rankings": [], "rankingFailure": failure})

    assert "Top contributors could not be ranked: Sandbox.Timedout: timed out" in text


def test_a_step_that_broke_is_named_beside_what_is_stored_all_the_same() -> None:
    broke = {"Error": "Sandbox.Timedout", "Cause": "timed out"}
    stop = {"Error": "Lambda.Unknown", "Cause": "lost"}

    text = sweep_text(swept(), stepFailure=broke, stop=stop)

    assert "A step broke: Sandbox.Timedout: timed out" in text
    assert "stopping failed too (Lambda.Unknown)" in text
    assert "Stored:     s3://results/" in text


@pytest.mark.parametrize(
    "found", [{}, {"windows": 5}, {"windows": []}, {"windows": [5]}, {"windows": [{"objects": [5, {}]}]}, [], None]
)
def test_the_alarm_of_a_sweep_without_queries_says_which_step_broke(found: object) -> None:
    assert "A step broke: X" in sweep_text(found, stepFailure={"Error": "X"})
