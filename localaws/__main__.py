"""`python -m localaws run`, `sql` and `serve`, which the commands of the Makefile call."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from rich.console import Console

from localaws.clock import SystemClock
from localaws.demo import sql
from localaws.demo.run import read_event, run
from localaws.demo.stage import SCOPE_ID, UnusableInput
from localaws.demo.workflows import find_demo
from localaws.lambda_runtimes.process import ProcessRuntime
from localaws.server import LocalAws

SUCCEEDED, NOT_SUCCEEDED, UNUSABLE_INPUT = 0, 1, 2


def main(arguments: list[str]) -> int:
    options = _parse_arguments(arguments)
    for name in ("moto", "samtranslator"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    console = Console(highlight=False, soft_wrap=True)
    if options.command == "serve":
        return serve(options.port, console)
    if options.command == "sql":
        return answer_sql(options.folder, options.query, console)
    return run_demo(options, console)


def run_demo(options: argparse.Namespace, console: Console) -> int:
    try:
        demo, event = find_demo(options.workflow), read_event(options.event)
        succeeded = run(demo, event, options.scenario, console, Path(options.report), options.keep)
    except UnusableInput as error:
        print(error, file=sys.stderr)
        return UNUSABLE_INPUT
    except (BrokenPipeError, KeyboardInterrupt) as error:
        print(f"Interrupted: {type(error).__name__}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at its end
        return NOT_SUCCEEDED
    if not succeeded:
        print("The workflow did not succeed (1).", file=sys.stderr)
    return SUCCEEDED if succeeded else NOT_SUCCEEDED


def answer_sql(folder: Path, text: str, console: Console) -> int:
    if not any(folder.glob("results/*/*")):
        print(f"{folder} holds no results. `make run` stores those of its run there.", file=sys.stderr)
        return UNUSABLE_INPUT
    connection = sql.connect(folder)
    if text:
        return SUCCEEDED if sql.answer(console, connection, text) else NOT_SUCCEEDED
    sql.prompt(console, connection)
    return SUCCEEDED


def serve(port: int, console: Console) -> int:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with LocalAws(ProcessRuntime(), SystemClock(), port) as aws:
        outputs = aws.deploy({"ScopeId": SCOPE_ID})
        console.print("The stack flowquery is deployed. In another terminal:\n")
        for name, value in aws.environment.items():
            console.print(f"export {name}={value}", soft_wrap=True)
        console.print("\nThe stack's outputs:\n")
        for name, value in outputs.items():
            console.print(f"{name}={value}", soft_wrap=True)
        console.print("\nCtrl-C ends it and leaves nothing behind.")
        stop.wait()
    return SUCCEEDED


def _parse_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="localaws")
    commands = parser.add_subparsers(dest="command", required=True)
    run_command = commands.add_parser("run", help="run a workflow and show what happens")
    run_command.add_argument("--workflow", default="query", help="query, sweep, parent or backfill")
    run_command.add_argument("--event", help="a file with the execution's input; without it the schedule is fired")
    run_command.add_argument("--scenario", default="succeeded", help="how queries go, such as failed or throttled")
    run_command.add_argument("--report", default=".run/report.html", help="the file for the report of the run")
    run_command.add_argument("--keep", type=Path, help="a folder for the stored objects, which `sql` reads")
    sql_command = commands.add_parser("sql", help="query the objects that a run has kept")
    sql_command.add_argument("--folder", type=Path, required=True)
    sql_command.add_argument("query", nargs="?", default="", help="a query; without it there is a prompt")
    serve_command = commands.add_parser("serve", help="keep the loopback AWS up, with the stack deployed")
    serve_command.add_argument("--port", type=int, default=0)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
