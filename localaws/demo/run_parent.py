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
from localaws.demo.closing import show_alarms, show_failure, show_sql
from localaws.demo.cost import show_cost
from localaws.demo.display import Display
from localaws.demo.stage import SCOPE_ID, Stage
from localaws.demo.starting import start_execution

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
    display.observe(lambda call: display.print_call(call, f" of {escape(call.scope_id[:8])}"))
    execution_arn = start_execution(stage, outputs["CompareScopesArn"], event)
    outcome = display.follow(execution_arn, console.status("CompareScopes is running"))
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
    """Print the verdict of each scope: its peak, or the error that the nested execution ended with."""
    table = Table(title="Verdicts", title_justify="left")
    table.add_column("scope", overflow="fold")
    for name in ("verdict", "peak", "of", "at"):
        table.add_column(name)
    for verdict in verdicts:
        peak = verdict.get("peak")
        cells = (number(peak["value"]), visible(peak["label"], 60), peak["timestamp"]) if peak else ("–", "", "")
        table.add_row(*(escape(visible(text)) for text in (verdict["scopeId"], verdict["verdict"], *cells)))
    console.print()
    console.print(table)
    for verdict in verdicts:
        if "error" in verdict:
            failure = f"{verdict['scopeId']}: {verdict['error']}: {verdict['cause']}"
            console.print(escape(visible(failure, 1000)))
