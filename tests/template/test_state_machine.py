"""What no engine here refuses: the state machines' definitions, held against AWS's rules and this project's."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from samtranslator.yaml_helper import yaml_parse

from flowquery.polling.policy import POLICY
from flowquery.sweep.backfill import LONGEST_HOURS
from tests.loopback import LAMBDA_FAULTS, ROOT

TEMPLATE = yaml_parse((ROOT / "template.yaml").read_text("utf-8"))
ERRORS = set(json.loads((ROOT / "schemas/errors.json").read_text("utf-8"))["enum"])
NESTED_FAULTS = {"StepFunctions.ThrottlingException", "StepFunctions.ExecutionLimitExceededException"}
AWS_ERRORS = {*LAMBDA_FAULTS, *NESTED_FAULTS, "StepFunctions.ExecutionAlreadyExistsException"}
AWS_ERRORS |= {"States.ALL", "States.TaskFailed"}
FLOW = {"Type", "Comment", "Next", "End"}
DATA = {"InputPath", "Parameters", "ResultSelector", "ResultPath", "OutputPath"}
FIELDS = {
    "Pass": {*FLOW, "InputPath", "Parameters", "ResultPath"},
    "Task": {*FLOW, *DATA, "Resource", "TimeoutSeconds", "Retry", "Catch"},
    "Choice": {"Type", "Comment", "Choices", "Default"},
    "Wait": {*FLOW, "SecondsPath"},
    "Map": {*FLOW, "Label", "ItemsPath", "ItemReader", "ItemSelector", "ItemProcessor", "ResultWriter", "ResultPath"}
    | {"Catch", "MaxConcurrencyPath", "ToleratedFailurePercentagePath"},
    "Succeed": {"Type", "Comment", "OutputPath"},
    "Fail": {"Type", "Comment", "Error", "Cause", "ErrorPath", "CausePath"},
}
# Of a state that shares another one's function.
FUNCTIONS = {"CheckBackfill": "PlanBackfill"}
# A state that a loop goes through, beside Wait states; a test says of each why it does not go round for ever.
TURNS = {
    "run_query": {"RankContributors"},
    "sweep_scope": {"RankContributors", "AdvanceQueries", "StoreSweep", "StopQueries"},
}
LONGEST_NESTED = {"compare_scopes": 86_400, "backfill": 172_800}


@dataclass(frozen=True)
class Machine:
    """A definition, or that of a Map's children."""

    name: str
    part: str
    definition: Mapping[str, Any]

    @property
    def states(self) -> Mapping[str, Any]:
        states: Mapping[str, Any] = self.definition["States"]
        return states

    def __str__(self) -> str:
        return f"{self.name}{self.part}"


def machines(name: str, definition: Mapping[str, Any], part: str = "") -> Iterator[Machine]:
    yield Machine(name, part, definition)
    for state_name, state in definition["States"].items():
        if "ItemProcessor" in state:
            yield from machines(name, state["ItemProcessor"], f"-{state_name}")


def ways(state: Mapping[str, Any]) -> Iterator[str]:
    for part in (state, *state.get("Choices", []), *state.get("Catch", [])):
        yield from (part[name] for name in ("Next", "Default") if name in part)


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


PATHS = sorted([*ROOT.glob("statemachines/*.asl.yaml"), *ROOT.glob("examples/*/*.asl.yaml")])
MACHINES = [machine for path in PATHS for machine in machines(path.name.partition(".")[0], load(path))]
OF_NAME = {str(machine): machine.states for machine in MACHINES}
STATES = [pytest.param(machine, name, id=f"{machine}-{name}") for machine in MACHINES for name in machine.states]
TASKS = [
    pytest.param(machine, name, id=f"{machine}-{name}")
    for machine in MACHINES
    for name, state in machine.states.items()
    if state["Type"] == "Task"
]
every_machine = pytest.mark.parametrize("machine", MACHINES, ids=str)


