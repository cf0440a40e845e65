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

from localaws.demo.closing import publish, read_stored_rows, show_alarms, show_failure, show_sql
from localaws.demo.cost import show_cost
from localaws.demo.display import Display
from localaws.demo.duplicates import run_duplicates
from localaws.demo.report import write_report
from localaws.demo.stage import Outcome, Stage
from localaws.demo.starting import fire_schedule, start_execution

# Of a query that was handed in without its request.
ALL_TIME = {"startTime": "2000-01-01T00:00:00Z", "endTime": "2100-01-01T00:00:00Z"}
RANKING_COLUMNS = ("rank", "value", "localSubnetId", "localAz", "localVpcId", "accountId", "remoteIdentifier")


def run_query(stage: Stage) -> bool:
    """Run one query, and write the report of a run that succeeds."""
    state_machine_arn = stage.outputs["RunQueryArn"]
    _add_running_query(stage)
    display = Display(stage)

    def follow(execution_arn: str) -> Outcome:
        return display.follow(execution_arn, stage.console.status("RunQuery is running"))

    if stage.scenario.duplicates:
        return run_duplicates(stage, display, follow)
    if stage.event is None:
        outcome = follow(fire_schedule(stage, state_machine_arn))
    else:
        outcome = follow(start_execution(stage, state_machine_arn, stage.event))
    _show_outcome(stage, outcome)
    show_alarms(stage, expected=not outcome.succeeded or outcome.output["finding"])
    show_cost(stage)
    if outcome.succeeded and "series" in outcome.output["results"]:
        publish(stage, _report(stage, outcome.output))
        day = outcome.output["results"]["key"].split("date=")[1][:10]
        window = {**ALL_TIME, **outcome.output}
        show_sql(stage, [day], [window["startTime"], window["endTime"]])
    return outcome.succeeded


def show_ranking(console: Console, rows: Iterator[Mapping[str, Any]]) -> None:
    table = Table(*RANKING_COLUMNS, title="Top contributors")
    for row in rows:
        table.add_row(*(escape(str(row[column])) for column in RANKING_COLUMNS))
    console.print(table)


def show_series(console: Console, rows: Iterator[Mapping[str, Any]], unit: str) -> None:
    """Show each series as a row of a table, and all as a chart."""
    series: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for row in rows:
        series[row["label"]].append((row["timestamp"], row["value"]))
    table = Table("label", "points", "mean", "peak", "at", title=f"Top contributors, in {unit}")
    for label, points in series.items():
        timestamp, peak = max(points, key=lambda point: point[1])
        mean = sum(value for _, value in points) / len(points)
        table.add_row(escape(label), str(len(points)), f"{mean:,.1f}", f"{peak:,.1f}", timestamp)
    console.print(table)
    _show_chart(console, series)


def _add_running_query(stage: Stage) -> None:
    """Let a query that the input hands in be running."""
    event = stage.event
    if isinstance(event, dict) and isinstance(event.get("queryId"), str):
        stage.aws.network_flow_monitor.add_query(str(event.get("scopeId")), event["queryId"])


def _show_outcome(stage: Stage, outcome: Outcome) -> None:
    console = stage.console
    if not outcome.succeeded:
        show_failure(console, outcome)
        return
    results = outcome.output["results"]
    is_ranking = "series" not in results
    series = "" if is_ranking else f" in {results['series']} series, in {results['unit']}"
    console.print(f"\n[bold green]SUCCEEDED[/] {results['rows']} rows{series}")
    if results["empty"]:
        console.print("No data: no agent reported traffic of this kind in the window. That is a valid result.")
    elif is_ranking:
        show_ranking(console, _rows(stage, results))
    else:
        show_series(console, _rows(stage, results), results["unit"])
    console.print(f"Stored: s3://{results['bucket']}/{results['key']}")


def _rows(stage: Stage, results: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return read_stored_rows(stage.aws, results["bucket"], results["key"])


def _report(stage: Stage, output: Mapping[str, Any]) -> str:
    ranking = output.get("ranking")
    contributors = list(_rows(stage, ranking["results"])) if ranking else []
    return write_report(output, list(_rows(stage, output["results"])), contributors)


def _show_chart(console: Console, series: Mapping[str, list[tuple[str, float]]]) -> None:
    plotext.clear_figure()
    for (label, points), letter in zip(series.items(), "abcdefghijklmnopqrstuvwxyz", strict=False):
        marker = "braille" if console.is_terminal else letter
        seconds = [_epoch_seconds(timestamp) for timestamp, _ in points]
        plotext.plot(seconds, [value for _, value in points], label=label, marker=marker)
    timestamps = sorted({timestamp for points in series.values() for timestamp, _ in points})
    ticks = timestamps[:: max(1, len(timestamps) // 6)]
    plotext.xticks([_epoch_seconds(timestamp) for timestamp in ticks], [timestamp[11:16] for timestamp in ticks])
    plotext.plotsize(min(console.width, 100), 16)
    plotext.theme("default" if console.is_terminal else "clear")
    chart = plotext.build()
    print(chart if console.is_terminal else plotext.uncolorize(chart))


def _epoch_seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()
