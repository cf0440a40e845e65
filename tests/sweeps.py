"""Outputs of SweepScope, made up: by default 3 metrics x 11 categories of each window, some of which say more."""

from __future__ import annotations

import random
from typing import Any

from flowquery.widget.wording import CATEGORIES, METRICS
from tests.loopback import SCOPE_ID


def window(index: int) -> dict[str, str]:
    """Return a quarter of an hour."""
    return {
        "startTime": f"2026-11-24T{8 + index // 4:02}:{index % 4 * 15:02}:00Z",
        "endTime": f"2026-11-24T{8 + (index + 1) // 4:02}:{(index + 1) % 4 * 15:02}:00Z",
    }


def query(metric: str, category: str, value: float | None = 7.5, index: int = 0, **more: object) -> dict[str, Any]:
    """Return a query that succeeded, without data where there is no value; `more` makes another of it."""
    peak = {"value": value, "label": "use1-az1", "timestamp": window(index)["startTime"]}
    return {
        "window": index,
        "metricName": metric,
        "destinationCategory": category,
        "queryId": f"{metric}-{category}-{index}",
        "status": "SUCCEEDED",
        "rows": 0 if value is None else 9,
        "unit": "Bytes" if metric == "DATA_TRANSFERRED" else "Count",
        "peak": None if value is None else peak,
        "finding": False,
        **more,
    }


def failed(metric: str, category: str, error: str = "QueryFailed", index: int = 0, **more: object) -> dict[str, Any]:
    cause = "Network Flow Monitor said FAILED after 14.2 s and 3 checks"
    nothing: dict[str, Any] = {"status": error, "cause": cause, "rows": None, "unit": None}
    return query(metric, category, None, index, **{**nothing, **more})


def stored(metric: str, category: str, index: int = 0) -> dict[str, Any]:
    return query(metric, category, None, index, queryId=None, status="STORED", rows=None, unit=None)


def swept(*queries: dict[str, Any], windows: int = 1) -> dict[str, Any]:
    """Return the output of a sweep of `queries`, or of all with a finding, a failure, an empty one, and one stored."""
    every = list(queries) or [one for index in range(windows) for one in _all(index)]
    counts: dict[str, int] = {}
    for one in every:
        counts[one["status"]] = counts.get(one["status"], 0) + 1
    return {
        "status": "SUCCEEDED" if counts.keys() <= {"SUCCEEDED", "STORED"} else "PARTIAL",
        "scopeId": SCOPE_ID,
        "windows": [{**window(index), "objects": [_object(index)]} for index in range(windows)],
        "queries": every,
        "counts": counts,
        "empty": not any(one["rows"] for one in every),
        "finding": any(one["finding"] for one in every),
        "cost": {"checks": 99, "transitions": 14, "requests": 4, "gbSeconds": 7.5, "dollars": 0.00047},
    }


def _object(index: int) -> dict[str, Any]:
    return {"bucket": "results", "key": f"results/date=2026-11-24/{SCOPE_ID}-sweep-{index}.jsonl.gz", "rows": 270}


def _all(index: int) -> list[dict[str, Any]]:
    dice = random.Random(index)
    scales = {"RETRANSMISSIONS": 800, "TIMEOUTS": 40, "DATA_TRANSFERRED": 5e9}
    special = {
        ("RETRANSMISSIONS", "INTERNET"): query("RETRANSMISSIONS", "INTERNET", 1234.5, index, finding=True),
        ("TIMEOUTS", "LOCAL_ZONE"): query("TIMEOUTS", "LOCAL_ZONE", None, index),
        ("TIMEOUTS", "INTER_VPC"): stored("TIMEOUTS", "INTER_VPC", index),
        ("DATA_TRANSFERRED", "UNCLASSIFIED"): failed("DATA_TRANSFERRED", "UNCLASSIFIED", index=index),
    }
    return [
        special.get((metric, category)) or query(metric, category, scales[metric] * (0.01 + dice.random() ** 2), index)
        for metric in METRICS
        for category in CATEGORIES
    ]
