"""The ranking of findings: which peaks are ranked, that no ranking query is left running, and what the output says."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowquery.core.errors import InvalidInput, TransientFault
from flowquery.core.model import Family, Peak, Selection
from flowquery.polling.policy import POLICY
from flowquery.query.cost import priced
from flowquery.sweep.output import sweep_output
from flowquery.sweep.ranking import (
    SECONDS_AFTER_WATCHING,
    RankingRequest,
    rank_contributors,
    ranked_output,
    unranked_output,
)
from flowquery.sweep.round import MARGIN_SECONDS
from flowquery.sweep.state import WAITING, Progress, Sweep
from tests.loopback import output
from tests.sweep.service import Bucket, Service, sweep_of

ABOVE = {"A": 10.0, "B": 100.0, "C": 0.0}
FOUND = output(finding=True, alarmAbove=5)


def swept(*values: float | None) -> dict[str, Any]:
    """Return the output of a sweep with these peaks over A, A, B, B, C, C; a finding is above 10, 100 and 0."""
    sweep = sweep_of(len(values), alarm_above=ABOVE)
    queries = (
        replace(
            query,
            selection=Selection("ABC"[number // 2], "XY"[number % 2]),
            status="SUCCEEDED",
            query_id=f"q{number}",
            rows=1,
            peak=None if value is None else Peak(value, "use1-az1", "2026-11-24T08:00:00Z"),
        )
        for number, (query, value) in enumerate(zip(sweep.queries, values, strict=True))
    )
    made: dict[str, Any] = json.loads(json.dumps(sweep_output(replace(sweep, queries=tuple(queries)), "us-east-1")))
    return made


def request(found: Mapping[str, object], **more: object) -> RankingRequest:
    return RankingRequest.parse({"output": found, **more})


def ranked(
    given: RankingRequest, service: Service, seconds: float = 900.0, bucket: Bucket | None = None
) -> tuple[Sweep, dict[str, Any]]:
    """Run it as an invocation of so many seconds, and return the sweep and the output."""
    with service.clock(), (bucket or Bucket()).answering():
        sweep = rank_contributors(given, service, service.results_page, "results", lambda: seconds - service.now)
    made: dict[str, Any] = json.loads(json.dumps(ranked_output(given, sweep, 0.5, "us-east-1")))
    return sweep, made


# --- Which peaks ---


def test_the_peaks_that_are_highest_above_their_threshold_are_ranked_first() -> None:
    sweep = request(swept(11, 30, 150, 500, None, 0), rankedPeaks=2).sweep

    assert [query.selection for query in sweep.queries] == [Selection("B", "Y"), Selection("A", "Y")]
    assert (sweep.family, sweep.stored) == (Family.RANKING, ())
    assert {query.status for query in sweep.queries} == {WAITING}


def test_a_peak_above_a_threshold_of_nothing_is_the_highest() -> None:
    assert request(swept(11, None, 1000, None, 1, None)).sweep.queries[0].selection == Selection("C", "X")
    assert request(swept(1, 1, 1, 1, None, 0)).sweep.queries == ()
    assert request(swept(11, 30, 150, 500, 1, 1), rankedPeaks=0).sweep.queries == ()


def test_a_single_query_is_ranked_over_its_own_window() -> None:
    sweep = request(FOUND, limit=7, timeoutSeconds=60, requestsPerSecond=2).sweep

    [query] = sweep.queries
    assert query.selection.to_json().items() <= FOUND.items()
    assert sweep.windows[query.window].to_json().items() <= FOUND.items()
    assert (sweep.limit, sweep.timeout_seconds, sweep.pace.ceiling) == (7, 60, 2)


def test_a_single_query_is_ranked_whatever_the_number_of_ranked_peaks() -> None:
    """That is a number of a sweep's findings; a stack may have set it to 0."""
    assert len(request(FOUND, rankedPeaks=0).sweep.queries) == 1


