"""AdvanceQueries: one round over real HTTP. What a round decides is tested in tests/sweep."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flowquery.core import errors
from flowquery.sweep.state import Progress
from localaws.clock import TurnedClock
from tests.loopback import event
from tests.scripted import ScriptedServer, call, error, ok

EVENT = event("advance_queries")


@pytest.fixture(autouse=True)
def _without_waiting(turned_clock: TurnedClock) -> None:
    """Let holds take no time."""


def advance(**more: object) -> Any:
    answer = call("advance_queries", {**EVENT, **more})
    assert set(answer) == {"sweep"}
    return answer["sweep"]


def test_queries_are_started_and_checked_until_the_round_is_over(server: ScriptedServer) -> None:
    server.replies = [ok(status="SUCCEEDED"), ok(queryId="second"), ok(status="SUCCEEDED")]

    sweep = advance()
    while sweep["progress"] == Progress.GOES_ON:
        sweep = advance(sweep=sweep)

    assert [(query["queryId"], query["status"]) for query in sweep["queries"]] == [
        (EVENT["sweep"]["queries"][0]["queryId"], "SUCCEEDED"),
        ("second", "SUCCEEDED"),
    ]
    start = next(request for request in server.nfm_requests if request.method == "POST")
    assert json.loads(start.body)["destinationCategory"] == "INTRA_AZ"


def test_a_throttle_is_sent_once_and_slows_the_pace(server: ScriptedServer) -> None:
    server.replies = [
        error(429, "ThrottlingException"),
        ok(status="SUCCEEDED"),
        ok(queryId="second"),
        ok(status="FAILED"),
    ]

    sweep = advance()

    assert sweep["poll"]["observed"]["Throttled"] == 1
    assert sweep["pace"]["rate"] < sweep["requestsPerSecond"]


def test_an_error_of_one_query_is_that_querys_end(server: ScriptedServer) -> None:
    denied = error(403, "AccessDeniedException")
    server.replies = [denied, denied, ok(queryId="second"), ok(status="SUCCEEDED")]

    sweep = advance()
    while sweep["progress"] == Progress.GOES_ON:
        sweep = advance(sweep=sweep)

    assert [query["status"] for query in sweep["queries"]] == ["AccessDenied", "SUCCEEDED"]


def test_checks_throttles_and_lags_are_metrics_of_the_stack(
    server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.replies = [
        error(429, "ThrottlingException"),
        ok(status="SUCCEEDED"),
        ok(queryId="second"),
        ok(status="FAILED"),
    ]

    advance()

    [sent] = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    [declared] = sent["_aws"]["CloudWatchMetrics"]
    assert declared["Dimensions"] == [["service"]]
    assert {metric["Name"] for metric in declared["Metrics"]} >= {"StatusChecks", "Throttles", "DetectionLag"}
    assert sum(sent["Throttles"]) == 1


def test_a_lost_attempt_may_have_started_what_waits(server: ScriptedServer) -> None:
    server.replies = [ok(status="SUCCEEDED"), ok(queryId="second"), ok(status="SUCCEEDED")]

    sweep = advance(retryCount=1)

    assert [query.get("unclear", False) for query in sweep["queries"]] == [False, True]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"sweep": None}, "sweep"),
        ({"retryCount": -1}, "retryCount"),
        ({"sweep": {**EVENT["sweep"], "pace": 5}}, "sweep.pace"),
    ],
)
def test_what_no_step_answered_is_refused_before_any_call(
    server: ScriptedServer, change: dict[str, object], field: str
) -> None:
    with pytest.raises(errors.InvalidInput, match=f"^{field}"):
        call("advance_queries", {**EVENT, **change})

    assert server.requests == []
