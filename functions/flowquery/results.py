"""Pages of results to rows on disk: every row or an error, in memory bounded by a page."""

from __future__ import annotations

import hashlib
import json
import math
import zlib
from dataclasses import dataclass, field
from datetime import UTC, date
from typing import TYPE_CHECKING, cast

from flowquery.errors import MalformedReply, ResultsTooLarge
from flowquery.inputs import parse_object, parse_query, parse_selection
from flowquery.model import Peak, Query, Selection, timestamp_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import BinaryIO

    from mypy_boto3_networkflowmonitor.type_defs import (
        GetQueryResultsWorkloadInsightsTopContributorsDataOutputTypeDef as ResultsPage,
    )
    from mypy_boto3_networkflowmonitor.type_defs import WorkloadInsightsTopContributorsDataPointTypeDef as Series

    Page = Mapping[str, object]

MOST_BYTES = 400 * 1024 * 1024  # of the 512 MB that /tmp has
SECONDS_TO_STORE = 30.0
GZIP = 31  # zlib's way to say: a gzip file, and of the largest window; its header holds no time
COMPRESSION = 1  # the fastest: level 6 takes a sixth off the size, and twice the time
NARROW = "ask for a shorter window, or for one destination category at a time"
SELECTION_FIELDS = ("metricName", "destinationCategory", "startTime", "endTime")


@dataclass(frozen=True)
class Batch:
    """Rows of a page that have one label: their lines, and what the summary takes from them.

    Rows of a family without a time series have no `timestamps`.
    """

    label: str
    values: Sequence[float]
    timestamps: Sequence[str]
    lines: str


@dataclass(frozen=True)
class Table:
    """Where the rows of a family of results go, and how a page of its results becomes rows."""

    prefix: str
    batches: Callable[[Fetch, Page], Iterator[Batch]]


def series_batches(fetch: Fetch, page: Page) -> Iterator[Batch]:
    """Yield the rows of each series of WorkloadInsightsTopContributorsData, as `schemas/results.row.json` says.

    Labels are verbatim and values as `repr` writes them, which reads back as the same number.
    """
    data = cast("ResultsPage", page)
    chosen = fetch.selection.to_json() if fetch.selection else {}
    same = {
        "scopeId": fetch.query.scope_id,
        "metricName": chosen.get("metricName"),
        "destinationCategory": chosen.get("destinationCategory"),
        "unit": data["unit"],
    }
    end = f",{_json(same)[1:]}\n"
    for series in data["datapoints"]:
        timestamps, values = _points(series)
        middle = f'","label":{_json(series["label"])},"value":'
        points = zip(timestamps, values, strict=True)
        lines = "".join([f'{{"timestamp":"{timestamp}{middle}{value!r}{end}' for timestamp, value in points])
        yield Batch(series["label"], values, timestamps, lines)


TIME_SERIES = Table("results", series_batches)


