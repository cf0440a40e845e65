"""The other functions over real HTTP."""

from __future__ import annotations

import gzip
import io
import json
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest

from flowquery.core import errors
from tests.loopback import QUERY_ID, SCOPE_ID, SELECTION, event
from tests.scripted import ScriptedServer, call, error, http, ok, stored

QUERY = {"scopeId": SCOPE_ID, "queryId": QUERY_ID}
START = {"scopeId": SCOPE_ID, **SELECTION}
PAGE = event("replies/get_query_results")
FUNCTION_EVENTS = {
    "start_query": START,
    "get_query_results": QUERY,
    "stop_query": QUERY,
}


def page(**more: Any) -> bytes:
    return ok(**{**PAGE, **more})


def series(*values: float, label: str = "use1-az1") -> dict[str, Any]:
    return {
        "label": label,
        "timestamps": [1_733_770_800 + 300 * index for index in range(len(values))],
        "values": values,
    }


# --- every function, every error ---


@pytest.mark.parametrize("function", FUNCTION_EVENTS)
@pytest.mark.parametrize(
    ("reply", "name"),
    [
        (error(429, "ThrottlingException"), "Throttled"),
        (error(403, "AccessDeniedException"), "AccessDenied"),
        (error(402, "ServiceQuotaExceededException"), "QuotaExceeded"),
        (error(400, "ValidationException"), "InvalidRequest"),
        (error(500, "InternalServerException"), "TransientFault"),
        (http(502), "TransientFault"),
    ],
)
def test_each_modelled_error_ends_in_its_named_error(
    server: ScriptedServer, function: str, reply: bytes, name: str
) -> None:
    server.replies = [reply]

    with pytest.raises(errors.FlowqueryError) as raised:
        call(function, FUNCTION_EVENTS[function])

    assert type(raised.value).__name__ == name
    assert server.other_requests == []


@pytest.mark.parametrize("function", [*FUNCTION_EVENTS, "start_execution"])
@pytest.mark.parametrize("bad", [None, [], "x", 5, {}, {"Payload": QUERY}, {"scopeid": SCOPE_ID}])
def test_bad_input_is_refused_before_any_call(server: ScriptedServer, function: str, bad: object) -> None:
    with pytest.raises(errors.InvalidInput):
        call(function, bad)

    assert server.requests == []


# --- StartQuery ---


def test_start_sends_the_window_in_utc_and_answers_the_id(server: ScriptedServer) -> None:
    server.replies = [ok(queryId=QUERY_ID)]
    times = {"startTime": "2026-11-24T10:00:00+02:00", "endTime": 1_795_510_800}

    answer = call("start_query", {**START, **times, "timeoutSeconds": 60})

    assert answer.pop("gbSeconds") >= 0
    assert answer == {**START, "queryId": QUERY_ID, "timeoutSeconds": 60}
    sent = json.loads(server.requests[0].body)
    assert sent == {**SELECTION}
    assert (server.requests[0].method, server.requests[0].path) == (
        "POST",
        f"/workloadInsights/{SCOPE_ID}/topContributorsDataQueries",
    )


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("metricName", "ROUND_TRIP_TIME", "RETRANSMISSIONS"),
        ("metricName", ["TIMEOUTS"], "RETRANSMISSIONS"),
        ("destinationCategory", "AWS_SERVICES", "AWS_SERVICE"),
        ("destinationCategory", None, "required"),
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
        ("holdSeconds", 10_000, "a number from 0"),
    ],
)
def test_start_refuses_what_the_service_model_does_not_allow(
    server: ScriptedServer, field: str, value: object, allowed: str
) -> None:
    with pytest.raises(errors.InvalidInput, match=field) as raised:
        call("start_query", {**START, field: value})

    assert allowed in str(raised.value)
    assert server.requests == []


def test_start_is_sent_once_since_a_second_attempt_may_be_a_second_query(server: ScriptedServer) -> None:
    server.replies = [http(500)]

    with pytest.raises(errors.TransientFault):
        call("start_query", START)

    assert len(server.requests) == 1


