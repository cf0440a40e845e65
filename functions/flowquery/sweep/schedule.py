"""From a scheduled time to the execution that it means, the same one however often it is delivered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from flowquery.core.inputs import (
    parse_alarm_above,
    parse_choice,
    parse_id,
    parse_object,
    parse_query_request,
    parse_seconds,
    parse_time,
)
from flowquery.core.model import Family
from flowquery.results.windows import Window, compact, selection_text, short_digest
from flowquery.sweep.plan import Defaults, plan_sweep

if TYPE_CHECKING:
    from collections.abc import Mapping

    Allowed = Mapping[str, tuple[str, ...]]

ALIGNMENT_MINUTES = 5  # datapoints are five minutes apart
SWEEP_FIELDS = (
    "metricNames",
    "destinationCategories",
    "selections",
    "alarmAbove",
    "allowPartial",
    "requestsPerSecond",
    "timeoutSeconds",
    "rankedPeaks",
    "limit",
)


class Workflow(StrEnum):
    RUN_QUERY = "RunQuery"
    SWEEP_SCOPE = "SweepScope"


@dataclass(frozen=True)
class ScheduledRun:
    """An execution's name (at most 80 characters, no `:`), its workflow, and its input."""

    name: str
    input: Mapping[str, object]
    workflow: Workflow = Workflow.RUN_QUERY

    @classmethod
    def parse(cls, event: object, allowed: Allowed) -> ScheduledRun:
        """Derive the run: its window ends `delayMinutes` before `scheduledTime`, aligned down to five minutes.

        A `suffix` makes it another run over the same window, which does what a failed one left.
        """
        fields = parse_object(event)
        workflow = Workflow(parse_choice({"workflow": "RunQuery", **fields}, "workflow", tuple(Workflow)))
        suffix = "" if fields.get("suffix") is None else f"-{parse_id(fields, 'suffix')[:8]}"
        shape = _sweep if workflow is Workflow.SWEEP_SCOPE else _query
        name, asked = shape({**fields, **_window(fields).to_json()}, allowed)
        return cls(f"{name}{suffix}", asked, workflow)


def _window(fields: Mapping[str, object]) -> Window:
    minutes = parse_seconds(fields, "windowMinutes", 15, at_least=ALIGNMENT_MINUTES, at_most=44_640)
    delay = parse_seconds(fields, "delayMinutes", 10, at_least=0, at_most=1_440)
    due = parse_time(fields, "scheduledTime") - timedelta(minutes=delay)
    step = ALIGNMENT_MINUTES * 60
    end = datetime.fromtimestamp(int(due.timestamp()) // step * step, UTC)
    return Window(end - timedelta(seconds=int(minutes * 60)), end)


def _query(fields: Mapping[str, object], allowed: Allowed) -> tuple[str, dict[str, object]]:
    scope_id, request = parse_id(fields, "scopeId"), parse_query_request(fields, allowed)
    alarm_above = parse_alarm_above(fields, Family.DATA)
    finding = {} if alarm_above is None else {"alarmAbove": alarm_above}
    times = [compact(request.start_time), compact(request.end_time)]
    asked = [request.metric_name, request.destination_category, *times]
    return "-".join([*asked, short_digest(scope_id)]), {"scopeId": scope_id, **request.to_json(), **finding}


def _sweep(fields: Mapping[str, object], allowed: Allowed) -> tuple[str, dict[str, object]]:
    sweep = plan_sweep(fields, allowed, Defaults())  # refuses what the workflow would
    asked = {name: fields[name] for name in SWEEP_FIELDS if fields.get(name) is not None}
    text = f"{sweep.scope_id} {selection_text([query.selection for query in sweep.queries])}"
    name = "-".join(["sweep", *map(compact, sweep.windows[0]), short_digest(text)])
    return name, {"scopeId": sweep.scope_id, **sweep.windows[0].to_json(), **asked}
