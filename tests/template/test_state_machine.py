"""What no engine here refuses: the state machines' definitions, held against AWS's rules and this project's."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from samtranslator.yaml_helper import yaml_parse

from flowquery.core import limits
from flowquery.core.errors import FlowqueryError
from flowquery.polling.policy import POLICY
from localaws.seams.expressions import BUILT_IN, check
from tests.loopback import ROOT
from tests.template.variables import (
    assigned_by,
    expressions_of,
    functions_of,
    read_by,
    texts_of,
    unassigned,
    ways_of,
)

TEMPLATE = yaml_parse((ROOT / "template.yaml").read_text("utf-8"))
ERRORS = set(json.loads((ROOT / "schemas/errors.json").read_text("utf-8"))["enum"])
NO_CONCURRENCY = "Lambda.TooManyRequestsException"
# https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html
NESTED_FAULTS = {
    "StepFunctions.ExecutionLimitExceededException",
    "StepFunctions.AWSStepFunctionsException",
    "StepFunctions.SdkClientException",
}
AWS_ERRORS = {NO_CONCURRENCY, *NESTED_FAULTS, "StepFunctions.ExecutionAlreadyExistsException", "States.ALL"}
FLOW = {"Type", "Comment", "QueryLanguage", "Next", "End"}
RESULT = {"Assign", "Output"}
JSONATA = {
    "Task": {*FLOW, *RESULT, "Resource", "Arguments", "TimeoutSeconds", "Retry", "Catch"},
    "Choice": {*FLOW, *RESULT, "Choices", "Default"},
    "Wait": {*FLOW, *RESULT, "Seconds"},
    "Map": {*FLOW, *RESULT, "Items", "ItemSelector", "ItemProcessor", "Catch"},
    "Succeed": {*FLOW, "Output"},
    "Fail": {*FLOW, "Error", "Cause"},
    "Pass": {*FLOW, *RESULT},
}
# The engine here reads ItemReader and ResultWriter of a JSONPath state alone.
JSONPATH = {
    "Map": {*FLOW, "Assign", "Label", "ItemReader", "ItemSelector", "ItemProcessor", "ResultWriter", "Catch"}
    | {"MaxConcurrencyPath", "ToleratedFailurePercentagePath"}
}
# Of a state that shares another one's function.
FUNCTIONS = {"CheckBackfill": "PlanBackfill", "ReportFinding": "RaiseAlarm"}
# States that a loop goes through, beside Wait states; a test says of each why it does not go round for ever.
TURNS = {"sweep_scope": {"RankContributors", "AdvanceQueries", "StoreSweep", "StopQueries"}}
# Errors of functions that the same call may not meet again, if it is sent again.
MAY_SUCCEED = {"Throttled", "TransientFault", "UnclearOutcome"}
NEVER_SUCCEED = {error.__name__ for error in FlowqueryError.__subclasses__()} - MAY_SUCCEED
# Where nothing is lost by another attempt, and something without one: a query goes on, rows or an alarm are missing.
ALWAYS = {"StopQuery", "StopQueries", "StoreSweep", "RaiseAlarm", "ReportFinding"}
# RankContributors absorbs every error of the service.
REFUSED = {"RankContributors": {"InvalidInput"}, **{name: set[str]() for name in ALWAYS}}
# Attempts after any other error. A start may leave a query running whose id nobody knows.
ATTEMPTS = {"StartQuery": 2, "RankContributors": 2, **dict.fromkeys(ALWAYS, 20)}
NESTED = {"compare_scopes": "run_query", "backfill": "sweep_scope"}


@dataclass(frozen=True)
class Machine:
    """A definition, or that of a Map's children."""

    name: str
    part: str
    definition: Mapping[str, Any]
    language: str

    @property
    def states(self) -> Mapping[str, Any]:
        states: Mapping[str, Any] = self.definition["States"]
        return states

    def language_of(self, state: Mapping[str, Any]) -> str:
        return str(state.get("QueryLanguage", self.language))

    def __str__(self) -> str:
        return f"{self.name}{self.part}"


