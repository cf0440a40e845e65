"""From a scheduled time to the execution that it means: the same one however often it is delivered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from flowquery.core.fields import (
    parse_choice,
    parse_id,
    parse_object,
    parse_time,
    parse_whole_within,
    refuse_unknown_names,
)
from flowquery.core.limits import DELAY_MINUTES, WINDOW_MINUTES
from flowquery.core.model import Family, Window
from flowquery.core.text import compact_time, short_digest
from flowquery.query.request import QueryDefaults, QueryInput
from flowquery.results.objects import selections_text
from flowquery.sweep.plan import OPTION_FIELDS, SweepDefaults, plan_sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowquery.core.model import AllowedValues

    Fields = Mapping[str, object]
    Allowed = Callable[[Family], AllowedValues]

ALIGNMENT_MINUTES = 5  # datapoints are five minutes apart
SCHEDULE_FIELDS = ("workflow", "scheduledTime", "scopeId", "windowMinutes", "delayMinutes", "suffix")
QUERY_FIELDS = ("metricName", "destinationCategory", "alarmAbove", "limit", "holdSeconds", "timeoutSeconds")


class StateMachine(StrEnum):
    """The state machines that a schedule starts."""

    RUN_QUERY = "RunQuery"
    SWEEP_SCOPE = "SweepScope"


@dataclass(frozen=True)
class ScheduledExecution:
    """An execution's name (at most 80 characters, no `:`), its state machine, and its input."""

    name: str
    input: Mapping[str, object]
    state_machine: StateMachine = StateMachine.RUN_QUERY

    @classmethod
    def parse(cls, event: object, allowed_values: Allowed) -> ScheduledExecution:
        """Derive the execution: its window ends `delayMinutes` before `scheduledTime`, aligned down to five minutes.

        A `suffix` makes it another execution over the same window, which does what a failed one has left.
        """
        fields = parse_object(event)
        machine = StateMachine(parse_choice({"workflow": "RunQuery", **fields}, "workflow", tuple(StateMachine)))
        sweeps = machine is StateMachine.SWEEP_SCOPE
        refuse_unknown_names(fields, (*SCHEDULE_FIELDS, *(OPTION_FIELDS if sweeps else QUERY_FIELDS)))
        suffix = "" if fields.get("suffix") is None else f" {parse_id(fields, 'suffix')}"
        words, execution_input, subject = (_sweep if sweeps else _query)(fields, _window(fields), allowed_values)
        # In the digest, a suffix of any length makes another name, of at most 80 characters.
        return cls("-".join([*words, short_digest(subject + suffix)]), execution_input, machine)


def _window(fields: Fields) -> Window:
    minutes = parse_whole_within(fields, "windowMinutes", WINDOW_MINUTES)
    delay = parse_whole_within(fields, "delayMinutes", DELAY_MINUTES)
    due = parse_time(fields, "scheduledTime") - timedelta(minutes=delay)
    step = ALIGNMENT_MINUTES * 60
    end = datetime.fromtimestamp(int(due.timestamp()) // step * step, UTC)
    return Window(end - timedelta(minutes=minutes), end)


def _query(fields: Fields, window: Window, allowed_values: Allowed) -> tuple[list[str], Fields, str]:
    """Return the words of the execution's name, its input, and what the digest in its name stands for."""
    execution_input = {
        "scopeId": fields.get("scopeId"),
        **window.to_json(),
        **{name: fields[name] for name in QUERY_FIELDS if fields.get(name) is not None},
    }
    parsed = QueryInput.parse(execution_input, allowed_values, QueryDefaults())  # refuses what the workflow would
    return [*parsed.required_request.selection, *map(compact_time, window)], execution_input, parsed.scope_id


def _sweep(fields: Fields, window: Window, allowed_values: Allowed) -> tuple[list[str], Fields, str]:
    execution_input = {
        "scopeId": fields.get("scopeId"),
        **window.to_json(),
        **{name: fields[name] for name in OPTION_FIELDS if fields.get(name) is not None},
    }
    family = Family.parse(fields)
    sweep = plan_sweep(execution_input, allowed_values(family), SweepDefaults())  # refuses what the workflow would
    subject = f"{sweep.scope_id} {selections_text([query.selection for query in sweep.queries])}"
    subject += "" if family is Family.DATA else f" {family}"
    return ["sweep", *map(compact_time, window)], execution_input, subject
