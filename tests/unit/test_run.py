"""What `make run` reads out of executions, without a server."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from localaws.live_grid import Asked
from localaws.run import Outcome, UnusableInput
from localaws.run_parent import show_verdicts
from localaws.run_sweep import output_of, planned
from localaws.workflows import WORKFLOWS, workflow
from tests.hostile import HOSTILE
from tests.sweeps import query, swept, window


def ended(history: list[Any]) -> Outcome:
    return Outcome("FAILED", {}, "SweepIncomplete", "1 of 33 queries failed", history)


def test_a_sweeps_plan_is_all_or_what_its_input_selects() -> None:
    assert len(planned({**window(0)})) == 33
    assert len(planned({"windows": [window(0), window(1)], "metricNames": ["TIMEOUTS"]})) == 22
    selections = [{"metricName": "TIMEOUTS", "destinationCategory": "INTERNET"}]
    assert planned({**window(0), "selections": selections}) == [Asked("2026-11-24T08:00:00Z", "TIMEOUTS", "INTERNET")]


@pytest.mark.parametrize(
    "event",
    [
        [],
        "x",
        {},
        {"startTime": "x", "metricNames": 5},
        {"windows": 5},
        {"windows": [5]},
        {"startTime": "x", "selections": [{"a": 1}, 5]},
    ],
)
def test_an_input_that_the_sweep_will_refuse_plans_nothing(event: object) -> None:
    assert planned(event) == []


def test_a_failed_sweeps_output_is_what_its_last_states_had() -> None:
    ranking = swept(query("TIMEOUTS", "INTERNET"))
    state = json.dumps({"scopeId": "s", "step": {"output": ranking}, "found": swept()})
    history: list[Any] = [
        {"type": "TaskStateExited", "stateExitedEventDetails": {"output": '{"queries": []}'}},
        {"type": "FailStateEntered", "stateEnteredEventDetails": {"input": state}},
        {"type": "ExecutionFailed"},
    ]

    assert output_of(ended(history)) == swept()
    assert output_of(ended(history[:1])) == {}


def test_an_unknown_workflow_is_an_error_that_says_what_is_allowed() -> None:
    with pytest.raises(UnusableInput, match="WORKFLOW=nonsense: expected one of query, sweep, parent"):
        workflow("nonsense")
    assert workflow("query") is WORKFLOWS["query"]


@pytest.mark.parametrize("label", [*HOSTILE, "[red]x[/]", "\x1b[2J"])
def test_verdicts_show_a_peak_or_why_there_is_none_as_text(label: str) -> None:
    console = Console(file=StringIO(), width=200)
    peak = {"value": 1754.25, "label": label, "timestamp": "2026-11-24T08:55:00Z"}

    show_verdicts(
        console,
        [
            {"scopeId": "first", "verdict": "LOUD", "peak": peak},
            {"scopeId": "second", "verdict": "ASK_AGAIN", "error": "QueryFailed", "cause": label},
        ],
    )

    assert isinstance(console.file, StringIO)
    shown = console.file.getvalue()
    shown.encode()
    assert "1,754.25" in shown
    assert "second: QueryFailed: " in shown
    assert "\x1b" not in shown