def machines(name: str, definition: Mapping[str, Any], part: str = "", language: str = "JSONPath") -> Iterator[Machine]:
    language = definition.get("QueryLanguage", language)
    yield Machine(name, part, definition, language)
    for state_name, state in definition["States"].items():
        if "ItemProcessor" in state:
            inner = state.get("QueryLanguage", language)
            yield from machines(name, state["ItemProcessor"], f"-{state_name}", inner)


def ends_of(name: str, state: Mapping[str, Any]) -> set[str]:
    return {way.end for way in ways_of(name, state) if way.end is not None}


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


PATHS = sorted([*ROOT.glob("statemachines/*.asl.yaml"), *ROOT.glob("examples/*/*.asl.yaml")])
DEFINITIONS = {path.name.partition(".")[0]: load(path) for path in PATHS}
MACHINES = [machine for name, definition in DEFINITIONS.items() for machine in machines(name, definition)]
OF_NAME = {str(machine): machine.states for machine in MACHINES}
STATES = [pytest.param(machine, name, id=f"{machine}-{name}") for machine in MACHINES for name in machine.states]
TASKS = [(machine, name) for machine in MACHINES for name, state in machine.states.items() if state["Type"] == "Task"]
FUNCTION_TASKS = [
    (machine, name) for machine, name in TASKS if machine.states[name]["Resource"].endswith("lambda:invoke")
]
every_task = pytest.mark.parametrize(("machine", "name"), TASKS, ids=str)
every_function_task = pytest.mark.parametrize(("machine", "name"), FUNCTION_TASKS, ids=str)
every_machine = pytest.mark.parametrize("machine", MACHINES, ids=str)
every_definition = pytest.mark.parametrize("name", DEFINITIONS)


def test_every_definition_is_held_to_the_rules() -> None:
    assert set(DEFINITIONS) == {"run_query", "sweep_scope", "backfill", "compare_scopes"}
    assert {machine.part for machine in MACHINES} == {"", "-SweepWindows", "-CompareScopes"}


def test_the_definitions_are_short() -> None:
    ours = [path for path in PATHS if path.parent.name == "statemachines"]

    assert sum(len(path.read_text("utf-8").splitlines()) for path in ours) < 600
    assert all(len(machine.states) <= 12 for machine in MACHINES)


@pytest.mark.parametrize(("machine", "name"), STATES)
def test_a_state_has_a_comment_and_only_fields_of_its_type_and_language(machine: Machine, name: str) -> None:
    state = machine.states[name]
    fields = JSONATA if machine.language_of(state) == "JSONata" else JSONPATH

    assert state["Comment"]
    assert set(state) <= fields[state["Type"]]
    assert ("Next" in state) + ("End" in state) == (state["Type"] not in ("Choice", "Succeed", "Fail"))
    assert ("Default" in state) == (state["Type"] == "Choice")
    for rule in state.get("Choices", []):
        assert {"Condition", "Next"} <= set(rule) <= {"Condition", "Next", *RESULT}
    for catcher in state.get("Catch", []):
        assert {"ErrorEquals", "Next"} <= set(catcher) <= {"ErrorEquals", "Next", *RESULT}


@every_machine
def test_jsonata_has_no_jsonpath_and_jsonpath_no_jsonata(machine: Machine) -> None:
    for state in machine.states.values():
        if machine.language_of(state) == "JSONata":
            assert not [name for name, _ in texts_of(state) if name.endswith((".$", "Path"))]
            assert all("{%" not in text or text in whole_expressions(state) for _, text in texts_of(state))
        else:
            assert machine.language == "JSONPath"  # AWS takes no JSONPath in a machine that is JSONata at its top
            assert not list(expressions_of(state))


def whole_expressions(state: Mapping[str, Any]) -> set[str]:
    """Return the texts that are one expression; AWS takes none that is a part of a text."""
    return {
        text for _, text in texts_of(state) if text.startswith("{%") and text.endswith("%}") and text.count("{%") == 1
    }


@every_machine
def test_an_expression_is_jsonata_and_calls_what_step_functions_has(machine: Machine) -> None:
    for state in machine.states.values():
        for expression in expressions_of(state):
            check(expression)
        assert functions_of(state) <= BUILT_IN