def test_every_definition_is_held_to_the_rules() -> None:
    assert {machine.name for machine in MACHINES} >= {"run_query", "sweep_scope", "backfill", "compare_scopes"}
    assert {machine.part for machine in MACHINES} >= {"-SweepWindows", "-LookAtScopes"}


@pytest.mark.parametrize(("machine", "name"), STATES)
def test_a_state_has_a_comment_and_only_fields_of_its_type(machine: Machine, name: str) -> None:
    state = machine.states[name]

    assert state["Comment"]
    assert set(state) <= FIELDS[state["Type"]]
    assert ("Next" in state) + ("End" in state) == (state["Type"] not in ("Choice", "Succeed", "Fail"))
    assert ("Default" in state) == (state["Type"] == "Choice")


@every_machine
def test_every_way_leads_to_a_state_and_every_state_is_reached(machine: Machine) -> None:
    reached, todo = set(), [machine.definition["StartAt"]]
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            todo += ways(machine.states[name])

    assert reached == set(machine.states)


@every_machine
def test_every_state_leads_to_an_end(machine: Machine) -> None:
    ending = {name for name, state in machine.states.items() if state["Type"] in ("Succeed", "Fail") or "End" in state}
    while more := {name for name, state in machine.states.items() if ending & set(ways(state))} - ending:
        ending |= more

    assert ending == set(machine.states)


@every_machine
def test_every_loop_goes_through_a_wait_or_a_step_that_gets_on(machine: Machine) -> None:
    turns = TURNS.get(machine.name, set())
    assert turns <= set(machine.states)
    left = {name: state for name, state in machine.states.items() if state["Type"] != "Wait" and name not in turns}
    while leaving := [name for name, state in left.items() if not set(ways(state)) & left.keys()]:
        for name in leaving:
            del left[name]

    assert left == {}


@pytest.mark.parametrize(("name", "output"), [("run_query", "$.got.output"), ("sweep_scope", "$.step.output")])
def test_the_ranking_is_gone_through_once(name: str, output: str) -> None:
    """What lets a run into the ranking is what the ranking takes away."""
    states = OF_NAME[name]
    choices = [choice for state in states.values() for choice in state.get("Choices", [])]

    assert states["RankContributors"]["Parameters"]["found.$"] == output
    assert sum(choice["Next"] == "RankContributors" for choice in choices) == 1
    if name == "run_query":
        [into] = [choice for choice in choices if choice["Next"] == "RankContributors"]
        assert {"Variable": "$.found", "IsNull": True} in into["And"]
    else:
        before = [choice["Next"] for choice in states["ChooseOutcome"]["Choices"]]
        away = {"Variable": "$.found", "IsNull": False, "Next": "RaiseAlarm"}
        assert states["ChooseOutcome"]["Choices"].index(away) < before.index("RankContributors")


def test_steps_of_a_sweep_are_repeated_for_what_is_left_alone() -> None:
    """That each invocation leaves less is what the properties of rounds and of the store hold."""
    states = OF_NAME["sweep_scope"]

    goes_on = {"Variable": "$.step.sweep.progress", "StringEquals": "GOES_ON"}
    assert states["ChooseByProgress"]["Choices"][0]["Not"] == goes_on
    assert states["ChooseByStop"]["Choices"] == [{**goes_on, "Next": "StopQueries"}]
    assert states["ChooseOutcome"]["Choices"][0] == {
        "Variable": "$.step.output",
        "IsNull": True,
        "Next": "StoreSweep",
    }


@pytest.mark.parametrize(("machine", "name"), TASKS)
def test_a_task_is_bounded_and_retried_with_full_jitter(machine: Machine, name: str) -> None:
    task = machine.states[name]

    retried = [error for retrier in task["Retry"] for error in retrier["ErrorEquals"]]
    assert len(retried) == len(set(retried))
    for retrier in task["Retry"]:
        assert retrier["JitterStrategy"] == "FULL"
        assert retrier["MaxDelaySeconds"] == POLICY.longest_backoff
        assert 1 <= retrier["MaxAttempts"] <= 6
    if task["Resource"].endswith("lambda:invoke"):
        assert set(retried) == {*LAMBDA_FAULTS, "Throttled", "TransientFault"}
        assert task["Catch"][-1]["ErrorEquals"] == ["States.ALL"]
        assert task["TimeoutSeconds"] > timeout_of(name)
    else:
        assert task["Resource"].endswith("states:startExecution.sync:2")
        assert set(retried) == NESTED_FAULTS
        assert task["TimeoutSeconds"] >= LONGEST_NESTED[machine.name]


