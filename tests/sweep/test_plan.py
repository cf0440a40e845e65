"""From an input to the queries of a sweep, and from findings to their rankings."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flowquery.results.windows import Selection
from hypothesis import given
from hypothesis import strategies as st

from flowquery.aws import network_flow_monitor
from flowquery.core.errors import InvalidInput
from flowquery.core.model import Family, Peak, Poll
from flowquery.sweep.plan import Defaults, leave_out, parse_selections, plan_ranking, plan_sweep
from flowquery.sweep.state import MOST_QUERIES, STORED, WAITING, Progress, Sweep

ALLOWED = {"metricName": ("A", "B", "C"), "destinationCategory": ("X", "Y")}
PAIRS = [Selection(metric, category) for metric in ALLOWED["metricName"] for category in ALLOWED["destinationCategory"]]
INPUT = {"scopeId": "scope", "startTime": "2026-11-24T08:00:00Z", "endTime": "2026-11-24T08:15:00Z"}
selections = st.lists(st.sampled_from(PAIRS), min_size=1, unique=True)


def windows(count: int) -> list[dict[str, str]]:
    return [{**INPUT, "startTime": f"2026-11-24T07:{minute:02}:00Z"} for minute in range(count)]


@given(selections)
def test_any_subset_is_what_is_asked_for_in_its_order(chosen: list[Selection]) -> None:
    selections = [{"metricName": metric, "destinationCategory": category} for metric, category in chosen]

    assert parse_selections({"selections": selections}, ALLOWED) == tuple(chosen)


@given(
    st.lists(st.sampled_from(ALLOWED["metricName"]), min_size=1, unique=True),
    st.lists(st.sampled_from(ALLOWED["destinationCategory"]), min_size=1, unique=True),
)
def test_names_are_all_with_all(metrics: list[str], categories: list[str]) -> None:
    asked = parse_selections({"metricNames": metrics, "destinationCategories": categories}, ALLOWED)

    assert len(asked) == len(set(asked)) == len(metrics) * len(categories)
    assert parse_selections({}, ALLOWED) == tuple(PAIRS)


def test_by_default_it_is_all_metrics_and_categories_of_the_service() -> None:
    sweep = plan_sweep(INPUT, network_flow_monitor.allowed_values(), Defaults())

    assert len({query.selection for query in sweep.queries}) == len(sweep.queries) == 33
    assert {query.status for query in sweep.queries} == {WAITING}
    assert (sweep.pace.rate, sweep.pace.ceiling, sweep.timeout_seconds) == (5.0, 5.0, 1800.0)


@pytest.mark.parametrize("count", [1, 5, 27, 28])
def test_the_limit_is_on_windows_times_pairs(count: int) -> None:
    given = {"scopeId": "scope", "windows": windows(count)}

    if count * len(PAIRS) <= MOST_QUERIES:
        assert len(plan_sweep(given, ALLOWED, Defaults()).queries) == count * len(PAIRS)
    else:
        with pytest.raises(InvalidInput, match=r"^windows: expected at most 165 queries in one sweep, got 28 windows"):
            plan_sweep(given, ALLOWED, Defaults())


@given(selections, selections)
def test_what_is_stored_is_left_out_of_its_own_window_alone(first: list[Selection], second: list[Selection]) -> None:
    sweep = plan_sweep({"scopeId": "scope", "windows": windows(2)}, ALLOWED, Defaults())

    left = leave_out(sweep, dict(zip(sweep.windows, (frozenset(first), frozenset(second)), strict=True)))

    for query in left.queries:
        assert (query.status == STORED) == (query.selection in (first, second)[query.window])
    assert (left.progress is Progress.STORED) == (len(first) == len(second) == len(PAIRS))


def found(*values: float | None) -> Sweep:
    """Return a sweep that has ended, with these peaks; a finding is what is above 10 (A), 100 (B) or 0 (C)."""
    sweep = plan_sweep({**INPUT, "alarmAbove": {"A": 10, "B": 100, "C": 0}}, ALLOWED, Defaults())
    ended = (
        replace(query, status="SUCCEEDED", query_id="q", rows=1, peak=None if value is None else Peak(value, "", ""))
        for query, value in zip(sweep.queries, values, strict=True)
    )
    return replace(sweep, queries=tuple(ended), poll=Poll(elapsed_seconds=42))


def test_the_highest_peaks_by_what_raises_the_alarm_are_ranked() -> None:
    sweep = replace(found(11, 30, 150, 500, None, 0), ranked_peaks=2)

    ranking = plan_ranking(sweep)

    assert [query.selection for query in ranking.queries] == [Selection("B", "Y"), Selection("A", "Y")]
    assert (ranking.family, ranking.progressed_at, ranking.stored) == (Family.RANKING, 42, ())
    assert {query.status for query in ranking.queries} == {WAITING}


def test_a_peak_above_a_threshold_of_nothing_is_the_highest() -> None:
    assert plan_ranking(found(11, None, 1000, None, 1, None)).queries[0].selection == Selection("C", "X")
    assert plan_ranking(found(1, 1, 1, 1, None, 0)).queries == ()
    assert plan_ranking(replace(found(11, 30, 150, 500, 1, 1), ranked_peaks=0)).queries == ()
