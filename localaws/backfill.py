"""`make run WORKFLOW=backfill`: two days, window by window, on the loopback AWS."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from rich.console import Console

from flowquery.model import timestamp_text
from localaws.server import LocalAws
from scripts.windows import DONE, Place, follow, show_estimate, start

HOURS = 6


def run_backfill(aws: LocalAws, outputs: Mapping[str, str], console: Console, scope_id: str) -> bool:
    """Sweep the two days before today in windows of six hours; tell whether nothing is left."""
    end = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    event: dict[str, object] = {
        "scopeId": scope_id,
        "from": timestamp_text(end - timedelta(days=2)),
        "to": timestamp_text(end),
        "windowMinutes": HOURS * 60,
        "requestsPerSecond": 100,  # the loopback has no limit
    }
    place = Place.of("flowquery")
    asked = place.parse(event)
    told = asked.estimate(dict.fromkeys(asked.windows, frozenset()), place.region)
    show_estimate(asked, told, console)
    client = aws.client("stepfunctions")
    arn = start(client, outputs["BackfillArn"], event)
    return follow(client, arn, len(asked.windows), console, every_seconds=0.2) == DONE
