"""`make run WORKFLOW=backfill`: two days, window by window, and what is stored of them then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.table import Table

from commands.windows import DONE, MOST_SHOWN, Place, follow, show_estimate, start
from flowquery.core.errors import InvalidInput
from flowquery.core.text import timestamp_text
from flowquery.results import windows
from flowquery.sweep.backfill import Backfill
from localaws.demo.run import SCOPE_ID, Stage, show_alarms, show_cost, show_rate, show_sql

HOURS = 12


def run_backfill(stage: Stage) -> bool:
    """Sweep the input's windows, or those of the two days before today; tell whether nothing is left."""
    event: Any = stage.event if stage.event is not None else two_days()
    place, asked = Place.of("flowquery"), None
    show_rate(stage)
    try:
        asked = place.parse(event)
    except InvalidInput:  # which the workflow then says
        total = None
    else:
        total = len(asked.windows)
        show_estimate(asked, asked.estimate(place.stored(asked), place.region), stage.console)
    client = stage.aws.client("stepfunctions")
    arn = start(client, place.machine, event)
    succeeded = follow(client, arn, total, stage.console, every_seconds=0.2) == DONE
    if asked:
        show_stored(stage, place, asked)
    show_alarms(stage, expected=not succeeded)
    show_cost(stage)
    if asked and any(place.stored(asked).values()):
        spans = [window.to_json() for window in (asked.windows[0], asked.windows[-1])]
        first, last = spans[0]["startTime"], spans[1]["startTime"]
        show_sql(stage, [first[:10], last[:10]], [first, spans[1]["endTime"]])
    return succeeded


def two_days() -> Mapping[str, object]:
    """Return the input where none is given."""
    end = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start = end - timedelta(days=2)
    return {"scopeId": SCOPE_ID, "from": timestamp_text(start), "to": timestamp_text(end), "windowMinutes": HOURS * 60}


def show_stored(stage: Stage, place: Place, asked: Backfill) -> None:
    """Show how many objects each window has, and how many of its queries they hold."""
    stored, objects = place.stored(asked), _objects(stage, place, asked)
    table = Table("window", "objects", "queries stored", title="What is stored", title_justify="left")
    for window in asked.windows[:MOST_SHOWN]:
        start, end = window.to_json().values()
        table.add_row(f"{start} to {end}", str(objects[window]), f"{len(stored[window])} of {len(asked.selections)}")
    stage.console.print(table)
    if len(asked.windows) > MOST_SHOWN:
        stage.console.print(f"… and {len(asked.windows) - MOST_SHOWN:,} more")


def _objects(stage: Stage, place: Place, asked: Backfill) -> Counter[windows.Window]:
    pages = stage.aws.client("s3").get_paginator("list_objects_v2")
    objects = Counter[windows.Window]()
    for day in windows.days(asked.windows):
        for page in pages.paginate(Bucket=place.bucket, Prefix=windows.prefix(asked.scope_id, day)):
            parts = (windows.read_key(asked.scope_id, day, of["Key"]) for of in page.get("Contents", []))
            objects.update(part.window for part in parts if part)
    return objects
