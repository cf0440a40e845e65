"""The arrows of a state machine's picture, and those that cases walk."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.loopback import ROOT

Arrow = tuple[str, str]


def arrows(machine: str) -> set[Arrow]:
    return arrows_of(definition(machine))


def arrows_of(machine: Mapping[str, Any]) -> set[Arrow]:
    """Return the arrows of a definition, those of a Catch with a "!" behind the state that they leave."""
    found: set[Arrow] = set()
    for name, state in machine["States"].items():
        found |= {(name, way["Next"]) for way in (state, *state.get("Choices", [])) if "Next" in way}
        found |= {(f"{name}!", way["Next"]) for way in state.get("Catch", [])}
        found |= {(name, state["Default"])} if "Default" in state else set()
    return found


def walked(paths: Iterable[str]) -> set[Arrow]:
    """Return the arrows of paths as `Run.steps` has them, joined by blanks."""
    pairs = itertools.chain.from_iterable(itertools.pairwise(path.split()) for path in paths)
    return {(start, end.removesuffix("!")) for start, end in pairs}


def named_errors(machine: str) -> set[str]:
    """Return the names of errors that a definition gives itself, in the rules of its Choices."""
    states = definition(machine)["States"].values()
    ways = [way for state in states for way in (state, *state.get("Choices", []))]
    failures = [way.get("Assign", {}).get("failure") for way in ways]
    return {str(failure["Error"]) for failure in failures if isinstance(failure, dict)}


def definition(machine: str) -> Mapping[str, Any]:
    return load(ROOT / f"statemachines/{machine}.asl.yaml")


def load(path: Path) -> Mapping[str, Any]:
    loaded: Mapping[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return loaded
