"""A backfill from its estimate to its end, shown on a terminal or written to a pipe."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressDisplay

from flowquery.alarms.message import cause_text
from flowquery.sweep.backfill import REQUESTS_PER_QUERY, Backfill


def show_estimate(backfill: Backfill, estimate: Mapping[str, Any], console: Console) -> None:
    """Say what the windows that are not stored take: queries, time, and dollars where a price is known."""
    dollars = f", ${estimate['dollars']:.4f}" if "dollars" in estimate else ""
    console.print(
        f"{_windows(estimate['windows'])} of {backfill.window_minutes} minutes, {estimate['stored']:,} stored, "
        f"{estimate['todo']:,} to do: {estimate['queries']:,} queries, at least {_duration(estimate['hours'])} at "
        f"{backfill.requests_per_second:g} requests a second ({REQUESTS_PER_QUERY} requests a query){dollars}",
        markup=False,
    )


def start_backfill(step_functions: Any, backfill_arn: str, event: object) -> str:
    """Start an execution of Backfill, and return its ARN."""
    name = f"by-hand-{uuid.uuid4()}"
    started = step_functions.start_execution(stateMachineArn=backfill_arn, name=name, input=json.dumps(event))
    return str(started["executionArn"])


def follow_backfill(
    step_functions: Any, execution_arn: str, windows: int | None, console: Console, check_every_seconds: float = 1
) -> bool:
    """Show how many windows have ended until the execution has; tell whether all windows are stored.

    `windows` is how many are to do, None where that is not known.
    """
    console.print(f"Started {execution_arn}", markup=False)
    columns = (TextColumn("windows"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    transient = not console.is_terminal
    with ProgressDisplay(*columns, TimeRemainingColumn(), console=console, transient=transient) as display:
        task = display.add_task("", total=windows)
        while (execution := step_functions.describe_execution(executionArn=execution_arn))["status"] == "RUNNING":
            _show_ended_windows(step_functions, execution_arn, display, task)
            time.sleep(check_every_seconds)
        _show_ended_windows(step_functions, execution_arn, display, task)
    if execution["status"] != "SUCCEEDED":
        cause = escape(cause_text(execution.get("cause")))
        console.print(f"[bold red]{execution['status']}[/] {execution.get('error', '')}: {cause}")
        return False
    output = json.loads(execution["output"])
    _show_output(output, console)
    return bool(output["left"] == 0)


def _show_ended_windows(step_functions: Any, execution_arn: str, display: ProgressDisplay, task: TaskID) -> None:
    map_runs = step_functions.list_map_runs(executionArn=execution_arn)["mapRuns"]
    if map_runs:
        counts = step_functions.describe_map_run(mapRunArn=map_runs[0]["mapRunArn"])["itemCounts"]
        failed = counts["failed"] + counts["timedOut"] + counts["aborted"]
        display.update(task, completed=counts["succeeded"] + failed, description=f"{failed} failed" if failed else "")


def _show_output(output: Mapping[str, Any], console: Console) -> None:
    console.print(f"[bold green]SUCCEEDED[/] {_windows(output['done'])} done, {output['left']:,} left")
    if output["left"]:
        not_stored = output["list"]
        console.print(f"The windows that are left: s3://{not_stored['bucket']}/{not_stored['key']}", markup=False)
    if manifest := output["manifest"]:
        console.print(f"How each sweep ended: s3://{manifest['Bucket']}/{manifest['Key']}", markup=False)


def _windows(count: int) -> str:
    return "1 window" if count == 1 else f"{count:,} windows"


def _duration(hours: float) -> str:
    if hours >= 1:
        return f"{hours:,} hours"
    return f"{round(hours * 60)} minutes" if hours * 60 >= 1.5 else "a minute"
