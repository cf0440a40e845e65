"""GetQueryResults: all pages of a query become one object, whole or not at all, and the answer says what it holds."""

from __future__ import annotations

import gzip
import io
import json
import os
from typing import Any
from urllib.parse import unquote

import pytest

from flowquery import VERSION
from flowquery.core import errors
from flowquery.core.model import Family
from tests.loopback import QUERY_ID, ROOT, SCOPE_ID, SELECTION, event
from tests.scripted import ScriptedServer, call, error, http, ok, stored

QUERY = {"scopeId": SCOPE_ID, "queryId": QUERY_ID}
REQUESTED = {**QUERY, **SELECTION}
RANKING = {**REQUESTED, "family": Family.RANKING.value, "limit": 10}
PAGE = event("replies/get_query_results")


def page(**more: Any) -> bytes:
    return ok(**{**PAGE, **more})


def series(*values: float, label: str = "use1-az1") -> dict[str, Any]:
    return {
        "label": label,
        "timestamps": [1_733_770_800 + 300 * index for index in range(len(values))],
        "values": values,
    }


def ranked_row(value: int | None) -> dict[str, Any]:
    return {**RANKED_ROW, "value": value}


RANKED_ROW = {
    "accountId": "123456789012",
    "localSubnetId": "subnet-0a1b2c3d4e5f6a7b8",
    "localAz": "use1-az6",
    "localVpcId": "vpc-0a1b2c3d4e5f6a7b8",
    "localRegion": "us-east-1",
    "remoteIdentifier": "subnet-0123456789abcdef0",
}


def stored_rows(server: ScriptedServer) -> list[dict[str, Any]]:
    body = server.other_requests[0].body
    start = body.index(b"\x1f\x8b")  # the SDK frames the body in chunks of its own, with a checksum behind it
    framed = io.BytesIO(body[start:].split(b"\r\n0\r\n")[0])
    return [json.loads(line) for line in gzip.GzipFile(fileobj=framed).readlines()]


def test_the_published_sample_is_stored_as_rows(server: ScriptedServer) -> None:
    server.replies = [page()]

    answer = call("get_query_results", REQUESTED)

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


def test_the_execution_is_counted_from_its_start_to_its_end(server: ScriptedServer) -> None:
    server.replies = [page()]
    retried = {"startRetryCount": 2, "retryCount": 1}

    plain, more = (
        call("get_query_results", {**event("get_query_results"), **counts})["cost"] for counts in ({}, retried)
    )

    poll = event("get_query_results")["poll"]
    assert plain["checks"] == poll["checks"]
    # StartQuery, then what watching took, then GetQueryResults, ChooseFinding, QuerySucceeded
    assert plain["transitions"] == 1 + poll["transitions"] + 3
    assert plain["requests"] == 1 + poll["requests"] + 1
    assert (more["transitions"], more["requests"]) == (plain["transitions"] + 3, plain["requests"] + 3)
    assert plain["dollars"] > 0


def test_a_finding_takes_what_reports_it_too(server: ScriptedServer) -> None:
    server.replies = [page()]

    plain, found = (call("get_query_results", {**REQUESTED, "alarmAbove": above})["cost"] for above in (10**9, 1))

    assert found["transitions"] == plain["transitions"] + 2  # RankContributors, ReportFinding
    assert found["requests"] == plain["requests"] + 1  # RankContributors adds its own attempts


