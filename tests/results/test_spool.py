"""Pages become rows whole or not at all, whatever the pages look like, in the memory of one page."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import json
import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowquery.core.errors import MalformedReply, ResultsTooLarge
from flowquery.core.model import Family, Peak, Query, QueryRequest, Selection, Window
from flowquery.results.request import ResultsRequest
from flowquery.results.spool import Spool, Summary
from tests.loopback import QUERY_ID, ROOT, SCOPE_ID

HANDED_IN = ResultsRequest(Query(SCOPE_ID, QUERY_ID), None)

# --- shapes of pages ---

moments = st.datetimes(datetime(2025, 1, 1), datetime(2030, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
points = st.lists(st.tuples(moments, st.floats(allow_nan=False, allow_infinity=False)), max_size=6)
series = st.tuples(st.sampled_from(["a", "b"]) | texts, points).map(
    lambda made: {"label": made[0], "timestamps": [at for at, _ in made[1]], "values": [value for _, value in made[1]]}
)
pages = st.lists(st.lists(series, max_size=4), min_size=1, max_size=4)


def page(*datapoints: dict[str, Any], unit: str = "Count") -> dict[str, Any]:
    return {"unit": unit, "datapoints": list(datapoints)}


def spooled(*given: dict[str, Any], remaining: float = 900) -> tuple[Summary, list[dict[str, Any]], bytes]:
    file = io.BytesIO()
    spool = Spool(file, lambda: remaining)
    summary = replace(spool.add(HANDED_IN, given), sha256=spool.finish())
    lines = gzip.decompress(file.getvalue()).split(b"\n")
    assert lines.pop() == b""
    return summary, [json.loads(line) for line in lines], file.getvalue()


@given(pages)
def test_every_point_is_a_row_and_the_summary_is_that_of_the_rows(shapes: list[list[dict[str, Any]]]) -> None:
    summary, rows, _ = spooled(*[page(*datapoints) for datapoints in shapes])

    every = [
        (one["label"], at, value)
        for shape in shapes
        for one in shape
        for at, value in zip(one["timestamps"], one["values"], strict=True)
    ]
    assert [(row["label"], datetime.fromisoformat(row["timestamp"]), repr(row["value"])) for row in rows] == [
        (label, at, repr(value)) for label, at, value in every
    ]
    assert summary.rows == len(every)
    assert summary.series == len({one["label"] for shape in shapes for one in shape})
    if every:
        highest = max(value for *_, value in every)
        assert summary.peak is not None
        assert (summary.peak.label, summary.peak.value) == next((n, v) for n, _, v in every if v == highest)
        texts_of = [row["timestamp"] for row in rows]
        assert (summary.first_timestamp, summary.last_timestamp) == (min(texts_of), max(texts_of))


@given(pages)
def test_the_same_pages_are_the_same_bytes(shapes: list[list[dict[str, Any]]]) -> None:
    given = [page(*datapoints) for datapoints in shapes]

    assert spooled(*given) == spooled(*given)


@given(series.filter(lambda one: one["values"]), st.sampled_from([math.nan, math.inf, -math.inf]), st.data())
def test_a_value_that_is_no_number_is_refused_wherever_it_stands(one: Any, bad: float, data: st.DataObject) -> None:
    values = list(one["values"])
    values[data.draw(st.integers(0, len(values) - 1))] = bad

    with pytest.raises(MalformedReply, match="not finite"):
        spooled(page({**one, "values": values}))


@given(series, st.integers(0, 9))
def test_ragged_series_are_refused(one: dict[str, Any], length: int) -> None:
    values = (one["values"] * 10 or [1.0] * 10)[:length]
    if length != len(one["timestamps"]) and len(values) == length:
        with pytest.raises(MalformedReply, match="timestamps and"):
            spooled(page({**one, "values": values}))


def test_half_a_surrogate_pair_is_no_text() -> None:
    one = {"label": "\ud800", "timestamps": [datetime(2026, 11, 24, tzinfo=UTC)], "values": [1.0]}

    with pytest.raises(MalformedReply, match="not text"):
        spooled(page(one))


@pytest.mark.parametrize("unit", ["Count\n", "Zähler", "x" * 65])
def test_a_unit_that_is_no_name_is_refused(unit: str) -> None:
    with pytest.raises(MalformedReply, match="unit"):
        spooled(page(unit=unit))


def test_a_time_with_an_offset_is_stored_in_utc() -> None:
    at = datetime.fromisoformat("2026-11-24T10:00:00.25+02:00")

    _, [row], _ = spooled(page({"label": "a", "timestamps": [at], "values": [1.0]}))

    assert row["timestamp"] == "2026-11-24T08:00:00.250000Z"


# --- many queries in one file ---


class SmallDisk(io.BytesIO):
    """A file without a buffer on a disk that takes so many bytes."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def write(self, data: Any) -> int:
        room = self.size - self.tell()
        if room <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(bytes(data)[:room])


