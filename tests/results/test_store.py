"""Results are stored once or not at all, whenever the process dies, whoever races; what is stored is found again."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from flowquery.aws import s3
from flowquery.core.errors import MalformedReply
from flowquery.core.model import Family, Selection, Window
from flowquery.results.objects import selections_text, sweep_key
from flowquery.results.store import stored_selections
from localaws.scripted_network_flow_monitor import Script
from tests.loopback import QUERY_ID, ROOT, SCOPE_ID, Stack, event
from tests.scripted import Reply, ScriptedServer, call, http, listed

EVENT = event("get_query_results")

# --- What sweeps have stored ---

START = datetime(2026, 11, 24, 8, tzinfo=UTC)
WINDOWS = [Window(START + timedelta(hours=hour), START + timedelta(hours=hour + 1)) for hour in range(48)]
SELECTIONS = frozenset(Selection("TIMEOUTS", category) for category in ("INTER_AZ", "INTRA_AZ", "INTERNET"))


def found(
    server: ScriptedServer, *replies: Reply, windows: list[Window] = WINDOWS[:1]
) -> dict[Window, frozenset[Selection]]:
    server.other_replies = list(replies)
    return stored_selections("results", SCOPE_ID, windows, SELECTIONS)


def key_of(window: Window, selections: frozenset[Selection], family: Family = Family.DATA) -> str:
    return sweep_key(SCOPE_ID, window, selections, family, 10)


def holding(selections: frozenset[Selection]) -> bytes:
    return http(200, headers=f"x-amz-meta-selection: {selections_text(selections)}\r\n")


def test_one_listing_is_sent_for_each_day(server: ScriptedServer) -> None:
    assert set(found(server, listed(), windows=WINDOWS).values()) == {frozenset()}

    prefixes = [parse_qs(urlsplit(request.path).query)["prefix"][0] for request in server.other_requests]
    assert prefixes == [f"results/date=2026-11-{day}/{SCOPE_ID}-sweep-" for day in (24, 25, 26)]


def test_an_object_of_exactly_these_selections_is_recognised_by_its_key(server: ScriptedServer) -> None:
    window, later = WINDOWS[:2]

    stored = found(server, listed(key_of(window, SELECTIONS)), windows=[window, later])

    assert stored == {window: SELECTIONS, later: frozenset()}
    assert [request.method for request in server.other_requests] == ["GET"]


def test_of_objects_of_other_selections_the_metadata_is_read(server: ScriptedServer) -> None:
    first, second, third = (frozenset({selection}) for selection in sorted(SELECTIONS))
    elsewhere = frozenset({Selection("RETRANSMISSIONS", "INTER_AZ")})
    keys = [key_of(WINDOWS[0], held) for held in (first, second | elsewhere)]

    stored = found(server, listed(*keys), holding(first), holding(second | elsewhere))

    assert stored[WINDOWS[0]] == first | second
    assert not stored[WINDOWS[0]] & third
    assert [request.method for request in server.other_requests] == ["GET", "HEAD", "HEAD"]


def test_objects_of_other_windows_and_rankings_are_left_unread(server: ScriptedServer) -> None:
    ranking = key_of(WINDOWS[0], SELECTIONS, Family.RANKING).replace("contributors/", "results/")
    others = [key_of(WINDOWS[1], SELECTIONS - {min(SELECTIONS)}), ranking, "results/date=2026-11-24/q.jsonl.gz"]

    assert found(server, listed(*others)) == {WINDOWS[0]: frozenset()}
    assert [request.method for request in server.other_requests] == ["GET"]


@pytest.mark.parametrize("headers", ["", "x-amz-meta-selection: everything\r\n"])
def test_an_object_whose_metadata_is_not_ours_is_an_error(server: ScriptedServer, headers: str) -> None:
    key = key_of(WINDOWS[0], frozenset({min(SELECTIONS)}))

    with pytest.raises(MalformedReply, match=r"sweep-.* was not stored by this application"):
        found(server, listed(key), http(200, headers=headers))


# --- Dying and racing, over the loopback S3 ---

# The deployed handler in a process that kills itself, by SIGKILL, at one point of the fetch.
DYING = """
import http.client, json, os, signal, sys
import get_query_results
from flowquery.aws import network_flow_monitor, s3

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
nfm_events, s3_events = network_flow_monitor.client(2).meta.events, s3.client().meta.events
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
EARLIER_POINTS = ["before the first page", "between pages", "before the put", "amid the put"]


@pytest.fixture
def ready(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """Return the stack with a query of two pages that has ended."""
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


@pytest.mark.parametrize(
    "point", ["after the put", *(pytest.param(point, marks=pytest.mark.slow) for point in EARLIER_POINTS)]
)
def test_a_process_that_is_killed_leaves_nothing_or_all_and_the_next_completes_it(
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

    s3.client().meta.events.register("before-send.s3.PutObject", wait_for_the_others)

    with ThreadPoolExecutor(racers) as pool:
        answers = [answer["results"] for answer in pool.map(lambda _: call("get_query_results", EVENT), range(racers))]

    assert all(answer == answers[0] for answer in answers)
    content, metadata = held(ready)
    assert metadata["sha256"] == answers[0]["sha256"]
    assert len(gzip.decompress(content).splitlines()) == answers[0]["rows"]
