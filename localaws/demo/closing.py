"""What every run shows at its end: the failure, the alarms, the report, and SQL over what is stored."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sys
import tempfile
import webbrowser
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from flowquery.alarms.message import cause_text
from flowquery.core.text import visible
from localaws.demo import sql
from localaws.demo.stage import Outcome, Stage
from localaws.server import LocalAws


def show_failure(console: Console, outcome: Outcome) -> None:
    cause = escape(visible(cause_text(outcome.cause), 2000))
    console.print(f"\n[bold red]{outcome.status}[/] {escape(outcome.error)}\n  Cause: {cause}")


def show_alarms(stage: Stage, expected: bool) -> None:
    """Show the alarms that were sent; none is a fault where one is expected."""
    console, sqs = stage.console, stage.aws.client("sqs")
    shown = 0
    while messages := sqs.receive_message(QueueUrl=stage.alarms, MaxNumberOfMessages=10).get("Messages", []):
        shown += len(messages)
        for message in messages:
            notification = json.loads(message["Body"])
            console.print(f"\n[bold]Alarm:[/] {escape(notification['Subject'])}")
            console.print("\n".join(f"  {line}" for line in notification["Message"].splitlines()), markup=False)
            sqs.delete_message(QueueUrl=stage.alarms, ReceiptHandle=message["ReceiptHandle"])
    if expected and not shown:
        console.print("\n[bold red]No alarm was sent.[/]")


def read_stored_rows(aws: LocalAws, bucket: str, key: str) -> Iterator[Mapping[str, Any]]:
    body = aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return map(json.loads, gzip.decompress(body).splitlines())


def publish(stage: Stage, page: str) -> None:
    """Write the report, and open it where somebody can see it."""
    stage.report.parent.mkdir(parents=True, exist_ok=True)
    stage.report.write_text(page, "utf-8")
    stage.console.print(f"Report: {stage.report}")
    open_in_browser(stage.report)


def open_in_browser(path: Path) -> None:
    """Open the page where somebody sits at a screen; a browser for the terminal would take that over."""
    has_screen = sys.platform in ("darwin", "win32") or {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys()
    if has_screen and sys.stdout.isatty() and "CI" not in os.environ:
        webbrowser.open(path.absolute().as_uri())


def show_sql(stage: Stage, days: Sequence[str], window: Sequence[str]) -> None:
    """Answer a saved query over the bucket, as Athena would, from the first day to the last and within the window."""
    console = stage.console
    console.print("\n[bold]SQL[/] over the bucket: sql/top_contributors.sql, in DuckDB")
    with tempfile.TemporaryDirectory() as temporary:
        folder = stage.keep or Path(temporary)
        for table in sql.TABLES:
            shutil.rmtree(folder / table, ignore_errors=True)
        sql.download(stage.aws.client("s3"), stage.outputs["ResultsBucketName"], folder)
        sql.answer(console, sql.connect(folder), sql.saved("top_contributors"), [min(days), max(days), *window], 10)
    if stage.keep:
        console.print('The objects are kept for `make sql` and for make sql SQL="SELECT …".', markup=False)
