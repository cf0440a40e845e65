"""Draws the state machines as Mermaid flowcharts, and puts them into README.md: `python scripts/picture.py`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
SHAPES = {
    "Task": ("[", "]"),
    "Pass": ("[/", "/]"),
    "Choice": ("{", "}"),
    "Wait": ("[[", "]]"),
    "Succeed": ("([", "])"),
    "Fail": ("([", "])"),
}
PICTURES = {
    "run_query": "statemachines/run_query.asl.yaml",
    "sweep_scope": "statemachines/sweep_scope.asl.yaml",
    "backfill": "statemachines/backfill.asl.yaml",
    "parent_workflow": "examples/parent_workflow/compare_scopes.asl.yaml",
}
COLOURS = {"Succeed": "#1a7f37", "Fail": "#cf222e", "Wait": "#9a6700"}


def draw(states: Mapping[str, Any]) -> str:
    """Return the flowchart; a dotted arrow is a Catch, and what a Map runs for each item is in its frame."""
    lines, coloured = ["flowchart TD", *_body(states)], list(_every(states))
    for kind, colour in COLOURS.items():
        members = ",".join(name for name, state in coloured if state["Type"] == kind)
        if members:
            lines += [
                f"  classDef {kind.lower()} stroke:{colour},stroke-width:3px",
                f"  class {members} {kind.lower()}",
            ]
    return "\n".join(lines)


def _body(states: Mapping[str, Any]) -> Iterator[str]:
    for name, state in states.items():
        if state["Type"] == "Map":
            yield f"  subgraph {name}"
            yield from _body(state["ItemProcessor"]["States"])
            yield "  end"
        else:
            opening, closing = SHAPES[state["Type"]]
            yield f"  {name}{opening}{name}{closing}"
    for name, state in states.items():
        yield from dict.fromkeys(f"  {name} {arrow} {target}" for arrow, target in _arrows(state))


def _every(states: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, state in states.items():
        yield name, state
        if state["Type"] == "Map":
            yield from _every(state["ItemProcessor"]["States"])


def _arrows(state: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for choice in state.get("Choices", []):
        yield f"-- {_condition(choice)} -->", choice["Next"]
    if "Default" in state:
        yield "-- otherwise -->", state["Default"]
    if "Next" in state:
        yield "-->", state["Next"]
    catches = state.get("Catch", [])
    every = "any error" if len(catches) == 1 else "any other error"
    for catch in catches:
        label = " or ".join(every if name == "States.ALL" else name for name in catch["ErrorEquals"])
        yield f"-. {label} .->", catch["Next"]


def _condition(choice: Mapping[str, Any]) -> str:
    if "Condition" in choice:  # JSONata, whose `$` marks variables and functions; Mermaid needs quotes around brackets
        return '"' + choice["Condition"].removeprefix("{%").removesuffix("%}").strip().replace("$", "") + '"'
    if "Not" in choice:
        return f"not {_condition(choice['Not'])}"
    for kind, link in (("And", ", "), ("Or", " or ")):
        if kind in choice:
            return link.join(_condition(part) for part in choice[kind])
    field = _field(choice["Variable"])
    [(test, value)] = [(name, value) for name, value in choice.items() if name not in ("Variable", "Next")]
    said = {
        "StringEquals": f"{value}",
        "IsNull": f"{field} is {'' if value else 'not '}null",
        "IsPresent": f"{field} given",
        "BooleanEquals": f"{'' if value else 'not '}{field}",
        "NumericEquals": f"{field} is {value}",
        "NumericGreaterThan": f"{field} above {value}",
        "NumericGreaterThanPath": f"{field} above {_field(str(value))}",
    }
    return said[test]


def _field(path: str) -> str:
    return path.rsplit(".", 1)[-1]


def embed(readme: str, name: str, picture: str) -> str:
    """Return the README with the picture between its marks."""
    before, _, rest = readme.partition(f"<!-- {name} -->\n")
    _, mark, after = rest.partition(f"<!-- /{name} -->")
    if not mark:
        raise ValueError(f"README.md has no place for the picture, from <!-- {name} --> to <!-- /{name} -->")
    return f"{before}<!-- {name} -->\n```mermaid\n{picture}\n```\n{mark}{after}"


def picture_of(name: str) -> str:
    return draw(yaml.safe_load((ROOT / PICTURES[name]).read_text("utf-8"))["States"])


if __name__ == "__main__":
    path = ROOT / "README.md"
    for name in PICTURES:
        path.write_text(embed(path.read_text("utf-8"), name, picture_of(name)), "utf-8")
    sys.stdout.write(f"README.md has the pictures of {', '.join(PICTURES.values())}\n")
