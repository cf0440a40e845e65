"""Pages of results to rows on disk: every row or an error, in memory bounded by a page."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
from dataclasses import dataclass, field
from datetime import UTC, date
from typing import TYPE_CHECKING

from flowquery.errors import MalformedReply, ResultsTooLarge
from flowquery.inputs import parse_object, parse_query, parse_selection
from flowquery.model import Peak, Query, Selection, timestamp_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from mypy_boto3_networkflowmonitor.type_defs import (
        GetQueryResultsWorkloadInsightsTopContributorsDataOutputTypeDef as ResultsPage,
    )
    from mypy_boto3_networkflowmonitor.type_defs import WorkloadInsightsTopContributorsDataPointTypeDef as Series

MOST_BYTES = 400 * 1024 * 1024  # of the 512 MB that /tmp has
SECONDS_TO_STORE = 30.0
NARROW = "ask for a shorter window, or for one destination category at a time"
SELECTION_FIELDS = ("metricName", "destinationCategory", "startTime", "endTime")


@dataclass(frozen=True)
class Fetch:
    """Which results to fetch; the selection is what the query asked for, where the caller knows it."""

    query: Query
    selection: Selection | None

    @classmethod
    def parse(cls, event: object, allowed: Mapping[str, tuple[str, ...]]) -> Fetch:
        fields = parse_object(event)
        selected = any(fields.get(name) is not None for name in SELECTION_FIELDS)
        return cls(parse_query(fields), parse_selection(fields, allowed) if selected else None)

    def to_json(self) -> dict[str, object]:
        return {**self.query.to_json(), **(self.selection.to_json() if self.selection else {})}

    def key(self, summary: Summary) -> str:
        """Return where the rows belong: by selection, so that a window is stored once, else by query.

        A query that was handed in is dated by its first row, which is the same however often it is fetched.
        """
        if self.selection is None:
            day = summary.first_timestamp[:10] or date(1970, 1, 1).isoformat()
            return f"results/date={day}/{self.query.scope_id}-query-{self.query.query_id}.jsonl.gz"
        chosen, start, end = self.selection, self.selection.start_time, self.selection.end_time
        return (
            f"results/date={start:%Y-%m-%d}/{self.query.scope_id}-{chosen.metric_name}-"
            f"{chosen.destination_category}-{start:%Y%m%dT%H%M%SZ}-{end:%Y%m%dT%H%M%SZ}.jsonl.gz"
        )


@dataclass(frozen=True)
class Summary:
    """What a caller needs to know of rows that it does not see."""

    unit: str
    rows: int = 0
    series: int = 0
    peak: Peak | None = None
    first_timestamp: str = ""
    last_timestamp: str = ""
    sha256: str = ""

    def to_json(self) -> dict[str, object]:
        return {
            "unit": self.unit,
            "rows": self.rows,
            "series": self.series,
            "empty": self.rows == 0,
            "peak": self.peak.to_json() if self.peak else None,
            "firstTimestamp": self.first_timestamp or None,
            "lastTimestamp": self.last_timestamp or None,
            "sha256": self.sha256,
        }


@dataclass
class _Tally:
    unit: str | None = None
    rows: int = 0
    peak: Peak | None = None
    first: str = ""
    last: str = ""
    labels: set[str] = field(default_factory=set)

    def add(self, timestamp: str, label: str, value: float) -> None:
        self.rows += 1
        self.first = min(self.first or timestamp, timestamp)
        self.last = max(self.last, timestamp)
        if self.peak is None or value > self.peak.value:
            self.peak = Peak(value, label, timestamp)


def spool(fetch: Fetch, pages: Iterable[ResultsPage], path: Path, remaining_seconds: Callable[[], float]) -> Summary:
    """Write every row of every page to `path`, as gzipped JSON lines, the same bytes each time.

    Raises
    ------
    MalformedReply
        Timestamps and values of different length, a value that is not a number, a unit that changes.
    ResultsTooLarge
        More than the disk or the time left can take.
    """
    tally, digest = _Tally(), hashlib.sha256()
    with path.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as spooled:
        for page in pages:
            if raw.tell() > MOST_BYTES or remaining_seconds() < SECONDS_TO_STORE:
                raise ResultsTooLarge(f"the results outgrow the function after {tally.rows} rows; {NARROW}")
            for line in _lines(fetch, page, tally):
                digest.update(line)
                spooled.write(line)
    return Summary(
        unit=tally.unit or "None",
        rows=tally.rows,
        series=len(tally.labels),
        peak=tally.peak,
        first_timestamp=tally.first,
        last_timestamp=tally.last,
        sha256=digest.hexdigest(),
    )


def _lines(fetch: Fetch, page: ResultsPage, tally: _Tally) -> Iterator[bytes]:
    if tally.unit not in (None, page["unit"]):
        raise MalformedReply(f"the unit changes between pages, from {tally.unit} to {page['unit']}")
    tally.unit = page["unit"]
    chosen = fetch.selection.to_json() if fetch.selection else {}
    constant = {
        "scopeId": fetch.query.scope_id,
        "metricName": chosen.get("metricName"),
        "destinationCategory": chosen.get("destinationCategory"),
        "unit": tally.unit,
    }
    for series in page["datapoints"]:
        tally.labels.add(series["label"])
        for timestamp, value in _points(series):
            tally.add(timestamp, series["label"], value)
            row = {"timestamp": timestamp, "label": series["label"], "value": value, **constant}
            yield json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass") + b"\n"


def _points(series: Series) -> Iterator[tuple[str, float]]:
    timestamps, values = series["timestamps"], series["values"]
    if len(timestamps) != len(values):
        raise MalformedReply(f"a series has {len(timestamps)} timestamps and {len(values)} values")
    for timestamp, value in zip(timestamps, values, strict=True):
        if not math.isfinite(value):
            raise MalformedReply(f"a series has the value {value}")
        yield timestamp_text(timestamp.astimezone(UTC)), value
