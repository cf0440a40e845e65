"""RaiseAlarm: an alarm or a finding is published once, and counted only if it was."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import pytest

from flowquery.core import errors
from tests.loopback import event, output
from tests.scripted import ScriptedServer, call, http

PUBLISHED = http(200, "<PublishResponse><PublishResult><MessageId>m-1</MessageId></PublishResult></PublishResponse>")
DENIED = "<ErrorResponse><Error><Code>AuthorizationError</Code><Message>no</Message></Error></ErrorResponse>"


def published(server: ScriptedServer) -> tuple[str, str]:
    [request] = server.other_requests
    sent = parse_qs(request.body.decode())
    return sent["Subject"][0], sent["Message"][0]


def counted(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return the metrics that were sent."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    return {name: line[name] for line in lines for name in ("AlarmsRaised", "FindingsRaised") if name in line}


def test_the_alarm_says_what_a_person_needs_to_act(server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.other_replies = [PUBLISHED]

    answer = call("raise_alarm", event("raise_alarm"))

    subject, text = published(server)
    assert answer == {"messageId": "m-1", "subject": subject}
    assert subject == "Flowquery: QueryTimedOut RETRANSMISSIONS INTER_AZ"
    assert "Do next:" in text
    assert "https://us-east-1.console.aws.amazon.com/states/home?region=us-east-1#/v2/executions/details/arn:" in text
    assert counted(capsys) == {"AlarmsRaised": [1.0]}


def test_a_finding_is_counted_as_one(server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.other_replies = [PUBLISHED]

    answer = call("raise_alarm", {"finding": output(finding=True, alarmAbove=5), "executionArn": "arn"})

    assert answer["subject"] == "Flowquery finding: RETRANSMISSIONS INTER_AZ peak 7.5 > 5"
    assert counted(capsys) == {"FindingsRaised": [1.0]}


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"failure": None},
        {"failure": {"Error": "Zürich\n" * 50}, "query": [], "poll": 5},
        {"workflow": "SweepScope", "output": [], "failure": {"Error": "X"}},
        {"workflow": "Backfill", "plan": "none"},
        {"failure": {"Error": "X", "Cause": "x" * 200_000}, "query": {"scopeId": "x" * 200_000}},
    ],
)
def test_an_alarm_goes_out_whatever_is_missing(server: ScriptedServer, given: dict[str, Any]) -> None:
    server.other_replies = [PUBLISHED]

    call("raise_alarm", given)

    subject, text = published(server)
    assert len(subject) <= 100
    assert subject.isascii()
    assert len(text) < 10_000


@pytest.mark.parametrize(("reply", "name"), [(http(403, DENIED), "AccessDenied"), (http(503), "TransientFault")])
@pytest.mark.parametrize("given", [event("raise_alarm"), {"finding": output(finding=True, alarmAbove=5)}])
def test_an_alarm_that_is_not_published_is_not_counted(
    server: ScriptedServer, capsys: pytest.CaptureFixture[str], given: object, reply: bytes, name: str
) -> None:
    server.other_replies = [reply]

    with pytest.raises(errors.FlowqueryError) as raised:
        call("raise_alarm", given)

    assert type(raised.value).__name__ == name
    assert counted(capsys) == {}
