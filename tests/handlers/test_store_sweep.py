"""StoreSweep: what succeeded becomes one object of its window, and the last invocation answers the output."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

import pytest

from flowquery.core import errors
from localaws.clock import TurnedClock
from tests.loopback import SCOPE_ID, event
from tests.scripted import ScriptedServer, call, error, http, listed, ok

EVENT = event("store_sweep")
PAGE = ok(**event("replies/get_query_results"))


@pytest.fixture(autouse=True)
def _without_waiting(turned_clock: TurnedClock) -> None:
    """Let pauses take no time."""


def store(server: ScriptedServer, *others: bytes, **more: object) -> Any:
    server.replies, server.other_replies = [PAGE], list(others) or [listed(), http(200)]
    return call("store_sweep", {**EVENT, **more})


def test_what_succeeded_is_stored_and_the_output_answered(server: ScriptedServer) -> None:
    answer = store(server)

    assert answer["sweep"] is None
    output = answer["output"]
    put = server.other_requests[-1]
    assert (put.method, put.headers["if-none-match"]) == ("PUT", "*")
    assert unquote(put.path) == f"/results/{output['windows'][0]['objects'][0]['key']}"
    assert put.headers["x-amz-meta-selection"] == "RETRANSMISSIONS:INTER_AZ"
    assert [(query["status"], query["rows"]) for query in output["queries"]] == [
        ("SUCCEEDED", 3),
        ("QueryFailed", None),
    ]
    assert output["status"] == "INCOMPLETE"
    assert output["cause"].startswith("1 of 2 queries did not succeed: 1 QueryFailed; 1 are stored in s3://results/")


def test_a_partial_sweep_succeeds_where_its_input_allows_that(server: ScriptedServer) -> None:
    output = store(server, sweep={**EVENT["sweep"], "allowPartial": True})["output"]

    assert (output["status"], output["finding"]) == ("PARTIAL", False)


def test_a_peak_above_its_threshold_is_a_finding(server: ScriptedServer) -> None:
    output = store(server, sweep={**EVENT["sweep"], "alarmAbove": {"RETRANSMISSIONS": 1}})["output"]

    assert (output["finding"], output["alarmAbove"]) == (True, {"RETRANSMISSIONS": 1})
    assert [query["finding"] for query in output["queries"]] == [True, False]


def test_an_object_that_is_there_keeps_the_fresh_findings(server: ScriptedServer) -> None:
    sweep = {**EVENT["sweep"], "alarmAbove": {"RETRANSMISSIONS": 1}}

    output = store(server, listed(), http(412), sweep=sweep)["output"]

    assert output["finding"] is True
    assert output["queries"][0]["peak"]["value"] == 259943.0
    [stored] = output["windows"][0]["objects"]
    assert stored["key"].startswith(f"results/date=2026-11-24/{SCOPE_ID}-sweep-")


def test_what_there_is_no_time_for_is_left_to_the_next_invocation(server: ScriptedServer) -> None:
    server.replies, server.other_replies = [PAGE], [listed(), http(200)]

    first = call("store_sweep", EVENT, remaining_seconds=30)
    second = call("store_sweep", {"sweep": first["sweep"], "retryCount": 0})

    assert first["output"] is None
    assert first["sweep"]["progress"] == "ENDED"
    assert second["output"]["queries"][0]["rows"] == 3


def test_the_cost_is_that_of_the_execution_to_its_end(server: ScriptedServer) -> None:
    poll = EVENT["sweep"]["poll"]
    partial = {**EVENT["sweep"], "allowPartial": True}

    def cost(**more: object) -> Any:
        return store(server, sweep={**partial, **more})["output"]["cost"]

    # StoreSweep, ChooseOutcome, SweepSucceeded
    assert cost()["transitions"] == poll["transitions"] + 3
    assert cost()["requests"] == poll["requests"] + 1
    found = cost(alarmAbove={"RETRANSMISSIONS": 1})
    # also RankContributors, ChooseOutcome, ReportFinding; RankContributors adds its own invocations
    assert found["transitions"] == poll["transitions"] + 6
    assert found["requests"] == poll["requests"] + 2
    incomplete = cost(allowPartial=False)
    # also RaiseAlarm
    assert incomplete["transitions"] == poll["transitions"] + 4
    assert incomplete["requests"] == poll["requests"] + 2


def test_seconds_and_dollars_are_metrics_of_the_stack(
    server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    output = store(server)["output"]

    [sent] = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    [declared] = sent["_aws"]["CloudWatchMetrics"]
    assert declared["Dimensions"] == [["service"]]
    assert sent["RunDollars"] == [output["cost"]["dollars"]]
    assert sent["SweepSeconds"][0] >= EVENT["sweep"]["poll"]["elapsedSeconds"]


def test_results_that_have_expired_fail_their_query_alone(server: ScriptedServer) -> None:
    server.replies, server.other_replies = [error(404, "ResourceNotFoundException")], [listed(), http(200)]

    output = call("store_sweep", EVENT)["output"]

    assert [query["status"] for query in output["queries"]] == ["ResultsExpired", "QueryFailed"]
    assert output["cause"].endswith("nothing is stored")


@pytest.mark.parametrize(("reply", "name"), [(http(403), "AccessDenied"), (http(503), "TransientFault")])
def test_a_store_that_fails_is_a_named_error(server: ScriptedServer, reply: bytes, name: str) -> None:
    with pytest.raises(errors.FlowqueryError) as raised:
        store(server, listed(), reply)

    assert type(raised.value).__name__ == name
