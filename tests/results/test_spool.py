"""Results are stored whole, once, or not at all, whatever pages look like, whenever the process dies, whoever races."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import json
import math
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from flowquery.results.seen import Seen
from hypothesis import given
from hypothesis import strategies as st

from flowquery import VERSION
from flowquery.aws import network_flow_monitor
from flowquery.core.errors import MalformedReply, ResultsTooLarge, TransientFault
from flowquery.core.model import Family, Peak, Query, QueryRequest
from flowquery.results import store
from flowquery.results.spool import ResultsRequest, Spool, Summary
from localaws.scripted_network_flow_monitor import Script
from tests.loopback import QUERY_ID, ROOT, SCOPE_ID, SELECTION, Stack, event
from tests.scripted import ScriptedServer, call, http, ok

FETCH = ResultsRequest(Query(SCOPE_ID, QUERY_ID), None)
EVENT = event("get_query_results")

# --- shapes of pages ---

moments = st.datetimes(datetime(2025, 1, 1), datetime(2030, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
points = st.lists(st.tuples(moments, st.floats(allow_nan=False, allow_infinity=False)), max_size=6)
series = st.tuples(st.sampled_from(["a", "b"]) | texts, points).map(
    lambda made: {"label": made[0], "timestamps": [at for at, _ in made[1]], "values": [value for _, value in made[1]]}
)
pages = st.lists(st.lists(series, max_size=4), min_size=1, max_size=4)


def page(*datapoints: dict[str, Any], unit: str = "Count") -> dict[str, Any]:
    return {"unit": unit, "datapoints": list(datapoints)}


def spooled(*given: dict[str, Any], remaining: float = 900) -> tuple[Summary, list[dict[str, Any]], bytes]:
    file = io.BytesIO()
    spool = Spool(file, lambda: remaining)
    summary = replace(spool.add(FETCH, given), sha256=spool.finish())
    lines = gzip.decompress(file.getvalue()).split(b"\n")
    assert lines.pop() == b""
    return summary, [json.loads(line) for line in lines], file.getvalue()


@given(pages)
def test_every_point_is_a_row_and_the_summary_is_that_of_the_rows(shapes: list[list[dict[str, Any]]]) -> None:
    summary, rows, _ = spooled(*[page(*datapoints) for datapoints in shapes])

    every = [(one["label"], at, v) for shape in shapes for one in shape for at, v in zip(*points_of(one), strict=True)]
    assert [(row["label"], datetime.fromisoformat(row["timestamp"]), repr(row["value"])) for row in rows] == [
        (label, at, repr(value)) for label, at, value in every
    ]
    assert summary.rows == len(every)
    assert summary.series == len({one["label"] for shape in shapes for one in shape})
    if every:
        highest = max(value for *_, value in every)
        assert summary.peak is not None
        assert (summary.peak.label, summary.peak.value) == next((n, v) for n, _, v in every if v == highest)
        texts_of = [row["timestamp"] for row in rows]
        assert (summary.first_timestamp, summary.last_timestamp) == (min(texts_of), max(texts_of))


def points_of(one: dict[str, Any]) -> tuple[list[datetime], list[float]]:
    return one["timestamps"], one["values"]


@given(pages)
def test_the_same_pages_are_the_same_bytes(shapes: list[list[dict[str, Any]]]) -> None:
    given = [page(*datapoints) for datapoints in shapes]

    assert spooled(*given) == spooled(*given)


@given(series.filter(lambda one: one["values"]), st.sampled_from([math.nan, math.inf, -math.inf]), st.data())
def test_a_value_that_is_no_number_is_refused_wherever_it_stands(one: Any, bad: float, data: st.DataObject) -> None:
    values = list(one["values"])
    values[data.draw(st.integers(0, len(values) - 1))] = bad

    with pytest.raises(MalformedReply, match="not finite"):
        spooled(page({**one, "values": values}))


@given(series, st.integers(0, 9))
def test_ragged_series_are_refused(one: dict[str, Any], length: int) -> None:
    values = (one["values"] * 10 or [1.0] * 10)[:length]
    if length != len(one["timestamps"]) and len(values) == length:
        with pytest.raises(MalformedReply, match="timestamps and"):
            spooled(page({**one, "values": values}))


def test_half_a_surrogate_pair_is_no_text() -> None:
    one = {"label": "\ud800", "timestamps": [datetime(2026, 11, 24, tzinfo=UTC)], "values": [1.0]}

    with pytest.raises(MalformedReply, match="not text"):
        spooled(page(one))


@pytest.mark.parametrize("unit", ["Count\n", "Zähler", "x" * 65])
def test_a_unit_that_is_no_name_is_refused(unit: str) -> None:
    with pytest.raises(MalformedReply, match="unit"):
        spooled(page(unit=unit))


def test_a_time_with_an_offset_is_stored_in_utc() -> None:
    at = datetime.fromisoformat("2026-11-24T10:00:00.25+02:00")

    _, [row], _ = spooled(page({"label": "a", "timestamps": [at], "values": [1.0]}))

    assert row["timestamp"] == "2026-11-24T08:00:00.250000Z"


# --- many queries in one file ---


class SmallDisk(io.BytesIO):
    """A file without a buffer on a disk that takes so many bytes."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def write(self, data: Any) -> int:
        room = self.size - self.tell()
        if room <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(bytes(data)[:room])


