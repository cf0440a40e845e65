"""What every AWS call shares: replies are read cheaply, and leave nothing behind."""

from __future__ import annotations

import weakref
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3

from flowquery.aws.network_flow_monitor import NetworkFlowMonitor
from flowquery.core.model import Query
from tests.scripted import ScriptedServer, ok

QUERY = Query("scope", "query")


def test_a_reply_leaves_nothing_that_waits_for_pythons_collector(server: ScriptedServer) -> None:
    server.replies = [ok(unit="Count", datapoints=[{"label": "a", "timestamps": [0], "values": [1]}])]
    session: Any = boto3.DEFAULT_SESSION
    parsers = session._session.get_component("response_parser_factory")

    parser = weakref.ref(parsers.create_parser("rest-json"))

    assert parser() is None
    assert len(NetworkFlowMonitor().results_page(QUERY)["datapoints"]) == 1  # type: ignore[arg-type]


def test_timestamps_are_read_once_and_never_mixed_up(server: ScriptedServer) -> None:
    times = [datetime(2026, 11, 24, tzinfo=UTC) + timedelta(minutes=5 * index) for index in range(3)]
    one = {"timestamps": [at.isoformat() for at in times], "values": [1, 2, 3]}
    two = {"timestamps": [at.timestamp() for at in times], "values": [4, 5, 6]}
    server.replies = [ok(unit="Count", datapoints=[{**one, "label": "a"}, {**two, "label": "b"}])]

    series: Any = NetworkFlowMonitor().results_page(QUERY)["datapoints"]

    assert [[at.astimezone(UTC) for at in each["timestamps"]] for each in series] == [times, times]