def test_a_region_without_known_prices_gets_no_dollars(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.replies = [page()]
    monkeypatch.setattr("get_query_results.REGION", "xx-north-9")

    cost = call("get_query_results", event("get_query_results"))["cost"]

    assert "dollars" not in cost
    assert cost["gbSeconds"] >= 39.05


@pytest.mark.parametrize(
    ("field", "value"), [("startRetryCount", 0.5), ("retryCount", -1), ("gbSeconds", "much"), ("poll", {"checks": 1})]
)
def test_what_the_execution_took_so_far_is_checked_before_anything_is_sent(
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
    metadata = {name: value for name, value in headers.items() if name.startswith("x-amz-meta-")}
    assert sum(len(name.removeprefix("x-amz-meta-")) + len(value) for name, value in metadata.items()) <= 2048


def test_no_data_is_stored_as_an_empty_object(server: ScriptedServer) -> None:
    server.replies = [ok(unit="Count", datapoints=[])]

    answer = call("get_query_results", REQUESTED)

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


def test_a_page_cut_at_any_byte_stores_nothing(server: ScriptedServer) -> None:
    body = json.dumps(PAGE, separators=(",", ":")).encode()
    for cut in range(len(body)):
        server.replies = [page(nextToken="next"), http(200, body[:cut])]
        with pytest.raises(errors.TransientFault):
            call("get_query_results", QUERY)

    assert server.other_requests == []


def test_a_connection_that_breaks_at_any_byte_of_a_page_stores_nothing(server: ScriptedServer) -> None:
    body = json.dumps(PAGE, separators=(",", ":")).encode()
    for cut in range(len(body)):
        server.replies = [page(nextToken="next"), http(200, body[:cut], "Connection: close\r\n", length=len(body))]
        with pytest.raises(errors.TransientFault):
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


def test_an_object_that_is_there_is_success_and_is_what_the_answer_describes(server: ScriptedServer) -> None:
    metadata = {"unit": "Count", "rows": "7", "series": "1", "sha256": "0" * 64}
    headers = "".join(f"x-amz-meta-{name}: {value}\r\n" for name, value in metadata.items())
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


@pytest.mark.parametrize("metadata", ["", "x-amz-meta-unit: Count\r\nx-amz-meta-rows: many\r\n"])
def test_an_object_of_somebody_else_is_no_success(server: ScriptedServer, metadata: str) -> None:
    server.replies, server.other_replies = [page()], [http(412), http(200, headers=metadata)]

    with pytest.raises(errors.MalformedReply, match="not stored by this application"):
        call("get_query_results", QUERY)


def test_the_objects_metadata_says_all_of_it(server: ScriptedServer) -> None:
    server.replies = [page()]

    results = call("get_query_results", REQUESTED)["results"]

    headers = server.other_requests[0].headers
    prefix = "x-amz-meta-"
    assert {name.removeprefix(prefix): value for name, value in headers.items() if name.startswith(prefix)} == {
        "scopeid": SCOPE_ID,
        "queryid": QUERY_ID,
        **{name.lower(): value for name, value in SELECTION.items()},
        "unit": "Bytes",
        "series": "1",
        "rows": "3",
        "peak": json.dumps({"value": 259943.0, "label": "use1-az6", "timestamp": "2024-12-09T19:00:00Z"}),
        "firsttimestamp": "2024-12-09T19:00:00Z",
        "lasttimestamp": "2024-12-09T19:10:00Z",
        "sha256": results["sha256"],
        "schemaversion": "1",
        "softwareversion": VERSION,
    }
    assert f'version = "{VERSION}"' in (ROOT / "pyproject.toml").read_text("utf-8")


# --- What does not fit ---


def test_results_beyond_the_disks_bound_are_refused_before_a_put(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowquery.results.spool.MOST_SPOOLED_BYTES", 20_000)
    labels = [os.urandom(20_000).hex() for _ in range(4)]
    server.replies = [page(datapoints=[series(1, label=label)], nextToken=label[:9]) for label in labels]

    with pytest.raises(errors.ResultsTooLarge, match="one destination category"):
        call("get_query_results", QUERY)

    assert server.other_requests == []


@pytest.mark.parametrize("seconds", [29, 10])
def test_time_that_runs_out_on_the_last_page_is_noticed_before_a_put(server: ScriptedServer, seconds: float) -> None:
    server.replies = [page()]

    with pytest.raises(errors.ResultsTooLarge, match="shorter window"):
        call("get_query_results", QUERY, remaining_seconds=seconds)

    assert server.other_requests == []


# --- Rankings ---


def test_a_ranking_is_stored_as_rows_and_answers_the_first_of_them(server: ScriptedServer) -> None:
    rows = [ranked_row(900 - index) for index in range(8)]
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
    server.replies = [ok(topContributors=[ranked_row(900)])]
    first = call("get_query_results", RANKING)["results"]
    put = server.other_requests[0]
    metadata = "".join(f"{name}: {value}\r\n" for name, value in put.headers.items() if name.startswith("x-amz-meta-"))
    server.replies = [ok(topContributors=[ranked_row(1), ranked_row(0)])]
    server.other_replies = [http(412), http(200, headers=metadata), stored(*stored_rows(server))]

    results = call("get_query_results", RANKING)["results"]

    assert (results["rows"], [row["value"] for row in results["topContributors"]]) == (1, [900])
    assert results == first


@pytest.mark.parametrize(
    "replies",
    [
        [http(200, "{}")],
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


def test_a_ranking_that_is_cut_short_is_worth_another_attempt(server: ScriptedServer) -> None:
    server.replies = [http(200, '{"topContributors"')]

    with pytest.raises(errors.TransientFault):
        call("get_query_results", RANKING)

    assert server.other_requests == []


# --- Findings and metrics ---


@pytest.mark.parametrize(("above", "finding"), [(None, False), (259_942.9, True), (259_943, False), (-1, True)])
def test_a_peak_above_what_was_set_is_a_finding(server: ScriptedServer, above: float | None, finding: bool) -> None:
    server.replies = [page()]

    answer = call("get_query_results", {**REQUESTED, "alarmAbove": above})

    assert (answer["finding"], answer["alarmAbove"]) == (finding, above)


def test_the_peak_is_a_metric_by_metric_and_category_alone(
    server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.replies = [page()]

    call("get_query_results", REQUESTED)

    [metric] = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"Peak":' in line]
    [declared] = metric["_aws"]["CloudWatchMetrics"]
    assert metric["Peak"] == [259943.0]
    assert declared["Dimensions"] == [["metricName", "destinationCategory"]]
    assert (metric["metricName"], metric["destinationCategory"]) == ("RETRANSMISSIONS", "INTER_AZ")


def test_what_an_execution_took_is_a_metric_of_the_stack(
    server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.replies = [page()]

    answer = call("get_query_results", event("get_query_results"))

    [sent] = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"RunDollars":' in line]
    [declared] = sent["_aws"]["CloudWatchMetrics"]
    assert declared["Dimensions"] == [["service"]]
    assert sent["RunDollars"] == [answer["cost"]["dollars"]]
    assert sent["QuerySeconds"] == [event("get_query_results")["poll"]["elapsedSeconds"]]
