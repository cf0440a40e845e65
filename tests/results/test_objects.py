"""Windows: how time is cut, and that a key says what it holds and nobody else's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from flowquery.results.windows import (
    Selection,
    Window,
    cut,
    days,
    digest,
    key,
    prefix,
    read_key,
    read_selection,
    selection_text,
)
from hypothesis import given
from hypothesis import strategies as st

from flowquery.core.model import Family

START = datetime(2026, 11, 24, 8, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(minutes=15))
moments = st.integers(0, 3_000_000_000).map(
    lambda seconds: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)
names = st.sampled_from(["TIMEOUTS", "RETRANSMISSIONS", "DATA_TRANSFERRED"])
categories = st.sampled_from(["INTRA_AZ", "INTER_AZ", "INTER_VPC", "INTERNET", "AMAZON_S3"])
selections = st.sets(st.builds(Selection, names, categories), min_size=1)
ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,40}", fullmatch=True)


@given(moments, st.integers(1, 10_000), st.integers(1, 1_000))
def test_a_cut_covers_the_stretch_without_gap_or_overlap(start: datetime, length: int, minutes: int) -> None:
    end = start + timedelta(minutes=length)

    windows = cut(start, end, minutes)

    assert (windows[0].start_time, windows[-1].end_time) == (start, end)
    assert all(earlier.end_time == later.start_time for earlier, later in pairwise(windows))
    assert {window.end_time - window.start_time for window in windows[:-1]} <= {timedelta(minutes=minutes)}
    assert timedelta(0) < windows[-1].end_time - windows[-1].start_time <= timedelta(minutes=minutes)


@given(selections)
def test_a_selection_is_read_back_from_its_text(selections: set[Selection]) -> None:
    assert read_selection(selection_text(selections)) == selections


@given(selections, st.randoms())
def test_the_digest_does_not_depend_on_the_order(selections: set[Selection], random: st.DataObject) -> None:
    shuffled = sorted(selections, key=lambda _: random.random())  # type: ignore[attr-defined]

    assert digest(shuffled) == digest(selections)
    assert selection_text(shuffled) == selection_text(selections)


@given(selections, selections)
def test_other_selections_have_other_texts(first: set[Selection], second: set[Selection]) -> None:
    assert (selection_text(first) == selection_text(second)) == (first == second)


@pytest.mark.parametrize("text", ["", "TIMEOUTS", "TIMEOUTS:INTER_AZ:INTRA_AZ"])
def test_what_is_no_selection_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="unpack"):
        read_selection(text)


@given(ids, moments, st.integers(1, 10**6), selections)
def test_a_key_is_read_back(scope_id: str, start: datetime, seconds: int, selections: set[Selection]) -> None:
    window = Window(start, start + timedelta(seconds=seconds))

    part = read_key(scope_id, window, key(scope_id, window, selections))

    assert part is not None
    assert (part.window, part.digest) == (window, digest(selections))


@given(ids, ids, selections)
def test_a_key_of_another_scope_is_none_of_this_ones_however_alike_they_begin(
    scope_id: str, other: str, selections: set[Selection]
) -> None:
    for another in {other, f"{scope_id}-sweep", f"{scope_id}-sweep-2", f"{scope_id}2", scope_id[:-1] or "x"}:
        if another != scope_id:
            assert read_key(scope_id, WINDOW, key(another, WINDOW, selections)) is None


def test_keys_of_single_queries_and_of_rankings_are_no_sweeps_results() -> None:
    selections = [Selection("TIMEOUTS", "INTER_AZ")]
    ranking = key("scope", WINDOW, selections, Family.RANKING, 10)

    assert ranking.startswith(prefix("scope", WINDOW, Family.RANKING))
    assert ranking.endswith("-top10.jsonl.gz")
    assert read_key("scope", WINDOW, ranking) is None
    assert read_key("scope", WINDOW, prefix("scope", WINDOW) + "q1.jsonl.gz") is None


def test_one_listing_a_day() -> None:
    windows = cut(START, START + timedelta(days=2), 60)

    assert [window.start_time.day for window in days(windows)] == [24, 25, 26]