@pytest.mark.parametrize("reply", [{}, {"queryId": None}, {"queryId": 5}, {"queryId": "../x"}, {"queryId": ""}])
def test_start_refuses_an_id_that_cannot_be_used(server: ScriptedServer, reply: dict[str, Any]) -> None:
    server.replies = [ok(**reply)]

    with pytest.raises(errors.MalformedReply):
        call("start_query", START)


# --- StopQuery ---


def test_stop_stops_the_query(server: ScriptedServer) -> None:
    server.replies = [ok()]

    assert call("stop_query", QUERY) == {**QUERY, "stopped": True, "status": None}
    assert server.requests[0].method == "DELETE"


@pytest.mark.parametrize("refusal", [error(400, "ValidationException"), error(404, "ResourceNotFoundException")])
@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED", "CANCELED"])
def test_a_query_that_has_ended_already_is_no_error(server: ScriptedServer, refusal: bytes, status: str) -> None:
    server.replies = [refusal, ok(status=status)]

    assert call("stop_query", QUERY) == {**QUERY, "stopped": False, "status": status}


def test_a_query_that_cannot_be_stopped_while_it_runs_is_an_error(server: ScriptedServer) -> None:
    server.replies = [error(400, "ValidationException"), ok(status="RUNNING")]

    with pytest.raises(errors.InvalidRequest):
        call("stop_query", QUERY)


# --- GetQueryResults ---


def stored_rows(server: ScriptedServer) -> list[dict[str, Any]]:
    body = server.other_requests[0].body
    start = body.index(b"\x1f\x8b")  # the SDK frames the body in chunks of its own, with a checksum behind it
    framed = io.BytesIO(body[start:].split(b"\r\n0\r\n")[0])
    return [json.loads(line) for line in gzip.GzipFile(fileobj=framed).readlines()]


def test_the_published_sample_is_stored_as_rows(server: ScriptedServer) -> None:
    server.replies = [page()]

    answer = call("get_query_results", {**QUERY, **SELECTION})

    results = answer["results"]
    assert (results["rows"], results["series"], results["unit"], results["empty"]) == (3, 1, "Bytes", False)
    assert results["peak"] == {"value": 259943.0, "label": "use1-az6", "timestamp": "2024-12-09T19:00:00Z"}
    assert (results["firstTimestamp"], results["lastTimestamp"]) == ("2024-12-09T19:00:00Z", "2024-12-09T19:10:00Z")
    assert results["key"] == (
        f"results/date=2026-11-24/{SCOPE_ID}-RETRANSMISSIONS-INTER_AZ-20261124T080000Z-20261124T090000Z.jsonl.gz"
    )
    put = server.other_requests[0]
    assert (put.method, unquote(put.path), put.headers["if-none-match"]) == ("PUT", f"/results/{results['key']}", "*")
    assert stored_rows(server)[0] == {
        "timestamp": "2024-12-09T19:00:00Z",
        "label": "use1-az6",
        "value": 259943.0,
        "scopeId": SCOPE_ID,
        "metricName": "RETRANSMISSIONS",
        "destinationCategory": "INTER_AZ",
        "unit": "Bytes",
    }


