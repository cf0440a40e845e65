"""`make run WORKFLOW=parent`: the example that nests RunQuery, deployed beside the stack, one scope beside another."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flowquery.core.text import visible
from flowquery.widget.wording import number
from localaws.demo.run import SCOPE_ID, Display, Stage, show_alarms, show_cost, show_failure, show_sql, start

EXAMPLE = Path(__file__).parents[2] / "examples/parent_workflow"
SECOND_SCOPE_ID = "b2c3d4e5-6789-01bc-def0-234567890abc"


def run_parent(stage: Stage) -> bool:
    """Compare two scopes, and show the verdict of each; a query that fails is a verdict too."""
    console, run_query = stage.console, stage.outputs["RunQueryArn"]
    console.print("[bold]Deploying examples/parent_workflow/template.yaml[/] beside it")
    parameters = {
        "FirstRunQueryArn": run_query,
        "FirstScopeId": SCOPE_ID,
        "SecondRunQueryArn": run_query,
        "SecondScopeId": SECOND_SCOPE_ID,
    }
    outputs = stage.aws.deploy(parameters, "parent", EXAMPLE / "template.yaml")
    event: Any = stage.event if stage.event is not None else json.loads((EXAMPLE / "event.json").read_text("utf-8"))
    display = Display(stage)
    display.observe(lambda call: display.say_call(call, f" of {escape(call.scope_id[:8])}"))
    arn = start(stage, outputs["CompareScopesArn"], event)
    outcome = display.follow(arn, console.status("CompareScopes is running"))
    if outcome.succeeded:
        show_verdicts(console, outcome.output)
    else:
        show_failure(console, outcome)
    show_alarms(stage, expected=False)
    show_cost(stage)
    if outcome.succeeded and any("peak" in verdict for verdict in outcome.output):
        window = event["query"]
        show_sql(stage, [window["startTime"][:10]], [window["startTime"], window["endTime"]])
    return outcome.succeeded


def show_verdicts(console: Console, verdicts: Sequence[Mapping[str, Any]]) -> None:
    """Print what came of each scope: its peak, or the error by which the nested execution ended."""
    table = Table(title="Verdicts", title_justify="left")
    table.add_column("scope", overflow="fold")
    for name in ("verdict", "peak", "of", "at"):
        table.add_column(name)
    for verdict in verdicts:
        peak = verdict.get("peak")
        found = (number(peak["value"]), visible(peak["label"], 60), peak["timestamp"]) if peak else ("–", "", "")
        table.add_row(*(escape(visible(text)) for text in (verdict["scopeId"], verdict["verdict"], *found)))
    console.print()
    console.print(table)
    for verdict in verdicts:
        if "error" in verdict:
            told = f"{verdict['scopeId']}: {verdict['error']}: {verdict['cause']}"
            console.print(escape(visible(told, 1000)))