def fetch_of(category: str, family: Family = Family.DATA) -> ResultsRequest:
    window = (datetime(2026, 11, 24, 8, tzinfo=UTC), datetime(2026, 11, 24, 9, tzinfo=UTC))
    return ResultsRequest(Query(SCOPE_ID, QUERY_ID, family), QueryRequest("TIMEOUTS", category, *window, limit=500))


def noise(size: int) -> dict[str, Any]:
    """A page of one row that does not get smaller."""
    return page({"label": os.urandom(size).hex(), "timestamps": [datetime(2026, 1, 1, tzinfo=UTC)], "values": [1.0]})


def lines_of(file: io.BytesIO) -> list[Any]:
    return [json.loads(line) for line in gzip.decompress(file.getvalue()).splitlines()]


def failing(given: list[dict[str, Any]], error: BaseException) -> Iterator[dict[str, Any]]:
    yield from given
    raise error


@given(st.lists(st.tuples(pages, st.booleans()), max_size=5))
def test_a_query_that_fails_leaves_the_others_as_they_are(queries: list[tuple[list[Any], bool]]) -> None:
    def spool_all(*, with_failures: bool) -> tuple[list[Summary], str, bytes]:
        file = io.BytesIO()
        spool, summaries = Spool(file, lambda: 900), []
        for number, (shapes, fails) in enumerate(queries):
            fetch = fetch_of(f"category {number}")
            given = [page(*datapoints, unit=f"unit {number}") for datapoints in shapes]
            if not fails:
                summaries.append(spool.add(fetch, given))
            elif with_failures:
                with pytest.raises(KeyboardInterrupt):  # any exception, even one that is no Exception
                    spool.add(fetch, failing(given, KeyboardInterrupt()))
        return summaries, spool.finish(), file.getvalue()

    summaries, digest, content = spool_all(with_failures=True)

    assert (summaries, digest, content) == spool_all(with_failures=False)
    lines = gzip.decompress(content)
    assert hashlib.sha256(lines).hexdigest() == digest
    told = [f"unit {number}" for number, (_, fails) in enumerate(queries) if not fails]
    assert [summary.unit for summary in summaries] == told
    rows = [json.loads(line) for line in lines.splitlines()]
    assert Counter(row["unit"] for row in rows) == Counter({one.unit: one.rows for one in summaries if one.rows})


@pytest.mark.parametrize("second", [page(unit="Bytes"), page({"label": "a", "timestamps": [], "values": [1.0]})])
def test_what_is_wrong_with_a_later_page_takes_the_earlier_ones_out(second: dict[str, Any]) -> None:
    file = io.BytesIO()
    spool = Spool(file, lambda: 900)
    kept = spool.add(fetch_of("INTER_AZ"), [noise(10)])

    with pytest.raises(MalformedReply):
        spool.add(fetch_of("INTRA_AZ"), [noise(100_000), second])
    spool.finish()

    assert kept.rows == 1
    assert [row["destinationCategory"] for row in lines_of(file)] == ["INTER_AZ"]


def test_a_query_that_outgrows_the_disk_leaves_it_to_smaller_ones() -> None:
    disk = SmallDisk(100_000)
    spool = Spool(disk, lambda: 900)
    spool.add(fetch_of("INTER_AZ"), [noise(1_000)])

    with pytest.raises(ResultsTooLarge, match="shorter window"):
        spool.add(fetch_of("INTRA_AZ"), [noise(50_000) for _ in range(10)])
    spool.add(fetch_of("INTER_VPC"), [noise(1_000)])
    spool.finish()

    assert [row["destinationCategory"] for row in lines_of(disk)] == ["INTER_AZ", "INTER_VPC"]