def test_a_region_without_known_prices_gets_no_dollars(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.replies = [page()]
    monkeypatch.setattr("get_query_results.REGION", "xx-north-9")

    cost = call("get_query_results", event("get_query_results"))["cost"]

    assert "dollars" not in cost
    assert cost["gbSeconds"] >= 39.05


@pytest.mark.parametrize(
    ("field", "value"), [("starts", -1), ("startRetryCount", 0.5), ("startGbSeconds", "much"), ("poll", {"checks": 1})]
)
def test_what_a_run_cost_so_far_is_checked_before_anything_is_sent(
    server: ScriptedServer, field: str, value: object
) -> None:
    with pytest.raises(errors.InvalidInput, match=field):
        call("get_query_results", {**event("get_query_results"), field: value})

    assert server.requests == []


def test_all_pages_are_read(server: ScriptedServer) -> None:
    server.replies = [page(nextToken="b"), page(nextToken="c"), page()]

    answer = call("get_query_results", QUERY)

    assert answer["results"]["rows"] == 9
    assert [request.path.partition("?")[2] for request in server.nfm_requests] == ["", "nextToken=b", "nextToken=c"]


def test_the_longest_ids_and_labels_fit_what_s3_takes_of_metadata(server: ScriptedServer) -> None:
    server.replies = [page(datapoints=[series(1.5e300, label="\U0001f600" * 5000)], unit="Bytes")]

    call("get_query_results", {**SELECTION, "scopeId": "s" * 128, "queryId": "q" * 128})

    headers = server.other_requests[0].headers
    held = {name: value for name, value in headers.items() if name.startswith("x-amz-meta-")}
    assert sum(len(name.removeprefix("x-amz-meta-")) + len(value) for name, value in held.items()) <= 2048


def test_no_data_is_stored_as_an_empty_object(server: ScriptedServer) -> None:
    server.replies = [ok(unit="Count", datapoints=[])]

    answer = call("get_query_results", {**QUERY, **SELECTION})

    assert answer["results"]["empty"]
    assert answer["results"]["peak"] is None
    assert len(server.other_requests) == 1


@pytest.mark.parametrize(
    "replies",
    [
        [page(nextToken="a"), page(nextToken="a")],
        [page(nextToken="a"), page(nextToken="b"), page(nextToken="a")],
        [page(datapoints=[{**series(1, 2), "values": [1]}])],
        [page(datapoints=[{**series(1, 2), "timestamps": []}])],
        [page(datapoints=[series(float("nan"))])],
        [page(datapoints=[series(float("inf"))])],
        [page(datapoints=[{**series(1), "values": ["NaN"]}])],
        [page(datapoints=[{**series(1), "values": ["one"]}])],
        [page(datapoints=[{**series(1), "timestamps": ["noon"]}])],
        [page(datapoints=[{"label": "x", "values": []}])],
        [page(datapoints=[None])],
        [page(datapoints={"label": "use1-az1"})],
        [ok(unit="Bytes")],
        [ok(datapoints=[])],
        [page(nextToken="a"), page(unit="Count")],
        [page(nextToken="a"), http(200, "{}")],
    ],
)
def test_results_that_cannot_be_whole_are_refused_and_nothing_is_stored(
    server: ScriptedServer, replies: list[bytes]
) -> None:
    server.replies = list(replies)

    with pytest.raises(errors.MalformedReply):
        call("get_query_results", QUERY)

    assert server.other_requests == []


def test_pages_without_end_are_refused(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowquery.aws.network_flow_monitor.MAX_PAGES", 20)
    server.replies = [page(nextToken=str(number)) for number in range(30)]

    with pytest.raises(errors.MalformedReply, match="do not end"):
        call("get_query_results", QUERY)

    assert server.other_requests == []


def test_a_page_cut_at_any_byte_stores_nothing(server: ScriptedServer) -> None:
    body = json.dumps(PAGE, separators=(",", ":")).encode()
    for cut in range(len(body)):
        server.replies = [page(nextToken="next"), http(200, body[:cut])]
        with pytest.raises(errors.MalformedReply):
            call("get_query_results", QUERY)

    assert server.other_requests == []


def test_results_that_are_gone_have_expired(server: ScriptedServer) -> None:
    server.replies = [error(404, "ResourceNotFoundException")]

    with pytest.raises(errors.ResultsExpired):
        call("get_query_results", QUERY)


def test_results_that_outgrow_the_time_left_are_refused(server: ScriptedServer) -> None:
    server.replies = [page()]

    with pytest.raises(errors.ResultsTooLarge, match="shorter window"):
        call("get_query_results", QUERY, remaining_seconds=10)

    assert server.other_requests == []


def test_an_object_that_is_there_is_success_and_is_what_the_answer_tells_of(server: ScriptedServer) -> None:
    held = {"unit": "Count", "rows": "7", "series": "1", "sha256": "0" * 64}
    headers = "".join(f"x-amz-meta-{name}: {value}\r\n" for name, value in held.items())
    server.replies = [page()]
    server.other_replies = [http(412), http(200, headers=headers)]

    answer = call("get_query_results", QUERY)

    assert answer["results"]["rows"] == 7
    assert [request.method for request in server.other_requests] == ["PUT", "HEAD"]


def test_a_put_under_way_elsewhere_is_tried_again(server: ScriptedServer) -> None:
    server.replies, server.other_replies = [page()], [http(409), http(409), http(200)]

    assert call("get_query_results", QUERY)["results"]["rows"] == 3


@pytest.mark.parametrize(
    ("reply", "name"),
    [
        (http(403), "AccessDenied"),
        (http(503), "TransientFault"),
        (http(409), "TransientFault"),
        (http(404), "InvalidRequest"),
    ],
)
def test_a_store_that_fails_is_a_named_error(server: ScriptedServer, reply: bytes, name: str) -> None:
    server.replies, server.other_replies = [page()], [reply]

    with pytest.raises(errors.FlowqueryError) as raised:
        call("get_query_results", QUERY)

    assert type(raised.value).__name__ in (name, "ResultsExpired" if name == "InvalidRequest" else name)


def test_a_query_handed_in_is_stored_by_its_id_under_the_day_of_its_first_row(server: ScriptedServer) -> None:
    server.replies = [page()]

    answer = call("get_query_results", QUERY)

    assert answer["results"]["key"] == f"results/date=2024-12-09/{SCOPE_ID}-query-{QUERY_ID}.jsonl.gz"


def test_the_same_results_are_the_same_bytes(server: ScriptedServer) -> None:
    server.replies = [page()]

    first, second = (call("get_query_results", {**QUERY, **SELECTION}) for _ in range(2))

    assert first["results"]["sha256"] == second["results"]["sha256"]
    assert server.other_requests[0].body == server.other_requests[1].body


# --- RaiseAlarm ---

PUBLISHED = http(
    200,
    "<PublishResponse><PublishResult><MessageId>m-1</MessageId></PublishResult></PublishResponse>",
)


def published(server: ScriptedServer) -> tuple[str, str]:
    sent = parse_qs(server.other_requests[0].body.decode())
    return sent["Subject"][0], sent["Message"][0]


def test_the_alarm_says_what_a_person_needs_to_act(server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.other_replies = [PUBLISHED]

    answer = call("raise_alarm", event("raise_alarm"))

    subject, text = published(server)
    assert answer == {"messageId": "m-1", "subject": subject, "output": None}
    assert subject == "Flowquery: QueryTimedOut RETRANSMISSIONS INTER_AZ"
    for part in (SCOPE_ID, QUERY_ID, "2 x QUEUED, 39 x RUNNING", "312.4 s in 41 checks", "Stopped:    yes", "Do next:"):
        assert part in text
    assert "https://us-east-1.console.aws.amazon.com/states/home?region=us-east-1#/v2/executions/details/arn:" in text
    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert [metric["AlarmsRaised"] for metric in metrics] == [[1.0]]


@pytest.mark.parametrize(
    "run", [{}, {"failure": None}, {"failure": {"Error": "Zürich\n" * 50}, "query": [], "check": {"poll": 5}}]
)
def test_an_alarm_goes_out_whatever_is_missing(server: ScriptedServer, run: dict[str, Any]) -> None:
    server.other_replies = [PUBLISHED]

    call("raise_alarm", {"run": run})

    subject, _ = published(server)
    assert len(subject) <= 100
    assert subject.isascii()


@pytest.mark.parametrize(
    "given", [{}, {"windows": 5}, {"windows": []}, {"windows": [5]}, {"windows": [{"objects": [5, {}]}]}, []]
)
def test_the_alarm_of_a_sweep_goes_out_whatever_its_input_is(server: ScriptedServer, given: object) -> None:
    server.other_replies = [PUBLISHED]

    call("raise_alarm", {"workflow": "SweepScope", "run": {"start": {"input": given}, "failure": {"Error": "X"}}})

    _, text = published(server)
    assert "A step broke: X" in text


DENIED = "<ErrorResponse><Error><Code>AuthorizationError</Code><Message>no</Message></Error></ErrorResponse>"


@pytest.mark.parametrize(("reply", "name"), [(http(403, DENIED), "AccessDenied"), (http(503), "TransientFault")])
def test_an_alarm_that_is_not_published_is_not_counted(
    server: ScriptedServer, capsys: pytest.CaptureFixture[str], reply: bytes, name: str
) -> None:
    server.other_replies = [reply]

    with pytest.raises(errors.FlowqueryError) as raised:
        call("raise_alarm", event("raise_alarm"))

    assert type(raised.value).__name__ == name

    assert "AlarmsRaised" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "first"),
    [
        ({}, "A Network Flow Monitor query did not succeed: Throttled."),
        ({"workflow": "RunQuery"}, "A Network Flow Monitor query did not succeed: Throttled."),
        ({"workflow": "SweepScope"}, "Of a sweep of Network Flow Monitor queries: the sweep broke: Throttled."),
        ({"workflow": "Backfill"}, "A backfill of Network Flow Monitor queries did not succeed: Throttled."),
    ],
)
def test_an_alarm_begins_with_what_the_workflow_is(server: ScriptedServer, more: dict[str, str], first: str) -> None:
    server.other_replies = [PUBLISHED]

    call("raise_alarm", {"run": {"failure": {"Error": "Throttled", "Cause": "slow down"}}, **more})

    _, text = published(server)
    assert text.splitlines()[0] == first
    assert ("Stopped:" in text) == (more.get("workflow") in (None, "RunQuery"))


def test_an_alarm_stays_small_whatever_the_run_carries(server: ScriptedServer) -> None:
    server.other_replies = [PUBLISHED]
    huge = "x" * 200_000

    call("raise_alarm", {"run": {"failure": {"Error": huge, "Cause": huge}, "start": {"query": {"scopeId": huge}}}})

    _, text = published(server)
    assert len(text) < 10_000


def test_the_message_of_a_functions_error_is_unwrapped(server: ScriptedServer) -> None:
    server.other_replies = [PUBLISHED]
    failure = {
        "Error": "AccessDenied",
        "Cause": json.dumps({"errorMessage": "no scope for you", "errorType": "AccessDenied"}),
    }

    call("raise_alarm", {"run": {"failure": failure, "start": {"query": START}}})

    _, text = published(server)
    assert "Cause:      no scope for you\n" in text
    assert SCOPE_ID in text


RANKED_ROW = {
    "accountId": "123456789012",
    "localSubnetId": "subnet-0a1b2c3d4e5f6a7b8",
    "localAz": "use1-az6",
    "localVpcId": "vpc-0a1b2c3d4e5f6a7b8",
    "localRegion": "us-east-1",
    "remoteIdentifier": "subnet-0123456789abcdef0",
    "value": 333,
}


def found_run(**more: Any) -> dict[str, Any]:
    peak = {"value": 620.3, "label": "use1-az6", "timestamp": "2026-11-24T08:15:00Z"}
    cost = {"checks": 3, "transitions": 9, "requests": 3, "gbSeconds": 0.5, "dollars": 0.0002}
    results = {"bucket": "results", "key": "k", "unit": "Count", "peak": peak}
    return {"found": {**START, "alarmAbove": 500, "results": results, "cost": cost}, **more}


def test_a_finding_names_the_peak_and_the_top_contributors(
    server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.other_replies = [PUBLISHED]
    cost = {"checks": 1, "transitions": 9, "requests": 3, "gbSeconds": 0.25, "dollars": 0.0001}
    ranked = {"queryId": QUERY_ID, "results": {"topContributors": [RANKED_ROW]}, "cost": cost}

    answer = call("raise_alarm", {"run": found_run(got={"output": ranked}), "executionArn": "arn"})

    subject, text = published(server)
    assert subject == "Flowquery finding: RETRANSMISSIONS INTER_AZ peak 620.3 > 500"
    for part in ("620.3 Count at 2026-11-24T08:15:00Z on use1-az6", "  1. 333: subnet-0a1b", "to subnet-0123"):
        assert part in text
    assert answer["output"]["ranking"]["queryId"] == QUERY_ID
    summed = answer["output"]["cost"]
    assert (summed["checks"], summed["transitions"], summed["requests"]) == (4, 18, 7)
    assert summed["gbSeconds"] == pytest.approx(0.75, abs=0.1)
    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert ["FindingsRaised" in metric and "AlarmsRaised" not in metric for metric in metrics] == [True]


def test_a_finding_goes_out_without_its_ranking_and_says_so(server: ScriptedServer) -> None:
    server.other_replies = [PUBLISHED]
    failure = {"Error": "Throttled", "Cause": json.dumps({"errorMessage": "slow down"})}

    answer = call("raise_alarm", {"run": found_run(failure=failure)})

    _, text = published(server)
    assert "could not be ranked: Throttled: slow down" in text
    assert answer["output"]["ranking"] is None
    assert answer["output"]["rankingFailure"] == {"error": "Throttled", "cause": "slow down"}


RANKING = {**START, "queryId": QUERY_ID, "family": "WorkloadInsightsTopContributors", "limit": 10}


def test_a_ranking_is_stored_as_rows_and_answers_the_first_of_them(server: ScriptedServer) -> None:
    rows = [{**RANKED_ROW, "value": 900 - index} for index in range(8)]
    server.replies = [ok(topContributors=rows[:6], nextToken="b"), ok(topContributors=rows[6:])]

    answer = call("get_query_results", RANKING)

    results = answer["results"]
    assert (results["rows"], results["empty"]) == (8, False)
    assert [row["value"] for row in results["topContributors"]] == [900, 899, 898, 897, 896]
    assert results["key"] == (
        f"contributors/date=2026-11-24/{SCOPE_ID}-RETRANSMISSIONS-INTER_AZ-20261124T080000Z-20261124T090000Z-top10.jsonl.gz"
    )
    assert [row["rank"] for row in stored_rows(server)] == list(range(1, 9))
    assert "topContributorsQueries" in server.nfm_requests[0].path


def test_a_ranking_that_is_stored_already_answers_what_is_stored(server: ScriptedServer) -> None:
    server.replies = [ok(topContributors=[{**RANKED_ROW, "value": 900}])]
    first = call("get_query_results", RANKING)["results"]
    put = server.other_requests[0]
    told = "".join(f"{name}: {value}\r\n" for name, value in put.headers.items() if name.startswith("x-amz-meta-"))
    server.replies = [ok(topContributors=[{**RANKED_ROW, "value": 1}, {"value": 0}])]
    kept = stored(*stored_rows(server))
    server.other_replies = [http(412), http(200, headers=told), kept]

    results = call("get_query_results", RANKING)["results"]

    assert (results["rows"], [row["value"] for row in results["topContributors"]]) == (1, [900])
    assert results == first


@pytest.mark.parametrize(
    "replies",
    [
        [http(200, "{}")],
        [http(200, '{"topContributors"')],
        [ok(topContributors=[{"accountId": "123456789012"}])],
        [ok(topContributors=[{"value": "many"}])],
        [ok(topContributors=[], nextToken="a")],
    ],
)
def test_a_ranking_that_cannot_be_whole_is_refused(server: ScriptedServer, replies: list[bytes]) -> None:
    server.replies = list(replies)

    with pytest.raises(errors.MalformedReply):
        call("get_query_results", RANKING)

    assert server.other_requests == []


def test_a_ranking_is_started_with_its_limit_and_watched_and_stopped_in_its_family(server: ScriptedServer) -> None:
    server.replies = [ok(queryId=QUERY_ID), ok(status="RUNNING"), ok()]
    ranking = {name: value for name, value in RANKING.items() if name != "queryId"}

    started = call("start_query", ranking)
    watched = call("get_query_status", {**QUERY, "family": RANKING["family"]})
    call("stop_query", {**QUERY, "family": RANKING["family"]})

    assert (started["family"], watched["family"]) == (RANKING["family"],) * 2
    assert json.loads(server.requests[0].body) == {**SELECTION, "limit": 10}
    assert all("/topContributorsQueries" in request.path for request in server.requests)


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
def test_what_a_ranking_cannot_be_asked_is_refused(server: ScriptedServer, field: str, value: object) -> None:
    with pytest.raises(errors.InvalidInput, match=field):
        call("start_query", {**RANKING, field: value})

    assert server.requests == []


@pytest.mark.parametrize(("above", "finding"), [(None, False), (259_942.9, True), (259_943, False), (-1, True)])
def test_a_peak_above_what_was_set_is_a_finding(server: ScriptedServer, above: float | None, finding: bool) -> None:
    server.replies = [page()]

    answer = call("get_query_results", {**QUERY, **SELECTION, "alarmAbove": above})

    assert (answer["finding"], answer["alarmAbove"]) == (finding, above)


def test_the_peak_is_a_metric_by_metric_and_category_alone(
    server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.replies = [page()]

    call("get_query_results", {**QUERY, **SELECTION})

    [metric] = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"Peak":' in line]
    [declared] = metric["_aws"]["CloudWatchMetrics"]
    assert metric["Peak"] == [259943.0]
    assert declared["Dimensions"] == [["metricName", "destinationCategory"]]
    assert (metric["metricName"], metric["destinationCategory"]) == ("RETRANSMISSIONS", "INTER_AZ")


# --- StartExecution ---

SCHEDULED = event("start_execution")


@pytest.mark.parametrize("due", ["2026-11-24T09:10:00Z", "2026-11-24T09:14:59Z", "2026-11-24T10:12:00+01:00"])
def test_the_window_is_aligned_and_ends_before_late_data(server: ScriptedServer, due: str) -> None:
    server.other_replies = [ok(executionArn="arn", startDate=0)]

    answer = call("start_execution", {**SCHEDULED, "scheduledTime": due})

    assert answer == {
        "name": "RETRANSMISSIONS-INTER_AZ-20261124T080000Z-20261124T090000Z-c3c9a9b3",
        "started": True,
        "input": START,
    }
    sent = json.loads(server.other_requests[0].body)
    assert (sent["name"], json.loads(sent["input"])) == (answer["name"], START)


def test_an_execution_that_is_there_already_is_success(server: ScriptedServer) -> None:
    server.other_replies = [http(400, json.dumps({"__type": "ExecutionAlreadyExists", "message": "again"}))]

    assert call("start_execution", SCHEDULED)["started"] is False


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scheduledTime", "<aws.scheduler.scheduled-time>"),
        ("windowMinutes", 0),
        ("delayMinutes", -5),
        ("metricName", "LATENCY"),
    ],
)
def test_a_schedule_that_cannot_be_meant_is_refused(server: ScriptedServer, field: str, value: object) -> None:
    with pytest.raises(errors.InvalidInput, match=field):
        call("start_execution", {**SCHEDULED, field: value})

    assert server.requests == []


def test_names_are_legal_at_their_longest(server: ScriptedServer) -> None:
    server.other_replies = [ok(executionArn="arn", startDate=0)]
    longest = {"scopeId": "s" * 128, "metricName": "DATA_TRANSFERRED", "destinationCategory": "AMAZON_DYNAMODB"}

    name = call("start_execution", {**SCHEDULED, **longest})["name"]

    assert len(name) <= 80
    assert set(name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_what_a_run_took_is_a_metric_of_the_stack(server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.replies, server.other_replies = [ok(**event("replies/get_query_results"))], [http(200)]

    answer = call("get_query_results", event("get_query_results"))

    [sent] = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"RunDollars":' in line]
    [declared] = sent["_aws"]["CloudWatchMetrics"]
    assert declared["Dimensions"] == [["service"]]
    assert sent["RunDollars"] == [answer["cost"]["dollars"]]
    assert sent["QuerySeconds"] == [event("get_query_results")["poll"]["elapsedSeconds"]]
