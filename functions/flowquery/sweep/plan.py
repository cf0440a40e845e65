"""From the input of SweepScope to the queries of a sweep."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flowquery.core.errors import InvalidInput
from flowquery.core.fields import (
    parse_choice,
    parse_choices,
    parse_flag,
    parse_id,
    parse_list,
    parse_number,
    parse_object,
    parse_whole_within,
    parse_within,
    refuse_unknown_names,
)
from flowquery.core.limits import RANKED_PEAKS, RANKING_LIMIT, REQUESTS_PER_SECOND, SWEEP_QUERIES, TIMEOUT_SECONDS
from flowquery.core.model import Family, Selection, Window
from flowquery.polling.pace import Pace
from flowquery.sweep.state import STORED, Sweep, SweepQuery

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowquery.core.model import AllowedValues

    Fields = Mapping[str, object]

SELECTION_FIELDS = ("metricNames", "destinationCategories", "selections")
# What an input may have beside the scope and the windows.
OPTION_FIELDS = (
    *SELECTION_FIELDS,
    "family",
    "alarmAbove",
    "allowPartial",
    "requestsPerSecond",
    "timeoutSeconds",
    "rankedPeaks",
    "limit",
)
SWEEP_INPUT_FIELDS = ("scopeId", "startTime", "endTime", "windows", *OPTION_FIELDS)


@dataclass(frozen=True)
class SweepDefaults:
    """The values of the stack's parameters, for an input without its own."""

    timeout_seconds: float = TIMEOUT_SECONDS.default
    requests_per_second: float = REQUESTS_PER_SECOND.default
    ranked_peaks: int = int(RANKED_PEAKS.default)
    limit: int = int(RANKING_LIMIT.default)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> SweepDefaults:
        return cls(
            timeout_seconds=float(environment["TIMEOUT_SECONDS"]),
            requests_per_second=float(environment["REQUESTS_PER_SECOND"]),
            ranked_peaks=int(environment["RANKED_PEAKS"]),
            limit=int(environment["RANKING_LIMIT"]),
        )


def plan_sweep(value: object, allowed: AllowedValues, defaults: SweepDefaults) -> Sweep:
    """Return the sweep of an input of SweepScope. No query of it is started."""
    fields = parse_object(value, "the input")
    refuse_unknown_names(fields, SWEEP_INPUT_FIELDS)
    plan_ranking(fields, defaults)  # refuses what RankContributors could not use, before queries are started
    scope_id, family = parse_id(fields, "scopeId"), Family.parse(fields)
    selections, windows = parse_selections(fields, allowed), _parse_windows(fields)
    if len(selections) * len(windows) > SWEEP_QUERIES:
        product = f"{len(windows)} windows of {len(selections)}"
        raise InvalidInput(f"windows: expected at most {SWEEP_QUERIES} queries in one sweep, got {product}")
    rate = parse_within(fields, "requestsPerSecond", REQUESTS_PER_SECOND, defaults.requests_per_second)
    return Sweep(
        scope_id=scope_id,
        windows=windows,
        queries=tuple(SweepQuery(index, selection) for index in range(len(windows)) for selection in selections),
        pace=Pace(rate, rate),
        timeout_seconds=parse_within(fields, "timeoutSeconds", TIMEOUT_SECONDS, defaults.timeout_seconds),
        family=family,
        alarm_above=parse_alarm_above(fields, allowed["metricName"], family),
        allow_partial=parse_flag(fields, "allowPartial"),
        limit=parse_whole_within(fields, "limit", RANKING_LIMIT, defaults.limit),
    )


def plan_ranking(value: object, defaults: SweepDefaults) -> dict[str, object]:
    """Return what RankContributors takes beside the sweep's output."""
    fields = parse_object(value, "the input")
    return {
        "rankedPeaks": parse_whole_within(fields, "rankedPeaks", RANKED_PEAKS, defaults.ranked_peaks),
        "limit": parse_whole_within(fields, "limit", RANKING_LIMIT, defaults.limit),
        "timeoutSeconds": parse_within(fields, "timeoutSeconds", TIMEOUT_SECONDS, defaults.timeout_seconds),
        "requestsPerSecond": parse_within(
            fields, "requestsPerSecond", REQUESTS_PER_SECOND, defaults.requests_per_second
        ),
    }


def parse_selections(fields: Fields, allowed: AllowedValues) -> tuple[Selection, ...]:
    """Return `selections`, or all of `metricNames` with all of `destinationCategories`."""
    if fields.get("selections") is None:
        metrics = parse_choices(fields, "metricNames", allowed["metricName"])
        categories = parse_choices(fields, "destinationCategories", allowed["destinationCategory"])
        return tuple(Selection(metric, category) for metric in metrics for category in categories)
    for name in ("metricNames", "destinationCategories"):
        if fields.get(name) is not None:
            raise InvalidInput(f"{name}: expected either this or selections, got both")
    selections = []
    for item in parse_list(fields, "selections", 1, SWEEP_QUERIES):
        members = parse_object(item, "selections")
        refuse_unknown_names(members, ("metricName", "destinationCategory"))
        selections.append(Selection.parse(members, allowed))
    if len(set(selections)) < len(selections):
        raise InvalidInput("selections: expected each pair of metricName and destinationCategory once")
    return tuple(selections)


def parse_alarm_above(fields: Fields, metrics: tuple[str, ...], family: Family) -> Mapping[str, float]:
    if fields.get("alarmAbove") is None:
        return {}
    above = parse_object(fields["alarmAbove"], "alarmAbove")
    if family is not Family.DATA:
        raise InvalidInput(f"alarmAbove: for the family {Family.DATA} only, got it with family {family}")
    names = [parse_choice({"alarmAbove": name}, "alarmAbove", metrics) for name in above]
    return {name: parse_number(above, name) for name in names if above[name] is not None}


def leave_out(sweep: Sweep, stored: Mapping[Window, frozenset[Selection]]) -> Sweep:
    """Return the sweep without the queries whose rows earlier executions have stored."""
    queries = (
        replace(query, status=STORED) if query.selection in stored[sweep.windows[query.window]] else query
        for query in sweep.queries
    )
    return replace(sweep, queries=tuple(queries))


def _parse_windows(fields: Fields) -> tuple[Window, ...]:
    if fields.get("windows") is None:
        return (Window.parse(fields),)
    if fields.get("startTime") is not None or fields.get("endTime") is not None:
        raise InvalidInput("windows: expected either this or startTime and endTime, got both")
    items = parse_list(fields, "windows", 1, SWEEP_QUERIES)
    for item in items:
        refuse_unknown_names(parse_object(item, "windows"), ("startTime", "endTime"))
    windows = tuple(Window.parse(item, "windows") for item in items)
    if len(set(windows)) < len(windows):
        raise InvalidInput("windows: expected each window once")
    return windows
