"""StopQueries: after a step has failed, every query whose id is known is stopped, and what waits is failed."""

from __future__ import annotations

from typing import Any

import pytest

from flowquery.core import errors
from flowquery.sweep.state import Progress
from localaws.clock import TurnedClock
from tests.loopback import event
from tests.scripted import ScriptedServer, call, error, ok

EVENT = event("stop_queries")


@pytest.fixture(autouse=True)
def _without_waiting(turned_clock: TurnedClock) -> None:
    """Let pauses take no time."""


def stop(**more: object) -> Any:
    answer = call("stop_queries", {**EVENT, **more})
    assert set(answer) == {"sweep"}
    return answer["sweep"]


def test_what_runs_is_stopped_and_what_waits_is_failed(server: ScriptedServer) -> None:
    server.replies = [ok()]

    sweep = stop()

    [request] = server.requests
    assert (request.method, request.path.rsplit("/", 1)[-1]) == ("DELETE", EVENT["sweep"]["queries"][0]["queryId"])
    assert [query["status"] for query in sweep["queries"]] == ["QueryStopped", "NotStarted"]
    assert sweep["queries"][0]["cause"].startswith("stopped; RUNNING when the sweep broke")
    assert sweep["progress"] == Progress.COMPLETE


def test_what_a_lost_attempt_may_have_started_is_marked(server: ScriptedServer) -> None:
    server.replies = [ok()]

    assert [query.get("unclear", False) for query in stop()["queries"]] == [False, True]


@pytest.mark.parametrize(("lost", "retries"), [(7, 0), (0, 2), (1, 1)])
def test_lost_attempts_and_retries_are_transitions_and_invocations(
    server: ScriptedServer, lost: int, retries: int
) -> None:
    server.replies = [ok()]
    before = EVENT["sweep"]["poll"]

    poll = stop(lostAttempts=lost, retryCount=retries)["poll"]

    assert poll["transitions"] == before["transitions"] + 2 + lost + retries  # StopQueries, ChooseByProgress
    assert poll["requests"] == before["requests"] + 1 + lost + retries


def test_a_query_that_cannot_be_stopped_says_so(server: ScriptedServer) -> None:
    server.replies = [error(403, "AccessDeniedException")]

    assert stop()["queries"][0]["cause"].startswith("not stopped (AccessDenied)")


def test_a_query_that_has_succeeded_meanwhile_is_stored(server: ScriptedServer) -> None:
    server.replies = [error(400, "ValidationException"), ok(status="SUCCEEDED")]

    sweep = stop()

    assert [query["status"] for query in sweep["queries"]] == ["SUCCEEDED", "NotStarted"]
    assert sweep["progress"] == Progress.ENDED


@pytest.mark.parametrize(
    ("change", "field"),
    [({"sweep": []}, "sweep"), ({"lostAttempts": -1}, "lostAttempts"), ({"retryCount": 0.5}, "retryCount")],
)
def test_what_no_step_answered_is_refused_before_any_call(
    server: ScriptedServer, change: dict[str, object], field: str
) -> None:
    with pytest.raises(errors.InvalidInput, match=f"^{field}"):
        call("stop_queries", {**EVENT, **change})

    assert server.requests == []