@every_machine
def test_what_a_state_has_of_its_end_is_read_where_it_has_it(machine: Machine) -> None:
    """AWS takes `$states.result` in Assign and Output alone, and `$states.errorOutput` in a Catch alone."""
    for state in machine.states.values():
        for name, part in state.items():
            text = json.dumps(part) if name != "ItemProcessor" else ""
            assert "$states.errorOutput" not in text or name == "Catch"
            assert "$states.result" not in text or (name in RESULT and state["Type"] in ("Task", "Map"))


@every_definition
def test_a_variable_that_is_read_is_assigned_on_every_path_before(name: str) -> None:
    assert unassigned(DEFINITIONS[name]) == set()


@pytest.mark.parametrize(
    ("name", "planted", "missing"),
    [
        ("run_query", ("States", "StartQuery", "Assign", "poll"), "GetQueryStatus.poll"),
        ("run_query", ("States", "StartQuery", "Assign", "stop"), "RaiseAlarm.stop"),
        ("run_query", ("States", "StartQuery", "Catch", 0, "Assign", "query"), "RaiseAlarm.query"),
        ("run_query", ("States", "StopQuery", "Catch", 0, "Assign"), None),  # StartQuery has assigned it before
        ("run_query", ("States", "ChooseByStatus", "Choices", 3, "Assign"), "RaiseAlarm.failure"),
        ("run_query", ("States", "ChooseByStatus", "Assign"), "RaiseAlarm.failure"),
        ("sweep_scope", ("States", "PlanSweep", "Assign", "ranked"), "ChooseOutcome.ranked"),
        ("sweep_scope", ("States", "PlanSweep", "Assign", "lostAttempts"), "StopQueries.lostAttempts"),
        ("sweep_scope", ("States", "PlanSweep", "Catch", 0, "Assign", "stop"), "RaiseAlarm.stop"),
        ("sweep_scope", ("States", "StopQueries", "Catch", 0, "Assign", "failure"), "SweepNotSucceeded.failure"),
        ("backfill", ("States", "PlanBackfill", "Assign", "plan"), "SweepWindows.plan"),
        ("backfill", ("States", "PlanBackfill", "Assign", "manifest"), "CheckBackfill.manifest"),
        ("backfill", ("States", "PlanBackfill", "Catch", 0, "Assign", "plan"), "RaiseAlarm.plan"),
    ],
)
def test_a_variable_that_a_path_does_not_assign_is_found(
    name: str, planted: tuple[Any, ...], missing: str | None
) -> None:
    definition = copy.deepcopy(DEFINITIONS[name])
    *way, last = planted
    part = definition
    for step in way:
        part = part[step]
    del part[last]

    assert (missing in unassigned(definition)) if missing else unassigned(definition) == set()


def test_children_of_a_distributed_map_have_no_variables_of_the_machine_around_it() -> None:
    definition = copy.deepcopy(DEFINITIONS["backfill"])
    child = definition["States"]["SweepWindows"]["ItemProcessor"]["States"]["RunSweep"]
    child["Arguments"]["Name"] = "{% $plan.suffix %}"

    assert unassigned(definition) == {"RunSweep.plan"}


@every_machine
def test_a_variable_that_is_assigned_is_read(machine: Machine) -> None:
    states = machine.states.values()
    parts = [part for state in states for part in (state, *state.get("Choices", []), *state.get("Catch", []))]
    read = {name for state in states for name in read_by(state, machine.language)}

    assert {name for part in parts for name in assigned_by(part)} <= read


@every_machine
def test_a_failure_is_the_error_and_the_cause_of_the_variable_failure(machine: Machine) -> None:
    for state in machine.states.values():
        if state["Type"] == "Fail":
            assert (state["Error"], state["Cause"]) == ("{% $failure.Error %}", "{% $failure.Cause %}")


@pytest.mark.parametrize("name", ["run_query", "sweep_scope"])
def test_an_execution_that_does_not_succeed_has_one_end(name: str) -> None:
    types = [state["Type"] for state in OF_NAME[name].values()]

    assert (types.count("Fail"), types.count("Succeed"), types.count("Pass")) == (1, 1, 0)