def test_a_file_that_cannot_be_ended_is_told_by_name() -> None:
    file = SmallDisk(100_000)
    spool = Spool(file, lambda: 900)
    spool.add(FETCH, [noise(10)])
    file.size = file.tell()

    with pytest.raises(ResultsTooLarge):
        spool.finish()


def ranked(*values: float | None) -> dict[str, Any]:
    return {"topContributors": [{"remoteIdentifier": f"i-{value}", "value": value} for value in values]}


def test_ranked_rows_are_spooled_by_the_same_code_into_their_own_table() -> None:
    """No unit, no time, and a rank that counts on over pages."""
    fetch, file = fetch_of("INTER_AZ", Family.RANKING), io.BytesIO()
    spool = Spool(file, lambda: 900)

    summary = spool.add(fetch, [ranked(9, 8, 7, 6), ranked(5, 4)])
    spool.finish()

    assert (summary.unit, summary.rows, summary.series, summary.first_timestamp) == ("None", 6, 6, "")
    assert summary.peak == Peak(9, "i-9", "")
    assert [row["value"] for row in summary.contributors or ()] == [9, 8, 7, 6, 5]
    assert [(row["rank"], row["value"]) for row in lines_of(file)] == [(1, 9), (2, 8), (3, 7), (4, 6), (5, 5), (6, 4)]
    assert fetch.key(summary).endswith("-TIMEOUTS-INTER_AZ-20261124T080000Z-20261124T090000Z-top500.jsonl.gz")
    assert fetch.key(summary).startswith("contributors/date=2026-11-24/")
    unselected = ResultsRequest(fetch.query, None)
    assert unselected.key(summary) == f"contributors/date=1970-01-01/{SCOPE_ID}-query-{QUERY_ID}.jsonl.gz"


def test_a_ranked_row_without_a_value_is_told_by_its_rank() -> None:
    with pytest.raises(MalformedReply, match="row 3 of the ranking"):
        Spool(io.BytesIO(), lambda: 900).add(fetch_of("INTER_AZ", Family.RANKING), [ranked(9, 8), ranked(None)])


def test_a_ranking_beyond_any_limit_is_refused() -> None:
    given = (ranked(*range(500)) for _ in range(21))

    with pytest.raises(ResultsTooLarge, match="smaller limit"):
        Spool(io.BytesIO(), lambda: 900).add(fetch_of("INTER_AZ", Family.RANKING), given)


# --- memory and connections ---

# In a process of its own, for what other threads hold meanwhile, such as a loopback server, would be counted as well.
SPOOLING = """
import os, sys, tracemalloc
from datetime import UTC, datetime, timedelta
from flowquery.core.model import Query
from flowquery.results.spool import ResultsRequest, Spool

times = [datetime(2026, 11, 24, tzinfo=UTC) + timedelta(minutes=5 * index) for index in range(100)]
pages = (
    {
        "unit": "Count",
        "datapoints": [{"label": f"{number}-{part}", "timestamps": times, "values": [0.1] * 100} for part in range(5)],
    }
    for number in range(int(sys.argv[1]))
)
tracemalloc.start()
with open(os.devnull, "wb") as file:
    Spool(file, lambda: 900).add(ResultsRequest(Query("scope", "query"), None), pages)
print(tracemalloc.get_traced_memory()[1])
"""


def test_memory_is_that_of_a_page_however_many_there_are() -> None:
    def peak(count: int) -> int:
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "functions"), "PYTHONHASHSEED": "0"}
        command = [sys.executable, "-c", SPOOLING, str(count)]
        return int(subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout)

    assert peak(100) < 1.1 * peak(10)


@given(st.lists(texts))
def test_texts_are_new_once(given: list[str]) -> None:
    seen = Seen()

    assert [seen.add(text) for text in given] == [text not in given[:place] for place, text in enumerate(given)]
    assert len(seen) == len(set(given))


def test_a_reply_leaves_nothing_that_waits_for_pythons_collector(server: ScriptedServer) -> None:
    server.replies = [ok(**event("replies/get_query_results"))]
    session: Any = boto3.DEFAULT_SESSION
    parsers = session._session.get_component("response_parser_factory")

    parser = weakref.ref(parsers.create_parser("rest-json"))

    assert parser() is None
    assert call("get_query_results", EVENT)["results"]["rows"] == 3


