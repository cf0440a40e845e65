"""An execution while it runs: each state, and each call that Network Flow Monitor gets."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from typing import Any

from rich.markup import escape

from flowquery.alarms.message import cause_text
from flowquery.core.text import visible
from localaws.demo.stage import Outcome, Stage
from localaws.scripted_network_flow_monitor import Call

_SHOWN_EVENTS = re.compile(r"(\w+)StateEntered|TaskFailed|LambdaFunctionFailed")
CHECK_EVERY_SECONDS = 0.05


class Display:
    """Prints a line for each state and each call as it happens."""

    def __init__(self, stage: Stage) -> None:
        self._aws = stage.aws
        self._console = stage.console
        self._began = time.monotonic()
        self._lock = threading.RLock()
        self._execution_arn: str | None = None
        self._history: list[Mapping[str, Any]] = []
        self.observe(self.print_call)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def observe(self, on_call: Callable[[Call], None]) -> None:
        """Let `on_call` take the calls that Network Flow Monitor gets, rather than print each."""
        self._aws.network_flow_monitor.observer = on_call

    def follow(
        self,
        execution_arn: str,
        showing: AbstractContextManager[object],
        on_end: Callable[[Outcome], None] | None = None,
    ) -> Outcome:
        """Print what happens until the execution has ended; `showing` lasts until `on_end` has taken the outcome."""
        step_functions, self._execution_arn, status = self._aws.client("stepfunctions"), execution_arn, "RUNNING"
        self._history = []
        with showing:
            while status == "RUNNING":
                time.sleep(CHECK_EVERY_SECONDS)
                execution = step_functions.describe_execution(executionArn=execution_arn)
                status = execution["status"]
                self._print_new_events()
            outcome = Outcome(
                status=status,
                output=json.loads(execution.get("output", "{}")),
                error=execution.get("error", ""),
                cause=execution.get("cause", ""),
                history=self._history,
            )
            if on_end:
                on_end(outcome)
        return outcome

    def print_call(self, call: Call, where: str = "") -> None:
        if self._execution_arn:
            self._print_new_events()  # a call is shown below the state that made it
        self.print(f"  [dim]{call.operation}{where}[/] -> {escape(call.outcome)}")

    def print(self, text: str) -> None:
        with self._lock:
            self._console.print(f"{self.seconds:6.1f} s  {text}")

    def _print_new_events(self) -> None:
        with self._lock:
            step_functions = self._aws.client("stepfunctions")
            history = step_functions.get_execution_history(executionArn=self._execution_arn)["events"]
            printed, self._history = len(self._history), history
            for event in history[printed:]:
                self._print_event(event)

    def _print_event(self, event: Mapping[str, Any]) -> None:
        if not _SHOWN_EVENTS.fullmatch(event["type"]):
            return
        if details := event.get("stateEnteredEventDetails"):
            self.print(f"[bold cyan]{details['name']}[/]{_waiting_time(details)}")
        else:
            error, cause = _failure(event.get("taskFailedEventDetails", {}))
            self.print(f"  [red]{escape(error)}[/] {escape(visible(cause, 100))}")


def _failure(details: Mapping[str, str]) -> tuple[str, str]:
    """Return error and cause; those of a nested execution come as the text of its description."""
    error, cause = details.get("error", ""), details.get("cause", "")
    if error == "States.TaskFailed":
        with suppress(ValueError, KeyError, TypeError):
            nested = json.loads(cause)
            return nested["Error"], nested["Cause"]
    return error, cause_text(cause)


def _waiting_time(details: Mapping[str, Any]) -> str:
    """Return how long a Wait state waits, which is somewhere in its input."""
    if not details["name"].startswith("Wait"):
        return ""
    found = re.search(r'"waitSeconds": *([\d.]+)', details["input"])
    return f" {found[1]} s" if found else ""
