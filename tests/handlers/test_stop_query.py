"""StopQuery: a query that has ended already is no error, and one that runs on is."""

from __future__ import annotations

import pytest

from flowquery.core import errors
from flowquery.core.model import Family
from tests.loopback import QUERY_ID, SCOPE_ID
from tests.scripted import ScriptedServer, call, error, ok

QUERY = {"scopeId": SCOPE_ID, "queryId": QUERY_ID}


def test_the_query_is_stopped(server: ScriptedServer) -> None:
    server.replies = [ok()]

    assert call("stop_query", QUERY) == {**QUERY, "stopped": True, "status": None}
    assert server.requests[0].method == "DELETE"


def test_a_ranking_is_stopped_in_its_family(server: ScriptedServer) -> None:
    server.replies = [ok()]

    answer = call("stop_query", {**QUERY, "family": Family.RANKING.value})

    assert answer["family"] == Family.RANKING
    assert server.requests[0].path.endswith(f"/topContributorsQueries/{QUERY_ID}")


def test_other_fields_are_ignored_since_the_workflow_passes_its_query(server: ScriptedServer) -> None:
    server.replies = [ok()]

    assert call("stop_query", {**QUERY, "metricName": None, "started": True, "limit": 10})["stopped"] is True


@pytest.mark.parametrize("refusal", [error(400, "ValidationException"), error(404, "ResourceNotFoundException")])
@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED", "CANCELED"])
def test_a_query_that_has_ended_already_is_no_error(server: ScriptedServer, refusal: bytes, status: str) -> None:
    server.replies = [refusal, ok(status=status)]

    assert call("stop_query", QUERY) == {**QUERY, "stopped": False, "status": status}


def test_a_query_that_cannot_be_stopped_while_it_runs_is_an_error(server: ScriptedServer) -> None:
    server.replies = [error(400, "ValidationException"), ok(status="RUNNING")]

    with pytest.raises(errors.InvalidRequest):
        call("stop_query", QUERY)
