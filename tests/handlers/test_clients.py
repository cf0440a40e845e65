"""A function makes its clients when it starts, one for each service, and none for a service that it does not call."""

from __future__ import annotations

import importlib.util
import json
from types import ModuleType
from typing import Any

import boto3
import pytest

from localaws.clock import TurnedClock
from tests.loopback import QUERY_ID, ROOT, event, execution, output
from tests.scripted import LambdaContext, Reply, ScriptedServer, http, listed, ok, stored

STARTED, SUCCEEDED = ok(queryId=QUERY_ID), ok(status="SUCCEEDED")
PAGE = ok(**event("replies/get_query_results"))
RANKED = ok(topContributors=[{"value": 9}])
PUBLISHED = http(200, "<PublishResponse><PublishResult><MessageId>m-1</MessageId></PublishResult></PublishResponse>")
EXECUTION = ok(executionArn="arn", startDate=0)
WIDGET: list[Reply] = [
    ok(executions=[execution()]),
    ok(**execution(output=json.dumps(output()))),
    stored({"timestamp": "2026-11-24T08:00:00Z", "label": "use1-az1", "value": 7.5}),
]
# Of each function its services, what Network Flow Monitor replies to its sample event, and what the others reply.
FUNCTIONS: dict[str, tuple[list[str], list[Reply], list[Reply]]] = {
    "start_query": (["networkflowmonitor"], [STARTED], []),
    "get_query_status": (["networkflowmonitor"], [SUCCEEDED], []),
    "get_query_results": (["networkflowmonitor", "s3"], [PAGE], [http(200)]),
    "stop_query": (["networkflowmonitor"], [ok()], []),
    "rank_contributors": (["networkflowmonitor", "s3"], [STARTED, SUCCEEDED, RANKED], [listed(), http(200)]),
    "raise_alarm": (["sns"], [], [PUBLISHED]),
    "plan_sweep": (["s3"], [], [listed()]),
    "advance_queries": (["networkflowmonitor"], [SUCCEEDED, ok(queryId="another"), SUCCEEDED], []),
    "stop_queries": (["networkflowmonitor"], [ok()], []),
    "store_sweep": (["networkflowmonitor", "s3"], [PAGE], [listed(), http(200)]),
    "start_execution": (["stepfunctions"], [], [EXECUTION]),
    "query_widget": (["stepfunctions", "s3"], [], WIDGET),
    "plan_backfill": (["s3"], [], [listed()]),
}


def fresh(function: str) -> ModuleType:
    """Return the function's module, run anew as at a cold start."""
    spec = importlib.util.spec_from_file_location(f"fresh_{function}", ROOT / "functions" / f"{function}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_function_has_a_line_above() -> None:
    assert set(FUNCTIONS) == {path.stem for path in (ROOT / "functions").glob("*.py")}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_one_client_is_made_for_each_service_and_all_at_the_start(
    server: ScriptedServer, turned_clock: TurnedClock, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    services, nfm_replies, other_replies = FUNCTIONS[function]
    made: list[str] = []
    make_client: Any = boto3.client

    def client(service: str, **options: object) -> object:
        made.append(service)
        return make_client(service, **options)

    monkeypatch.setattr(boto3, "client", client)
    server.replies, server.other_replies = list(nfm_replies), list(other_replies)

    module = fresh(function)
    at_the_start = list(made)
    module.handler(event(function), LambdaContext())

    assert sorted(at_the_start) == sorted(services)
    assert made == at_the_start
    assert server.requests
