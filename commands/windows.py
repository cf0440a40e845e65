"""Windows of sweeps, in a live stack or on a loopback: which are missing, and a backfill of them.

`python -m commands.windows gaps --from … --to …` lists windows that are not stored whole; `backfill` says what sweeping
them takes, starts it, and shows it to its end. The stack's outputs say where; credentials are the user's own.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from flowquery.results.windows import Selection, Window, selection_text
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from flowquery.alarms.message import cause_text
from flowquery.aws import network_flow_monitor
from flowquery.core.errors import FlowqueryError, InvalidInput
from flowquery.results import store
from flowquery.sweep.backfill import REQUESTS_PER_QUERY, Backfill

DONE, LEFT, UNUSABLE = 0, 1, 2
MOST_SHOWN = 50
Stored = Mapping[Window, frozenset[Selection]]


@dataclass(frozen=True)
class Place:
    """A stack: its outputs, and what its parameters say that a backfill is about."""

    bucket: str
    machine: str
    scope_id: str
    requests_per_second: float
    timeout_seconds: float
    region: str

    @classmethod
    def of(cls, stack: str) -> Place:
        client = boto3.client("cloudformation")
        described = client.describe_stacks(StackName=stack)["Stacks"][0]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}
        parameters = {given["ParameterKey"]: given["ParameterValue"] for given in described["Parameters"]}
        return cls(
            bucket=outputs["ResultsBucketName"],
            machine=outputs["BackfillArn"],
            scope_id=parameters["ScopeId"],
            requests_per_second=float(parameters.get("RequestsPerSecond", 5)),
            timeout_seconds=float(parameters.get("TimeoutSeconds", 1800)),
            region=client.meta.region_name,
        )

    def parse(self, event: Mapping[str, object]) -> Backfill:
        return Backfill.parse(
            event, network_flow_monitor.allowed_values(), self.requests_per_second, self.timeout_seconds
        )

    def stored(self, backfill: Backfill) -> Stored:
        return store.stored_selections(self.bucket, backfill.scope_id, backfill.windows, backfill.selections)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="windows")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, minutes in (("gaps", "15"), ("backfill", "1440")):
        command = commands.add_parser(name)
        command.add_argument("--from", dest="start", default="", help="where the first window begins")
        command.add_argument("--to", dest="end", default="")
        command.add_argument("--window", default=minutes, help="minutes")
        command.add_argument("--stack", default="flowquery")
        command.add_argument("--dry-run", action="store_true")
    options = parser.parse_args(arguments)
    console = Console(highlight=False, soft_wrap=True)
    try:
        place = Place.of(options.stack)
        window = int(options.window) if options.window.isdigit() else options.window
        event: dict[str, object] = {
            "scopeId": place.scope_id,
            "from": options.start or None,
            "to": options.end or None,
            "windowMinutes": window,
        }
        if options.command == "gaps":
            return gaps(place, event, console)
        return backfill(place, event, console, dry_run=options.dry_run)
    except InvalidInput as error:
        field, _, said = str(error).partition(":")
        names = {"from": "FROM", "to": "TO", "windowMinutes": "WINDOW"}
        print(f"{names.get(field, field)}:{said}", file=sys.stderr)
    except (FlowqueryError, BotoCoreError, ClientError, KeyError) as error:
        where = os.environ.get("AWS_ENDPOINT_URL", "the account of your credentials")
        print(f"The stack {options.stack} in {where}: {type(error).__name__}: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("Ended early; a backfill that was started goes on, and make gaps says what is left.", file=sys.stderr)
        return LEFT
    return UNUSABLE


def gaps(place: Place, event: Mapping[str, object], console: Console) -> int:
    """List the windows that are not stored whole, and what is missing of those stored in part."""
    asked = place.parse(event)
    stored = place.stored(asked)
    left = asked.left(stored)
    for window in left[:MOST_SHOWN]:
        missing = asked.selections - stored[window]
        said = f"in part, without {selection_text(missing)}" if stored[window] else "not stored"
        start, end = window.to_json().values()
        console.print(f"{start} to {end}  {said}", markup=False)
    if len(left) > MOST_SHOWN:
        console.print(f"… and {len(left) - MOST_SHOWN:,} more")
    console.print(
        f"{len(left):,} of {len(asked.windows):,} windows of {asked.window_minutes} minutes are not stored whole"
    )
    return LEFT if left else DONE


def backfill(place: Place, event: Mapping[str, object], console: Console, *, dry_run: bool = False) -> int:
    """Say what the windows that are left take; unless it is a dry run, sweep them and show how far that is."""
    asked = place.parse(event)
    told = asked.estimate(place.stored(asked), place.region)
    show_estimate(asked, told, console)
    if dry_run:
        return DONE
    arn = start(boto3.client("stepfunctions"), place.machine, event)
    return follow(boto3.client("stepfunctions"), arn, cast("int", told["todo"]), console)


def show_estimate(asked: Backfill, told: Mapping[str, object], console: Console) -> None:
    dollars = f", ${told['dollars']:.4f}" if "dollars" in told else ""
    console.print(
        f"{told['windows']:,} windows of {asked.window_minutes} minutes, {told['stored']:,} of them stored. "
        f"{told['todo']:,} to do: {told['queries']:,} queries, at least {told['hours']:,} hours at "
        f"{asked.requests_per_second:g} requests a second ({REQUESTS_PER_QUERY} requests a query){dollars}",
        markup=False,
    )


def start(client: Any, machine: str, event: Mapping[str, object]) -> str:
    """Start the backfill and return its execution's ARN."""
    arguments = {"stateMachineArn": machine, "name": f"by-hand-{uuid.uuid4()}", "input": json.dumps(event)}
    return str(client.start_execution(**arguments)["executionArn"])


def follow(client: Any, arn: str, windows: int | None, console: Console, every_seconds: float = 1) -> int:
    """Show the windows that are done until the execution has ended; return the exit status."""
    console.print(f"Started {arn}", markup=False)
    columns = (TextColumn("windows"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=not console.is_terminal) as progress:
        task = progress.add_task("", total=windows)
        while (execution := client.describe_execution(executionArn=arn))["status"] == "RUNNING":
            _show_progress(client, arn, progress, task)
            time.sleep(every_seconds)
        _show_progress(client, arn, progress, task)
    if execution["status"] != "SUCCEEDED":
        cause = escape(cause_text(execution.get("cause")))
        console.print(f"[bold red]{execution['status']}[/] {execution.get('error', '')}: {cause}")
        return LEFT
    output = json.loads(execution["output"])
    console.print(f"[bold green]SUCCEEDED[/] {output['done']:,} windows done, {output['left']:,} left")
    if output["left"]:
        console.print(f"Left: s3://{output['list']['bucket']}/{output['list']['key']}", markup=False)
    if output["manifest"]:
        console.print(
            f"How each sweep ended: s3://{output['manifest']['Bucket']}/{output['manifest']['Key']}", markup=False
        )
    return LEFT if output["left"] else DONE


def _show_progress(client: Any, arn: str, progress: Progress, task: Any) -> None:
    runs = client.list_map_runs(executionArn=arn)["mapRuns"]
    if runs:
        counts = client.describe_map_run(mapRunArn=runs[0]["mapRunArn"])["itemCounts"]
        failed = counts["failed"] + counts["timedOut"] + counts["aborted"]
        progress.update(task, completed=counts["succeeded"] + failed, description=f"{failed} failed" if failed else "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
