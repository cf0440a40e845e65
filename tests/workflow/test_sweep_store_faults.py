"""What StoreSweep stores when results, answers and time are lost: every row that can be had, in the table only once."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from localaws.scripted_network_flow_monitor import Script
from tests.loopback import SCOPE_ID

if TYPE_CHECKING:
    from tests.loopback import Stack

WINDOW = {"startTime": "2026-11-24T08:00:00Z", "endTime": "2026-11-24T08:15:00Z"}
FEW = {
    "scopeId": SCOPE_ID,
    **WINDOW,
    "metricNames": ["RETRANSMISSIONS", "TIMEOUTS"],
    "destinationCategories": ["INTRA_AZ", "INTER_AZ"],
}
BROKEN = ("TIMEOUTS", "INTER_AZ")


def points(stack: Stack) -> Counter[tuple[Any, ...]]:
    """Return how often each point is in the table."""
    found: Counter[tuple[Any, ...]] = Counter()
    for key in stack.stored():
        body = stack.aws.client("s3").get_object(Bucket=stack.outputs["ResultsBucketName"], Key=key)["Body"].read()
        for line in gzip.decompress(body).splitlines():
            row = json.loads(line)
            found[row["metricName"], row["destinationCategory"], row["label"], row["timestamp"]] += 1
    return found


@pytest.mark.parametrize("error", ["InternalServerException", "ThrottlingException", "AccessDeniedException"])
def test_a_query_whose_results_never_come_fails_alone(stack: Stack, error: str) -> None:
    run = stack.sweep({**FEW, "allowPartial": True}, Script(ends={BROKEN: error}))

    assert run.status == "SUCCEEDED"
    assert run.output["counts"]["SUCCEEDED"] == 3
    [failed] = [query for query in run.output["queries"] if "cause" in query]
    assert (failed["metricName"], failed["destinationCategory"]) == BROKEN
    assert len(points(stack)) == 3 * 9


@pytest.mark.parametrize("lost", ["Lambda.Unknown", "Sandbox.Timedout"])
def test_a_lost_answer_stores_no_point_again_and_hides_no_finding(stack: Stack, lost: str) -> None:
    stack.runtime.lost_answers = {"StoreSweep": [lost]}

    run = stack.sweep({**FEW, "alarmAbove": {"TIMEOUTS": 1}})

    assert run.status == "SUCCEEDED"
    assert run.output["counts"] == {"SUCCEEDED": 4}
    assert run.output["finding"]
    assert len(run.alarms) == 1
    results = [key for key in stack.stored() if key.startswith("results/")]
    assert len(results) == 1
    assert run.output["windows"][0]["objects"][0]["key"] == results[0]


def test_a_retry_in_which_another_query_fails_stores_no_point_again(stack: Stack) -> None:
    stack.runtime.lost_answers = {"StoreSweep": ["Lambda.Unknown"]}
    backend = stack.aws.network_flow_monitor

    def break_results() -> None:
        backend.script = Script(ends={BROKEN: "AccessDeniedException"})
        for query in backend.queries.values():
            query.script = backend.script

    stack.runtime.after_lost_answer = break_results
    run = stack.sweep({**FEW, "allowPartial": True})

    assert run.output["counts"]["SUCCEEDED"] == 3
    assert set(points(stack).values()) == {1}
    assert len(points(stack)) == 4 * 9
    assert len(stack.stored()) == 1


def test_a_rate_too_low_for_one_invocation_stores_window_by_parts(stack: Stack) -> None:
    run = stack.sweep({**FEW, "requestsPerSecond": 0.1}, Script(series=80, page_size=2))

    assert run.status == "SUCCEEDED", run.cause
    assert run.output["counts"] == {"SUCCEEDED": 4}
    assert run.path.count("StoreSweep") > 1
    assert set(points(stack).values()) == {1}
    times = [call.at for call in run.calls]
    assert all(later - earlier > 9.9 for earlier, later in pairwise(times[1:]))


def test_a_retry_does_not_send_a_burst(stack: Stack) -> None:
    stack.runtime.lost_answers = {"StoreSweep": ["Lambda.Unknown"]}

    run = stack.sweep({**FEW, "requestsPerSecond": 4})

    times = sorted(call.at for call in run.calls)
    assert all(times[index + 8] - times[index] >= 1 - 1e-6 for index in range(len(times) - 8))
