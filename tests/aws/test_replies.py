"""What comes back from Network Flow Monitor, cut, odd or refused, gets the name that says whether to retry."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker

from flowquery.aws import network_flow_monitor
from flowquery.core import errors
from localaws.clock import TurnedClock
from tests.loopback import QUERY_ID, SCOPE_ID, SELECTION
from tests.scripted import Reply, ScriptedServer, call, error, http, ok

QUERY = {"scopeId": SCOPE_ID, "queryId": QUERY_ID}
START = {"scopeId": SCOPE_ID, **SELECTION}
CLOSE = "Connection: close\r\n"
PAGE = {
    "unit": "Count",
    "datapoints": [{"timestamps": ["2026-11-24T08:00:00Z"], "values": [1.5], "label": "use1-az1"}],
}


def outcome(server: ScriptedServer, function: str, event: object, *replies: Reply) -> str:
    """Return the name of the error that the function raises, or OK."""
    server.replies = list(replies)
    try:
        call(function, event)
    except errors.FlowqueryError as raised:
        return type(raised).__name__
    return "OK"


def cuts(**members: Any) -> list[Reply]:
    """Return the reply cut at each of its bytes, with the length of the whole."""
    body = json.dumps(members).encode()
    return [http(200, body[:end], CLOSE, len(body)) for end in range(len(body))]


def test_a_status_reply_cut_anywhere_is_worth_another_attempt(server: ScriptedServer) -> None:
    names = {outcome(server, "get_query_status", QUERY, cut) for cut in cuts(status="RUNNING")}

    assert names == {"TransientFault"}


def test_a_status_reply_cut_in_the_middle_is_checked_again_in_a_hold(
    server: ScriptedServer, turned_clock: TurnedClock
) -> None:
    replies = [cuts(status="SUCCEEDED")[9], ok(status="SUCCEEDED")]

    server.replies = replies
    answer = call("get_query_status", {**QUERY, "holdSeconds": 5})

    assert answer["status"] == "SUCCEEDED"
    assert answer["poll"]["observed"] == {"TransientFault": 1, "SUCCEEDED": 1}


def test_a_page_of_results_cut_anywhere_is_worth_another_attempt(server: ScriptedServer) -> None:
    names = {outcome(server, "get_query_results", QUERY, cut) for cut in cuts(**PAGE)}

    assert names == {"TransientFault"}


def test_of_a_start_cut_anywhere_the_outcome_is_unclear(server: ScriptedServer) -> None:
    names = {outcome(server, "start_query", START, cut) for cut in cuts(queryId=QUERY_ID)}

    assert names == {"UnclearOutcome"}


@pytest.mark.parametrize(
    ("reply", "name"),
    [
        (error(500, "InternalServerException"), "UnclearOutcome"),
        (http(502, "<html>"), "UnclearOutcome"),
        (ok(), "UnclearOutcome"),
        (ok(queryId=".."), "UnclearOutcome"),
        (lambda connection: connection.recv(1), "UnclearOutcome"),
        (error(429, "ThrottlingException"), "Throttled"),
        (error(400, "ValidationException"), "InvalidRequest"),
        (error(402, "ServiceQuotaExceededException"), "QuotaExceeded"),
        (error(403, "AccessDeniedException"), "AccessDenied"),
    ],
)
def test_of_a_start_only_a_clear_refusal_is_none(
    server: ScriptedServer, short_timeouts: None, reply: Reply, name: str
) -> None:
    assert outcome(server, "start_query", START, reply) == name


def test_a_start_that_was_never_sent_is_no_unclear_outcome(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    network_flow_monitor.client.cache_clear()

    assert outcome(server, "start_query", START) == "TransientFault"


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("", "TransientFault"),
        ("<html>busy</html>", "TransientFault"),
        ('{"status": "RUNN', "TransientFault"),
        (b"\xff\xfe", "TransientFault"),
        ("[]", "MalformedReply"),
        ("null", "MalformedReply"),
        ("{}", "MalformedReply"),
        ('{"status": null}', "MalformedReply"),
        ('{"status": 5}', "MalformedReply"),
        ('{"status": ["RUNNING"]}', "MalformedReply"),
        ("[" * 100_000, "MalformedReply"),
    ],
)
def test_a_whole_reply_that_the_model_does_not_allow_is_final(
    server: ScriptedServer, body: str | bytes, name: str
) -> None:
    assert outcome(server, "get_query_status", QUERY, http(200, body)) == name


@pytest.mark.parametrize("body", ["", "[]", "null", "<html>", b"\xff\xfe", b"\x1f\x8b\x08broken", "5"])
@pytest.mark.parametrize(
    ("status", "name"),
    [
        (429, "Throttled"),
        (500, "TransientFault"),
        (502, "TransientFault"),
        (503, "TransientFault"),
        (408, "TransientFault"),
        (400, "InvalidRequest"),
        (402, "QuotaExceeded"),
        (403, "AccessDenied"),
        (404, "InvalidRequest"),
    ],
)
def test_the_status_of_an_error_decides_whatever_its_body(
    server: ScriptedServer, status: int, name: str, body: str | bytes
) -> None:
    old = {"poll": {"waitSeconds": 0, "exhausted": False, "elapsedSeconds": 60, "checks": 1, "observed": {}}}

    assert outcome(server, "get_query_status", {**QUERY, **old}, http(status, body)) == name


RETRIED_BY_THE_SDK = {
    *ThrottledRetryableChecker._THROTTLED_ERROR_CODES,  # type: ignore[attr-defined]
    *TransientRetryableChecker._TRANSIENT_ERROR_CODES,  # type: ignore[attr-defined]
}


@pytest.mark.parametrize("code", sorted(RETRIED_BY_THE_SDK))
def test_what_the_sdk_retries_is_no_refusal(server: ScriptedServer, code: str) -> None:
    assert outcome(server, "get_query_status", QUERY, error(400, code)) in ("Throttled", "TransientFault")


@pytest.mark.parametrize("code", ["ExpiredToken", "ExpiredTokenException", "RequestExpired"])
@pytest.mark.parametrize("status", [400, 403])
def test_expired_credentials_have_a_name_of_their_own(server: ScriptedServer, code: str, status: int) -> None:
    assert outcome(server, "get_query_status", QUERY, error(status, code)) == "CredentialsExpired"


def test_missing_credentials_have_that_name_too(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.session.Session.get_credentials", lambda _: None)
    network_flow_monitor.client.cache_clear()

    assert outcome(server, "get_query_status", QUERY, ok(status="RUNNING")) == "CredentialsExpired"


@pytest.mark.parametrize(
    "datapoints",
    [
        {},
        "",
        None,
        [{}],
        [{"timestamps": [None], "values": [1.5], "label": "a"}],
        [{"timestamps": [1e18], "values": [1.5], "label": "a"}],
        [{"timestamps": ["9999-12-31T23:59:59-10:00"], "values": [1.5], "label": "a"}],
        [{"timestamps": ["2026-11-24T08:00:00+99:00"], "values": [1.5], "label": "a"}],
        [{"timestamps": ["soon"], "values": [1.5], "label": "a"}],
        [{"timestamps": ["2026-11-24T08:00:00Z"], "values": [True], "label": "a"}],
        [{"timestamps": ["2026-11-24T08:00:00Z"], "values": [10**400], "label": "a"}],
        [{"timestamps": ["2026-11-24T08:00:00Z"], "values": "", "label": "a"}],
    ],
)
def test_members_of_another_type_are_no_results(server: ScriptedServer, datapoints: object) -> None:
    reply = http(200, json.dumps({"unit": "Count", "datapoints": datapoints}))

    assert outcome(server, "get_query_results", QUERY, reply) == "MalformedReply"
    assert server.other_requests == []


@pytest.mark.parametrize("unit", [{}, {"unit": None}, {"unit": ""}])
def test_results_without_a_unit_are_results(server: ScriptedServer, unit: dict[str, object]) -> None:
    server.replies = [http(200, json.dumps({**PAGE, **unit} if unit else {"datapoints": PAGE["datapoints"]}))]
    full = call("get_query_results", QUERY)["results"]
    server.replies = [http(200, json.dumps({"datapoints": [], **unit}))]
    empty = call("get_query_results", QUERY)["results"]

    assert (full["rows"], full["unit"]) == (1, None)
    assert (empty["rows"], empty["empty"], empty["unit"]) == (0, True, None)


# --- An id that the service does not know yet ---

UNKNOWN = [error(404, "ResourceNotFoundException"), http(400, '{"message": "Query q does not exist"}')]


@pytest.mark.parametrize("unknown", UNKNOWN)
def test_just_after_the_start_an_unknown_id_is_like_a_throttle(
    server: ScriptedServer, turned_clock: TurnedClock, unknown: bytes
) -> None:
    server.replies = [unknown, ok(status="SUCCEEDED")]

    answer = call("get_query_status", {**QUERY, "holdSeconds": 5})

    assert answer["status"] == "SUCCEEDED"
    assert outcome(server, "get_query_status", QUERY, unknown) == "TransientFault"


@pytest.mark.parametrize("unknown", UNKNOWN)
def test_later_an_unknown_id_is_refused(server: ScriptedServer, unknown: bytes) -> None:
    poll = {"waitSeconds": 0, "exhausted": False, "elapsedSeconds": 10, "checks": 3, "observed": {"RUNNING": 3}}

    assert outcome(server, "get_query_status", {**QUERY, "poll": poll}, unknown) == "InvalidRequest"


# --- Timeouts ---


@pytest.mark.parametrize(
    ("function", "event", "reply", "seconds"),
    [
        ("start_query", START, ok(queryId=QUERY_ID), 20),
        ("get_query_status", QUERY, ok(status="RUNNING"), 5),
        ("get_query_results", QUERY, ok(**PAGE), 20),
        ("stop_query", QUERY, ok(), 5),
    ],
)
def test_each_call_has_its_own_timeout(
    server: ScriptedServer, function: str, event: object, reply: Reply, seconds: float
) -> None:
    timeouts: list[object] = []
    for attempts in (1, 2):
        events = network_flow_monitor.client(attempts).meta.events
        events.register("before-send", lambda request, **_: timeouts.append(request.context["read_timeout"]))

    assert outcome(server, function, event, reply) == "OK"
    assert timeouts == [seconds]


def test_a_reply_that_drips_is_bounded_as_a_whole(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_flow_monitor, "LONGEST_REPLY_SECONDS", 0.0)
    network_flow_monitor.client.cache_clear()

    assert outcome(server, "get_query_status", QUERY, ok(status="RUNNING")) == "TransientFault"
