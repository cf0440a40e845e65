"""From a sweep's input, or its findings, to the queries that it takes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flowquery.core.errors import InvalidInput
from flowquery.core.inputs import (
    parse_choice,
    parse_choices,
    parse_count,
    parse_family,
    parse_flag,
    parse_id,
    parse_list,
    parse_number,
    parse_object,
    parse_seconds,
)
from flowquery.core.model import Family
from flowquery.polling.pace import Pace
from flowquery.results.windows import Selection, Window
from flowquery.sweep.state import MOST_QUERIES, STORED, Sweep, SweepQuery, parse_window

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_REQUESTS_PER_SECOND = 100
SELECTION = ("metricName", "destinationCategory")


@dataclass(frozen=True)
class Defaults:
    """What an input that does not say otherwise gets: the stack's parameters."""

    timeout_seconds: float = 1800.0
    requests_per_second: float = 5.0
    ranked_peaks: int = 3
    limit: int = 10

    @classmethod
    def parse(cls, environment: Mapping[str, str]) -> Defaults:
        """Read the environment of the function."""
        return cls(
            timeout_seconds=float(environment["TIMEOUT_SECONDS"]),
            requests_per_second=float(environment["REQUESTS_PER_SECOND"]),
            ranked_peaks=int(environment["RANKED_PEAKS"]),
            limit=int(environment["RANKING_LIMIT"]),
        )


def parse_selections(fields: Mapping[str, object], allowed: Mapping[str, tuple[str, ...]]) -> tuple[Selection, ...]:
    """Return what to ask for: `selections`, or all of `metricNames` with all of `destinationCategories`."""
    if fields.get("selections") is None:
        metrics = parse_choices(fields, "metricNames", allowed["metricName"])
        categories = parse_choices(fields, "destinationCategories", allowed["destinationCategory"])
        return tuple(Selection(metric, category) for metric in metrics for category in categories)
    for name in ("metricNames", "destinationCategories"):
        if fields.get(name) is not None:
            raise InvalidInput(f"{name}: expected either this or selections, got both")
    items = [parse_object(item, "selections") for item in parse_list(fields, "selections", 1, MOST_QUERIES)]
    selections = tuple(Selection(*(parse_choice(item, name, allowed[name]) for name in SELECTION)) for item in items)
    if len(set(selections)) < len(selections):
        raise InvalidInput("selections: expected each selection of metricName and destinationCategory once")
    return selections


def plan_sweep(value: object, allowed: Mapping[str, tuple[str, ...]], defaults: Defaults) -> Sweep:
    """Return the sweep that an input of SweepScope asks for, nothing of it started."""
    fields = parse_object(value, "the input")
    scope_id, family = parse_id(fields, "scopeId"), parse_family(fields)
    selections, windows = parse_selections(fields, allowed), _parse_windows(fields)
    if len(selections) * len(windows) > MOST_QUERIES:
        asked = f"{len(windows)} windows of {len(selections)}"
        raise InvalidInput(f"windows: expected at most {MOST_QUERIES} queries in one sweep, got {asked}")
    rate = parse_seconds(
        fields, "requestsPerSecond", defaults.requests_per_second, at_least=0.1, at_most=MOST_REQUESTS_PER_SECOND
    )
    return Sweep(
        scope_id=scope_id,
        windows=windows,
        queries=tuple(SweepQuery(index, selection) for index in range(len(windows)) for selection in selections),
        pace=Pace(rate, rate),
        timeout_seconds=parse_seconds(fields, "timeoutSeconds", defaults.timeout_seconds, at_least=1, at_most=86_400),
        family=family,
        alarm_above=_parse_alarm_above(fields, allowed["metricName"], family),
        allow_partial=parse_flag(fields, "allowPartial"),
        ranked_peaks=parse_count(fields, "rankedPeaks", defaults.ranked_peaks, at_most=20),
        limit=parse_count(fields, "limit", defaults.limit, at_least=1, at_most=500),
    )


def leave_out(sweep: Sweep, stored: Mapping[Window, frozenset[Selection]]) -> Sweep:
    """Return the sweep without what earlier runs have stored."""
    queries = (
        replace(asked, status=STORED) if asked.selection in stored[sweep.windows[asked.window]] else asked
        for asked in sweep.queries
    )
    return replace(sweep, queries=tuple(queries))


def plan_ranking(sweep: Sweep) -> Sweep:
    """Return the queries of the ranking family that the highest of a sweep's findings take, at the pace it had.

    Peaks of different metrics have different units, so they are compared as multiples of what raises the alarm.
    """
    highest = sorted(filter(sweep.is_finding, sweep.queries), key=lambda a: _excess(sweep, a), reverse=True)
    queries = tuple(SweepQuery(asked.window, asked.selection) for asked in highest[: sweep.ranked_peaks])
    now = sweep.poll.elapsed_seconds
    return replace(sweep, family=Family.RANKING, queries=queries, alarm_above={}, stored=(), progressed_at=now)


def _parse_windows(fields: Mapping[str, object]) -> tuple[Window, ...]:
    if fields.get("windows") is None:
        return (parse_window(fields),)
    if fields.get("startTime") is not None or fields.get("endTime") is not None:
        raise InvalidInput("windows: expected either this or startTime and endTime, got both")
    windows = tuple(parse_window(window) for window in parse_list(fields, "windows", 1, MOST_QUERIES))
    if len(set(windows)) < len(windows):
        raise InvalidInput("windows: expected each window once")
    return windows


def _parse_alarm_above(fields: Mapping[str, object], metrics: tuple[str, ...], family: Family) -> Mapping[str, float]:
    if fields.get("alarmAbove") is None:
        return {}
    above = parse_object(fields["alarmAbove"], "alarmAbove")
    if family is not Family.DATA:
        raise InvalidInput(f"alarmAbove: for the family {Family.DATA} only, got it with family {family}")
    names = [parse_choice({"alarmAbove": name}, "alarmAbove", metrics) for name in above]
    return {name: parse_number(above, name) for name in names if above[name] is not None}


def _excess(sweep: Sweep, asked: SweepQuery) -> float:
    above, value = sweep.alarm_above[asked.selection.metric_name], asked.peak.value if asked.peak else 0.0
    return value / above if above > 0 else math.inf
