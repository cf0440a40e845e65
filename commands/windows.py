"""Windows of a stack's sweeps: list those that are not stored whole (`gaps`), or sweep them (`backfill`).

`python -m commands.windows gaps --from … --to …`. The stack is in the account of the user's credentials, or where
AWS_ENDPOINT_URL points, such as what `make serve` serves.
"""

from __future__ import annotations

import argparse
import os
import re
import sys

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from commands.backfill_run import follow_backfill, show_estimate, start_backfill
from commands.deployed_stack import DeployedStack
from flowquery.core.errors import FlowqueryError, InvalidInput
from flowquery.results.objects import selections_text

DONE, NOT_ALL_STORED, CANNOT_RUN = 0, 1, 2
MOST_LISTED = 50
DEFAULT_MINUTES = {"gaps": "15", "backfill": "1440"}
# Of the fields of Backfill's input those that the Makefile has variables for.
VARIABLES = {"from": "FROM", "to": "TO", "windowMinutes": "WINDOW"}


def main(arguments: list[str]) -> int:
    options = _parse_arguments(arguments)
    console = Console(highlight=False, soft_wrap=True)
    try:
        stack = DeployedStack.named(options.stack)
        event = _backfill_input(stack, options)
        if options.command == "gaps":
            return list_gaps(stack, event, console)
        return backfill_gaps(stack, event, console, dry_run=options.dry_run)
    except InvalidInput as error:
        print(_with_variable(str(error)), file=sys.stderr)
    except (FlowqueryError, BotoCoreError, ClientError, KeyError) as error:
        where = os.environ.get("AWS_ENDPOINT_URL", "the account of your credentials")
        print(f"The stack {options.stack} in {where}: {type(error).__name__}: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("Interrupted. A backfill that was started goes on; make gaps lists the rest.", file=sys.stderr)
        return NOT_ALL_STORED
    return CANNOT_RUN


def list_gaps(stack: DeployedStack, event: object, console: Console) -> int:
    """List the windows that are not stored whole, and what is missing of those that are stored in part."""
    backfill = stack.parse_backfill(event)
    stored = stack.stored_selections(backfill)
    gaps = backfill.windows_to_do(stored)
    for window in gaps[:MOST_LISTED]:
        missing = selections_text(backfill.selections - stored[window])
        state = f"stored in part, without {missing}" if stored[window] else "not stored"
        start, end = window.to_json().values()
        console.print(f"{start} to {end}  {state}", markup=False)
    if len(gaps) > MOST_LISTED:
        console.print(f"… and {len(gaps) - MOST_LISTED:,} more")
    windows = f"{len(backfill.windows):,} windows of {backfill.window_minutes} minutes"
    console.print(f"{len(gaps):,} of {windows} are not stored whole")
    return NOT_ALL_STORED if gaps else DONE


def backfill_gaps(stack: DeployedStack, event: object, console: Console, *, dry_run: bool = False) -> int:
    """Say what the windows that are to do take; unless it is a dry run, sweep them and show how far that is."""
    backfill = stack.parse_backfill(event)
    stored = stack.stored_selections(backfill)
    show_estimate(backfill, backfill.estimate(stored, stack.region), console)
    if dry_run:
        return DONE
    step_functions = boto3.client("stepfunctions")
    execution_arn = start_backfill(step_functions, stack.backfill_arn, event)
    succeeded = follow_backfill(step_functions, execution_arn, len(backfill.windows_to_do(stored)), console)
    return DONE if succeeded else NOT_ALL_STORED


def _parse_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="windows")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, minutes in DEFAULT_MINUTES.items():
        command = commands.add_parser(name)
        command.add_argument("--from", dest="start", help="where the first window starts")
        command.add_argument("--to", dest="end", help="where the last window ends")
        command.add_argument("--window", default=minutes, help="the length of a window in minutes")
        command.add_argument("--stack", default="flowquery")
    commands.choices["backfill"].add_argument("--dry-run", action="store_true", help="only say what it takes")
    return parser.parse_args(arguments)


def _backfill_input(stack: DeployedStack, options: argparse.Namespace) -> dict[str, object]:
    minutes = int(options.window) if options.window.isdigit() else options.window
    stretch = {"from": options.start or None, "to": options.end or None}  # the Makefile passes an empty text on
    return {"scopeId": stack.scope_id, **stretch, "windowMinutes": minutes}


def _with_variable(message: str) -> str:
    """Name the Makefile's variable in place of the field that the message begins with."""
    return re.sub(rf"^({'|'.join(VARIABLES)})\b", lambda field: VARIABLES[field[0]], message)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
