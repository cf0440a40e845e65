"""JSONata and variables in state machines.

moto parses and runs `QueryLanguage: JSONata`, but has no evaluator for its expressions, and would hand one the
variables as text without escaping them. Patched here, each where AWS differs:

- `StringJSONata` and `StringVariableSample` evaluate with `expressions`, and get variables as values.
- A variable that a field of a JSONPath state reads and that is not there fails as a path into the input would.
- Variables are assigned when a state is left, so that all its expressions read what was there when it was entered, and
  `Output` does not see what `Assign` beside it sets ("Evaluation order in an assign field", Developer Guide).
- An `Output` that fails is caught and retried like anything else that fails in a Task, Map or Parallel.
- Conditions are booleans, `Error` and `Cause` strings, numbers of seconds whole: anything else fails.
- A Choice whose rule matched does not assign what belongs to its Default, even where both lead to the same state.
- The query language of a definition is parsed without a look at others: moto keeps it in a list that all share.
- Strings of a definition are read as JSON: moto leaves the escapes in some, and takes an emoji for two characters.
- The history shows assigned strings as JSON, and DescribeExecution an output that is a string or null.
"""

from __future__ import annotations

import json
import re
from typing import Any

from moto.stepfunctions.parser.api import EvaluationFailedEventDetails, ExecutionStatus, HistoryEventType
from moto.stepfunctions.parser.asl.component.common.assign.assign_decl import AssignDecl
from moto.stepfunctions.parser.asl.component.common.catch.catch_outcome import CatchOutcome
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
from moto.stepfunctions.parser.asl.component.common.string.string_expression import StringJSONata, StringVariableSample
from moto.stepfunctions.parser.asl.component.common.timeouts.heartbeat import HeartbeatSecondsJSONata
from moto.stepfunctions.parser.asl.component.common.timeouts.timeout import TimeoutSecondsJSONata
from moto.stepfunctions.parser.asl.component.state.choice.comparison.comparison import ConditionStringJSONata
from moto.stepfunctions.parser.asl.component.state.choice.state_choice import StateChoice
from moto.stepfunctions.parser.asl.component.state.exec.execute_state import ExecutionState
from moto.stepfunctions.parser.asl.component.state.fail.cause_decl import Cause
from moto.stepfunctions.parser.asl.component.state.fail.error_decl import Error
from moto.stepfunctions.parser.asl.component.state.state import CommonStateField
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.seconds import SecondsJSONata
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.eval.variable_store import VariableStore
from moto.stepfunctions.parser.asl.parse import preprocessor
from moto.stepfunctions.parser.asl.parse.preprocessor import Preprocessor
from moto.stepfunctions.parser.asl.utils.encoding import to_json_str
from moto.stepfunctions.parser.backend.execution import Execution

from localaws.seams.errors import failed
from localaws.seams.expressions import EvaluationError, check, evaluate
from localaws.seams.limits import check_variables

LONGEST_SECONDS = 99_999_999
_new_expression = StringJSONata.__init__
_enter = CommonStateField._eval_body
_from_error = ExecutionState._from_error
_attempt = ExecutionState._evaluate_with_timeout


def install() -> None:
    StringJSONata.__init__ = _parse
    StringJSONata._eval_body = _evaluate_expression
    StringVariableSample._eval_body = _evaluate_sample
    CommonStateField._eval_body = _evaluate_state
    ExecutionState._from_error = _record_failure
    ExecutionState._evaluate_with_timeout = _attempt_with_output
    ExecutionState._eval_state_output = _leave_execution
    StateChoice._eval_state = _choose
    StateChoice._eval_state_output = _leave_choice
    ConditionStringJSONata._eval_body = _evaluate_condition
    Error._eval_body = _evaluate_text
    Cause._eval_body = _evaluate_text
    SecondsJSONata._get_wait_seconds = _wait_seconds
    TimeoutSecondsJSONata._eval_seconds = _timeout_seconds
    HeartbeatSecondsJSONata._eval_seconds = _timeout_seconds
    AssignDecl._eval_body = _assign
    VariableStore.get_assigned_variables = _commit
    Execution.output = property(_output, _ignore)
    Preprocessor._inner_string_of = staticmethod(_string)
    preprocessor.from_string_literal = _string
    Preprocessor._query_language_per_scope = property(lambda visitor: visitor.__dict__.setdefault("_scopes", []))


def _parse(component: Any, expression: str) -> None:
    """Refuse a definition with an expression that is no JSONata."""
    try:
        check(expression)
    except EvaluationError as error:
        raise ValueError(str(error)) from None
    _new_expression(component, expression)


def _string(parser_rule_context: Any) -> str | None:
    """Return what a string of a definition, or a null in the place of one, says."""
    text = parser_rule_context.getText()
    value = json.loads(text, strict=False) if text.startswith('"') or text == "null" else text
    return value if value is None else str(value)


def _evaluate_expression(component: Any, env: Any) -> None:
    expression = component.expression
    variables = {**_variables(env), "states": _states(env, expression)}
    env.stack.append(_value(env, expression, variables))


def _evaluate_sample(component: Any, env: Any) -> None:
    """Evaluate a variable in a field of a JSONPath state, such as `$plan.bucket`."""
    try:
        env.stack.append(evaluate(component.expression, _variables(env)))
    except EvaluationError as error:
        raise failed(env, StatesErrorNameType.StatesRuntime, str(error)) from None


