"""`make run WORKFLOW=sweep`: every kind of traffic of a scope, by SweepScope, as a grid that fills and a heat map."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console

from flowquery.widget.wording import CATEGORIES, METRICS
from localaws.demo import heatmap
from localaws.demo.duplicates import run_duplicates
from localaws.demo.live_grid import Asked, LiveGrid
from localaws.demo.run import (
    Display,
    Outcome,
    Stage,
    fire_schedule,
    publish,
    show_alarms,
    show_cost,
    show_failure,
    show_rate,
    show_sql,
    start,
    stored_rows,
)
from localaws.demo.sweep_report import write_sweep_report
from localaws.scripted_network_flow_monitor import Call


def run_sweep(stage: Stage) -> bool:
    """Sweep a scope; what succeeded is shown and reported even where the sweep did not."""
    console, machine = stage.console, stage.outputs["SweepScopeArn"]
    monitor = stage.aws.network_flow_monitor
    display = Display(stage)
    grid = LiveGrid(console, display.say)

    def see(call: Call) -> None:
        grid.see(call, monitor.queries.get(call.query_id or ""))

    display.observe(see)
    show_rate(stage)

    def follow(arn: str) -> Outcome:
        described = stage.aws.client("stepfunctions").describe_execution(executionArn=arn)
        grid.plan(planned(json.loads(described["input"])))
        return display.follow(arn, grid, lambda ended: grid.end(output_of(ended)))

    if stage.scenario.duplicates:
        return run_duplicates(stage, display, follow, sweeps=True)
    scheduled = stage.event is None
    outcome = follow(fire_schedule(stage, machine, sweeps=True) if scheduled else start(stage, machine, stage.event))
    seconds = display.seconds
    output = output_of(outcome)
    _show_outcome(console, outcome, output)
    show_alarms(stage, expected=not outcome.succeeded or output["finding"])
    show_cost(stage)
    if output:
        publish(stage, write_sweep_report(output, _contributors(stage), seconds))
        starts, ends = zip(*((window["startTime"], window["endTime"]) for window in output["windows"]), strict=True)
        show_sql(stage, [start[:10] for start in starts], [min(starts), max(ends)])
    return outcome.succeeded


def planned(event: object) -> list[Asked]:
    """Return the queries that an input of SweepScope asks for, or none where it will refuse the input."""
    try:
        return list(_asked(event))
    except (AttributeError, TypeError, KeyError):
        return []


def _asked(event: Any) -> Iterator[Asked]:
    selections = event.get("selections") or [
        {"metricName": metric, "destinationCategory": category}
        for metric in event.get("metricNames") or METRICS
        for category in event.get("destinationCategories") or CATEGORIES
    ]
    for window in event.get("windows", [event]):
        for selection in selections:
            names = (selection["metricName"], selection["destinationCategory"])
            yield Asked(*(str(name) for name in (window["startTime"], *names)))


def output_of(outcome: Outcome) -> Mapping[str, Any]:
    """Return the output, of a sweep that failed as its last states had it, or nothing."""
    if outcome.succeeded:
        found: Mapping[str, Any] = outcome.output
        return found
    for event in reversed(outcome.history):
        details = event.get("stateEnteredEventDetails") or event.get("stateExitedEventDetails") or {}
        state = json.loads(details.get("input") or details.get("output") or "null")
        if outputs := list(_outputs(state)):
            return max(outputs, key=lambda output: len(output["queries"]))  # a ranking's is beside it, of fewer
    return {}


def _outputs(value: object) -> Iterator[Mapping[str, Any]]:
    """Yield the members, at any depth, that are an output of a sweep."""
    if not isinstance(value, dict):
        return
    if {"queries", "windows", "counts", "cost"} <= value.keys():
        yield value
    for member in value.values():
        yield from _outputs(member)


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
        console.print("No data: no agent reported traffic of any kind that was asked for. That is a valid result.")
    console.print()
    heatmap.show(console, heatmap.heat_map(output))
    for window in output["windows"]:
        for stored in window["objects"]:
            console.print(f"Stored: {stored['rows']} rows in s3://{stored['bucket']}/{stored['key']}")


def _contributors(stage: Stage) -> list[Mapping[str, Any]]:
    """Return the rows of all rankings that are stored."""
    bucket = stage.outputs["ResultsBucketName"]
    pages = stage.aws.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="contributors/")
    keys = [stored["Key"] for page in pages for stored in page.get("Contents", [])]
    return [row for key in keys for row in stored_rows(stage.aws, bucket, key)]
