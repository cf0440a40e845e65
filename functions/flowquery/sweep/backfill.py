"""A backfill: which windows of a stretch of time are to be swept, and what that takes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from flowquery.core import transitions
from flowquery.core.errors import InvalidInput
from flowquery.core.fields import (
    parse_flag,
    parse_object,
    parse_time,
    parse_whole_within,
    parse_within,
    refuse_unknown_names,
)
from flowquery.core.limits import (
    BACKFILL_HOURS,
    BACKFILL_WINDOW_MINUTES,
    BACKFILL_WINDOWS,
    MAX_CONCURRENCY,
    REQUESTS_PER_SECOND,
    TOLERATED_FAILURE_PERCENTAGE,
    Bounds,
)
from flowquery.core.model import Selection, Window
from flowquery.core.text import compact_time, short_digest, timestamp_text
from flowquery.query.cost import dollars
from flowquery.sweep.plan import OPTION_FIELDS, plan_sweep

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from flowquery.core.model import AllowedValues, Family
    from flowquery.sweep.plan import SweepDefaults

    Fields = Mapping[str, object]
    Stored = Mapping[Window, frozenset[Selection]]

BACKFILL_INPUT_FIELDS = (
    "scopeId",
    "from",
    "to",
    "windowMinutes",
    "maxConcurrency",
    "toleratedFailurePercentage",
    *OPTION_FIELDS,
)
# Of a sweep's options those that each window's sweep gets as they are.
PASSED_ON = tuple(name for name in OPTION_FIELDS if name not in ("requestsPerSecond", "allowPartial"))
# What a query takes of the service at least: a start, a status check that observes its end, a page of results.
REQUESTS_PER_QUERY = 3
INVOCATIONS_PER_WINDOW = 4  # PlanSweep, AdvanceQueries twice, StoreSweep
SWEEP_GB = 0.125  # memory of AdvanceQueries, for as long as the requests take


@dataclass(frozen=True)
class Backfill:
    """What an input of Backfill asks for.

    Attributes
    ----------
    requests_per_second
        Of all concurrent sweeps together.
    family, limit
        Of its queries.
    sweep_input
        What the inputs of all windows' sweeps have in common.
    """

    scope_id: str
    windows: tuple[Window, ...]
    window_minutes: int
    selections: frozenset[Selection]
    family: Family
    limit: int | None
    requests_per_second: float
    max_concurrency: int
    tolerated_failure_percentage: float
    sweep_input: Mapping[str, object]

    @classmethod
    def parse(cls, value: object, allowed: AllowedValues, defaults: SweepDefaults) -> Backfill:
        fields = parse_object(value, "the input")
        refuse_unknown_names(fields, BACKFILL_INPUT_FIELDS)
        concurrency = parse_whole_within(fields, "maxConcurrency", MAX_CONCURRENCY)
        least_rate = Bounds(REQUESTS_PER_SECOND.least * concurrency, *REQUESTS_PER_SECOND[1:])
        rate = parse_within(fields, "requestsPerSecond", least_rate, defaults.requests_per_second)
        windows = _parse_stretch(fields)
        options = {name: fields[name] for name in PASSED_ON if fields.get(name) is not None}
        sweep = plan_sweep({"scopeId": fields.get("scopeId"), **windows[0].to_json(), **options}, allowed, defaults)
        _refuse_too_long(_seconds(len(windows) * len(sweep.queries), rate) / 3600, rate)
        sweep_input = {
            "scopeId": sweep.scope_id,
            **options,
            "requestsPerSecond": round(rate / concurrency, 6),
            "allowPartial": parse_flag(fields, "allowPartial"),
        }
        return cls(
            scope_id=sweep.scope_id,
            windows=windows,
            window_minutes=parse_whole_within(fields, "windowMinutes", BACKFILL_WINDOW_MINUTES),
            selections=frozenset(query.selection for query in sweep.queries),
            family=sweep.family,
            limit=sweep.limit,
            requests_per_second=rate,
            max_concurrency=concurrency,
            tolerated_failure_percentage=parse_within(
                fields, "toleratedFailurePercentage", TOLERATED_FAILURE_PERCENTAGE
            ),
            sweep_input=sweep_input,
        )

    def windows_to_do(self, stored: Stored) -> list[Window]:
        """Return the windows that are not stored whole."""
        return [window for window in self.windows if not stored[window] >= self.selections]

    def estimate(self, stored: Stored, region: str) -> dict[str, object]:
        """Return how many windows are stored and how many are to do, and the least that these take.

        How long the service takes for a query is not documented, so the hours are those of its requests at the rate.
        """
        to_do = self.windows_to_do(stored)
        queries = sum(len(self.selections - stored[window]) for window in to_do)
        seconds = _seconds(queries, self.requests_per_second)
        gb_seconds = seconds * self.max_concurrency * SWEEP_GB
        price = dollars(
            region, len(to_do) * transitions.BACKFILL_WINDOW, len(to_do) * INVOCATIONS_PER_WINDOW, gb_seconds
        )
        estimate: dict[str, object] = {
            "windows": len(self.windows),
            "stored": len(self.windows) - len(to_do),
            "todo": len(to_do),
            "queries": queries,
            "hours": round(seconds / 3600, 2),
        }
        return estimate if price is None else {**estimate, "dollars": round(price, 4)}

    def items(self, stored: Stored) -> list[dict[str, object]]:
        """Return what the Map reads: each window that is to do, and the name of its sweep.

        The same window with the same input has the same name. So Step Functions joins a sweep of it that a stopped
        backfill has left running.
        """
        digest = short_digest(json.dumps(self.sweep_input, sort_keys=True))
        return [
            {"name": _sweep_name(window, digest), "window": window.to_json()} for window in self.windows_to_do(stored)
        ]

    def to_json(self) -> dict[str, object]:
        return {
            **self._stretch(),
            "requestsPerSecond": self.requests_per_second,
            "maxConcurrency": self.max_concurrency,
            "toleratedFailurePercentage": self.tolerated_failure_percentage,
        }

    def output(self, to_do: int, planned: int, list_place: Mapping[str, str], manifest: object) -> dict[str, object]:
        """Return the output of Backfill, as `schemas/backfill.output.json` says."""
        return {
            "status": "SUCCEEDED",
            **self._stretch(),
            "windows": len(self.windows),
            "stored": len(self.windows) - to_do,
            "done": max(0, planned - to_do),
            "left": to_do,
            "list": dict(list_place),
            "manifest": manifest,
        }

    def _stretch(self) -> dict[str, object]:
        return {
            "scopeId": self.scope_id,
            "from": timestamp_text(self.windows[0].start_time),
            "to": timestamp_text(self.windows[-1].end_time),
            "windowMinutes": self.window_minutes,
        }


def incomplete_cause(output: Mapping[str, object], bucket: str, prefix: str) -> str:
    """Return the cause of BackfillIncomplete, which the state machine completes with the error of the Map."""
    return (
        f"{output['left']} of {output['windows']} windows of scope {output['scopeId']} are left, {output['done']} were "
        f"done. s3://{bucket}/{prefix}/left.json lists them, and files below s3://{bucket}/{prefix}/ say how the "
        "sweeps ended. "
    )


def cut_into_windows(start: datetime, end: datetime, minutes: int) -> list[Window]:
    """Cut a stretch of time into windows of so many minutes. The last one may be shorter."""
    starts = [start]
    while (following := starts[-1] + timedelta(minutes=minutes)) < end:
        starts.append(following)
    return [Window(*times) for times in zip(starts, [*starts[1:], end], strict=True)]


def _parse_stretch(fields: Fields) -> tuple[Window, ...]:
    minutes = parse_whole_within(fields, "windowMinutes", BACKFILL_WINDOW_MINUTES)
    start, end = parse_time(fields, "from"), parse_time(fields, "to")
    if end <= start:
        raise InvalidInput(f"to: expected a time after from, got {fields['to']!r}")
    count = (end - start) / timedelta(minutes=minutes)
    if count > BACKFILL_WINDOWS:
        raise InvalidInput(
            f"windowMinutes: expected at most {BACKFILL_WINDOWS:,} windows between from and to, got {minutes}, which "
            f"makes {count:,.0f}"
        )
    return tuple(cut_into_windows(start, end, minutes))


def _refuse_too_long(hours: float, rate: float) -> None:
    if hours > BACKFILL_HOURS:
        raise InvalidInput(
            f"requestsPerSecond: expected a rate at which the windows take at most {BACKFILL_HOURS} hours, got "
            f"{rate:g}, at which they take {hours:,.0f}; use longer windows"
        )


def _seconds(queries: int, requests_per_second: float) -> float:
    return queries * REQUESTS_PER_QUERY / requests_per_second


def _sweep_name(window: Window, digest: str) -> str:
    return "-".join(["backfill", *map(compact_time, window), digest])
