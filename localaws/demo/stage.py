"""What each demonstration of `make run` is given, and what it shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from localaws.demo.scenarios import Scenario
from localaws.server import LocalAws

SCOPE_ID = "a1b2c3d4-5678-90ab-cdef-1234567890ab"


class UnusableInput(Exception):
    """What the command was given cannot be used; the message says what is allowed."""


@dataclass(frozen=True)
class Stage:
    """The deployed stack, and where to show what happens.

    Attributes
    ----------
    event
        The execution's input, or None where the workflow's own schedule is to make one.
    alarms
        The URL of a queue that the stack's alarms come to.
    report
        Where the report goes.
    keep
        A folder that is to hold the stored objects, for `make sql`.
    """

    aws: LocalAws
    console: Console
    outputs: Mapping[str, str]
    event: object
    alarms: str
    report: Path
    keep: Path | None
    scenario: Scenario


@dataclass(frozen=True)
class Demo:
    """What `make run WORKFLOW=` runs.

    Attributes
    ----------
    run
        Shows the workflow, and tells whether it succeeded.
    parameters
        The stack's, where the scenario has none of that name.
    """

    workflow: str
    run: Callable[[Stage], bool]
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How an execution ended."""

    status: str
    output: Any
    error: str
    cause: str
    history: list[Mapping[str, Any]]

    @property
    def succeeded(self) -> bool:
        return self.status == "SUCCEEDED"
