"""`make run WORKFLOW=sweep`: every kind of traffic of a scope, by SweepScope, as a grid that fills and a heat map."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console

from flowquery.widget.wording import CATEGORIES, METRICS
from localaws.demo import heatmap
from localaws.demo.closing import publish, read_stored_rows, show_alarms, show_failure, show_sql
from localaws.demo.cost import show_cost
from localaws.demo.display import Display
from localaws.demo.duplicates import run_duplicates
from localaws.demo.live_grid import GridKey, LiveGrid
from localaws.demo.stage import Outcome, Stage
from localaws.demo.starting import fire_schedule, show_rate, start_execution
from localaws.demo.sweep_report import write_sweep_report
from localaws.scripted_network_flow_monitor import Call


def run_sweep(stage: Stage) -> bool:
    """Sweep a scope; what succeeded is shown and reported even where the sweep did not."""
    state_machine_arn = stage.outputs["SweepScopeArn"]
    monitor = stage.aws.network_flow_monitor
    display = Display(stage)
    grid = LiveGrid(stage.console, display.print)

    def on_call(call: Call) -> None:
        grid.take_call(call, monitor.queries.get(call.query_id or ""))

    def follow(execution_arn: str) -> Outcome:
        execution = stage.aws.client("stepfunctions").describe_execution(executionArn=execution_arn)
        grid.plan(planned_queries(json.loads(execution["input"])))
        return display.follow(execution_arn, grid, lambda outcome: grid.take_output(output_of(outcome)))

    display.observe(on_call)
    show_rate(stage)
    if stage.scenario.duplicates:
        return run_duplicates(stage, display, follow, sweeps=True)
    if stage.event is None:
        outcome = follow(fire_schedule(stage, state_machine_arn, sweeps=True))
    else:
        outcome = follow(start_execution(stage, state_machine_arn, stage.event))
    seconds = display.seconds
    output = output_of(outcome)
    _show_outcome(stage.console, outcome, output)
    show_alarms(stage, expected=not outcome.succeeded or output["finding"])
    show_cost(stage)
    if output:
        publish(stage, write_sweep_report(output, _stored_contributors(stage), seconds))
        _show_sql(stage, output["windows"])
    return outcome.succeeded


def planned_queries(event: object) -> list[GridKey]:
    """Return the queries that an input of SweepScope selects, or none where it will refuse the input."""
    try:
        return list(_selected_queries(event))
    except (AttributeError, TypeError, KeyError):
        return []


def output_of(outcome: Outcome) -> Mapping[str, Any]:
    """Return the output; of a sweep that failed the latest one that a state has assigned, or nothing."""
    if outcome.succeeded:
        output: Mapping[str, Any] = outcome.output
        return output
    for event in reversed(outcome.history):
        variables = event.get("stateExitedEventDetails", {}).get("assignedVariables", {})
        if assigned := json.loads(variables.get("output", "null")):
            latest: Mapping[str, Any] = assigned
            return latest
    return {}


def _selected_queries(event: Any) -> Iterator[GridKey]:
    selections = event.get("selections") or [
        {"metricName": metric, "destinationCategory": category}
        for metric in event.get("metricNames") or METRICS
        for category in event.get("destinationCategories") or CATEGORIES
    ]
    for window in event.get("windows", [event]):
        for selection in selections:
            names = (window["startTime"], selection["metricName"], selection["destinationCategory"])
            yield GridKey(*map(str, names))


def _show_outcome(console: Console, outcome: Outcome, output: Mapping[str, Any]) -> None:
    if not outcome.succeeded:
        show_failure(console, outcome)
    if not output:
        return
    counts = ", ".join(f"{count} {name}" for name, count in output["counts"].items())
    if outcome.succeeded:
        colour = "green" if output["status"] == "SUCCEEDED" else "yellow"
        console.print(f"\n[bold {colour}]{output['status']}[/] {len(output['queries'])} queries: {counts}")
    if output["empty"]:
        console.print("No data: no agent reported traffic of any selected kind. That is a valid result.")
    console.print()
    heatmap.show(console, heatmap.heat_map(output))
    for window in output["windows"]:
        for stored in window["objects"]:
            console.print(f"Stored: {stored['rows']} rows in s3://{stored['bucket']}/{stored['key']}")


def _stored_contributors(stage: Stage) -> list[Mapping[str, Any]]:
    """Return the rows of all rankings that are stored."""
    bucket = stage.outputs["ResultsBucketName"]
    pages = stage.aws.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="contributors/")
    keys = [stored["Key"] for page in pages for stored in page.get("Contents", [])]
    return [row for key in keys for row in read_stored_rows(stage.aws, bucket, key)]


def _show_sql(stage: Stage, windows: list[Mapping[str, str]]) -> None:
    starts = [window["startTime"] for window in windows]
    ends = [window["endTime"] for window in windows]
    show_sql(stage, [start[:10] for start in starts], [min(starts), max(ends)])
