"""StartQuery: the input is checked whole and filled in, and the query is started unless it is running already."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flowquery.core import errors
from flowquery.core.model import Family
from tests.loopback import QUERY_ID, SCOPE_ID, SELECTION
from tests.scripted import ScriptedServer, call, error, http, ok

START = {"scopeId": SCOPE_ID, **SELECTION}
RANKING = {**START, "family": Family.RANKING.value}
FILLED_IN = {
    **START,
    "queryId": QUERY_ID,
    "family": Family.DATA.value,
    "limit": 10,
    "alarmAbove": None,
    "holdSeconds": 600,
    "timeoutSeconds": 1800,
}


def start(fields: object) -> Any:
    answer = call("start_query", fields)
    assert answer.pop("gbSeconds") >= 0
    return answer


def test_the_window_is_sent_in_utc_and_the_id_is_answered_with_every_field(server: ScriptedServer) -> None:
    server.replies = [ok(queryId=QUERY_ID)]
    times = {"startTime": "2026-11-24T10:00:00+02:00", "endTime": 1_795_510_800}

    answer = start({**START, **times, "timeoutSeconds": 60})

    assert answer == {**FILLED_IN, "timeoutSeconds": 60, "started": True}
    [request] = server.requests
    assert json.loads(request.body) == SELECTION
    assert (request.method, request.path) == ("POST", f"/workloadInsights/{SCOPE_ID}/topContributorsDataQueries")


def test_the_execution_that_started_this_one_may_be_named(server: ScriptedServer) -> None:
    server.replies = [ok(queryId=QUERY_ID)]

    answer = start({**START, "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": "arn"})

    assert answer == {**FILLED_IN, "started": True}


@pytest.mark.parametrize("selection", [{}, SELECTION])
def test_a_query_that_was_handed_in_is_not_started(server: ScriptedServer, selection: dict[str, str]) -> None:
    answer = start({"scopeId": SCOPE_ID, "queryId": QUERY_ID, **selection})

    assert answer == {**FILLED_IN, **dict.fromkeys(SELECTION), **selection, "started": False}
    assert server.requests == []


def test_a_ranking_is_started_with_its_limit(server: ScriptedServer) -> None:
    server.replies = [ok(queryId=QUERY_ID)]

    answer = start({**RANKING, "limit": 7})

    assert (answer["family"], answer["limit"]) == (Family.RANKING, 7)
    assert json.loads(server.requests[0].body) == {**SELECTION, "limit": 7}
    assert server.requests[0].path.endswith("/topContributorsQueries")


def test_a_ranking_without_a_limit_gets_that_of_the_stack(server: ScriptedServer) -> None:
    server.replies = [ok(queryId=QUERY_ID)]

    start(RANKING)

    assert json.loads(server.requests[0].body)["limit"] == 10


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("metricName", "ROUND_TRIP_TIME", "RETRANSMISSIONS"),
        ("metricName", ["TIMEOUTS"], "RETRANSMISSIONS"),
        ("destinationCategory", "AWS_SERVICES", "AWS_SERVICE"),
        ("destinationCategory", None, "is missing"),
        ("startTime", "yesterday", "ISO 8601"),
        ("startTime", "2026-11-24T08:00:00.5Z", "whole seconds"),
        ("startTime", 1_795_510_800_000, "epoch seconds"),
        ("startTime", float("nan"), "epoch seconds"),
        ("startTime", True, "epoch seconds"),
        ("startTime", [], "ISO 8601"),
        ("startTime", "1999-12-31T23:59:59Z", "2000"),
        ("endTime", "2026-11-24T08:00:00Z", "after startTime"),
        ("endTime", "2026-11-24T07:00:00Z", "after startTime"),
        ("scopeId", "..", "letters"),
        ("timeoutSeconds", "soon", "a number from 1 to 86400"),
        ("holdSeconds", 10_000, "a number from 0 to 840"),
        ("limit", 0, "a whole number from 1 to 500"),
        ("alarmAbove", "high", "a number"),
    ],
)
def test_what_the_service_model_does_not_allow_is_refused(
    server: ScriptedServer, field: str, value: object, allowed: str
) -> None:
    with pytest.raises(errors.InvalidInput, match=f"^{field}") as refusal:
        call("start_query", {**START, field: value})

    assert allowed in str(refusal.value)
    assert server.requests == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("family", "MonitorTopContributors"),
        ("family", 5),
        ("limit", 0),
        ("limit", 501),
        ("limit", 1.5),
        ("alarmAbove", 5),
    ],
)
def test_what_a_ranking_does_not_take_is_refused(server: ScriptedServer, field: str, value: object) -> None:
    with pytest.raises(errors.InvalidInput, match=f"^{field}"):
        call("start_query", {**RANKING, "limit": 10, field: value})

    assert server.requests == []


@pytest.mark.parametrize("query_id", [{}, {"queryId": QUERY_ID}])
@pytest.mark.parametrize("name", ["alarmabove", "metricNames", "Payload"])
def test_an_unknown_name_is_refused_before_any_call(
    server: ScriptedServer, query_id: dict[str, str], name: str
) -> None:
    with pytest.raises(errors.InvalidInput, match=f'^"{name}" is not a field of this input'):
        call("start_query", {**START, **query_id, name: 100})

    assert server.requests == []


def test_a_start_is_sent_once_since_a_second_attempt_may_be_a_second_query(server: ScriptedServer) -> None:
    server.replies = [http(500)]

    with pytest.raises(errors.UnclearOutcome, match="a query may be running whose id nobody knows"):
        call("start_query", START)

    assert len(server.requests) == 1


def test_a_start_that_was_clearly_refused_may_not_have_started_anything(server: ScriptedServer) -> None:
    server.replies = [error(429, "ThrottlingException")]

    with pytest.raises(errors.Throttled) as raised:
        call("start_query", START)

    assert "may be running" not in str(raised.value)
    assert len(server.requests) == 1


@pytest.mark.parametrize("reply", [{}, {"queryId": None}, {"queryId": 5}, {"queryId": "../x"}, {"queryId": ""}])
def test_an_id_that_cannot_be_used_is_an_unclear_outcome(server: ScriptedServer, reply: dict[str, Any]) -> None:
    server.replies = [ok(**reply)]

    with pytest.raises(errors.UnclearOutcome):
        call("start_query", START)
