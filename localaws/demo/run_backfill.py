"""`make run WORKFLOW=backfill`: two days, window by window, and what is stored of them then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from rich.table import Table

from commands.backfill_run import follow_backfill, show_estimate, start_backfill
from commands.deployed_stack import DeployedStack
from commands.windows import MOST_LISTED
from flowquery.core.errors import InvalidInput
from flowquery.core.model import Window
from flowquery.core.text import timestamp_text
from flowquery.results.objects import read_sweep_key, sweep_prefix
from flowquery.sweep.backfill import Backfill
from localaws.demo.closing import show_alarms, show_sql
from localaws.demo.cost import show_cost
from localaws.demo.stage import SCOPE_ID, Stage
from localaws.demo.starting import show_rate

HOURS_OF_A_WINDOW = 12


def run_backfill(stage: Stage) -> bool:
    """Sweep the input's windows, or those of the two days before today; tell whether all are stored."""
    event = stage.event if stage.event is not None else two_days()
    stack = DeployedStack.named("flowquery")
    backfill = _parsed(stack, event)
    show_rate(stage)
    if backfill:
        show_estimate(backfill, backfill.estimate(stack.stored_selections(backfill), stack.region), stage.console)
    step_functions = stage.aws.client("stepfunctions")
    execution_arn = start_backfill(step_functions, stack.backfill_arn, event)
    windows = len(backfill.windows) if backfill else None
    succeeded = follow_backfill(step_functions, execution_arn, windows, stage.console, check_every_seconds=0.2)
    if backfill:
        show_stored(stage, stack, backfill)
    show_alarms(stage, expected=not succeeded)
    show_cost(stage)
    if backfill and any(stack.stored_selections(backfill).values()):
        first, last = backfill.windows[0].to_json(), backfill.windows[-1].to_json()
        show_sql(stage, [first["startTime"][:10], last["startTime"][:10]], [first["startTime"], last["endTime"]])
    return succeeded


def two_days() -> Mapping[str, object]:
    """Return the input where none is given."""
    end = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    stretch = {"from": timestamp_text(end - timedelta(days=2)), "to": timestamp_text(end)}
    return {"scopeId": SCOPE_ID, **stretch, "windowMinutes": HOURS_OF_A_WINDOW * 60}


def show_stored(stage: Stage, stack: DeployedStack, backfill: Backfill) -> None:
    """Show how many objects each window has, and how many of its queries they hold."""
    selections, objects = stack.stored_selections(backfill), _count_objects(stage, stack, backfill)
    table = Table("window", "objects", "queries stored", title="What is stored", title_justify="left")
    for window in backfill.windows[:MOST_LISTED]:
        start, end = window.to_json().values()
        stored = f"{len(selections[window])} of {len(backfill.selections)}"
        table.add_row(f"{start} to {end}", str(objects[window]), stored)
    stage.console.print(table)
    if len(backfill.windows) > MOST_LISTED:
        stage.console.print(f"… and {len(backfill.windows) - MOST_LISTED:,} more")


def _parsed(stack: DeployedStack, event: object) -> Backfill | None:
    """Return None where the workflow will refuse the input, and then says why."""
    try:
        return stack.parse_backfill(event)
    except InvalidInput:
        return None


def _count_objects(stage: Stage, stack: DeployedStack, backfill: Backfill) -> Counter[Window]:
    paginator = stage.aws.client("s3").get_paginator("list_objects_v2")
    objects = Counter[Window]()
    for day in {window.start_time.date(): window for window in backfill.windows}.values():
        prefix = sweep_prefix(backfill.scope_id, day, backfill.family)
        for page in paginator.paginate(Bucket=stack.bucket, Prefix=prefix):
            keys = [stored["Key"] for stored in page.get("Contents", [])]
            sweep_objects = [
                read_sweep_key(backfill.scope_id, day, key, backfill.family, backfill.limit) for key in keys
            ]
            objects.update(found.window for found in sweep_objects if found)
    return objects