@every_machine
def test_every_way_leads_to_a_state_and_every_state_is_reached(machine: Machine) -> None:
    reached, todo = set(), [machine.definition["StartAt"]]
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            todo += ends_of(name, machine.states[name])

    assert reached == set(machine.states)


@every_machine
def test_every_state_leads_to_an_end(machine: Machine) -> None:
    ending = {name for name, state in machine.states.items() if state["Type"] in ("Succeed", "Fail") or "End" in state}
    while more := {name for name, state in machine.states.items() if ending & ends_of(name, state)} - ending:
        ending |= more

    assert ending == set(machine.states)


@every_machine
def test_every_loop_goes_through_a_wait_or_a_step_that_gets_on(machine: Machine) -> None:
    turns = TURNS.get(machine.name, set())
    assert turns <= set(machine.states)
    left = {name: state for name, state in machine.states.items() if state["Type"] != "Wait" and name not in turns}
    while leaving := [name for name, state in left.items() if not ends_of(name, state) & left.keys()]:
        for name in leaving:
            del left[name]

    assert left == {}


def test_the_ranking_of_a_sweep_is_gone_through_once() -> None:
    """What lets an execution into the ranking is what the ranking takes away."""
    states = OF_NAME["sweep_scope"]
    ways = [
        (name, part["Assign"]["ranked"])
        for name, state in states.items()
        for part in (state, *state.get("Choices", []), *state.get("Catch", []))
        if "ranked" in part.get("Assign", {})
    ]
    into = [
        (name, rule["Condition"])
        for name, state in states.items()
        for rule in state.get("Choices", [])
        if rule["Next"] == "RankContributors"
    ]

    assert ways == [("PlanSweep", False), ("RankContributors", True), ("RankContributors", True)]
    assert [name for name, state in states.items() if "PlanSweep" in ends_of(name, state)] == []
    assert into == [("ChooseOutcome", "{% $output.finding and $not($ranked) %}")]


def test_steps_of_a_sweep_are_repeated_for_what_is_left_alone() -> None:
    """That each invocation leaves less is what the properties of rounds and of the store hold."""
    states = OF_NAME["sweep_scope"]

    progress, outcome = (states[name]["Choices"] for name in ("ChooseByProgress", "ChooseOutcome"))
    assert progress[0] == {"Condition": "{% $sweep.progress != 'GOES_ON' %}", "Next": "StoreSweep"}
    assert progress[1] == {"Condition": "{% $stepFailure != null %}", "Next": "StopQueries"}
    assert outcome[0] == {"Condition": "{% $output = null %}", "Next": "StoreSweep"}


@every_task
def test_a_task_is_bounded_and_retried_with_full_jitter(machine: Machine, name: str) -> None:
    task = machine.states[name]

    matched = [error for retrier in task["Retry"] for error in retrier["ErrorEquals"]]
    assert len(matched) == len(set(matched))
    for retrier in task["Retry"]:
        if retrier["MaxAttempts"]:
            assert retrier["JitterStrategy"] == "FULL"
            assert retrier["MaxDelaySeconds"] == POLICY.longest_backoff
            assert 1 <= retrier["MaxAttempts"] <= 60
    if task["Resource"].endswith("lambda:invoke"):
        assert task["Catch"][-1]["ErrorEquals"] == ["States.ALL"]
        assert task["TimeoutSeconds"] > timeout_of(name)
    else:
        assert task["Resource"].endswith("states:startExecution.sync:2")
        assert set(matched) == NESTED_FAULTS
        assert task["TimeoutSeconds"] >= DEFINITIONS[NESTED[machine.name]]["TimeoutSeconds"]


@every_function_task
def test_a_task_is_retried_after_what_may_succeed_if_it_is_sent_again(machine: Machine, name: str) -> None:
    """After any error but those of which the contract says that they never do, whatever its name."""
    refusals = [retrier for retrier in machine.states[name]["Retry"] if retrier["MaxAttempts"] == 0]
    *_, last = machine.states[name]["Retry"]

    assert {error for retrier in refusals for error in retrier["ErrorEquals"]} == REFUSED.get(name, NEVER_SUCCEED)
    assert (last["ErrorEquals"], last["MaxAttempts"]) == (["States.ALL"], ATTEMPTS.get(name, 6))