def timeout_of(state: str) -> int:
    """Return the timeout of the state's function: the same verb through all layers."""
    named = TEMPLATE["Resources"][f"{FUNCTIONS.get(state, state)}Function"]["Properties"]
    return int({**TEMPLATE["Globals"]["Function"], **named}["Timeout"])


@pytest.mark.parametrize(("machine", "name"), TASKS)
def test_a_task_calls_the_function_of_its_name(machine: Machine, name: str) -> None:
    task = machine.states[name]

    if task["Resource"].endswith("lambda:invoke"):
        assert task["Parameters"]["FunctionName"] == f"${{{FUNCTIONS.get(name, name)}FunctionArn}}"


@every_machine
def test_names_of_errors_are_those_of_the_contract_and_of_aws(machine: Machine) -> None:
    tasks = [state for state in machine.states.values() if state["Type"] in ("Task", "Map")]
    matched = {
        error
        for task in tasks
        for part in (*task.get("Retry", []), *task.get("Catch", []))
        for error in part["ErrorEquals"]
    }
    raised = {state["Error"] for state in machine.states.values() if "Error" in state}
    chosen = {
        choice["StringEquals"]
        for state in machine.states.values()
        for choice in state.get("Choices", [])
        if choice.get("Variable", "").endswith(".Error")
    }

    assert matched - AWS_ERRORS <= ERRORS
    assert raised | chosen <= ERRORS


@every_machine
def test_a_path_is_given_once_and_no_jsonata_or_variable_is_used(machine: Machine) -> None:
    for state in machine.states.values():
        assert {"Assign", "Output", "Arguments", "QueryLanguage"}.isdisjoint(state)
        assert not {"Error", "ErrorPath"} <= state.keys()
        assert not {"Cause", "CausePath"} <= state.keys()


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name.partition(".")[0])
def test_an_execution_is_bounded(path: Path) -> None:
    assert 0 < load(path)["TimeoutSeconds"] <= 31_536_000  # a year, as Step Functions has it


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name.partition(".")[0])
def test_substitutions_are_those_of_the_template(path: Path) -> None:
    local = path.parent / "template.yaml"
    resources = yaml_parse((local if local.exists() else ROOT / "template.yaml").read_text("utf-8"))["Resources"]
    [machine] = [
        resource["Properties"]
        for resource in resources.values()
        if str(resource["Properties"].get("DefinitionUri", "")).endswith(path.name)
    ]

    assert set(machine["DefinitionSubstitutions"]) == set(re.findall(r"\$\{(\w+)\}", path.read_text("utf-8")))


def test_choices_on_the_status_have_a_default_that_is_no_wait() -> None:
    assert OF_NAME["run_query"]["ChooseByStatus"]["Default"] == "ReportUnknownStatus"


def test_the_status_functions_timeout_has_room_for_the_longest_hold_and_a_slow_call() -> None:
    longest_hold = TEMPLATE["Parameters"]["HoldSeconds"]["MaxValue"]

    assert timeout_of("GetQueryStatus") >= longest_hold + 2 * POLICY.slowest_call


def test_the_longest_backfill_fits_the_executions_bound() -> None:
    assert load(ROOT / "statemachines/backfill.asl.yaml")["TimeoutSeconds"] == LONGEST_HOURS * 3600


def test_children_of_a_backfill_wait_for_nested_executions() -> None:
    """An Express child could wait for five minutes, and not for a nested execution at all."""
    child = OF_NAME["backfill"]["SweepWindows"]["ItemProcessor"]

    assert child["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
