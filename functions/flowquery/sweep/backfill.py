"""A backfill: which windows of a stretch of time are to be swept, and what that takes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from flowquery.core.errors import InvalidInput
from flowquery.core.inputs import parse_count, parse_flag, parse_id, parse_object, parse_seconds, parse_time
from flowquery.core.model import timestamp_text
from flowquery.query.cost import dollars
from flowquery.results.windows import compact, cut, short_digest
from flowquery.sweep.plan import parse_selections

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowquery.results.windows import Selection, Window

MOST_WINDOWS = 100_000  # a day's listing of the bucket each 288 of them, and 13 MB that the Map reads
MOST_AT_ONCE = 100
LOWEST_RATE = 0.1  # of one sweep, in requests a second
LONGEST_HOURS = 2160  # the state machine's own bound
# What a query takes of the service at least: a start, a look that sees its end, a page of results.
REQUESTS_PER_QUERY = 3
# What a sweep of one window takes beside its time: its states and two of the Map's child; its steps.
SWEEP_TRANSITIONS, SWEEP_INVOCATIONS = 12, 4
SWEEP_GB = 0.125  # of the step that moves queries on, for as long as that takes
PASSED_ON = ("metricNames", "destinationCategories", "selections", "timeoutSeconds")


@dataclass(frozen=True)
class Backfill:
    """What an input asks for.

    Attributes
    ----------
    requests_per_second
        Of all sweeps together.
    sweep
        What the input of each window's sweep has in common.
    """

    scope_id: str
    windows: tuple[Window, ...]
    window_minutes: int
    selections: frozenset[Selection]
    requests_per_second: float
    max_concurrency: int
    tolerated_failure_percentage: float
    sweep: Mapping[str, object]

    @classmethod
    def parse(
        cls, value: object, allowed: Mapping[str, tuple[str, ...]], requests_per_second: float, timeout_seconds: float
    ) -> Backfill:
        """Read an input of the workflow; the rate and the budget of a query are those of one that has none."""
        fields = parse_object(value, "the input")
        scope_id, selections = parse_id(fields, "scopeId"), frozenset(parse_selections(fields, allowed))
        at_once = parse_count(fields, "maxConcurrency", 1, at_least=1, at_most=MOST_AT_ONCE)
        lowest = LOWEST_RATE * at_once
        rate = parse_seconds(fields, "requestsPerSecond", requests_per_second, at_least=lowest, at_most=100)
        parse_seconds(fields, "timeoutSeconds", timeout_seconds, at_least=1, at_most=86_400)
        windows = _parse_windows(fields)
        _refuse_too_long(_seconds(len(windows) * len(selections), rate) / 3600, rate)
        sweep = {
            "scopeId": scope_id,
            **{name: fields[name] for name in PASSED_ON if fields.get(name) is not None},
            "requestsPerSecond": round(rate / at_once, 6),
            "allowPartial": parse_flag(fields, "allowPartial"),
        }
        return cls(
            scope_id=scope_id,
            windows=windows,
            window_minutes=_minutes(fields),
            selections=selections,
            requests_per_second=rate,
            max_concurrency=at_once,
            tolerated_failure_percentage=parse_seconds(
                fields, "toleratedFailurePercentage", 0, at_least=0, at_most=100
            ),
            sweep=sweep,
        )

    def left(self, stored: Mapping[Window, frozenset[Selection]]) -> list[Window]:
        """Return the windows of which something asked for is not stored."""
        return [window for window in self.windows if not stored[window] >= self.selections]

    def estimate(self, stored: Mapping[Window, frozenset[Selection]], region: str) -> dict[str, object]:
        """Return how many windows are stored and how many are to do, and the least that these take.

        How long the service takes for a query is not documented, so the hours are those of its requests at the rate.
        """
        left = self.left(stored)
        queries = sum(len(self.selections - stored[window]) for window in left)
        seconds = _seconds(queries, self.requests_per_second)
        spent = seconds * self.max_concurrency * SWEEP_GB
        price = dollars(region, len(left) * SWEEP_TRANSITIONS, len(left) * SWEEP_INVOCATIONS, spent)
        counts = {"windows": len(self.windows), "stored": len(self.windows) - len(left), "todo": len(left)}
        told: dict[str, object] = {**counts, "queries": queries, "hours": round(seconds / 3600, 2)}
        return told if price is None else {**told, "dollars": round(price, 4)}

    def items(self, stored: Mapping[Window, frozenset[Selection]]) -> list[dict[str, object]]:
        """Return what the Map reads: each window that is left, and the name of its sweep.

        The same window with the same input has the same name, so Step Functions joins a sweep that still runs, of a
        backfill that was stopped, rather than running it twice at once.
        """
        digest = short_digest(json.dumps(self.sweep, sort_keys=True))
        return [{"name": _name(window, digest), "window": window.to_json()} for window in self.left(stored)]

    def to_json(self) -> dict[str, object]:
        return {
            "scopeId": self.scope_id,
            "from": timestamp_text(self.windows[0].start_time),
            "to": timestamp_text(self.windows[-1].end_time),
            "windowMinutes": self.window_minutes,
            "requestsPerSecond": self.requests_per_second,
            "maxConcurrency": self.max_concurrency,
            "toleratedFailurePercentage": self.tolerated_failure_percentage,
        }


def _parse_windows(fields: Mapping[str, object]) -> tuple[Window, ...]:
    start, end, minutes = parse_time(fields, "from"), parse_time(fields, "to"), _minutes(fields)
    if end <= start:
        raise InvalidInput(f"to: expected a time after from, got {fields['to']!r}")
    count = (end - start) / timedelta(minutes=minutes)
    if count > MOST_WINDOWS:
        raise InvalidInput(
            f"windowMinutes: expected windows of which at most {MOST_WINDOWS:,} fit between from and to, "
            f"got {minutes}, of which {count:,.0f} do"
        )
    return tuple(cut(start, end, minutes))


def _refuse_too_long(hours: float, rate: float) -> None:
    if hours > LONGEST_HOURS:
        raise InvalidInput(
            f"requestsPerSecond: expected a rate at which the windows take at most {LONGEST_HOURS} hours, "
            f"got {rate:g}, at which they take {hours:,.0f}; take longer windows"
        )


def _minutes(fields: Mapping[str, object]) -> int:
    return parse_count(fields, "windowMinutes", 1440, at_least=5, at_most=44_640)


def _seconds(queries: int, requests_per_second: float) -> float:
    return queries * REQUESTS_PER_QUERY / requests_per_second


def _name(window: Window, digest: str) -> str:
    return "-".join(["backfill", *map(compact, window), digest])