def test_the_ranking_of_a_sweep_knows_the_window_of_each_finding() -> None:
    found = swept(11, 30)
    later = {"startTime": "2026-11-24T10:00:00Z", "endTime": "2026-11-24T11:00:00Z", "objects": []}
    found["windows"].append(later)
    found["queries"][1]["window"] = 1

    sweep = request(found).sweep

    assert [sweep.query_request(query).window.to_json() for query in sweep.queries] == [
        {"startTime": "2026-11-24T10:00:00Z", "endTime": "2026-11-24T11:00:00Z"},
        {"startTime": "2026-11-24T08:00:00Z", "endTime": "2026-11-24T09:00:00Z"},
    ]


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({}, "output: expected an object"),
        ({"output": {}}, "startTime is missing."),
        ({"output": {**FOUND, "scopeId": "../x"}}, "scopeId: expected"),
        ({"output": {**FOUND, "alarmAbove": None}}, "alarmAbove is missing."),
        ({"output": {**FOUND, "finding": False}}, "output: expected a finding"),
        ({"output": FOUND, "rankedPeaks": 21}, "rankedPeaks: expected a whole number from 0 to 20"),
        ({"output": FOUND, "limit": 0}, "limit: expected a whole number from 1 to 500"),
        ({"output": FOUND, "timeoutSeconds": 0}, "timeoutSeconds: expected a number from 1"),
        ({"output": FOUND, "retryCount": -1}, "retryCount: expected a whole number"),
    ],
)
def test_what_cannot_be_ranked_is_refused_by_field(event: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        RankingRequest.parse(event)

    assert str(refusal.value).startswith(message)


# --- No query is left running ---

scripts = st.lists(
    st.sampled_from(["none", "none", "throttled", "fault", "slow", "quota", "denied", "invalid"]), max_size=30
).map(tuple)
services = st.builds(
    Service,
    seconds=st.lists(st.floats(0.1, 2_000), min_size=1, max_size=3).map(tuple),
    script=scripts,
    concurrent=st.sampled_from([1, 10**6]),
    end=st.sampled_from(["SUCCEEDED", "FAILED", "PAUSED"]),
)
options = st.fixed_dictionaries(
    {
        "timeoutSeconds": st.sampled_from([1, 60, 1_800, 86_400]),
        "requestsPerSecond": st.sampled_from([0.1, 5, 100]),
        "rankedPeaks": st.integers(0, 6),
        "retryCount": st.integers(0, 2),
    }
)


@given(services, options, st.sampled_from([1.0, 150.0, 200.0, 400.0, 900.0]))
def test_no_ranking_query_is_left_running(service: Service, more: dict[str, Any], seconds: float) -> None:
    given = request(swept(11, 30, 150, 500, 1, 1), **more)
    try:
        sweep, made = ranked(given, service, seconds)
    except TransientFault:  # of results that cannot be fetched; the queries have ended by then
        assert not [
            name for name in service.started if service.status(name) == "RUNNING" and name not in stops(service)
        ]
        return

    assert sweep.progress is Progress.COMPLETE
    assert len(made["rankings"]) == more["rankedPeaks"]
    causes = {query.query_id: query.cause for query in sweep.queries}
    for name in service.started:
        if service.status(name) == "RUNNING" and name not in stops(service):
            assert "no time left" in causes[name]


def stops(service: Service) -> set[str]:
    return {name for _, kind, name in service.requests if kind == "stop"}


@given(st.integers(1, 6), st.sampled_from([0.1, 1.0, 5.0]), st.integers(0, 2))
def test_all_are_stopped_when_time_runs_out_and_there_is_time_left_to_store(
    count: int, call: float, retries: int
) -> None:
    service = Service((1e6,), call=call)

    sweep, made = ranked(
        request(swept(11, 30, 150, 500, 1, 1), rankedPeaks=count, timeoutSeconds=86_400, retryCount=retries), service
    )

    assert set(service.started) == set(service.stopped)
    assert {query.status for query in sweep.queries} <= {"QueryTimedOut", "NotStarted"}
    assert all(ranking["cause"].endswith("when the time of RankContributors was over") for ranking in made["rankings"])
    assert (
        900 - SECONDS_AFTER_WATCHING - MARGIN_SECONDS - POLICY.slowest_call
        <= service.now
        <= 900 - SECONDS_AFTER_WATCHING
    )


def test_a_query_whose_budget_is_spent_is_stopped() -> None:
    service = Service((1e6,))

    _, made = ranked(request(FOUND, timeoutSeconds=60), service)

    assert set(service.started) == set(service.stopped)
    assert made["ranking"] is None
    assert made["rankingFailure"]["error"] == "QueryTimedOut"
    assert re.match(r"stopped; RUNNING after (59|6[01])\.\d s and ", made["rankingFailure"]["cause"])


def test_it_holds_until_the_query_has_ended_without_an_answer_between() -> None:
    """There is no state to hand back: a second invocation would start the query again."""
    service = Service((600.0,))

    sweep, made = ranked(request(FOUND), service)

    assert made["rankingFailure"] is None
    assert len(service.times("start")) == 1
    assert sweep.poll.checks == len(service.times("check")) > 50
    assert service.now < 610  # the rows are stored at once


# --- What the output says ---


def test_a_ranking_adds_its_rows_and_its_cost_to_the_output() -> None:
    bucket = Bucket()

    sweep, made = ranked(request(FOUND, limit=7), Service(), bucket=bucket)

    [(key, (rows, metadata))] = bucket.objects.items()
    assert made["ranking"] == {
        "queryId": "q0",
        "results": {
            "bucket": "results",
            "key": key,
            "rows": 1,
            "empty": False,
            "topContributors": [
                {**dict.fromkeys(sweep.queries[0].contributors[0]), "remoteIdentifier": "q0", "value": 9}
            ],
        },
    }
    assert key.startswith("contributors/date=2026-11-24/")
    assert key.endswith("-top7.jsonl.gz")
    assert (len(rows), metadata["rows"]) == (1, "1")
    before = FOUND["cost"]
    counted = {
        "checks": before["checks"] + sweep.poll.checks,
        "transitions": before["transitions"],
        "requests": before["requests"] + 1,
        "gbSeconds": before["gbSeconds"] + 0.5,
    }
    assert made["cost"] == priced(counted, "us-east-1")
    assert {name: made[name] for name in FOUND if name != "cost"} == {
        name: FOUND[name] for name in FOUND if name != "cost"
    }


def test_a_retry_is_a_transition_and_an_invocation_more_and_its_query_may_be_a_second_one() -> None:
    sweep, made = ranked(request(FOUND, retryCount=2), Service())

    before = FOUND["cost"]
    assert made["cost"]["transitions"] == before["transitions"] + 2
    assert made["cost"]["requests"] == before["requests"] + 3
    assert sweep.queries[0].unclear


def test_rankings_of_a_sweep_come_with_their_windows_and_one_that_failed_with_its_cause() -> None:
    service = Service(script=("none", "denied"))

    _, made = ranked(request(swept(11, 30, 150, 500, None, 0), rankedPeaks=2), service)

    first, second = made["rankings"]
    assert (first["metricName"], first["destinationCategory"], first["window"]) == ("B", "Y", 0)
    assert (first["status"], first["rows"], "cause" in first) == ("SUCCEEDED", 1, False)
    assert [row["remoteIdentifier"] for row in first["topContributors"]] == ["q0"]
    assert (second["status"], second["cause"], second["topContributors"]) == ("AccessDenied", "denied", [])
    assert made["rankingFailure"] is None


def test_rankings_of_several_windows_are_an_object_each() -> None:
    found = swept(11, 30, 150)
    found["windows"].append({"startTime": "2026-11-25T10:00:00Z", "endTime": "2026-11-25T11:00:00Z", "objects": []})
    found["queries"][1]["window"] = 1
    bucket = Bucket()

    sweep, _ = ranked(request(found), Service(), bucket=bucket)

    assert [key.split("/")[1] for key in bucket.objects] == ["date=2026-11-24", "date=2026-11-25"]
    assert [(stored.window, stored.rows) for stored in sweep.stored] == [(0, 2), (1, 1)]


def test_a_ranking_without_rows_is_no_failure() -> None:
    class Silent(Service):
        def results_page(self, *_: object) -> dict[str, Any]:
            return {"topContributors": []}

    _, made = ranked(request(FOUND), Silent())

    results = made["ranking"]["results"]
    assert (results["rows"], results["empty"], results["topContributors"]) == (0, True, [])


def test_a_ranking_that_another_execution_has_stored_is_named_with_the_rows_of_this_one() -> None:
    bucket = Bucket()
    ranked(request(FOUND), Service(), bucket=bucket)

    _, again = ranked(request(FOUND), Service(), bucket=bucket)

    [key] = bucket.objects
    assert again["ranking"]["results"]["key"] == key
    assert again["ranking"]["results"]["rows"] == 1


@pytest.mark.parametrize("found", [FOUND, swept(11, 30)], ids=["RunQuery", "SweepScope"])
def test_a_ranking_that_fails_as_a_whole_leaves_the_finding_with_the_reason(found: dict[str, Any]) -> None:
    given = request(found, retryCount=1)

    made = unranked_output(given, TransientFault("no answer"), 0.5, "us-east-1")

    assert made["rankingFailure"] == {"error": "TransientFault", "cause": "no answer"}
    assert (made["ranking"] is None) if found is FOUND else (made["rankings"] == [])
    assert made["finding"] is True
    cost: Any = made["cost"]
    assert cost["requests"] == found["cost"]["requests"] + 2
