"""PlanBackfill: windows that are not stored whole are listed as an object, before the Map and after it."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

import pytest

from flowquery.core import errors
from flowquery.core.text import short_digest
from tests.loopback import SCOPE_ID, event
from tests.scripted import PARTLY_STORED, ScriptedServer, call, http, listed

EVENT = event("plan_backfill")
EXECUTION = EVENT["execution"]


def plan(**more: object) -> Any:
    return call("plan_backfill", {**EVENT, **more})


def put_object(server: ScriptedServer) -> tuple[str, Any]:
    """Return the key and the content of the one object that was put."""
    [request] = [request for request in server.other_requests if request.method == "PUT"]
    return unquote(request.path), json.loads(request.body[request.body.index(b"[") : request.body.rindex(b"]") + 1])


def test_the_windows_are_listed_for_the_map(server: ScriptedServer) -> None:
    server.other_replies = list(PARTLY_STORED)

    answer = plan()

    key, items = put_object(server)
    assert key == f"/{answer['bucket']}/{answer['key']}" == f"/results/backfills/{EXECUTION}/windows.json"
    assert [item["window"]["startTime"][:10] for item in items] == [f"2026-11-0{day}" for day in range(1, 8)]
    assert len({item["name"] for item in items}) == 7
    assert (answer["windows"], answer["stored"], answer["todo"]) == (7, 0, 7)
    assert answer["queries"] == 7 * 33 - 1  # one of the first window is stored
    assert answer["prefix"] == f"backfills/{EXECUTION}"
    assert answer["suffix"] == short_digest(EXECUTION)
    assert "output" not in answer
    assert "cause" not in answer


def test_the_input_of_every_sweep_has_the_options_of_the_backfill(server: ScriptedServer) -> None:
    server.other_replies = [listed()]
    options = {"alarmAbove": {"TIMEOUTS": 5}, "rankedPeaks": 1, "limit": 7, "timeoutSeconds": 60}

    sweep = plan(input={**EVENT["input"], **options})["sweep"]

    assert sweep == {"scopeId": SCOPE_ID, **options, "requestsPerSecond": 5, "allowPartial": False}


def test_after_the_map_the_windows_that_are_left_are_listed_and_the_output_made(server: ScriptedServer) -> None:
    server.other_replies = list(PARTLY_STORED)
    manifest = {"Bucket": "results", "Key": "backfills/x/manifest.json"}

    answer = plan(planned=9, manifest=manifest)

    key, items = put_object(server)
    assert key == f"/results/backfills/{EXECUTION}/left.json"
    assert len(items) == 7
    output = answer["output"]
    assert output["list"] == {"bucket": "results", "key": f"backfills/{EXECUTION}/left.json"}
    assert (output["windows"], output["stored"], output["done"], output["left"]) == (7, 0, 2, 7)
    assert output["manifest"] == manifest
    assert answer["cause"].startswith(f"7 of 7 windows of scope {SCOPE_ID} are left, 2 were done.")


def test_a_map_of_nothing_leaves_no_manifest(server: ScriptedServer) -> None:
    server.other_replies = [listed()]

    assert plan(planned=0, manifest=None)["output"]["manifest"] is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"execution": None}, "^execution: expected"),
        ({"execution": "a/b"}, "^execution: expected"),
        ({"execution": "x" * 81}, "^execution: expected"),
        ({"planned": -1}, "^planned: expected"),
        ({"input": []}, "^the input: expected an object"),
        ({"input": {**EVENT["input"], "alarmabove": {}}}, '^"alarmabove" is not a field .* Did you mean "alarmAbove"'),
        ({"input": {**EVENT["input"], "rankedPeaks": 2.5}}, "^rankedPeaks: expected"),
        ({"input": {**EVENT["input"], "windowMinutes": 1}}, "^windowMinutes: expected"),
    ],
)
def test_an_input_that_cannot_be_meant_is_refused_before_any_call(
    server: ScriptedServer, change: dict[str, object], message: str
) -> None:
    with pytest.raises(errors.InvalidInput, match=message):
        plan(**change)

    assert server.requests == []


@pytest.mark.parametrize(("reply", "name"), [(http(403), "AccessDenied"), (http(503), "TransientFault")])
def test_a_bucket_that_cannot_be_listed_is_a_named_error(server: ScriptedServer, reply: bytes, name: str) -> None:
    server.other_replies = [reply]

    with pytest.raises(errors.FlowqueryError) as raised:
        plan()

    assert type(raised.value).__name__ == name
