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

from localaws.demo.duplicates import came
from localaws.demo.live_grid import Asked
from localaws.demo.run import Outcome, UnusableInput, Workflow, scenario_of
from localaws.demo.run_parent import show_verdicts
from localaws.demo.run_sweep import output_of, planned
from localaws.demo.scenarios import SCENARIOS, Scenario
from localaws.demo.workflows import WORKFLOWS, workflow
from localaws.lambda_runtimes.deployed_function import DeployedFunction, InvocationResult
from localaws.server import TEMPLATE
from tests.hostile import HOSTILE
from tests.sweeps import query, swept, window

PARAMETERS = yaml_parse(TEMPLATE.read_text("utf-8"))["Parameters"]


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
    with pytest.raises(UnusableInput, match="WORKFLOW=nonsense: expected one of query, sweep, parent, backfill"):
        workflow("nonsense")
    assert workflow("query") is WORKFLOWS["query"]


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_has_the_scenarios_that_make_sense_for_it_and_says_which(name: str, scenario: str) -> None:
    if name in SCENARIOS[scenario].workflows:
        assert scenario_of(name, scenario) is SCENARIOS[scenario]
        return
    with pytest.raises(UnusableInput, match=f"SCENARIO={scenario}: expected one that WORKFLOW={name} has: succeeded, "):
        scenario_of(name, scenario)


def test_every_workflow_can_succeed_and_fail_and_the_query_has_every_scenario() -> None:
    for name in WORKFLOWS:
        assert scenario_of(name, "succeeded")
        assert scenario_of(name, "failed")
    assert all("query" in scenario.workflows for scenario in SCENARIOS.values())
    assert {name for scenario in SCENARIOS.values() for name in scenario.workflows} == WORKFLOWS.keys()


def test_what_the_schedule_delivers_over_and_over_is_its_own_event() -> None:
    with pytest.raises(UnusableInput, match="EVENT"):
        scenario_of("query", "duplicate-delivery", {})


@pytest.mark.parametrize("given", [*SCENARIOS.values(), *WORKFLOWS.values()])
def test_parameters_are_those_of_the_template_with_values_that_it_allows(given: Scenario | Workflow) -> None:
    for name, value in given.parameters.items():
        assert re.fullmatch(PARAMETERS[name].get("AllowedPattern", r"[\d.]+"), value)


@pytest.mark.parametrize(
    ("answer", "error", "runs", "said"),
    [
        ({"name": "a-run", "started": True}, None, False, "started as a-run"),
        ({"name": "a-run", "started": True}, None, True, "runs already as a-run"),
        ({"name": "a-run", "started": False}, None, False, "ran already as a-run"),
        ({"errorMessage": "[red]no[/]\x1b"}, "Unhandled", False, "failed"),
    ],
)
def test_what_came_of_a_delivery_is_what_its_target_answered(
    answer: dict[str, object], error: str | None, runs: bool, said: str
) -> None:
    function = DeployedFunction("start", "arn", "start_execution.handler", {}, 30, 256, Path())
    console = Console(file=StringIO(), width=200)

    console.print(came(InvocationResult(function, json.dumps(answer).encode(), error), runs=runs))

    assert isinstance(console.file, StringIO)
    assert said in console.file.getvalue()
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