def request_of(category: str, family: Family = Family.DATA) -> ResultsRequest:
    window = Window(datetime(2026, 11, 24, 8, tzinfo=UTC), datetime(2026, 11, 24, 9, tzinfo=UTC))
    return ResultsRequest(Query(SCOPE_ID, QUERY_ID, family), QueryRequest(Selection("TIMEOUTS", category), window, 500))


def noise(size: int) -> dict[str, Any]:
    """A page of one row that does not get smaller."""
    return page({"label": os.urandom(size).hex(), "timestamps": [datetime(2026, 1, 1, tzinfo=UTC)], "values": [1.0]})


def lines_of(file: io.BytesIO) -> list[Any]:
    return [json.loads(line) for line in gzip.decompress(file.getvalue()).splitlines()]


def failing(given: list[dict[str, Any]], error: BaseException) -> Iterator[dict[str, Any]]:
    yield from given
    raise error


@given(st.lists(st.tuples(pages, st.booleans()), max_size=5))
def test_a_query_that_fails_leaves_the_others_as_they_are(queries: list[tuple[list[Any], bool]]) -> None:
    def spool_all(*, with_failures: bool) -> tuple[list[Summary], str, bytes]:
        file = io.BytesIO()
        spool, summaries = Spool(file, lambda: 900), []
        for number, (shapes, fails) in enumerate(queries):
            request = request_of(f"category {number}")
            given = [page(*datapoints, unit=f"unit {number}") for datapoints in shapes]
            if not fails:
                summaries.append(spool.add(request, given))
            elif with_failures:
                with pytest.raises(KeyboardInterrupt):  # any exception, even one that is no Exception
                    spool.add(request, failing(given, KeyboardInterrupt()))
        return summaries, spool.finish(), file.getvalue()

    summaries, digest, content = spool_all(with_failures=True)

    assert (summaries, digest, content) == spool_all(with_failures=False)
    lines = gzip.decompress(content)
    assert hashlib.sha256(lines).hexdigest() == digest
    units = [f"unit {number}" for number, (_, fails) in enumerate(queries) if not fails]
    assert [summary.unit for summary in summaries] == units
    rows = [json.loads(line) for line in lines.splitlines()]
    assert Counter(row["unit"] for row in rows) == Counter({one.unit: one.rows for one in summaries if one.rows})


@pytest.mark.parametrize("second", [page(unit="Bytes"), page({"label": "a", "timestamps": [], "values": [1.0]})])
def test_what_is_wrong_with_a_later_page_takes_the_earlier_ones_out(second: dict[str, Any]) -> None:
    file = io.BytesIO()
    spool = Spool(file, lambda: 900)
    kept = spool.add(request_of("INTER_AZ"), [noise(10)])

    with pytest.raises(MalformedReply):
        spool.add(request_of("INTRA_AZ"), [noise(100_000), second])
    spool.finish()

    assert kept.rows == 1
    assert [row["destinationCategory"] for row in lines_of(file)] == ["INTER_AZ"]