def test_a_large_object_is_read_in_pieces(server: ScriptedServer) -> None:
    """The SDK's own are of a megabyte, and it holds each more than once."""
    asked: list[int | None] = []

    class SweepQuery(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            asked.append(size)
            return super().read(size)

    content = os.urandom(3_000_000)

    assert store.put_once("results", "key", SweepQuery(content), {})
    assert server.other_requests[0].body == content
    assert all(size and 0 < size <= store.PIECE_BYTES for size in asked)


def test_a_connection_that_breaks_at_any_byte_of_a_page_stores_nothing(server: ScriptedServer) -> None:
    body = json.dumps(event("replies/get_query_results"), separators=(",", ":")).encode()
    for cut in range(len(body)):
        server.replies = [
            ok(**event("replies/get_query_results"), nextToken="next"),
            http(200, body[:cut], "Connection: close\r\n", length=len(body)),
        ]
        with pytest.raises((MalformedReply, TransientFault)):  # by whether the SDK or the model sees the cut
            call("get_query_results", EVENT)

    assert server.other_requests == []


# --- what does not fit ---


def test_results_beyond_the_disks_bound_are_refused_before_a_put(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowquery.results.spool.MOST_BYTES", 20_000)
    labels = [os.urandom(20_000).hex() for _ in range(4)]
    server.replies = [
        ok(
            unit="Count",
            datapoints=[{"label": label, "timestamps": ["2026-11-24T08:00:00Z"], "values": [1]}],
            nextToken=label[:9],
        )
        for label in labels
    ]

    with pytest.raises(ResultsTooLarge, match="one destination category"):
        call("get_query_results", EVENT)

    assert server.other_requests == []


def test_time_that_runs_out_on_the_last_page_is_told_before_a_put(server: ScriptedServer) -> None:
    server.replies = [ok(**event("replies/get_query_results"))]

    with pytest.raises(ResultsTooLarge):
        call("get_query_results", EVENT, remaining_seconds=29)

    assert server.other_requests == []


# --- the object ---


def test_the_objects_metadata_tells_all_of_it(server: ScriptedServer) -> None:
    server.replies = [ok(**event("replies/get_query_results"))]

    results = call("get_query_results", EVENT)["results"]

    headers = server.other_requests[0].headers
    told = {name.removeprefix("x-amz-meta-"): v for name, v in headers.items() if name.startswith("x-amz-meta-")}
    assert told == {
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


@given(pages)
def test_a_summary_comes_back_from_the_metadata(shapes: list[list[dict[str, Any]]]) -> None:
    summary, _, _ = spooled(*[page(*datapoints) for datapoints in shapes])

    assert Summary.from_metadata(summary.to_metadata()).to_json() == summary.to_json()


@pytest.mark.parametrize("wrong", ["", "x-amz-meta-unit: Count\r\nx-amz-meta-rows: many\r\n"])
def test_an_object_of_somebody_elses_is_no_success(server: ScriptedServer, wrong: str) -> None:
    server.replies = [ok(**event("replies/get_query_results"))]
    server.other_replies = [http(412), http(200, headers=wrong)]

    with pytest.raises(MalformedReply, match="not stored by this application"):
        call("get_query_results", EVENT)


# --- dying and racing, over the loopback S3 ---

# The deployed handler in a process that kills itself, by SIGKILL, at one point of the fetch.
DYING = """
import http.client, json, os, signal, sys
import get_query_results
from flowquery.aws import network_flow_monitor
from flowquery.results import store

class Context:
    function_name, memory_limit_in_mb, aws_request_id = "function", 256, "request"
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:function"

    def get_remaining_time_in_millis(self):
        return 900_000

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def die_on_the_second(calls=[], **_):
    calls.append(1)
    if len(calls) == 2:
        die()

def die_amid_the_body(**_):
    send = http.client.HTTPConnection.send
    def half(connection, data):
        if isinstance(data, bytes) and not data.startswith(b"PUT"):
            send(connection, data[: len(data) // 2])
            die()
        send(connection, data)
    http.client.HTTPConnection.send = half

point = sys.argv[1]
nfm_events, s3_events = network_flow_monitor.client().meta.events, store.client().meta.events
if point == "before the first page":
    nfm_events.register("before-send.networkflowmonitor", die)
elif point == "between pages":
    nfm_events.register("before-send.networkflowmonitor", die_on_the_second)
elif point == "before the put":
    s3_events.register("before-send.s3.PutObject", die)
elif point == "amid the put":
    s3_events.register("before-send.s3.PutObject", die_amid_the_body)
elif point == "after the put":
    s3_events.register("after-call.s3.PutObject", die)
print(json.dumps(get_query_results.handler(json.loads(sys.argv[2]), Context())))
"""
POINTS = ["before the first page", "between pages", "before the put", "amid the put", "after the put"]


@pytest.fixture
def ready(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A query of two pages that has ended, and the bucket of the stack."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")  # read when the handler is imported
    monkeypatch.setattr("get_query_results.BUCKET", stack.outputs["ResultsBucketName"])
    stack.aws.network_flow_monitor.script = Script(statuses=("SUCCEEDED",), series=4, page_size=2)
    stack.aws.network_flow_monitor.add_query(SCOPE_ID, QUERY_ID)
    return stack


def run_process(stack: Stack, point: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        **stack.aws.environment,
        "AWS_REGION": "us-east-1",
        "RESULTS_BUCKET": stack.outputs["ResultsBucketName"],
        "PYTHONPATH": str(ROOT / "functions"),
    }
    command = [sys.executable, "-c", DYING, point, json.dumps(EVENT)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def held(stack: Stack) -> tuple[bytes, dict[str, str]]:
    """The one object: its content and its metadata."""
    [key] = stack.stored()
    stored = stack.aws.client("s3").get_object(Bucket=stack.outputs["ResultsBucketName"], Key=key)
    return stored["Body"].read(), stored["Metadata"]


@pytest.mark.parametrize("point", POINTS)
def test_a_process_that_is_killed_leaves_nothing_or_all_and_the_next_ends_it(
    ready: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    killed = run_process(ready, point)

    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert list(tmp_path.iterdir()) == []  # a function that is reused has its whole disk again
    assert len(ready.stored()) == (1 if point == "after the put" else 0)
    before = held(ready) if ready.stored() else None
    again = run_process(ready, "never")
    assert again.returncode == 0, again.stderr
    results = json.loads(again.stdout.splitlines()[-1])["results"]
    content, metadata = held(ready)
    assert before in (None, (content, metadata))
    assert (results["rows"], metadata["rows"], metadata["sha256"]) == (12, "12", results["sha256"])
    assert len(gzip.decompress(content).splitlines()) == 12


def test_a_second_fetch_stores_nothing_and_answers_the_same(ready: Stack) -> None:
    first = call("get_query_results", EVENT)["results"]
    content = held(ready)

    second = call("get_query_results", EVENT)["results"]

    assert second == first
    assert held(ready) == content


def test_what_is_stored_stays_when_the_same_window_is_fetched_with_other_results(ready: Stack) -> None:
    first = call("get_query_results", EVENT)["results"]
    ready.aws.network_flow_monitor.script = Script(statuses=("SUCCEEDED",), series=1)
    ready.aws.network_flow_monitor.add_query(SCOPE_ID, QUERY_ID)

    assert call("get_query_results", EVENT)["results"] == first
    assert len(gzip.decompress(held(ready)[0]).splitlines()) == first["rows"]


@pytest.mark.parametrize("racers", [2, 8])
def test_of_fetches_that_race_one_stores_and_all_answer_the_same(ready: Stack, racers: int) -> None:
    together = threading.Barrier(racers)

    def wait_for_the_others(**_: object) -> None:
        together.wait(60)

    store.client().meta.events.register("before-send.s3.PutObject", wait_for_the_others)

    with ThreadPoolExecutor(racers) as pool:
        answers = [answer["results"] for answer in pool.map(lambda _: call("get_query_results", EVENT), range(racers))]

    assert all(answer == answers[0] for answer in answers)
    content, metadata = held(ready)
    assert metadata["sha256"] == answers[0]["sha256"]
    assert len(gzip.decompress(content).splitlines()) == answers[0]["rows"]


def test_the_client_that_is_made_at_the_start_makes_the_calls(server: ScriptedServer) -> None:
    server.replies = [ok(**event("replies/get_query_results"))]
    network_flow_monitor.client()

    call("get_query_results", EVENT)

    assert network_flow_monitor.client.cache_info().currsize == 1


def test_timestamps_are_read_once_and_never_mixed_up(server: ScriptedServer) -> None:
    times = [datetime(2026, 11, 24, tzinfo=UTC) + timedelta(minutes=5 * index) for index in range(3)]
    one = {"timestamps": [at.isoformat() for at in times], "values": [1, 2, 3]}
    two = {"timestamps": [at.timestamp() for at in times], "values": [4, 5, 6]}
    server.replies = [ok(unit="Count", datapoints=[{**one, "label": "a"}, {**two, "label": "b"}])]

    results = call("get_query_results", EVENT)["results"]

    assert (results["firstTimestamp"], results["lastTimestamp"]) == ("2026-11-24T00:00:00Z", "2026-11-24T00:10:00Z")
