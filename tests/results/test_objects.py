"""Keys and metadata of stored objects: what is written is read back, and a key says what it holds and nobody else's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowquery.core.model import Family, Peak, Query, QueryRequest, Selection, Window
from flowquery.results.objects import (
    query_key,
    query_metadata,
    read_selections,
    read_summary,
    read_sweep_key,
    read_sweep_selections,
    selections_digest,
    selections_text,
    sweep_key,
    sweep_metadata,
    sweep_prefix,
)
from flowquery.results.request import ResultsRequest
from flowquery.results.spool import Summary
from tests.loopback import QUERY_ID, SCOPE_ID

START = datetime(2026, 11, 24, 8, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(minutes=15))
moments = st.integers(0, 3_000_000_000).map(
    lambda seconds: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)
names = st.sampled_from(["TIMEOUTS", "RETRANSMISSIONS", "DATA_TRANSFERRED"])
categories = st.sampled_from(["INTRA_AZ", "INTER_AZ", "INTER_VPC", "INTERNET", "AMAZON_S3"])
selections = st.sets(st.builds(Selection, names, categories), min_size=1)
ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,40}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
timestamps = moments.map(lambda moment: moment.isoformat().replace("+00:00", "Z"))
numbers = st.floats(allow_nan=False, allow_infinity=False)
summaries = st.builds(
    Summary,
    unit=st.sampled_from(["Count", "Bytes", "None"]),
    rows=st.integers(0, 10**9),
    series=st.integers(0, 10**6),
    peak=st.none() | st.builds(Peak, numbers, texts, timestamps),
    first_timestamp=st.just("") | timestamps,
    sha256=st.just("ab" * 32),
).map(lambda summary: Summary(**{**vars(summary), "last_timestamp": summary.first_timestamp}))
HANDED_IN = ResultsRequest(Query(SCOPE_ID, QUERY_ID), None)
SELECTION = Selection("TIMEOUTS", "INTER_AZ")


def request(family: Family = Family.DATA, limit: int | None = None) -> ResultsRequest:
    return ResultsRequest(Query(SCOPE_ID, QUERY_ID, family), QueryRequest(SELECTION, WINDOW, limit))


# --- Objects of sweeps ---


@given(selections)
def test_a_selection_is_read_back_from_its_text(selections: set[Selection]) -> None:
    assert read_selections(selections_text(selections)) == selections


@given(selections, st.randoms())
def test_the_digest_does_not_depend_on_the_order(selections: set[Selection], random: st.DataObject) -> None:
    shuffled = sorted(selections, key=lambda _: random.random())  # type: ignore[attr-defined]

    assert selections_digest(shuffled) == selections_digest(selections)
    assert selections_text(shuffled) == selections_text(selections)


@given(selections, selections)
def test_other_selections_have_other_texts(first: set[Selection], second: set[Selection]) -> None:
    assert (selections_text(first) == selections_text(second)) == (first == second)


@pytest.mark.parametrize("text", ["", "TIMEOUTS", "TIMEOUTS:INTER_AZ:INTRA_AZ"])
def test_what_is_no_text_of_selections_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="unpack"):
        read_selections(text)


@given(ids, moments, st.integers(1, 10**6), selections)
def test_a_key_is_read_back(scope_id: str, start: datetime, seconds: int, selections: set[Selection]) -> None:
    window = Window(start, start + timedelta(seconds=seconds))

    key = sweep_key(scope_id, window, selections)

    assert key.startswith(sweep_prefix(scope_id, window))
    assert read_sweep_key(scope_id, window, key) == (window, selections_digest(selections))


@given(ids, ids, selections)
def test_a_key_of_another_scope_is_not_one_of_this_scope_however_alike_they_begin(
    scope_id: str, other: str, selections: set[Selection]
) -> None:
    for another in {other, f"{scope_id}-sweep", f"{scope_id}-sweep-2", f"{scope_id}2", scope_id[:-1] or "x"}:
        if another != scope_id:
            assert read_sweep_key(scope_id, WINDOW, sweep_key(another, WINDOW, selections)) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "q1",
        "20261124T080000Z-20261124T081500Z",
        *(f"20261124T080000Z-20261124T081500Z-{end}" for end in ("0123ABCD", "0123abc", "0123abcd.json")),
    ],
)
def test_a_key_that_no_sweep_wrote_is_not_read(name: str) -> None:
    assert read_sweep_key("scope", WINDOW, f"{sweep_prefix('scope', WINDOW)}{name}.jsonl.gz") is None


def test_a_ranking_is_of_its_own_table_and_of_its_own_limit() -> None:
    ranking = sweep_key("scope", WINDOW, [SELECTION], Family.RANKING, 10)

    assert ranking.startswith(sweep_prefix("scope", WINDOW, Family.RANKING))
    assert ranking.startswith("contributors/")
    assert ranking.endswith("-top10.jsonl.gz")
    assert read_sweep_key("scope", WINDOW, ranking) is None
    assert read_sweep_key("scope", WINDOW, ranking, Family.RANKING, 10) is not None
    for limit in (1, 100, None):
        assert read_sweep_key("scope", WINDOW, ranking, Family.RANKING, limit) is None


def test_the_object_of_a_single_query_is_not_one_of_a_sweep() -> None:
    assert read_sweep_key(SCOPE_ID, WINDOW, query_key(request(), Summary("Count"))) is None
    assert read_sweep_key("scope", WINDOW, sweep_prefix("scope", WINDOW) + "q1.jsonl.gz") is None


@given(st.dictionaries(st.builds(Selection, names, categories), summaries, min_size=1))
def test_the_metadata_of_a_sweep_says_what_its_object_holds(held: dict[Selection, Summary]) -> None:
    metadata = sweep_metadata(SCOPE_ID, WINDOW, held, "ab" * 32)

    assert read_sweep_selections(metadata) == set(held)
    assert int(metadata["rows"]) == sum(summary.rows for summary in held.values())
    assert metadata["queries"] == str(len(held))
    firsts = [summary.first_timestamp for summary in held.values() if summary.first_timestamp]
    assert metadata.get("firsttimestamp") == min(firsts, default=None)
    assert metadata.get("lasttimestamp") == max(firsts, default=None)


# --- Objects of single queries ---


def test_the_key_of_a_query_is_that_of_its_request_whoever_runs_it() -> None:
    key = query_key(request(), Summary("Count"))

    assert key == f"results/date=2026-11-24/{SCOPE_ID}-TIMEOUTS-INTER_AZ-20261124T080000Z-20261124T081500Z.jsonl.gz"
    another = ResultsRequest(Query(SCOPE_ID, "another"), request().query_request)
    assert query_key(another, Summary("Bytes", rows=9)) == key


def test_the_key_of_a_ranking_has_its_limit() -> None:
    keys = {query_key(request(Family.RANKING, limit), Summary("None")) for limit in (None, 10, 500)}

    name = f"contributors/date=2026-11-24/{SCOPE_ID}-TIMEOUTS-INTER_AZ-20261124T080000Z-20261124T081500Z"
    assert keys == {f"{name}-top{limit}.jsonl.gz" for limit in ("", "10", "500")}


def test_a_query_that_was_handed_in_is_dated_by_its_first_row() -> None:
    assert query_key(HANDED_IN, Summary("Count", first_timestamp="2024-12-09T19:00:00Z")) == (
        f"results/date=2024-12-09/{SCOPE_ID}-query-{QUERY_ID}.jsonl.gz"
    )
    unrequested = ResultsRequest(Query(SCOPE_ID, QUERY_ID, Family.RANKING), None)
    assert query_key(unrequested, Summary("None")) == (
        f"contributors/date=1970-01-01/{SCOPE_ID}-query-{QUERY_ID}.jsonl.gz"
    )


@given(summaries)
def test_a_summary_is_read_back_from_the_metadata(summary: Summary) -> None:
    for results_request in (HANDED_IN, request()):
        metadata = query_metadata(results_request, summary)

        assert read_summary(metadata).to_json() == summary.to_json()
        assert all(name == name.lower() for name in metadata)  # as S3 keeps them
        assert all(value.isascii() for value in metadata.values())


OURS = query_metadata(request(), Summary("Count", sha256="0"))


@pytest.mark.parametrize(
    "metadata",
    [{}, {"unit": "Count"}, {**OURS, "rows": "many"}, {**OURS, "peak": "{}"}, {**OURS, "peak": "no JSON"}],
)
def test_other_metadata_is_not_read(metadata: dict[str, str]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        read_summary(metadata)