def _variables(env: Any) -> dict[str, Any]:
    store = env.variable_store
    return {**store._outer_scope, **store._inner_scope}


def _states(env: Any, expression: str) -> dict[str, Any]:
    """Return what `expression` reads of `$states`: all of it would be copied for each expression otherwise."""
    data = {name: part for name, part in env.states._states_data.items() if name != "errorOutput" or part is not None}
    parts = re.findall(r"\$states\.(\w+)", expression)
    return data if expression.count("$states") > len(parts) else {part: data[part] for part in parts if part in data}


def _value(env: Any, expression: str, variables: dict[str, Any]) -> Any:
    try:
        return evaluate(expression, variables)
    except EvaluationError as error:
        raise _failure(env, str(error)) from None


def _failure(env: Any, cause: str) -> FailureEventException:
    name = StatesErrorName(typ=StatesErrorNameType.StatesQueryEvaluationError)
    details = EvaluationFailedEventDetails(error=name.error_name, cause=cause, state=env.next_state_name)
    event = FailureEvent(
        env=env,
        error_name=name,
        event_type=HistoryEventType.EvaluationFailed,
        event_details=EventDetails(evaluationFailedEventDetails=details),
    )
    return FailureEventException(event)


def _typed(component: Any, env: Any, wanted: str, fits: Any) -> Any:
    """Evaluate an expression whose value has to be of one type."""
    component.eval(env=env)
    value = env.stack.pop()
    if not fits(value):
        shown = json.dumps(value)
        raise _failure(env, f"The JSONata expression '{component.literal_value}' returned {shown}, not {wanted}.")
    return value


def _evaluate_condition(component: Any, env: Any) -> None:
    env.stack.append(_typed(component.string_jsonata, env, "a boolean", lambda value: isinstance(value, bool)))


def _evaluate_text(component: Any, env: Any) -> None:
    env.stack.append(_typed(component.string_expression, env, "a string", lambda value: isinstance(value, str)))


def _wait_seconds(component: Any, env: Any) -> Any:
    return _seconds(component, env, fewest=0)


def _timeout_seconds(component: Any, env: Any) -> Any:
    return _seconds(component, env, fewest=1)


def _seconds(component: Any, env: Any, fewest: int) -> Any:
    def fits(value: Any) -> bool:
        return type(value) is int and fewest <= value <= LONGEST_SECONDS

    return _typed(component.string_jsonata, env, f"a whole number from {fewest} to {LONGEST_SECONDS}", fits)


def _evaluate_state(state: Any, env: Any) -> None:
    env.variable_store.pending = {}
    try:
        _enter(state, env)
    except FailureEventException as error:
        failure = error.failure_event
        if failure.event_type == HistoryEventType.EvaluationFailed and not hasattr(failure, "recorded"):
            failure.recorded = True
            env.event_manager.add_event(
                context=env.event_history_context,
                event_type=HistoryEventType.EvaluationFailed,
                event_details=failure.event_details,
            )
        raise


def _record_failure(state: Any, env: Any, ex: Exception) -> FailureEvent:
    """Assign nothing, and mark what moto puts into the history itself: any error that a Retry or Catch could match."""
    env.variable_store.pending = {}
    failure = _from_error(state, env, ex)
    failure.recorded = True
    return failure


def _attempt_with_output(state: Any, env: Any) -> None:
    _attempt(state, env)
    if state.output:
        state.output.eval(env=env)


def _leave_execution(state: Any, env: Any) -> None:
    if not state.output and not isinstance(env.stack[-1], CatchOutcome):
        CommonStateField._eval_state_output(state, env)


class _Chosen(str):
    """The name of the state that a rule of a Choice leads to, as opposed to its Default."""


def _choose(state: Any, env: Any) -> None:
    for rule in state.choices_decl.rules:
        rule.eval(env)
        if env.stack.pop() is True:
            env.stack.append(_Chosen(rule.next_stmt.name))
            return
    if state.default_state is None:
        raise RuntimeError(f"No branching option reached in state {state.name}")
    env.stack.append(state.default_state.state_name)


def _leave_choice(state: Any, env: Any) -> None:
    next_state = env.stack.pop()
    if not isinstance(next_state, _Chosen):
        for declaration in (state.assign_decl, state.output):
            if declaration:
                declaration.eval(env=env)
    if state._is_language_query_jsonpath():
        CommonStateField._eval_state_output(state, env)
    env.next_state_name = str(next_state)


def _assign(component: Any, env: Any) -> None:
    values: dict[str, Any] = {}
    for declaration in component.declaration_bindings:
        declaration.eval(env=env)
        values.update(env.stack.pop())
    check_variables(env, values)
    env.variable_store.pending = values


def _commit(store: Any) -> dict[str, str]:
    """Assign the variables of the state that is left, and return them as the history shows them."""
    for name, value in store.pending.items():
        store.set(name, value)
    return {name: json.dumps(value, separators=(",", ":")) for name, value in store.pending.items()}


def _output(execution: Any) -> str | None:
    """Return the output as JSON text. moto sets it after the status, so it is read where it comes from."""
    if execution.exec_status != ExecutionStatus.SUCCEEDED:
        return None
    return str(to_json_str(execution.exec_worker.env.states.get_input(), separators=(",", ":")))


def _ignore(_execution: Any, _output: Any) -> None: ...
