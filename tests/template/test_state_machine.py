"""What no engine here refuses: the state machine's definition, held against AWS's rules and this project's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from flowquery import errors
from flowquery.polling import POLICY
from tests.loopback import LAMBDA_FAULTS, ROOT

DEFINITION = yaml.safe_load((ROOT / "statemachines/run_query.asl.yaml").read_text("utf-8"))
TEMPLATE = (ROOT / "template.yaml").read_text("utf-8")
STATES: Mapping[str, Any] = DEFINITION["States"]
TASKS = {name: state for name, state in STATES.items() if state["Type"] == "Task"}
NAMED = {name for name, value in vars(errors).items() if isinstance(value, type)}
FIELDS = {
    "Pass": {"InputPath", "Parameters", "ResultPath"},
    "Task": {
        "Resource",
        "Parameters",
        "ResultSelector",
        "ResultPath",
        "OutputPath",
        "TimeoutSeconds",
        "Retry",
        "Catch",
    },
    "Choice": {"Choices", "Default"},
    "Wait": {"SecondsPath"},
    "Succeed": {"OutputPath"},
    "Fail": {"Error", "Cause", "ErrorPath", "CausePath"},
}


def ways(state: Mapping[str, Any]) -> Iterator[str]:
    for part in (state, *state.get("Choices", []), *state.get("Catch", [])):
        yield from (part[name] for name in ("Next", "Default") if name in part)


@pytest.mark.parametrize("name", STATES)
def test_a_state_has_a_comment_and_only_fields_of_its_type(name: str) -> None:
    state = STATES[name]

    allowed = {"Type", "Comment", *FIELDS[state["Type"]]}
    allowed |= {"Next"} if state["Type"] in ("Pass", "Task", "Wait") else set()
    assert state["Comment"]
    assert set(state) <= allowed


def test_every_way_leads_to_a_state_and_every_state_is_reached() -> None:
    reached, todo = set(), [DEFINITION["StartAt"]]
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            todo += ways(STATES[name])

    assert reached == set(STATES)


def test_every_state_leads_to_an_end() -> None:
    ending = {name for name, state in STATES.items() if state["Type"] in ("Succeed", "Fail")}
    while more := {name for name, state in STATES.items() if ending & set(ways(state))} - ending:
        ending |= more

    assert ending == set(STATES)


def test_every_loop_goes_through_the_wait_or_once_through_the_ranking() -> None:
    left = {name: state for name, state in STATES.items() if name not in ("WaitBeforeNextCheck", "RankContributors")}
    while leaving := [name for name, state in left.items() if not set(ways(state)) & left.keys()]:
        for name in leaving:
            del left[name]

    assert left == {}
    # What lets a run into the ranking is what the ranking takes away.
    [into] = [choice for choice in STATES["ChooseFinding"]["Choices"] if choice["Next"] == "RankContributors"]
    assert {"Variable": "$.found", "IsNull": True} in into["And"]
    assert STATES["RankContributors"]["Parameters"]["found.$"] == "$.got.output"


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_bounded_retried_with_full_jitter_and_caught(name: str) -> None:
    task = TASKS[name]

    retried = {error for retrier in task["Retry"] for error in retrier["ErrorEquals"]}
    assert retried == set(LAMBDA_FAULTS) | {"Throttled", "TransientFault"}
    for retrier in task["Retry"]:
        assert retrier["JitterStrategy"] == "FULL"
        assert retrier["MaxDelaySeconds"] == POLICY.longest_backoff
        assert 1 <= retrier["MaxAttempts"] <= 6
    assert task["Catch"][-1]["ErrorEquals"] == ["States.ALL"]
    assert task["TimeoutSeconds"] > timeout_of(name)


def timeout_of(state: str) -> int:
    """Return the timeout of the state's function: the same verb through all layers."""
    found = re.search(rf"\n  {state}Function:\n.*?\n      Timeout: (\d+)", TEMPLATE, re.DOTALL)
    assert found
    return int(found[1])


def test_matched_names_are_raised_somewhere() -> None:
    matched = {
        error for task in TASKS.values() for part in (*task["Retry"], *task["Catch"]) for error in part["ErrorEquals"]
    }

    assert matched - set(LAMBDA_FAULTS) - {"States.ALL"} <= NAMED


def test_choices_on_the_status_have_a_default_that_is_no_wait() -> None:
    for state in STATES.values():
        if state["Type"] == "Choice":
            assert "Default" in state
    assert STATES["ChooseByStatus"]["Default"] == "ReportUnknownStatus"


def test_the_status_functions_timeout_has_room_for_the_longest_hold_and_a_slow_call() -> None:
    longest_hold = re.search(r"\n  HoldSeconds:\n.*?MaxValue: (\d+)", TEMPLATE, re.DOTALL)

    assert longest_hold
    assert timeout_of("GetQueryStatus") >= int(longest_hold[1]) + 2 * POLICY.slowest_call


def test_substitutions_are_those_of_the_template() -> None:
    used = set(re.findall(r"\$\{(\w+)\}", (ROOT / "statemachines/run_query.asl.yaml").read_text("utf-8")))
    block = re.search(r"DefinitionSubstitutions:\n(.*?)\n      Role:", TEMPLATE, re.DOTALL)

    assert block
    assert set(re.findall(r"^ {8}(\w+):", block[1], re.MULTILINE)) == used
