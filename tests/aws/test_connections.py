"""The warm path: one connection for all status checks of an execution environment."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from flowquery.aws import network_flow_monitor
from flowquery.core import errors
from tests.loopback import QUERY_ID, SCOPE_ID, SELECTION, event
from tests.scripted import ScriptedServer, call, ok

if TYPE_CHECKING:
    from collections.abc import Callable

QUERY = {"scopeId": SCOPE_ID, "queryId": QUERY_ID}
RUNNING = ok(status="RUNNING")


def answer_and_close(reply: bytes) -> Callable[[socket.socket], object]:
    """Answer without a word of closing, then close: what a server does when a connection has idled."""

    def script(connection: socket.socket) -> None:
        connection.sendall(reply)
        connection.shutdown(socket.SHUT_RDWR)

    return script


def check() -> Any:
    return call("get_query_status", QUERY)


def test_invocations_share_one_connection(server: ScriptedServer) -> None:
    server.replies = [RUNNING]

    for _ in range(5):
        check()

    assert (len(server.requests), server.connections) == (5, 1)


def test_a_connection_that_the_server_closed_between_invocations_is_reopened(server: ScriptedServer) -> None:
    server.replies = [answer_and_close(RUNNING), RUNNING]

    check()
    wait_until_closed()
    answer = check()

    assert answer["poll"]["observed"] == {"RUNNING": 1}
    assert (len(server.requests), server.connections) == (2, 2)


def test_a_connection_that_breaks_under_a_status_check_costs_one_more_request(server: ScriptedServer) -> None:
    # As when the environment was frozen and the end of the connection is seen only by using it.
    server.replies = [RUNNING, lambda connection: connection.close(), RUNNING]

    check()
    answer = check()

    assert answer["poll"]["observed"] == {"RUNNING": 1}
    assert (len(server.requests), server.connections) == (3, 2)


def test_a_start_is_not_sent_again_over_a_connection_that_breaks(server: ScriptedServer) -> None:
    started, query = ok(queryId=QUERY_ID), {"scopeId": SCOPE_ID, **SELECTION}
    server.replies = [started, lambda connection: connection.close(), started]

    call("start_query", query)
    with pytest.raises(errors.UnclearOutcome, match="a query may be running"):
        call("start_query", query)

    assert len(server.requests) == 2


@pytest.mark.parametrize("attempts", [1, 2])
def test_a_client_is_made_once_for_its_number_of_attempts(server: ScriptedServer, attempts: int) -> None:
    client = network_flow_monitor.client(attempts)

    network_flow_monitor.NetworkFlowMonitor(attempts)

    assert network_flow_monitor.client(attempts) is client
    assert network_flow_monitor.client.cache_info().currsize == 1


def test_the_payload_of_power_tuning_is_one_status_check(server: ScriptedServer) -> None:
    server.replies = [RUNNING]

    call("get_query_status", event("power_tuning/get_query_status")["payload"])

    assert len(server.requests) == 1


def wait_until_closed() -> None:
    """Wait until the client's system has heard of the close, as it has when Lambda thaws an environment."""
    client: Any = network_flow_monitor.client(2)
    pools = client._endpoint.http_session._session._manager.pools
    for key in pools.keys():  # noqa: SIM118 - a container of urllib3, which cannot be iterated
        connection = pools[key].pool.queue[-1]
        connection.sock.recv(1, socket.MSG_PEEK)
