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
from localaws.demo.run import SCOPE_ID, UnusableInput, read_event, run
from localaws.demo.workflows import workflow
from localaws.lambda_runtimes.process import ProcessRuntime
from localaws.server import LocalAws

SUCCEEDED, ENDED_OTHERWISE, UNUSABLE_INPUT = 0, 1, 2


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="localaws")
    commands = parser.add_subparsers(dest="command", required=True)
    run_command = commands.add_parser("run", help="run a workflow and show what happens")
    run_command.add_argument("--workflow", default="query", help="which workflow")
    run_command.add_argument("--event", help="a file with the execution's input; without one the schedule is fired")
    run_command.add_argument("--scenario", default="succeeded", help="how the query goes")
    run_command.add_argument("--report", default=".run/report.html", help="where the report of the run goes")
    run_command.add_argument("--keep", type=Path, help="a folder that is to hold the stored objects, for `sql`")
    sql_command = commands.add_parser("sql", help="query the objects that a run has kept")
    sql_command.add_argument("--folder", type=Path, required=True)
    sql_command.add_argument("query", nargs="?", default="", help="without one, a prompt")
    serve_command = commands.add_parser("serve", help="leave the loopback AWS up")
    serve_command.add_argument("--port", type=int, default=0)
    options = parser.parse_args(arguments)
    for name in ("moto", "samtranslator"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    console = Console(highlight=False, soft_wrap=True)
    if options.command == "serve":
        return serve(options.port, console)
    if options.command == "sql":
        return query(options.folder, options.query, console)
    try:
        report = Path(options.report)
        event = read_event(options.event)
        succeeded = run(workflow(options.workflow), event, options.scenario, console, report, options.keep)
    except UnusableInput as error:
        print(error, file=sys.stderr)
        return UNUSABLE_INPUT
    except (BrokenPipeError, KeyboardInterrupt) as error:
        print(f"Ended early: {type(error).__name__}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at its end
        return ENDED_OTHERWISE
    if not succeeded:
        print("The workflow did not succeed (1).", file=sys.stderr)
    return SUCCEEDED if succeeded else ENDED_OTHERWISE


def query(folder: Path, text: str, console: Console) -> int:
    if not any(folder.glob("results/*/*")):
        print(f"{folder} holds no results; `make run` puts those of its run there", file=sys.stderr)
        return UNUSABLE_INPUT
    connection = sql.connect(folder)
    if text:
        return SUCCEEDED if sql.answer(console, connection, text) else ENDED_OTHERWISE
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
