"""JSONata as Step Functions evaluates it: no context item, strict about variables, with AWS's own functions.

The facts are those of "Transforming data with JSONata in Step Functions" in the Developer Guide. The evaluator is
jsonata-python, in which None is "undefined" and NULL_VALUE is JSON's null.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import random
import sys
import uuid
from collections.abc import Callable, Mapping
from datetime import date
from functools import lru_cache
from typing import Any

_limit = sys.getrecursionlimit()
from jsonata import Functions, JException, Jsonata, Parser, Utils  # noqa: E402

# The import raises it to 10,000, which would hide recursion that a deployed function does not survive.
sys.setrecursionlimit(_limit)

NULL = Utils.NULL_VALUE
HASHES = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}
PATH_MARKS = (
    "predicate",
    "stages",
    "group",
    "focus",
    "index",
    "ancestor",
    "tuple",
    "keep_array",
    "keep_singleton_array",
)
LARGEST_WRITTEN_OUT = 1e21  # JavaScript writes larger whole numbers with an exponent


class EvaluationError(Exception):
    """An expression has no value that a state could use."""


class _NoContext:
    """Stands where JSONata has its context item: Step Functions gives an expression none."""


NO_CONTEXT = _NoContext()


def evaluate(expression: str, variables: Mapping[str, Any]) -> Any:
    """Evaluate `expression` with plain JSON values in `variables`, named without their dollar sign.

    Raises
    ------
    EvaluationError
        It is no JSONata, fails, reads a variable that was never assigned, or its value is undefined or no JSON.
    """
    try:
        value = _compiled(expression).value(variables)
    except JException as error:
        raise EvaluationError(f"The JSONata expression '{expression}' failed: {error}") from None
    except RecursionError:
        raise EvaluationError(f"The JSONata expression '{expression}' failed: Stack overflow error") from None
    except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError) as error:
        # Where jsonata-python meets a value that it did not expect, it breaks in Python's own way.
        raise EvaluationError(f"The JSONata expression '{expression}' failed: {error}") from error
    if value is None:
        raise EvaluationError(f"The JSONata expression '{expression}' returned nothing (undefined).")
    try:
        return _to_json(value)
    except TypeError:
        raise EvaluationError(f"The JSONata expression '{expression}' returned an unsupported result type.") from None


def check(expression: str) -> None:
    """Raise EvaluationError where `expression` is no JSONata."""
    try:
        _compiled(expression)
    except JException as error:
        raise EvaluationError(f"INVALID_JSONATA_EXPRESSION: {error}") from None


@lru_cache(maxsize=4096)
def _compiled(expression: str) -> Expression:
    return Expression(expression)


class Expression(Jsonata):
    """An expression without context, which fails where it reads a variable that was never assigned."""

    def __init__(self, expression: str) -> None:
        super().__init__(expression)
        self.set_validate_input(False)
        self.set_output_convert_nulls(False)
        self.variables: Mapping[str, Any] = {}

    def value(self, variables: Mapping[str, Any]) -> Any:
        # A copy for each evaluation: the evaluator keeps what it is doing on the instance, and threads share those.
        evaluation = copy.copy(self)
        evaluation.variables = variables
        Jsonata.CURRENT.jsonata = evaluation
        return evaluation.evaluate(NO_CONTEXT, FUNCTIONS)

    def evaluate_variable(self, expr: Any, input: Any, environment: Any) -> Any:
        name = str(expr.value)
        if name == "$":
            raise JException("Reference to '$$' is not supported.", expr.position)
        if name == "" or _binds(environment, name):
            return super().evaluate_variable(expr, input, environment)
        if name in self.variables:
            return _from_json(self.variables[name])
        if name not in BUILT_IN:
            raise JException(f"The variable '${name}' was never assigned", expr.position)
        return super().evaluate_variable(expr, input, environment)

    def evaluate_path(self, expr: Any, input: Any, environment: Any) -> Any:
        """Walk a path through objects as it is: only what it leads to is converted, not the whole variable."""
        first, *names = expr.steps
        plain = _is_plain(first, "variable") and all(_is_plain(step, "name") for step in names)
        if not plain or _is_marked(expr) or first.value not in self.variables or _binds(environment, first.value):
            return super().evaluate_path(expr, input, environment)
        value = self.variables[first.value]
        for name in names:
            if not isinstance(value, dict):
                return super().evaluate_path(expr, input, environment)
            if name.value not in value:
                return None
            value = value[name.value]
        return _from_json(value)

    def evaluate_name(self, expr: Any, input: Any, environment: Any) -> Any:
        if input is NO_CONTEXT:
            raise JException(f"Reference to '{expr.value}' at the top level is not supported.", expr.position)
        return super().evaluate_name(expr, input, environment)


def _binds(frame: Any, name: str) -> bool:
    """Tell whether the expression itself binds `name`; its outermost frame is the one that has `$$`."""
    while "$" not in frame.bindings:
        if name in frame.bindings:
            return True
        frame = frame.parent
    return False


def _is_plain(symbol: Any, kind: str) -> bool:
    return symbol.type == kind and not _is_marked(symbol)


def _is_marked(symbol: Any) -> bool:
    """Tell whether a part of a path filters, groups, sorts, binds, or keeps an array."""
    return any(getattr(symbol, mark, None) for mark in PATH_MARKS)


def _from_json(value: Any) -> Any:
    if value is None:
        return NULL
    if isinstance(value, dict):
        return {name: _from_json(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_from_json(item) for item in value]
    if isinstance(value, date):
        return value.isoformat()
    return value


def _to_json(value: Any) -> Any:
    if value is NULL:
        return None
    if isinstance(value, dict):
        return {name: _to_json(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_to_json(item) for item in value]
    if isinstance(value, float):
        return _number(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    raise TypeError(type(value))


def _number(value: float) -> int | float | str:
    """Return a whole number as one, and what is no number as the text that Step Functions gives instead."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return int(value) if value.is_integer() and abs(value) < LARGEST_WRITTEN_OUT else value