def test_a_query_that_outgrows_the_disk_leaves_it_to_smaller_ones() -> None:
    disk = SmallDisk(100_000)
    spool = Spool(disk, lambda: 900)
    spool.add(request_of("INTER_AZ"), [noise(1_000)])

    with pytest.raises(ResultsTooLarge, match="shorter window"):
        spool.add(request_of("INTRA_AZ"), [noise(50_000) for _ in range(10)])
    spool.add(request_of("INTER_VPC"), [noise(1_000)])
    spool.finish()

    assert [row["destinationCategory"] for row in lines_of(disk)] == ["INTER_AZ", "INTER_VPC"]


def test_a_file_that_cannot_be_finished_is_a_named_error() -> None:
    file = SmallDisk(100_000)
    spool = Spool(file, lambda: 900)
    spool.add(HANDED_IN, [noise(10)])
    file.size = file.tell()

    with pytest.raises(ResultsTooLarge):
        spool.finish()


def ranked(*values: float | None) -> dict[str, Any]:
    return {"topContributors": [{"remoteIdentifier": f"i-{value}", "value": value} for value in values]}


def test_ranked_rows_are_spooled_by_the_same_code_into_their_own_table() -> None:
    """No unit, no time, and a rank that counts on over pages."""
    request, file = request_of("INTER_AZ", Family.RANKING), io.BytesIO()
    spool = Spool(file, lambda: 900)

    summary = spool.add(request, [ranked(9, 8, 7, 6), ranked(5, 4)])
    spool.finish()

    assert (summary.unit, summary.rows, summary.series, summary.first_timestamp) == (None, 6, 6, "")
    assert summary.peak == Peak(9, "i-9", "")
    assert [row["value"] for row in summary.contributors or ()] == [9, 8, 7, 6, 5]
    assert [(row["rank"], row["value"]) for row in lines_of(file)] == [(1, 9), (2, 8), (3, 7), (4, 6), (5, 5), (6, 4)]


def test_a_ranked_row_without_a_value_is_named_by_its_rank() -> None:
    with pytest.raises(MalformedReply, match="row 3 of the ranking"):
        Spool(io.BytesIO(), lambda: 900).add(request_of("INTER_AZ", Family.RANKING), [ranked(9, 8), ranked(None)])


def test_a_ranking_beyond_any_limit_is_refused() -> None:
    given = (ranked(*range(500)) for _ in range(21))

    with pytest.raises(ResultsTooLarge, match="smaller limit"):
        Spool(io.BytesIO(), lambda: 900).add(request_of("INTER_AZ", Family.RANKING), given)


# --- memory ---

# In a process of its own, for what other threads hold meanwhile, such as a loopback server, would be counted as well.
SPOOLING = """
import os, sys, tracemalloc
from datetime import UTC, datetime, timedelta
from flowquery.core.model import Query
from flowquery.results.request import ResultsRequest
from flowquery.results.spool import Spool

times = [datetime(2026, 11, 24, tzinfo=UTC) + timedelta(minutes=5 * index) for index in range(100)]
pages = (
    {
        "unit": "Count",
        "datapoints": [{"label": f"{number}-{one}", "timestamps": times, "values": [0.1] * 100} for one in range(5)],
    }
    for number in range(int(sys.argv[1]))
)
tracemalloc.start()
with open(os.devnull, "wb") as file:
    Spool(file, lambda: 900).add(ResultsRequest(Query("scope", "query"), None), pages)
print(tracemalloc.get_traced_memory()[1])
"""


def test_memory_is_that_of_a_page_however_many_there_are() -> None:
    def peak(count: int) -> int:
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "functions"), "PYTHONHASHSEED": "0"}
        command = [sys.executable, "-c", SPOOLING, str(count)]
        return int(subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout)

    assert peak(100) < 1.1 * peak(10)
