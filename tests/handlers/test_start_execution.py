"""StartExecution: a scheduled time starts the execution that it means, once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flowquery.core import errors
from tests.loopback import ENVIRONMENT, SCOPE_ID, SELECTION, event
from tests.scripted import ScriptedServer, call, http, ok

QUERY, SWEEP = event("start_execution"), event("start_execution_sweep")
STARTED = ok(executionArn="arn", startDate=0)


@pytest.mark.parametrize("due", ["2026-11-24T09:10:00Z", "2026-11-24T09:14:59Z", "2026-11-24T10:12:00+01:00"])
def test_the_window_is_aligned_and_ends_before_late_data(server: ScriptedServer, due: str) -> None:
    server.other_replies = [STARTED]

    answer = call("start_execution", {**QUERY, "scheduledTime": due})

    assert answer == {
        "name": "RETRANSMISSIONS-INTER_AZ-20261124T080000Z-20261124T090000Z-c3c9a9b3",
        "started": True,
        "input": {"scopeId": SCOPE_ID, **SELECTION},
    }
    sent = json.loads(server.other_requests[0].body)
    assert (sent["name"], json.loads(sent["input"])) == (answer["name"], answer["input"])
    assert sent["stateMachineArn"] == ENVIRONMENT["STATE_MACHINE_ARN"]


def test_a_sweep_starts_its_own_state_machine(server: ScriptedServer) -> None:
    server.other_replies = [STARTED]

    answer = call("start_execution", SWEEP)

    sent = json.loads(server.other_requests[0].body)
    assert sent["stateMachineArn"] == ENVIRONMENT["SWEEP_STATE_MACHINE_ARN"]
    assert sent["name"] == answer["name"]
    assert answer["input"]["metricNames"] == SWEEP["metricNames"]


@pytest.mark.parametrize("given", [QUERY, SWEEP])
def test_an_execution_that_has_ended_already_is_success(server: ScriptedServer, given: object) -> None:
    server.other_replies = [http(400, json.dumps({"__type": "ExecutionAlreadyExists", "message": "again"}))]

    assert call("start_execution", given)["started"] is False


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        (QUERY, "scheduledTime", "<aws.scheduler.scheduled-time>"),
        (QUERY, "windowMinutes", 0),
        (QUERY, "delayMinutes", -5),
        (QUERY, "metricName", "LATENCY"),
        (QUERY, "alarmabove", 100),
        (SWEEP, "metricName", "TIMEOUTS"),
        (SWEEP, "rankedPeaks", 2.5),
    ],
)
def test_a_schedule_that_cannot_be_meant_is_refused(
    server: ScriptedServer, given: dict[str, Any], field: str, value: object
) -> None:
    with pytest.raises(errors.InvalidInput, match=f'^"?{field}'):
        call("start_execution", {**given, field: value})

    assert server.requests == []
