"""RankContributors: one invocation starts the ranking queries, holds, stores, and leaves no query running."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from flowquery.core import errors
from localaws.clock import TurnedClock
from tests.loopback import QUERY_ID, SCOPE_ID, SELECTION, event, output
from tests.scripted import Reply, Request, ScriptedServer, call, error, http, listed, ok

FOUND = output(finding=True, alarmAbove=5)
RANKED = ok(topContributors=[{"remoteIdentifier": "i-1", "value": 9}, {"remoteIdentifier": "i-2", "value": 4}])
STARTED = ok(queryId=QUERY_ID)
QUERIES = f"/workloadInsights/{SCOPE_ID}/topContributorsQueries"
WINDOW = {"startTime": SELECTION["startTime"], "endTime": SELECTION["endTime"]}


@pytest.fixture(autouse=True)
def _without_waiting(turned_clock: TurnedClock) -> None:
    """Let holds take no time."""


def finding(category: str, value: float, window: int = 0) -> dict[str, Any]:
    return {
        "window": window,
        "metricName": "TIMEOUTS",
        "destinationCategory": category,
        "peak": {"value": value, "label": "use1-az1", "timestamp": SELECTION["startTime"]},
        "finding": True,
    }


def swept(*queries: dict[str, Any]) -> dict[str, Any]:
    """Return what RankContributors reads of an output of SweepScope."""
    cost = {"checks": 9, "transitions": 12, "requests": 5, "gbSeconds": 1.0}
    above = {"TIMEOUTS": 10}
    return {"scopeId": SCOPE_ID, "windows": [WINDOW], "queries": list(queries), "alarmAbove": above, "cost": cost}


def rank(server: ScriptedServer, *replies: Reply, found: object = FOUND, **more: object) -> dict[str, Any]:
    server.replies, server.other_replies = list(replies), [listed(), http(200)]
    answer = call("rank_contributors", {"output": found, **more})
    assert set(answer) == {"output"}
    made: dict[str, Any] = answer["output"]
    return made


def verbs(server: ScriptedServer) -> list[str]:
    """Return what was sent to Network Flow Monitor."""
    return [_verb(request) for request in server.nfm_requests]


def _verb(request: Request) -> str:
    by_method = {"POST": "start", "DELETE": "stop"}
    return by_method.get(request.method) or request.path.partition("?")[0].rsplit("/", 1)[-1]


def test_it_starts_holds_stores_and_answers_the_finding_with_its_ranking(server: ScriptedServer) -> None:
    made = rank(server, STARTED, ok(status="QUEUED"), ok(status="RUNNING"), ok(status="SUCCEEDED"), RANKED, limit=7)

    assert verbs(server) == ["start", "status", "status", "status", "results"]
    start = server.nfm_requests[0]
    assert start.path == QUERIES
    assert json.loads(start.body) == {**SELECTION, "limit": 7}
    put = server.other_requests[-1]
    key = made["ranking"]["results"]["key"]
    assert (put.method, put.headers["if-none-match"]) == ("PUT", "*")
    assert key.startswith("contributors/date=2026-11-24/")
    assert key.endswith("-top7.jsonl.gz")
    assert made["ranking"]["queryId"] == QUERY_ID
    assert [row["value"] for row in made["ranking"]["results"]["topContributors"]] == [9, 4]
    assert made["rankingFailure"] is None
    assert {name: made[name] for name in FOUND if name != "cost"} == {
        name: FOUND[name] for name in FOUND if name != "cost"
    }


def test_the_cost_is_that_of_the_finding_and_its_ranking(server: ScriptedServer) -> None:
    cost = rank(server, STARTED, ok(status="RUNNING"), ok(status="SUCCEEDED"), RANKED, retryCount=2)["cost"]

    before = FOUND["cost"]
    assert cost["checks"] == before["checks"] + 2
    assert cost["transitions"] == before["transitions"] + 2  # the state itself is counted by GetQueryResults
    assert cost["requests"] == before["requests"] + 3
    assert cost["gbSeconds"] > before["gbSeconds"]
    assert cost["dollars"] > before["dollars"]


def test_a_query_that_outlives_the_invocation_is_stopped(server: ScriptedServer, turned_clock: TurnedClock) -> None:
    made = rank(server, STARTED, *[ok(status="RUNNING")] * 1_000, timeoutSeconds=86_400)

    assert verbs(server).count("stop") == 1
    assert verbs(server)[-1] == "stop"
    assert made["ranking"] is None
    assert made["rankingFailure"]["error"] == "QueryTimedOut"
    assert made["rankingFailure"]["cause"] == "stopped; RUNNING when the time of RankContributors was over"
    assert turned_clock.monotonic() < 900 - 60


def test_a_query_whose_budget_is_spent_is_stopped(server: ScriptedServer, turned_clock: TurnedClock) -> None:
    made = rank(server, STARTED, *[ok(status="RUNNING")] * 1_000, timeoutSeconds=60)

    assert verbs(server)[-1] == "stop"
    assert made["rankingFailure"]["error"] == "QueryTimedOut"
    assert re.fullmatch(r"stopped; RUNNING after (59|6[01])\.\d s and \d+ checks", made["rankingFailure"]["cause"])
    assert turned_clock.monotonic() < 70


@pytest.mark.parametrize(
    ("replies", "name"),
    [
        ([error(403, "AccessDeniedException")], "AccessDenied"),
        ([error(400, "ValidationException")], "InvalidRequest"),
        ([http(500)], "UnclearOutcome"),
        ([STARTED, ok(status="FAILED")], "QueryFailed"),
        ([STARTED, ok(status="CANCELED")], "QueryCanceled"),
        ([STARTED, ok(status="PAUSED"), ok()], "UnknownStatus"),
        ([STARTED, ok(status="SUCCEEDED"), error(404, "ResourceNotFoundException")], "ResultsExpired"),
        ([STARTED, ok(status="SUCCEEDED"), error(403, "AccessDeniedException")], "AccessDenied"),
        ([STARTED, ok(status="SUCCEEDED"), ok(topContributors=[{"accountId": "1"}])], "MalformedReply"),
    ],
)
def test_a_ranking_that_fails_leaves_the_finding_and_says_why(
    server: ScriptedServer, replies: list[bytes], name: str
) -> None:
    made = rank(server, *replies)

    assert made["ranking"] is None
    assert made["rankingFailure"]["error"] == name
    assert made["rankingFailure"]["cause"]
    assert (made["finding"], made["results"]) == (True, FOUND["results"])
    assert not [request for request in server.other_requests if request.method == "PUT"]


@pytest.mark.parametrize(("reply", "name"), [(http(403), "AccessDenied"), (http(503), "TransientFault")])
@pytest.mark.parametrize("found", [FOUND, swept(finding("INTER_AZ", 50))], ids=["RunQuery", "SweepScope"])
def test_rows_that_cannot_be_stored_are_a_failure_of_the_ranking_alone(
    server: ScriptedServer, found: dict[str, Any], reply: bytes, name: str
) -> None:
    server.replies, server.other_replies = [STARTED, ok(status="SUCCEEDED"), RANKED], [listed(), reply]

    made = call("rank_contributors", {"output": found})["output"]

    assert made["rankingFailure"]["error"] == name
    assert made.get("ranking") is None
    assert made.get("rankings", []) == []


def test_the_highest_peaks_of_a_sweep_are_ranked_first_and_no_more_than_its_input_says(server: ScriptedServer) -> None:
    found = swept(finding("INTRA_AZ", 30), finding("INTER_AZ", 500), finding("INTERNET", 40), finding("INTER_VPC", 20))
    ids = [ok(queryId=f"q{number}") for number in range(2)]

    made = rank(server, *ids, ok(status="SUCCEEDED"), ok(status="SUCCEEDED"), RANKED, found=found, rankedPeaks=2)

    started = [json.loads(request.body)["destinationCategory"] for request in server.nfm_requests[:2]]
    assert started == ["INTER_AZ", "INTERNET"]
    assert verbs(server)[:2] == ["start", "start"]
    assert "start" not in verbs(server)[2:]
    assert [ranking["destinationCategory"] for ranking in made["rankings"]] == ["INTER_AZ", "INTERNET"]
    assert {ranking["status"] for ranking in made["rankings"]} == {"SUCCEEDED"}
    assert made["rankingFailure"] is None


def test_a_sweep_that_ranks_none_sends_nothing(server: ScriptedServer) -> None:
    made = rank(server, http(500), found=swept(finding("INTER_AZ", 50)), rankedPeaks=0)

    assert (made["rankings"], made["rankingFailure"], server.requests) == ([], None, [])


def test_after_a_lost_attempt_a_second_query_may_be_running(server: ScriptedServer) -> None:
    made = rank(server, STARTED, ok(status="SUCCEEDED"), RANKED, found=swept(finding("INTER_AZ", 50)), retryCount=1)

    assert made["rankings"][0]["unclear"] is True


def test_the_sample_event_is_ranked(server: ScriptedServer) -> None:
    server.replies, server.other_replies = [STARTED, ok(status="SUCCEEDED"), RANKED], [listed(), http(200)]

    made = call("rank_contributors", event("rank_contributors"))["output"]

    assert made["ranking"]["results"]["rows"] == 2


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"output": None}, "output"),
        ({"output": {**FOUND, "finding": False}}, "output"),
        ({"output": {**FOUND, "scopeId": ".."}}, "scopeId"),
        ({"limit": 0}, "limit"),
        ({"timeoutSeconds": "long"}, "timeoutSeconds"),
        ({"requestsPerSecond": 0}, "requestsPerSecond"),
        ({"rankedPeaks": 21}, "rankedPeaks"),
        ({"retryCount": -1}, "retryCount"),
    ],
)
def test_what_cannot_be_ranked_is_refused_before_any_call(
    server: ScriptedServer, change: dict[str, object], field: str
) -> None:
    with pytest.raises(errors.InvalidInput, match=f"^{field}"):
        call("rank_contributors", {"output": FOUND, **change})

    assert server.requests == []
