"""What `make run WORKFLOW=backfill` shows."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from localaws.demo.run_backfill import run_backfill
from localaws.demo.scenarios import SCENARIOS
from localaws.demo.stage import Stage
from localaws.scripted_network_flow_monitor import Script
from tests.loopback import SCOPE_ID, Stack


@pytest.fixture(autouse=True)
def quick(stack: Stack) -> None:
    stack.aws.network_flow_monitor.script = Script(("SUCCEEDED",))


def shown(stack: Stack, folder: Path, event: object = None) -> tuple[bool, str]:
    text = io.StringIO()
    alarms = stack.aws.client("sqs").get_queue_url(QueueName="alarms")["QueueUrl"]
    console, scenario = Console(file=text, soft_wrap=True, highlight=False), SCENARIOS["succeeded"]
    stage = Stage(stack.aws, console, stack.outputs, event, alarms, folder / "report.html", folder, scenario)
    return run_backfill(stage), text.getvalue()


def test_two_days_are_shown_on_the_loopback(stack: Stack, tmp_path: Path) -> None:
    succeeded, output = shown(stack, tmp_path)

    assert succeeded
    assert "RequestsPerSecond is 5 here" in output
    assert "132 queries" in output
    assert "4 windows done, 0 left" in output
    assert output.count("│ 1       │ 33 of 33       │") == 4
    assert "sql/top_contributors.sql" in output


def test_windows_that_are_left_are_shown_with_their_alarms(stack: Stack, tmp_path: Path) -> None:
    stack.aws.network_flow_monitor.script = Script(("FAILED",))

    succeeded, output = shown(stack, tmp_path)

    assert not succeeded
    assert output.count("│ 0       │ 0 of 33        │") == 4
    assert "BackfillIncomplete" in output
    assert output.count("Alarm: ") == 2


@pytest.mark.parametrize("event", [{}, [], {"scopeId": SCOPE_ID, "from": "soon"}])
def test_an_input_that_the_backfill_refuses_is_shown_as_its_failure(
    stack: Stack, tmp_path: Path, event: object
) -> None:
    succeeded, output = shown(stack, tmp_path, event)

    assert not succeeded
    assert "FAILED InvalidInput" in output
    assert "Alarm: Flowquery: InvalidInput" in output
