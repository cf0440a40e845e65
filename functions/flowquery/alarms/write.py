"""From the event of RaiseAlarm to the alarm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowquery.alarms.query_alarm import write_backfill_alarm, write_query_alarm, write_query_finding
from flowquery.alarms.sweep_alarm import write_sweep_alarm
from flowquery.core.fields import object_field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowquery.alarms.message import Alarm


def write_alarm(event: Mapping[str, object]) -> Alarm:
    """Write the alarm of the workflow that the event names, RunQuery by default."""
    workflow = event.get("workflow")
    if workflow == "SweepScope":
        return write_sweep_alarm(event)
    if workflow == "Backfill":
        return write_backfill_alarm(event)
    return write_query_finding(event) if object_field(event, "finding") else write_query_alarm(event)
