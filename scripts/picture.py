"""Draws a state machine as a Mermaid flowchart, and puts it into README.md: `python scripts/picture.py`."""

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
COLOURS = {"Succeed": "#1a7f37", "Fail": "#cf222e", "Wait": "#9a6700"}


def draw(states: Mapping[str, Any]) -> str:
    """Return the flowchart; a dotted arrow is a Catch."""
    lines = ["flowchart TD"]
    for name, state in states.items():
        opening, closing = SHAPES[state["Type"]]
        lines.append(f"  {name}{opening}{name}{closing}")
    for name, state in states.items():
        lines += dict.fromkeys(f"  {name} {arrow} {target}" for arrow, target in _arrows(state))
    for kind, colour in COLOURS.items():
        members = ",".join(name for name, state in states.items() if state["Type"] == kind)
        lines += [f"  classDef {kind.lower()} stroke:{colour},stroke-width:3px", f"  class {members} {kind.lower()}"]
    return "\n".join(lines)


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
    if "And" in choice:
        return ", ".join(_condition(part) for part in choice["And"])
    if "Or" in choice:
        return " or ".join(_condition(part) for part in choice["Or"])
    field = choice["Variable"].rsplit(".", 1)[-1]
    if "StringEquals" in choice:
        return str(choice["StringEquals"])
    if "IsNull" in choice:
        return f"{field} is {'' if choice['IsNull'] else 'not '}null"
    return f"{field} given" if "IsPresent" in choice else field


def embed(readme: str, picture: str) -> str:
    """Return the README with the picture between its marks."""
    before, _, rest = readme.partition("<!-- workflow -->\n")
    _, mark, after = rest.partition("<!-- /workflow -->")
    if not mark:
        raise ValueError("README.md has no place for the picture, from <!-- workflow --> to <!-- /workflow -->")
    return f"{before}<!-- workflow -->\n```mermaid\n{picture}\n```\n{mark}{after}"


def picture_of(name: str) -> str:
    definition = yaml.safe_load((ROOT / "statemachines" / f"{name}.asl.yaml").read_text("utf-8"))
    return draw(definition["States"])


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(embed(path.read_text("utf-8"), picture_of("run_query")), "utf-8")
    sys.stdout.write("README.md has the picture of statemachines/run_query.asl.yaml\n")
