"""The status step over real HTTP: every status, every error, every cut of a reply, bad ids sent nowhere."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowquery.aws import network_flow_monitor
from flowquery.core import errors
from flowquery.polling.policy import POLICY
from localaws.clock import TurnedClock
from tests.scripted import ScriptedServer, call, error, http, ok

QUERY = {"scopeId": "scope-1", "queryId": "query-1"}
PATH = "/workloadInsights/scope-1/topContributorsDataQueries/query-1/status"


def status_step(**more: Any) -> Any:
    return call("get_query_status", {**QUERY, **more})


@pytest.mark.parametrize("status", ["QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELED", "PAUSED"])
def test_ids_alone_check_once_and_answer_the_status_and_the_advice(server: ScriptedServer, status: str) -> None:
    server.replies = [ok(status=status)]

    answer = status_step()

    assert [request.path for request in server.requests] == [PATH]
    assert (answer["scopeId"], answer["queryId"], answer["status"]) == ("scope-1", "query-1", status)
    assert answer["poll"]["checks"] == 1
    assert answer["poll"]["observed"] == {status: 1}
    assert (answer["poll"]["waitSeconds"] >= 1) == (status in ("QUEUED", "RUNNING"))
    assert not answer["poll"]["exhausted"]


@pytest.mark.parametrize(
    ("reply", "name", "attempts"),
    [
        (error(429, "ThrottlingException"), "Throttled", 2),
        (error(403, "AccessDeniedException"), "AccessDenied", 1),
        (error(402, "ServiceQuotaExceededException"), "QuotaExceeded", 1),
        (error(400, "ValidationException"), "InvalidRequest", 1),
        (error(500, "InternalServerException"), "TransientFault", 2),
        (http(500), "TransientFault", 2),
        (http(503, "<html>unavailable</html>"), "TransientFault", 2),
        (http(429), "Throttled", 2),
        (http(403, "<html>a proxy says no</html>"), "AccessDenied", 1),
        (error(403, "ExpiredTokenException"), "CredentialsExpired", 1),
        (error(404, "ResourceNotFoundException"), "TransientFault", 1),  # the service may not know a new id yet
        (http(404), "TransientFault", 1),
        (http(301, "", "Location: /elsewhere\r\n"), "TransientFault", 1),
        (http(200, "<html>captive portal</html>"), "TransientFault", 1),
        (http(200, ""), "TransientFault", 1),
        (http(200, "{}"), "MalformedReply", 1),
        (http(200, '{"status": null}'), "MalformedReply", 1),
        (http(200, '{"status": 5}'), "MalformedReply", 1),
        (http(200, '{"status": ""}'), "MalformedReply", 1),
        (http(200, '{"Status": "RUNNING"}'), "MalformedReply", 1),
        (http(200, '["RUNNING"]'), "MalformedReply", 1),
        (http(200, b'{"status": "\xff"}'), "TransientFault", 1),
        (http(200, "[" * 100_000), "MalformedReply", 1),
        (http(200, json.dumps({"status": "X" * 5000})), "MalformedReply", 1),
        (http(204), "TransientFault", 1),
    ],
)
def test_every_reply_that_is_no_status_ends_in_its_named_error(
    server: ScriptedServer, reply: bytes, name: str, attempts: int
) -> None:
    server.replies = [reply]

    with pytest.raises(errors.FlowqueryError) as raised:
        status_step()

    assert type(raised.value).__name__ == name
    assert len(server.requests) == attempts


def test_a_reply_cut_at_any_byte_is_never_taken_for_an_answer(server: ScriptedServer) -> None:
    body = b'{"status":"RUNNING"}'
    for cut in range(len(body)):
        for headers, length in (("", cut), ("Connection: close\r\n", len(body))):
            server.replies = [http(200, body[:cut], headers, length)]
            with pytest.raises(errors.TransientFault):
                status_step()


def test_a_service_that_does_not_answer_is_a_transient_fault(server: ScriptedServer, short_timeouts: None) -> None:
    server.replies = [lambda connection: connection.recv(1)]
    sent: list[object] = []
    network_flow_monitor.client(2).meta.events.register(
        "before-send.networkflowmonitor", lambda request, **_: sent.append(request)
    )

    with pytest.raises(errors.TransientFault, match="ReadTimeoutError"):
        status_step()

    assert len(sent) == 2  # counted here: the server may come to read one only after its client has given up


def test_a_connection_that_breaks_is_a_transient_fault(server: ScriptedServer) -> None:
    server.replies = [lambda connection: connection.close()]

    with pytest.raises(errors.TransientFault):
        status_step()


def test_a_refused_connection_is_a_transient_fault(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")
        network_flow_monitor.client.cache_clear()
        with pytest.raises(errors.TransientFault, match="EndpointConnectionError"):
            status_step()


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (None, "the event"),
        ([], "the event"),
        ("scope-1", "the event"),
        ({}, "scopeId"),
        ({"Payload": QUERY}, "Payload"),
        ({"scopeid": "scope-1", "queryid": "query-1"}, "scopeid"),
        ({"ScopeId": "scope-1", "QueryId": "query-1"}, "ScopeId"),
        ({"scopeId": "scope-1"}, "queryId"),
        ({"scopeId": None, "queryId": "query-1"}, "scopeId"),
        ({"scopeId": 5, "queryId": "query-1"}, "scopeId"),
        ({"scopeId": ["scope-1"], "queryId": "query-1"}, "scopeId"),
        *(({**QUERY, "queryId": bad}, "queryId") for bad in (
            "", ".", "..", "../x", "a/b", "a%2Fb", "a\n", " a", "a b", "é", "１２", "-a", "_a", "a" * 129, "{a}",
            "urn:uuid:cc4f4ab3-3103-33b8-80ff-d6597a0c6cea", "a?b", "a#b", "a\u0000",
        )),
        ({**QUERY, "holdSeconds": -1}, "holdSeconds"),
        ({**QUERY, "holdSeconds": "60"}, "holdSeconds"),
        ({**QUERY, "holdSeconds": True}, "holdSeconds"),
        ({**QUERY, "timeoutSeconds": 0}, "timeoutSeconds"),
        ({**QUERY, "timeoutSeconds": 86_401}, "timeoutSeconds"),
        ({**QUERY, "retryCount": -1}, "retryCount"),
        ({**QUERY, "retryCount": 1.5}, "retryCount"),
    ],
)  # fmt: skip
def test_bad_input_names_the_field_and_sends_nothing(server: ScriptedServer, event: object, field: str) -> None:
    with pytest.raises(errors.InvalidInput, match=field):
        call("get_query_status", event)

    assert server.requests == []


@given(st.text())
def test_only_safe_ids_ever_leave(server: ScriptedServer, query_id: str) -> None:
    server.replies, server.requests = [ok(status="RUNNING")], []
    try:
        call("get_query_status", {"scopeId": "scope-1", "queryId": query_id})
    except errors.InvalidInput as refusal:
        assert "queryId" in str(refusal)
        assert server.requests == []
    else:
        assert server.requests[0].path == PATH.replace("query-1", query_id)


GOOD_POLL: dict[str, Any] = {
    "waitSeconds": 5,
    "exhausted": False,
    "elapsedSeconds": 10.5,
    "checks": 3,
    "observed": {"RUNNING": 3},
}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("waitSeconds", -1),
        ("waitSeconds", 1.5),
        ("waitSeconds", None),
        ("exhausted", "no"),
        ("elapsedSeconds", -0.1),
        ("elapsedSeconds", float("nan")),
        ("elapsedSeconds", float("inf")),
        ("elapsedSeconds", "10"),
        ("elapsedSeconds", 10**400),
        ("checks", True),
        ("checks", -3),
        ("observed", []),
        ("observed", {"RUNNING": -1}),
        ("observed", {"RUN\nNING": 1}),
        ("observed", {f"S{index}": 1 for index in range(13)}),
        ("transitions", -1),
        ("requests", 0.5),
        ("gbSeconds", -1),
    ],
)
def test_a_poll_that_no_call_answered_is_refused_by_field(server: ScriptedServer, field: str, value: object) -> None:
    with pytest.raises(errors.InvalidInput, match=f"poll.{field}"):
        status_step(poll={**GOOD_POLL, field: value})

    assert server.requests == []


@pytest.mark.parametrize("field", GOOD_POLL)
def test_a_poll_that_lacks_a_field_is_refused(server: ScriptedServer, field: str) -> None:
    with pytest.raises(errors.InvalidInput, match=f"poll.{field}"):
        status_step(poll={name: value for name, value in GOOD_POLL.items() if name != field})


@pytest.mark.parametrize("poll", [[], "poll", 5, True])
def test_a_poll_that_is_no_object_is_refused(server: ScriptedServer, poll: object) -> None:
    with pytest.raises(errors.InvalidInput, match="poll"):
        status_step(poll=poll)


@pytest.mark.parametrize("reply", [error(404, "ResourceNotFoundException"), http(404)])
def test_an_id_that_is_unknown_some_time_after_the_start_is_refused(server: ScriptedServer, reply: bytes) -> None:
    server.replies = [reply]

    with pytest.raises(errors.InvalidRequest):
        status_step(poll=GOOD_POLL)

    assert len(server.requests) == 1


def test_fields_that_a_newer_version_adds_to_the_poll_are_ignored(server: ScriptedServer) -> None:
    server.replies = [ok(status="RUNNING")]

    answer = status_step(poll={**GOOD_POLL, "version": 2, "added": {"later": []}})

    assert answer["poll"]["checks"] == GOOD_POLL["checks"] + 1
    assert "version" not in answer["poll"]


def test_a_caller_may_pass_its_whole_state(server: ScriptedServer) -> None:
    server.replies = [ok(status="RUNNING")]

    answer = status_step(alarmabove=5, metricName=None, started=True, timeoutSeconds=None, holdSeconds=None)

    assert answer["status"] == "RUNNING"


def test_the_poll_of_one_answer_makes_the_next_call_go_on(server: ScriptedServer) -> None:
    server.replies = [ok(status="QUEUED"), ok(status="RUNNING")]

    first = status_step()
    second = status_step(poll=first["poll"])

    assert second["poll"]["checks"] == 2
    assert second["poll"]["observed"] == {"QUEUED": 1, "RUNNING": 1}
    assert second["poll"]["elapsedSeconds"] >= first["poll"]["elapsedSeconds"] > 0


def test_a_hold_checks_until_the_query_ends(server: ScriptedServer, turned_clock: TurnedClock) -> None:
    server.replies = [ok(status="QUEUED"), *[ok(status="RUNNING")] * 5, ok(status="SUCCEEDED")]

    answer = status_step(holdSeconds=600)

    assert answer["status"] == "SUCCEEDED"
    assert answer["poll"]["checks"] == 7
    assert answer["poll"]["elapsedSeconds"] == pytest.approx(sum(turned_clock.sleeps), abs=0.001)
    assert min(turned_clock.sleeps) >= 0.5
    assert server.connections == 1


def test_a_hold_ends_in_advice_to_wait(server: ScriptedServer, turned_clock: TurnedClock) -> None:
    server.replies = [ok(status="RUNNING")]

    answer = status_step(holdSeconds=20)

    assert turned_clock.monotonic() <= 20
    assert answer["status"] == "RUNNING"
    assert answer["poll"]["waitSeconds"] >= 1
    assert not answer["poll"]["exhausted"]


def test_a_hold_leaves_time_for_a_slow_call_before_the_function_ends(
    server: ScriptedServer, turned_clock: TurnedClock
) -> None:
    server.replies = [ok(status="RUNNING")]

    call("get_query_status", {**QUERY, "holdSeconds": 600}, remaining_seconds=60)

    assert turned_clock.monotonic() <= 60 - POLICY.slowest_call


def test_the_budget_ends_the_loop(server: ScriptedServer, turned_clock: TurnedClock) -> None:
    server.replies = [ok(status="RUNNING")]

    answer, rounds = status_step(holdSeconds=10, timeoutSeconds=120), 1
    while not answer["poll"]["exhausted"]:
        answer, rounds = status_step(holdSeconds=10, timeoutSeconds=120, poll=answer["poll"]), rounds + 1

    assert rounds < 20
    assert 119 <= answer["poll"]["elapsedSeconds"] <= 120
    assert answer["status"] == "RUNNING"


def test_each_retry_is_charged_the_longest_backoff_and_one_call(
    server: ScriptedServer, turned_clock: TurnedClock
) -> None:
    server.replies = [ok(status="SUCCEEDED")]

    answer = status_step(poll=GOOD_POLL, retryCount=2)

    charged = 2 * (POLICY.longest_backoff + POLICY.slowest_call)
    assert answer["poll"]["elapsedSeconds"] == 10.5 + charged + POLICY.shortest_interval


def test_faults_after_a_good_check_are_absorbed_and_counted(server: ScriptedServer, turned_clock: TurnedClock) -> None:
    throttles, faults = [error(429, "ThrottlingException")] * 2, [http(500)] * 2
    server.replies = [ok(status="RUNNING"), *throttles, *faults, ok(status="SUCCEEDED")]

    answer = status_step(holdSeconds=60)

    assert answer["status"] == "SUCCEEDED"
    assert answer["poll"]["observed"] == {"RUNNING": 1, "Throttled": 1, "TransientFault": 1, "SUCCEEDED": 1}


def test_faults_before_the_first_good_check_are_absorbed_too(server: ScriptedServer, turned_clock: TurnedClock) -> None:
    server.replies = [*[error(429, "ThrottlingException")] * 4, *[http(500)] * 2, ok(status="SUCCEEDED")]

    answer = status_step(holdSeconds=60)

    assert answer["status"] == "SUCCEEDED"
    assert answer["poll"]["observed"] == {"Throttled": 2, "TransientFault": 1, "SUCCEEDED": 1}
    assert turned_clock.sleeps == sorted(turned_clock.sleeps)


def test_a_hold_without_one_good_check_ends_in_the_fault(server: ScriptedServer, turned_clock: TurnedClock) -> None:
    server.replies = [error(429, "ThrottlingException")]

    with pytest.raises(errors.Throttled):
        status_step(holdSeconds=20)

    assert turned_clock.monotonic() <= 20
    assert len(server.requests) > 2 * 3


def test_a_hold_without_one_good_check_answers_the_status_that_was_handed_back(
    server: ScriptedServer, turned_clock: TurnedClock
) -> None:
    server.replies = [http(500)]

    answer = status_step(holdSeconds=20, poll=GOOD_POLL)

    assert answer["status"] == "RUNNING"
    assert answer["poll"]["waitSeconds"] >= 1
    assert answer["poll"]["observed"]["RUNNING"] == 3


def test_a_status_that_was_handed_back_is_never_taken_for_an_end(server: ScriptedServer) -> None:
    server.replies = [http(500)]

    with pytest.raises(errors.TransientFault):
        status_step(poll={**GOOD_POLL, "observed": {"SUCCEEDED": 1, "PAUSED": 1}})


def test_a_hold_that_ends_in_faults_answers_the_last_status(server: ScriptedServer, turned_clock: TurnedClock) -> None:
    server.replies = [ok(status="RUNNING"), http(500)]

    answer = status_step(holdSeconds=5)

    assert answer["status"] == "RUNNING"
    assert answer["poll"]["observed"]["TransientFault"] >= 2


def test_the_answer_stays_under_2_kb_at_its_longest(server: ScriptedServer) -> None:
    server.replies = [ok(status="X" * 64)]
    observed = {f"{'Y' * 62}{index:02}": 10**9 for index in range(12)}
    poll = {**GOOD_POLL, "elapsedSeconds": 86399.123, "observed": observed}

    answer = call("get_query_status", {"scopeId": "s" * 128, "queryId": "q" * 128, "poll": poll})

    assert len(json.dumps(answer)) <= 2048


def metrics(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return the one metrics line that was sent."""
    [sent] = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    [declared] = sent["_aws"]["CloudWatchMetrics"]
    assert declared["Dimensions"] == [["service"]]
    return {metric["Name"]: sent[metric["Name"]] for metric in declared["Metrics"]}


