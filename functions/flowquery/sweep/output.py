"""The output of SweepScope: how each query ended, where the rows are, and what it cost."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from flowquery.core import transitions
from flowquery.query.cost import priced
from flowquery.sweep.state import SUCCEEDED, Sweep, SweepQuery

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

INCOMPLETE, PARTIAL = "INCOMPLETE", "PARTIAL"
MOST_NAMED_OBJECTS = 5  # in the cause


def sweep_output(sweep: Sweep, region: str) -> dict[str, object]:
    """Return the output, as `schemas/sweep_scope.output.json` says; INCOMPLETE ends as the error SweepIncomplete."""
    counts = Counter(query.status for query in sweep.queries)
    failed = sum(query.has_failed for query in sweep.queries)
    status = SUCCEEDED if not failed else PARTIAL if sweep.allow_partial else INCOMPLETE
    finding = any(map(sweep.is_finding, sweep.queries))
    return {
        "status": status,
        "scopeId": sweep.scope_id,
        **sweep.family.to_json(),
        "windows": [
            {**window.to_json(), "objects": [stored.to_json() for stored in sweep.stored if stored.window == index]}
            for index, window in enumerate(sweep.windows)
        ],
        "queries": [_query_output(sweep, query) for query in sweep.queries],
        "counts": dict(counts),
        "cause": _cause(sweep, counts, failed) if failed else None,
        "empty": not failed and all(query.rows == 0 for query in sweep.queries),
        "finding": finding,
        "alarmAbove": dict(sweep.alarm_above),
        "cost": _sweep_cost(sweep, region, finding=finding, incomplete=status == INCOMPLETE),
    }


def measure_sweep(sweep: Sweep, cost: object, measure: Callable[[str, float], object]) -> None:
    """Measure the sweep's seconds, and its dollars, where they are known."""
    measure("SweepSeconds", round(sweep.poll.elapsed_seconds, 3))
    if isinstance(cost, dict) and isinstance(price := cost.get("dollars"), float):
        measure("RunDollars", price)


def _sweep_cost(sweep: Sweep, region: str, *, finding: bool, incomplete: bool) -> dict[str, object]:
    """Return the cost up to the end that the output leads to. RankContributors adds what its attempts took."""
    poll, is_alarm = sweep.poll, finding or incomplete
    steps = transitions.SWEEP_END
    steps += transitions.SWEEP_RANKING if finding else 0
    steps += transitions.SWEEP_ALARM if is_alarm else 0
    counted = {
        "checks": poll.checks,
        "transitions": poll.transitions + steps,
        "requests": poll.requests + (1 if is_alarm else 0),
        "gbSeconds": poll.gb_seconds,
    }
    return priced(counted, region)


def _query_output(sweep: Sweep, query: SweepQuery) -> dict[str, object]:
    return {
        "window": query.window,
        **query.selection.to_json(),
        "queryId": query.query_id,
        "status": query.status,
        **({"cause": query.cause} if query.has_failed else {}),
        **({"unclear": True} if query.unclear else {}),
        "rows": query.rows,
        "unit": query.unit,
        "peak": query.peak.to_json() if query.peak else None,
        "finding": sweep.is_finding(query),
        **({"topContributors": list(query.contributors)} if query.contributors else {}),
    }


def _cause(sweep: Sweep, counts: Mapping[str, int], failed: int) -> str:
    """Say how many queries failed with which error, and what is stored all the same."""
    errors = sorted({query.status for query in sweep.queries if query.has_failed}, key=lambda name: -counts[name])
    each = ", ".join(f"{counts[name]} {name}" for name in errors)
    objects = ", ".join(f"s3://{stored.bucket}/{stored.key}" for stored in sweep.stored[:MOST_NAMED_OBJECTS])
    stored = f"; {counts[SUCCEEDED]} are stored in {objects}" if objects else "; nothing is stored"
    return f"{failed} of {len(sweep.queries)} queries did not succeed: {each}{stored}"
