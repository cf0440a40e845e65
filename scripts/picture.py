"""Draws the state machines as Mermaid flowcharts, and puts them into README.md: `python scripts/picture.py`."""

from __future__ import annotations

import re
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
# Conditions whose meaning is not in their text.
WORDS = {
    "$status in ['QUEUED', 'RUNNING'] and $not($poll.exhausted)": "QUEUED or RUNNING, budget left",
    "$status in ['QUEUED', 'RUNNING']": "budget spent",
    "$sweep.progress != 'GOES_ON'": "all ended",
    "$stepFailure != null": "a step failed",
    "$sweep.poll.waitSeconds > 0": "time to wait",
    "$output = null": "windows to store",
    "$plan.todo = 0": "nothing to do",
    "$mapFailure != null": "the Map failed",
}
NAME = r"\$(?:\w+\.)*(\w+)"
PATTERNS = (
    (r"\$[\w.]+ in \['(\w+)', '(\w+)'\]", r"\1 or \2"),
    (r"\$[\w.]+ = '(\w+)'", r"\1"),
    (rf"\$not\({NAME}\)", r"not \1"),
    (rf"{NAME} = null", r"no \1"),
    (NAME, r"\1"),
    (" and ", ", "),
    ("<=", "up to"),
)
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
        yield f"-- {_label(choice['Condition'])} -->", choice["Next"]
    if "Default" in state:
        yield "-- otherwise -->", state["Default"]
    if "Next" in state:
        yield "-->", state["Next"]
    catches = state.get("Catch", [])
    every = "any error" if len(catches) == 1 else "any other error"
    for catch in catches:
        label = " or ".join(every if name == "States.ALL" else name for name in catch["ErrorEquals"])
        yield f"-. {label} .->", catch["Next"]


def _label(condition: str) -> str:
    """Return a JSONata condition in the words that a reader of the picture needs."""
    text = " ".join(condition.removeprefix("{%").removesuffix("%}").split())
    if text in WORDS:
        return WORDS[text]
    for pattern, words in PATTERNS:
        text = re.sub(pattern, words, text)
    return text


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
