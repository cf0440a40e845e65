"""`make run`: one query, by RunQuery, from the schedule to the report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import plotext
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from localaws.demo.duplicates import run_duplicates
from localaws.demo.report import write_report
from localaws.demo.run import (
    Display,
    Outcome,
    Stage,
    fire_schedule,
    publish,
    show_alarms,
    show_cost,
    show_failure,
    show_sql,
    start,
    stored_rows,
)


def run_query(stage: Stage) -> bool:
    """Run one query, and write the report of a run that succeeds."""
    console, machine = stage.console, stage.outputs["RunQueryArn"]
    _adopt(stage)
    display = Display(stage)

    def follow(arn: str) -> Outcome:
        return display.follow(arn, console.status("RunQuery is running"))

    if stage.scenario.duplicates:
        return run_duplicates(stage, display, follow)
    scheduled = stage.event is None
    outcome = follow(fire_schedule(stage, machine) if scheduled else start(stage, machine, stage.event))
    _show_outcome(stage, outcome)
    if not outcome.succeeded or outcome.output["finding"]:
        show_alarms(stage, expected=True)
    show_cost(stage)
    if outcome.succeeded and "series" in outcome.output["results"]:
        publish(stage, _report(stage, outcome.output))
        day = outcome.output["results"]["key"].split("date=")[1][:10]
        window = [
            outcome.output.get("startTime", "2000-01-01T00:00:00Z"),
            outcome.output.get("endTime", "2100-01-01T00:00:00Z"),
        ]
        show_sql(stage, [day], window)
    return outcome.succeeded


def _adopt(stage: Stage) -> None:
    """Let a query that is handed in as running be one."""
    event = stage.event
    if isinstance(event, dict) and isinstance(event.get("queryId"), str):
        stage.aws.network_flow_monitor.add_query(str(event.get("scopeId")), event["queryId"])


def _show_outcome(stage: Stage, outcome: Outcome) -> None:
    console = stage.console
    if not outcome.succeeded:
        show_failure(console, outcome)
        return
    results = outcome.output["results"]
    of_series = f" in {results['series']} series, in {results['unit']}" if "series" in results else ""
    console.print(f"\n[bold green]SUCCEEDED[/] {results['rows']} rows{of_series}")
    if results["empty"]:
        console.print("No data: no agent reported traffic of this kind in the window. That is a valid result.")
    elif not of_series:
        show_ranking(console, _rows(stage, results))
    else:
        show_rows(console, _rows(stage, results), results["unit"])
    console.print(f"Stored: s3://{results['bucket']}/{results['key']}")


def _rows(stage: Stage, results: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return stored_rows(stage.aws, results["bucket"], results["key"])


def _report(stage: Stage, output: Mapping[str, Any]) -> str:
    ranking = output.get("ranking")
    contributors = list(_rows(stage, ranking["results"])) if ranking else []
    return write_report(output, list(_rows(stage, output["results"])), contributors)


def show_ranking(console: Console, rows: Iterator[Mapping[str, Any]]) -> None:
    names = ("rank", "value", "localSubnetId", "localAz", "localVpcId", "accountId", "remoteIdentifier")
    table = Table(*names, title="Top contributors")
    for row in rows:
        table.add_row(*(escape(str(row[name])) for name in names))
    console.print(table)


def show_rows(console: Console, rows: Iterator[Mapping[str, Any]], unit: str) -> None:
    series: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for row in rows:
        series[row["label"]].append((row["timestamp"], row["value"]))
    table = Table("label", "points", "mean", "peak", "at", title=f"Top contributors, in {unit}")
    for label, points in series.items():
        at, peak = max(points, key=lambda point: point[1])
        mean = sum(value for _, value in points) / len(points)
        table.add_row(escape(label), str(len(points)), f"{mean:,.1f}", f"{peak:,.1f}", at)
    console.print(table)
    plotext.clear_figure()
    for (label, points), marker in zip(series.items(), "abcdefghijklmnopqrstuvwxyz", strict=False):
        xs = [datetime.fromisoformat(at).timestamp() for at, _ in points]
        plotext.plot(
            xs, [value for _, value in points], label=label, marker="braille" if console.is_terminal else marker
        )
    ticks = sorted({at for points in series.values() for at, _ in points})
    ticks = ticks[:: max(1, len(ticks) // 6)]
    plotext.xticks([datetime.fromisoformat(at).timestamp() for at in ticks], [at[11:16] for at in ticks])
    plotext.plotsize(min(console.width, 100), 16)
    plotext.theme("clear" if not console.is_terminal else "default")
    chart = plotext.build()
    print(chart if console.is_terminal else plotext.uncolorize(chart))
