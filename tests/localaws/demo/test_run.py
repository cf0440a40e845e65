"""What `make run` reads out of executions, without a server."""

from __future__ import annotations

import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from samtranslator.yaml_helper import yaml_parse

from localaws.demo.duplicates import describe_reply
from localaws.demo.live_grid import GridKey
from localaws.demo.run import find_scenario
from localaws.demo.run_parent import show_verdicts
from localaws.demo.run_sweep import output_of, planned_queries
from localaws.demo.scenarios import SCENARIOS, Scenario
from localaws.demo.stage import Demo, Outcome, UnusableInput
from localaws.demo.workflows import DEMOS, find_demo
from localaws.lambda_runtimes.deployed_function import DeployedFunction, InvocationResult
from localaws.server import TEMPLATE
from tests.hostile import HOSTILE
from tests.sweeps import swept, window

PARAMETERS = yaml_parse(TEMPLATE.read_text("utf-8"))["Parameters"]


def ended(history: list[Any]) -> Outcome:
    return Outcome("FAILED", {}, "SweepIncomplete", "1 of 33 queries failed", history)


def test_a_sweeps_plan_is_all_or_what_its_input_selects() -> None:
    assert len(planned_queries({**window(0)})) == 33
    assert len(planned_queries({"windows": [window(0), window(1)], "metricNames": ["TIMEOUTS"]})) == 22
    selections = [{"metricName": "TIMEOUTS", "destinationCategory": "INTERNET"}]
    assert planned_queries({**window(0), "selections": selections}) == [
        GridKey("2026-11-24T08:00:00Z", "TIMEOUTS", "INTERNET")
    ]


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
def test_an_input_that_the_sweep_refuses_plans_nothing(event: object) -> None:
    assert planned_queries(event) == []


def test_a_failed_sweeps_output_is_the_latest_that_a_state_has_assigned() -> None:
    def exited(**variables: object) -> dict[str, Any]:
        texts = {name: json.dumps(value) for name, value in variables.items()}
        return {"type": "TaskStateExited", "stateExitedEventDetails": {"output": "{}", "assignedVariables": texts}}

    ranked = {**swept(), "rankings": []}
    history = [exited(sweep={}, output=None), exited(output=swept()), exited(output=ranked), exited(failure={})]

    assert output_of(ended([*history, {"type": "ExecutionFailed"}])) == ranked
    assert output_of(ended(history[:2])) == swept()
    assert output_of(ended(history[:1])) == {}


def test_an_unknown_workflow_is_an_error_that_says_what_is_allowed() -> None:
    with pytest.raises(UnusableInput, match="WORKFLOW=nonsense: expected one of query, sweep, parent, backfill"):
        find_demo("nonsense")
    assert find_demo("query") is DEMOS["query"]


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("name", DEMOS)
def test_a_workflow_has_the_scenarios_that_make_sense_for_it_and_says_which(name: str, scenario: str) -> None:
    if name in SCENARIOS[scenario].workflows:
        assert find_scenario(name, scenario) is SCENARIOS[scenario]
        return
    with pytest.raises(UnusableInput, match=f"SCENARIO={scenario}: expected one that WORKFLOW={name} has: succeeded, "):
        find_scenario(name, scenario)


def test_every_workflow_can_succeed_and_fail_and_the_query_has_every_scenario() -> None:
    for name in DEMOS:
        assert find_scenario(name, "succeeded")
        assert find_scenario(name, "failed")
    assert all("query" in scenario.workflows for scenario in SCENARIOS.values())
    assert {name for scenario in SCENARIOS.values() for name in scenario.workflows} == DEMOS.keys()


def test_a_schedule_that_delivers_repeatedly_takes_no_event() -> None:
    with pytest.raises(UnusableInput, match="EVENT"):
        find_scenario("query", "duplicate-delivery", {})


@pytest.mark.parametrize("given", [*SCENARIOS.values(), *DEMOS.values()])
def test_parameters_are_those_of_the_template_with_values_that_it_allows(given: Scenario | Demo) -> None:
    for name, value in given.parameters.items():
        assert re.fullmatch(PARAMETERS[name].get("AllowedPattern", r"[\d.]+"), value)


@pytest.mark.parametrize(
    ("reply", "error", "is_running", "text"),
    [
        ({"name": "a-run", "started": True}, None, False, "started as a-run"),
        ({"name": "a-run", "started": True}, None, True, "already running as a-run"),
        ({"name": "a-run", "started": False}, None, False, "already ended as a-run"),
        ({"errorMessage": "[red]no[/]\x1b"}, "Unhandled", False, "failed"),
    ],
)
def test_what_a_delivery_did_is_what_its_target_replied(
    reply: dict[str, object], error: str | None, is_running: bool, text: str
) -> None:
    function = DeployedFunction("start", "arn", "start_execution.handler", {}, 30, 256, Path())
    console = Console(file=StringIO(), width=200)

    console.print(describe_reply(InvocationResult(function, json.dumps(reply).encode(), error), is_running=is_running))

    assert isinstance(console.file, StringIO)
    assert text in console.file.getvalue()
    assert "\x1b" not in console.file.getvalue()


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
