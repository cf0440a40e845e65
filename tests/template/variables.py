"""Which variables a state machine reads, and which are assigned on every path before: AWS fails on any other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

State = Mapping[str, Any]
_TEXT = re.compile(r"'[^']*'|\"[^\"]*\"")
_VARIABLE = re.compile(r"(?<![\w$])\$([A-Za-z_]\w*)\b(?!\s*\()")
_FUNCTION = re.compile(r"(?<![\w$])\$([A-Za-z_]\w*)\s*\(")
RESERVED = {"states"}


class Way(NamedTuple):
    """A way from one state to the next, and the variables that are assigned on it."""

    start: str
    end: str | None
    assigned: frozenset[str]


def ways_of(name: str, state: State) -> Iterator[Way]:
    """Yield the ways out of a state: those of its Next or Default, of each rule, and of each Catch."""
    for part in (*state.get("Choices", []), *state.get("Catch", [])):
        yield Way(name, part["Next"], assigned_by(part))
    yield Way(name, state.get("Default", state.get("Next")), assigned_by(state))


def assigned_by(part: State) -> frozenset[str]:
    return frozenset(name.removesuffix(".$") for name in part.get("Assign", {}))


def assigned_before(states: Mapping[str, State], start: str, outside: frozenset[str]) -> dict[str, frozenset[str]]:
    """Return for each state that is reached the variables that are assigned on every path to it."""
    before, todo = {start: outside}, [start]
    while todo:
        name = todo.pop()
        for way in ways_of(name, states[name]):
            if way.end is not None:
                after = before[name] | way.assigned
                common = before.get(way.end, after) & after
                if before.get(way.end) != common:
                    before[way.end] = common
                    todo.append(way.end)
    return before


def unassigned(definition: State, language: str = "JSONPath", outside: frozenset[str] = frozenset()) -> set[str]:
    """Return each variable that is read where a path has not assigned it, as `State.variable`."""
    states, language = definition["States"], definition.get("QueryLanguage", language)
    before = assigned_before(states, definition["StartAt"], outside)
    found = set()
    for name, state in states.items():
        found |= {f"{name}.{variable}" for variable in read_by(state, language) - before[name]}
        if "ItemProcessor" in state:
            # Children of a Distributed Map are executions of their own, without the variables around them.
            inline = state["ItemProcessor"].get("ProcessorConfig", {}).get("Mode") != "DISTRIBUTED"
            found |= unassigned(state["ItemProcessor"], language, before[name] if inline else frozenset())
    return found


def read_by(state: State, language: str) -> set[str]:
    """Return the variables that a state reads, its Map's own states apart."""
    if state.get("QueryLanguage", language) == "JSONata":
        return {name for text in expressions_of(state) for name in _VARIABLE.findall(_TEXT.sub("", text))} - RESERVED
    paths = (text for name, text in texts_of(state) if name.endswith((".$", "Path")))
    return {name for text in paths for name in _VARIABLE.findall(text)}


def functions_of(state: State) -> set[str]:
    return {name for text in expressions_of(state) for name in _FUNCTION.findall(_TEXT.sub("", text))}


def expressions_of(part: Any) -> Iterator[str]:
    """Yield the JSONata in a part of a state, its Map's own states apart."""
    for _, text in texts_of(part):
        if text.startswith("{%") and text.endswith("%}"):
            yield text[2:-2].strip()


def texts_of(part: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield each text with the name of its field."""
    if isinstance(part, str):
        yield name, part
    elif isinstance(part, Mapping):
        for key, value in part.items():
            if key not in ("ItemProcessor", "Comment"):
                yield from texts_of(value, key)
    elif isinstance(part, list):
        for item in part:
            yield from texts_of(item, name)