def test_checks_throttles_and_lag_are_metrics_of_the_stack(
    server: ScriptedServer, turned_clock: TurnedClock, capsys: pytest.CaptureFixture[str]
) -> None:
    throttles = [error(429, "ThrottlingException")] * 2
    server.replies = [ok(status="RUNNING"), *throttles, ok(status="SUCCEEDED")]

    status_step(holdSeconds=60)

    lag = round(sum(turned_clock.sleeps), 3)  # no check was good since the first
    assert metrics(capsys) == {"StatusChecks": [3.0], "Throttles": [1.0], "DetectionLag": [lag]}


def test_the_wait_between_two_calls_is_part_of_the_lag(
    server: ScriptedServer, turned_clock: TurnedClock, capsys: pytest.CaptureFixture[str]
) -> None:
    server.replies = [ok(status="RUNNING"), ok(status="SUCCEEDED")]

    first = status_step()
    assert metrics(capsys) == {"StatusChecks": [1.0], "Throttles": [0.0]}
    status_step(poll=first["poll"])

    assert metrics(capsys) == {
        "StatusChecks": [1.0],
        "Throttles": [0.0],
        "DetectionLag": [first["poll"]["waitSeconds"]],
    }


def test_what_retries_are_charged_is_part_of_the_lag(
    server: ScriptedServer, turned_clock: TurnedClock, capsys: pytest.CaptureFixture[str]
) -> None:
    server.replies = [ok(status="RUNNING"), ok(status="SUCCEEDED")]
    first = status_step()
    capsys.readouterr()

    second = status_step(poll=first["poll"], retryCount=1)

    charged = second["poll"]["elapsedSeconds"] - first["poll"]["elapsedSeconds"] + first["poll"]["waitSeconds"]
    assert metrics(capsys)["DetectionLag"] == [pytest.approx(charged, abs=0.001)]


def test_of_a_query_that_had_ended_at_the_first_check_no_lag_is_known(
    server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.replies = [ok(status="SUCCEEDED")]

    status_step()

    assert "DetectionLag" not in metrics(capsys)
