"""Every function raises the named errors of the contract, and refuses bad input before any call."""

from __future__ import annotations

import pytest

from flowquery.core import errors
from tests.loopback import QUERY_ID, SCOPE_ID, SELECTION
from tests.scripted import ScriptedServer, call, error, http

QUERY = {"scopeId": SCOPE_ID, "queryId": QUERY_ID}
FUNCTION_EVENTS = {
    "start_query": {"scopeId": SCOPE_ID, **SELECTION},
    "get_query_status": QUERY,
    "get_query_results": QUERY,
    "stop_query": QUERY,
}


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

    unclear = function == "start_query" and name == "TransientFault"  # no token makes a second start harmless
    assert type(raised.value).__name__ == ("UnclearOutcome" if unclear else name)
    assert server.other_requests == []


OTHER_FUNCTIONS = [
    "start_execution",
    "rank_contributors",
    "plan_sweep",
    "advance_queries",
    "stop_queries",
    "store_sweep",
    "plan_backfill",
]


@pytest.mark.parametrize("function", [*FUNCTION_EVENTS, *OTHER_FUNCTIONS])
@pytest.mark.parametrize("bad", [None, [], "x", 5, {}, {"Payload": QUERY}, {"scopeid": SCOPE_ID}])
def test_bad_input_is_refused_before_any_call(server: ScriptedServer, function: str, bad: object) -> None:
    with pytest.raises(errors.InvalidInput):
        call(function, bad)

    assert server.requests == []


@pytest.mark.parametrize("function", ["raise_alarm", "query_widget"])
@pytest.mark.parametrize("bad", [None, [], "x", 5])
def test_what_is_no_object_is_refused_where_every_field_is_optional(
    server: ScriptedServer, function: str, bad: object
) -> None:
    with pytest.raises(errors.InvalidInput, match=r"^the event: expected an object"):
        call(function, bad)

    assert server.requests == []
