"""The definition of Backfill, held against AWS's rules and this project's, as that of RunQuery is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from flowquery.backfill import LONGEST_HOURS
from tests.loopback import LAMBDA_FAULTS, ROOT
from tests.template.test_state_machine import ways

TEXT = (ROOT / "statemachines/backfill.asl.yaml").read_text("utf-8")
TEMPLATE = (ROOT / "template.yaml").read_text("utf-8")
DEFINITION = yaml.safe_load(TEXT)
STATES: Mapping[str, Any] = DEFINITION["States"]
CHILD: Mapping[str, Any] = STATES["SweepWindows"]["ItemProcessor"]
FUNCTIONS = {"PlanBackfill": "PlanBackfill", "CheckBackfill": "PlanBackfill", "RaiseAlarm": "RaiseAlarm"}


@pytest.mark.parametrize("machine", [DEFINITION, CHILD])
def test_every_way_leads_to_a_state_and_every_state_is_reached(machine: Mapping[str, Any]) -> None:
    reached, todo = set(), [machine["StartAt"]]
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            todo += ways(machine["States"][name])

    assert reached == set(machine["States"])


def test_every_state_has_a_comment() -> None:
    for name, state in {**STATES, **CHILD["States"]}.items():
        assert state.get("Comment"), name


def test_only_the_map_loops() -> None:
    left = dict(STATES)
    while leaving := [name for name, state in left.items() if not set(ways(state)) & left.keys()]:
        for name in leaving:
            del left[name]

    assert left == {}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_task_is_bounded_retried_with_full_jitter_and_caught(name: str) -> None:
    task = STATES[name]

    [retrier] = task["Retry"]
    assert set(retrier["ErrorEquals"]) == {*LAMBDA_FAULTS, "Throttled", "TransientFault"}
    assert (retrier["JitterStrategy"], retrier["MaxAttempts"], retrier["MaxDelaySeconds"]) == ("FULL", 6, 30)
    assert task["Catch"][-1]["ErrorEquals"] == ["States.ALL"]
    timeout = re.search(rf"\n  {FUNCTIONS[name]}Function:\n.*?\n      Timeout: (\d+)", TEMPLATE, re.DOTALL)
    assert timeout
    assert task["TimeoutSeconds"] > int(timeout[1])


@pytest.mark.parametrize("name", CHILD["States"])
def test_a_nested_sweep_is_bounded_and_started_again_when_throttled(name: str) -> None:
    task = CHILD["States"][name]

    assert task["Resource"].endswith("states:startExecution.sync:2")
    assert task["TimeoutSeconds"] >= 172_800  # the sweep's own bound
    assert "StepFunctions.ThrottlingException" in task["Retry"][0]["ErrorEquals"]


def test_the_longest_backfill_fits_the_executions_bound() -> None:
    assert DEFINITION["TimeoutSeconds"] == LONGEST_HOURS * 3600
    # An Express child could wait for five minutes, and not for a nested execution at all.
    assert CHILD["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}


def test_substitutions_are_those_of_the_template() -> None:
    block = re.search(r"backfill\.asl\.yaml\n      DefinitionSubstitutions:\n(.*?)\n      Role:", TEMPLATE, re.DOTALL)

    assert block
    assert set(re.findall(r"^ {8}(\w+):", block[1], re.MULTILINE)) == set(re.findall(r"\$\{(\w+)\}", TEXT))
