"""The results of a sweep: one object for each window, with what succeeded of it, whole or not at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowquery.core.errors import AccessDenied, MalformedReply, ResultsExpired
from flowquery.core.model import Family, Peak, Query, Window
from flowquery.sweep.output import sweep_output
from flowquery.sweep.state import Progress, Sweep
from flowquery.sweep.store import MOST_ATTEMPTS, MOST_THROTTLES, SweepStore
from tests.sweep.service import WINDOW, Bucket, Service, sweep_of, through_json

NEXT_WINDOW = Window(WINDOW.end_time, WINDOW.end_time + timedelta(hours=1))
PEAK = 7.5  # of every query of the service


def ended(count: int, windows: tuple[Window, ...] = (WINDOW,), **more: Any) -> Sweep:
    """Return a sweep whose queries have succeeded, so many of each window."""
    sweep = sweep_of(count)
    queries = tuple(
        replace(query, window=index, query_id=f"q{index}-{number}", status="SUCCEEDED")
        for index in range(len(windows))
        for number, query in enumerate(sweep.queries)
    )
    return replace(sweep, windows=windows, queries=queries, **more)


def stored(
    sweep: Sweep, service: Service, bucket: Bucket | None = None, seconds: float = 900.0, memory: int = 128
) -> Sweep:
    """Store as one invocation of so many seconds, and return the sweep after it, through JSON."""
    with service.clock(), (bucket or Bucket()).answering():
        store = SweepStore(sweep, "results", service.results_page, lambda: seconds - service.now)
        store.run()
        return through_json(store.answer(memory))


class Results(Service):
    """Answers other results for some queries: a page, or an error."""

    def __init__(self, answers: dict[str, Any]) -> None:
        super().__init__()
        self.answers = answers

    def results_page(self, query: Query, token: str | None) -> dict[str, Any]:
        page = super().results_page(query, token)
        answer = self.answers.get(query.query_id, page)
        if isinstance(answer, Exception):
            raise answer
        return {**page, **answer}


def test_what_succeeded_of_a_window_is_one_object() -> None:
    bucket = Bucket()

    sweep = stored(ended(3, (WINDOW, NEXT_WINDOW)), Service(), bucket)

    assert [len(rows) for rows, _ in bucket.objects.values()] == [9, 9]
    assert [(each.window, each.key, each.rows) for each in sweep.stored] == [
        (index, key, 9) for index, key in enumerate(bucket.objects)
    ]
    assert sweep.progress is Progress.COMPLETE
    assert {(query.rows, query.unit) for query in sweep.queries} == {(3, "Count")}
    assert {query.peak and query.peak.value for query in sweep.queries} == {PEAK}


@pytest.mark.parametrize("error", [ResultsExpired("gone"), AccessDenied("no"), MalformedReply("cut")])
def test_a_query_whose_results_cannot_be_used_keeps_no_other_from_being_stored(error: Exception) -> None:
    bucket = Bucket()

    sweep = stored(ended(3), Results({"q0-1": error}), bucket)

    assert [query.status for query in sweep.queries] == ["SUCCEEDED", type(error).__name__, "SUCCEEDED"]
    assert [row["label"] for row in next(iter(bucket.objects.values()))[0]] == ["q0-0"] * 3 + ["q0-2"] * 3
    assert sweep_output(sweep, "us-east-1")["status"] == "INCOMPLETE"


def test_a_window_of_which_nothing_can_be_used_is_no_object() -> None:
    bucket = Bucket()

    sweep = stored(ended(1), Results({"q0-0": ResultsExpired("gone")}), bucket)

    assert (bucket.objects, sweep.stored, sweep.progress) == ({}, (), Progress.COMPLETE)


def test_a_page_that_is_cut_short_is_fetched_again() -> None:
    class CutTwice(Service):
        def results_page(self, query: Query, token: str | None) -> dict[str, Any]:
            page = super().results_page(query, token)
            if len(self.requests) < MOST_ATTEMPTS:
                raise MalformedReply("cut")
            return page

    service = CutTwice()

    assert stored(ended(1), service).queries[0].rows == 3
    assert len(service.requests) == MOST_ATTEMPTS


def test_a_query_whose_results_do_not_come_fails_alone() -> None:
    bucket, service = Bucket(), Service(script=("none", "fault", "fault", "fault"))

    sweep = stored(ended(3), service, bucket)

    assert [query.status for query in sweep.queries] == ["SUCCEEDED", "TransientFault", "SUCCEEDED"]
    assert [each.rows for each in sweep.stored] == [6]
    assert sweep.progress is Progress.COMPLETE


@given(st.integers(1, 4), st.integers(0, 30))
def test_throttles_slow_the_pace_and_lose_nothing(count: int, throttles: int) -> None:
    bucket, service = Bucket(), Service(script=("throttled",) * throttles)

    sweep = stored(ended(count), service, bucket)

    failed = [query for query in sweep.queries if query.has_failed]
    assert {query.status for query in failed} <= {"Throttled"}
    assert len(failed) == (throttles >= MOST_THROTTLES)
    assert sum(each.rows for each in sweep.stored) == 3 * (count - len(failed))
    assert (sweep.pace.rate < sweep.pace.ceiling) == (throttles > 0)


def test_what_there_is_no_time_for_is_left_to_the_next_invocation_and_stored_only_once() -> None:
    bucket, slow = Bucket(), Service(call=20.0)
    sweep = stored(ended(3, (WINDOW, NEXT_WINDOW)), slow, bucket, seconds=100)
    assert sweep.progress is Progress.ENDED
    assert [query.rows for query in sweep.queries] == [3, 3, None, None, None, None]

    while sweep.progress is Progress.ENDED:
        sweep = stored(sweep, slow, bucket, seconds=slow.now + 100)

    assert [query.rows for query in sweep.queries] == [3] * 6
    labels = [row["label"] for rows, _ in bucket.objects.values() for row in rows]
    assert sorted(labels) == sorted(f"q{window}-{number}" for window in (0, 1) for number in range(3) for _ in range(3))


def test_a_query_that_does_not_fit_a_whole_invocation_at_its_rate_fails() -> None:
    before = ended(1)
    slow = replace(before, pace=replace(before.pace, rate=0.001, next_at=2_000.0))

    sweep = stored(slow, Service(), Bucket())

    assert [query.status for query in sweep.queries] == ["Throttled"]
    assert "do not fit one invocation at 0.001 requests a second" in sweep.queries[0].cause


def test_transitions_invocations_and_time_of_a_step_are_counted() -> None:
    before = ended(1)

    sweep = stored(before, Service(call=4.0), memory=256)

    assert sweep.poll.transitions == before.poll.transitions + 2  # StoreSweep, ChooseOutcome
    assert sweep.poll.requests == before.poll.requests + 1
    assert (sweep.poll.elapsed_seconds, sweep.poll.gb_seconds) == (4.0, 1.0)


# --- An object that is there already ---


def test_fresh_findings_stay_where_another_attempt_has_stored_the_object() -> None:
    """The answer of that attempt was lost, so nobody has been told of its findings."""
    bucket, above = Bucket(), {"TIMEOUTS": PEAK - 1}
    first = stored(ended(2, alarm_above=above), Service(), bucket)

    again = stored(ended(2, alarm_above=above), Service(), bucket)

    assert again == first
    output: Any = sweep_output(again, "us-east-1")
    assert (output["status"], output["finding"]) == ("SUCCEEDED", True)
    assert [(query["status"], query["rows"], query["finding"]) for query in output["queries"]] == [
        ("SUCCEEDED", 3, True)
    ] * 2
    assert output["windows"][0]["objects"] == [{"bucket": "results", "key": first.stored[0].key, "rows": 6}]


def test_the_object_that_is_there_is_named_with_its_own_rows() -> None:
    bucket = Bucket()
    stored(ended(1), Service(), bucket)
    [(key, (rows, metadata))] = bucket.objects.items()

    bucket.objects[key] = (rows, {**metadata, "rows": "1234"})
    again = stored(ended(1), Service(), bucket)

    assert [(each.key, each.rows) for each in again.stored] == [(key, 1234)]
    assert bucket.objects[key][0] == rows
    assert again.queries[0].rows == 3


@pytest.mark.parametrize("metadata", [{}, {"rows": "many"}])
def test_an_object_of_somebody_else_is_no_success(metadata: dict[str, str]) -> None:
    bucket = Bucket()
    stored(ended(1), Service(), bucket)
    [key] = bucket.objects

    bucket.objects[key] = ([], metadata)
    with pytest.raises(MalformedReply, match="not stored by this application"):
        stored(ended(1), Service(), bucket)


# --- What the state carries ---


@pytest.mark.parametrize(
    ("label", "kept"),
    [("use1-az1", "use1-az1"), ("a" * 5_000, "a" * 40), ("\N{GRINNING FACE}" * 99, "\N{GRINNING FACE}" * 16)],
)
def test_the_label_of_a_peak_is_cut(label: str, kept: str) -> None:
    points = {"datapoints": [{"label": label, "timestamps": [WINDOW.start_time], "values": [9.0]}]}

    sweep = stored(ended(1), Results({"q0-0": points}))

    assert sweep.queries[0].peak == Peak(9.0, kept, "2026-11-24T08:00:00Z")


@pytest.mark.parametrize(("count", "kept"), [(20, 1), (21, 0)])
def test_contributors_are_kept_of_no_more_rankings_than_fit_the_state(count: int, kept: int) -> None:
    sweep = stored(ended(count, family=Family.RANKING, limit=10), Service())

    assert {len(query.contributors) for query in sweep.queries} == {kept}
    assert {query.rows for query in sweep.queries} == {1}