@every_function_task
def test_an_account_without_free_concurrency_is_outlasted_longer_than_faults(machine: Machine, name: str) -> None:
    """Nothing ran then, so more attempts do no harm."""
    [retrier] = [retrier for retrier in machine.states[name]["Retry"] if NO_CONCURRENCY in retrier["ErrorEquals"]]
    *_, last = machine.states[name]["Retry"]

    assert retrier["ErrorEquals"] == [NO_CONCURRENCY]
    assert retrier["MaxAttempts"] >= 3 * last["MaxAttempts"]


def test_a_start_that_was_throttled_is_retried_as_often_as_other_calls() -> None:
    [throttled] = [
        retrier for retrier in OF_NAME["run_query"]["StartQuery"]["Retry"] if "Throttled" in retrier["ErrorEquals"]
    ]

    assert (throttled["ErrorEquals"], throttled["MaxAttempts"]) == (["Throttled"], 6)


def test_a_retry_after_which_an_attempt_may_have_run_is_charged_as_such() -> None:
    for states, name in ((OF_NAME["run_query"], "GetQueryStatus"), (OF_NAME["sweep_scope"], "AdvanceQueries")):
        *_, last = states[name]["Retry"]
        assert last["MaxAttempts"] == POLICY.most_attempts_retried


def timeout_of(state: str) -> int:
    """Return the timeout of the state's function: the same verb through all layers."""
    named = TEMPLATE["Resources"][f"{FUNCTIONS.get(state, state)}Function"]["Properties"]
    return int({**TEMPLATE["Globals"]["Function"], **named}["Timeout"])


@every_function_task
def test_a_task_calls_the_function_of_its_name(machine: Machine, name: str) -> None:
    task = machine.states[name]

    assert task["Arguments"]["FunctionName"] == f"${{{FUNCTIONS.get(name, name)}FunctionArn}}"


@every_machine
def test_names_of_errors_are_those_of_the_contract_and_of_aws(machine: Machine) -> None:
    parts = [
        part
        for state in machine.states.values()
        for part in (state, *state.get("Choices", []), *state.get("Retry", []), *state.get("Catch", []))
    ]
    matched = {error for part in parts for error in part.get("ErrorEquals", [])}
    failures = [part["Assign"]["failure"] for part in parts if "failure" in part.get("Assign", {})]
    raised = {failure["Error"] for failure in failures if isinstance(failure, dict)}

    assert matched - AWS_ERRORS <= ERRORS
    assert raised <= ERRORS


@every_definition
def test_an_execution_is_bounded(name: str) -> None:
    assert 0 < DEFINITIONS[name]["TimeoutSeconds"] <= 31_536_000  # a year, as Step Functions has it


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


def test_a_choice_on_the_status_waits_for_no_unknown_one() -> None:
    choice = OF_NAME["run_query"]["ChooseByStatus"]

    assert (choice["Default"], choice["Assign"]["failure"]["Error"]) == ("StopQuery", "UnknownStatus")
    assert [rule["Next"] for rule in choice["Choices"]].count("WaitBeforeNextCheck") == 1


def test_the_status_functions_timeout_has_room_for_the_longest_hold_and_a_slow_call() -> None:
    longest_hold = TEMPLATE["Parameters"]["HoldSeconds"]["MaxValue"]

    assert timeout_of("GetQueryStatus") >= longest_hold + 2 * POLICY.slowest_call


def test_the_longest_query_and_the_longest_backfill_fit_their_executions() -> None:
    assert DEFINITIONS["backfill"]["TimeoutSeconds"] == limits.BACKFILL_HOURS * 3600
    for name in ("run_query", "sweep_scope"):
        assert DEFINITIONS[name]["TimeoutSeconds"] >= 2 * limits.TIMEOUT_SECONDS.most


def test_children_of_a_backfill_wait_for_nested_executions() -> None:
    """An Express child could wait for five minutes, and not for a nested execution at all."""
    child = OF_NAME["backfill"]["SweepWindows"]["ItemProcessor"]

    assert child["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
