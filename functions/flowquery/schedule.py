"""From a scheduled time to the execution that it means, the same one however often it is delivered."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from flowquery.inputs import parse_alarm_above, parse_id, parse_object, parse_seconds, parse_selection, parse_time
from flowquery.model import Family, timestamp_text

if TYPE_CHECKING:
    from collections.abc import Mapping

ALIGNMENT_MINUTES = 5  # datapoints are five minutes apart


@dataclass(frozen=True)
class ScheduledRun:
    """An execution's name (at most 80 characters, no `:`) and its input."""

    name: str
    input: Mapping[str, object]

    @classmethod
    def parse(cls, event: object, allowed: Mapping[str, tuple[str, ...]]) -> ScheduledRun:
        """Derive the run: its window ends `delayMinutes` before `scheduledTime`, aligned down to five minutes."""
        fields = parse_object(event)
        scope_id = parse_id(fields, "scopeId")
        minutes = parse_seconds(fields, "windowMinutes", 15, at_least=ALIGNMENT_MINUTES, at_most=44_640)
        delay = parse_seconds(fields, "delayMinutes", 10, at_least=0, at_most=1_440)
        due = parse_time(fields, "scheduledTime") - timedelta(minutes=delay)
        step = ALIGNMENT_MINUTES * 60
        end = datetime.fromtimestamp(int(due.timestamp()) // step * step, UTC)
        window = {
            "startTime": timestamp_text(end - timedelta(seconds=int(minutes * 60))),
            "endTime": timestamp_text(end),
        }
        selection = parse_selection({**fields, **window}, allowed)
        alarm_above = parse_alarm_above(fields, Family.DATA)
        finding = {} if alarm_above is None else {"alarmAbove": alarm_above}
        return cls(_name(scope_id, selection.to_json()), {"scopeId": scope_id, **selection.to_json(), **finding})


def _name(scope_id: str, selection: Mapping[str, str]) -> str:
    window = [selection[name].translate(str.maketrans("", "", "-:")) for name in ("startTime", "endTime")]
    digest = hashlib.sha256(scope_id.encode()).hexdigest()[:8]
    return "-".join([selection["metricName"], selection["destinationCategory"], *window, digest])