@dataclass(frozen=True)
class Fetch:
    """Which results to fetch; the selection is what the query asked for, where the caller knows it."""

    query: Query
    selection: Selection | None
    table: Table = TIME_SERIES

    @classmethod
    def parse(cls, event: object, allowed: Mapping[str, tuple[str, ...]]) -> Fetch:
        fields = parse_object(event)
        selected = any(fields.get(name) is not None for name in SELECTION_FIELDS)
        return cls(parse_query(fields), parse_selection(fields, allowed) if selected else None)

    def to_json(self) -> dict[str, str]:
        return {**self.query.to_json(), **(self.selection.to_json() if self.selection else {})}

    def key(self, summary: Summary) -> str:
        """Return where the rows belong: by selection, so that a window is stored once, else by query.

        A query that was handed in is dated by its first row, which is the same however often it is fetched.
        """
        if self.selection is None:
            day = summary.first_timestamp[:10] or date(1970, 1, 1).isoformat()
            return f"{self.table.prefix}/date={day}/{self.query.scope_id}-query-{self.query.query_id}.jsonl.gz"
        chosen, start, end = self.selection, self.selection.start_time, self.selection.end_time
        return (
            f"{self.table.prefix}/date={start:%Y-%m-%d}/{self.query.scope_id}-{chosen.metric_name}-"
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

    def to_metadata(self) -> dict[str, str]:
        """Return it as an object's metadata, whose names S3 keeps in lower case."""
        told = {"unit": self.unit, "rows": str(self.rows), "series": str(self.series), "sha256": self.sha256}
        if self.peak:
            told["peak"] = json.dumps(self.peak.to_json())
        if self.first_timestamp:
            told |= {"firsttimestamp": self.first_timestamp, "lasttimestamp": self.last_timestamp}
        return told

    @classmethod
    def from_metadata(cls, told: Mapping[str, str]) -> Summary:
        """Read `to_metadata` back; raises KeyError, TypeError or ValueError on what it did not write."""
        return cls(
            unit=told["unit"],
            rows=int(told["rows"]),
            series=int(told["series"]),
            peak=Peak(**json.loads(told["peak"])) if "peak" in told else None,
            first_timestamp=told.get("firsttimestamp", ""),
            last_timestamp=told.get("lasttimestamp", ""),
            sha256=told["sha256"],
        )


@dataclass
class _Tally:
    unit: str | None = None
    rows: int = 0
    peak: Peak | None = None
    first: str = ""
    last: str = ""
    labels: set[int] = field(default_factory=set)  # their hashes, since a label may be long

    def add(self, page: Page, batches: list[Batch]) -> bytes:
        """Count the page in and return its lines; a page is what memory has to hold."""
        self._add_unit(str(page.get("unit", "None")))
        for batch in batches:
            self.labels.add(hash(batch.label))
            if batch.values:
                self._add_values(batch)
        try:
            return "".join([batch.lines for batch in batches]).encode()
        except UnicodeEncodeError as error:  # half a surrogate pair, which no reader of UTF-8 takes
            raise MalformedReply("a label is not text") from error

    def _add_unit(self, unit: str) -> None:
        if self.unit not in (None, unit):
            raise MalformedReply(f"the unit changes between pages, from {self.unit} to {unit}")
        if not (unit.isascii() and unit.isprintable() and len(unit) <= 64):
            raise MalformedReply("the unit is not a name")
        self.unit = unit

    def _add_values(self, batch: Batch) -> None:
        self.rows += len(batch.values)
        highest = max(batch.values)
        if self.peak is None or highest > self.peak.value:
            at = batch.timestamps[batch.values.index(highest)] if batch.timestamps else ""
            self.peak = Peak(highest, batch.label, at)
        if batch.timestamps:
            self.first = min(self.first or batch.timestamps[0], *batch.timestamps)
            self.last = max(self.last, *batch.timestamps)

    def summary(self, sha256: str) -> Summary:
        return Summary(self.unit or "None", self.rows, len(self.labels), self.peak, self.first, self.last, sha256)


def spool(fetch: Fetch, pages: Iterable[Page], file: BinaryIO, remaining_seconds: Callable[[], float]) -> Summary:
    """Write every row of every page to `file`, as gzipped JSON lines, the same bytes each time.

    Raises
    ------
    MalformedReply
        Timestamps and values of different length, a value that is not a number, a unit that changes.
    ResultsTooLarge
        More than the disk or the time left can take; told before anything is stored.
    """
    tally, digest, gzip = _Tally(), hashlib.sha256(), zlib.compressobj(COMPRESSION, wbits=GZIP)
    too_large = f"the results outgrow the function; {NARROW}"
    try:
        for page in pages:
            lines = tally.add(page, list(fetch.table.batches(fetch, page)))
            digest.update(lines)
            file.write(gzip.compress(lines))
            if file.tell() > MOST_BYTES or remaining_seconds() < SECONDS_TO_STORE:
                raise ResultsTooLarge(f"{too_large} (after {tally.rows} rows)")
        file.write(gzip.flush())
    except OSError as error:  # of the disk: those of the network have names by now
        raise ResultsTooLarge(f"{too_large} ({error})") from error
    return tally.summary(digest.hexdigest())


def _points(series: Series) -> tuple[list[str], list[float]]:
    timestamps, values = series["timestamps"], series["values"]
    if len(timestamps) != len(values):
        raise MalformedReply(f"a series has {len(timestamps)} timestamps and {len(values)} values")
    if not all(map(math.isfinite, values)):
        raise MalformedReply("a series has a value that is not finite")
    return [timestamp_text(timestamp.astimezone(UTC)) for timestamp in timestamps], values


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