def _parse(text: Any) -> Any:
    return _from_json(json.loads(text, parse_constant=_refuse))


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _partition(items: Any, size: Any) -> Any:
    size = int(size)
    return [items[start : start + size] for start in range(0, len(items), size)] if items and size > 0 else None


def _range(first: Any, last: Any, step: Any = None) -> Any:
    first, last, step = int(first), int(last), int(step or 0)
    if not step or (last - first) * step < 0:
        return None
    return Utils.create_sequence_from_iter(range(first, last + (1 if step > 0 else -1), step))


def _hash(text: str, algorithm: str | None = None) -> str | None:
    if algorithm is None:
        return None
    return hashlib.new(HASHES[algorithm], text.encode(), usedforsecurity=False).hexdigest()


def _random(seed: Any = None) -> float:
    return random.random() if seed is None else random.Random(int(seed)).random()


class _Function(Jsonata.JLambda):
    """A function of Step Functions; undefined in place of an argument gives undefined, as JSONata's own do."""

    def call(self, input: Any, args: Any) -> Any:
        return None if args and args[0] is None else self.function(*args)


def _functions(**functions: Callable[..., Any]) -> dict[str, Any]:
    return {name: _Function(function) for name, function in functions.items()}


FUNCTIONS = _functions(
    parse=_parse,
    partition=_partition,
    range=_range,
    hash=_hash,
    random=_random,
    uuid=lambda: str(uuid.uuid4()),
)
# Step Functions has no $eval.
BUILT_IN = {*Jsonata.static_frame.bindings, *FUNCTIONS} - {"eval"}


def _text_of(value: Any, prettify: bool) -> str:
    """Write a value as JSON.stringify does; jsonata-python escapes what is not ASCII, and writes 5.0 inside objects."""
    if isinstance(value, Jsonata.JFunction | Parser.Symbol):
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return json.dumps(_number(float(f"{value:.15g}")))
    layout: dict[str, Any] = {"indent": 2} if prettify else {"separators": (",", ":")}
    return json.dumps(_to_json(value), ensure_ascii=False, **layout)


Functions._string = staticmethod(_text_of)
