"""Pages of results to rows on disk: every row or an error, in memory bounded by a page."""

from __future__ import annotations

import hashlib
import json
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from flowquery.core.errors import MalformedReply, ResultsTooLarge
from flowquery.core.inputs import parse_object, parse_query, parse_query_request
from flowquery.core.model import SELECTION_FIELDS, Peak, Query, QueryRequest
from flowquery.results.rows import TABLES, Table
from flowquery.results.seen import Seen
from flowquery.results.windows import compact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import BinaryIO

    from flowquery.results.rows import Batch, Contributor, Page

MOST_BYTES = 400 * 1024 * 1024  # of the 512 MB that /tmp has
SECONDS_TO_STORE = 30.0
GZIP = 31  # zlib's way to say: a gzip file, and of the largest window; its header holds no time
COMPRESSION = 1  # the fastest: level 6 takes a sixth off the size, and twice the time
NARROW = "ask for a shorter window, or for one destination category at a time"
TOO_LARGE = f"the results outgrow the function; {NARROW}"
NAMED = 5  # contributors of a ranking that a summary names


@dataclass(frozen=True)
class ResultsRequest:
    """Which results to fetch; the request is what the query asked for, where the caller knows it."""

    query: Query
    request: QueryRequest | None

    @property
    def table(self) -> Table:
        return TABLES[self.query.family]

    @classmethod
    def parse(cls, event: object, allowed: Mapping[str, tuple[str, ...]]) -> ResultsRequest:
        fields = parse_object(event)
        selected = any(fields.get(name) is not None for name in SELECTION_FIELDS)
        return cls(parse_query(fields), parse_query_request(fields, allowed) if selected else None)

    def to_json(self) -> dict[str, str]:
        return {**self.query.to_json(), **(self.request.to_json() if self.request else {})}

    def key(self, summary: Summary) -> str:
        """Return where the rows belong: by request, so that a window is stored once, else by query.

        A query that was handed in is dated by its first row, which is the same however often it is fetched; a ranking
        has no times.
        """
        if self.request is None:
            day = summary.first_timestamp[:10] or date(1970, 1, 1).isoformat()
            return f"{self.table.prefix}/date={day}/{self.query.scope_id}-query-{self.query.query_id}.jsonl.gz"
        chosen, start, end = self.request, self.request.start_time, self.request.end_time
        limit = f"-top{chosen.limit or ''}" if self.table.ranked else ""
        return (
            f"{self.table.prefix}/date={start:%Y-%m-%d}/{self.query.scope_id}-{chosen.metric_name}-"
            f"{chosen.destination_category}-{compact(start)}-{compact(end)}{limit}.jsonl.gz"
        )


@dataclass(frozen=True)
class Summary:
    """What a caller needs to know of a query's rows that it does not see; of a ranking, the first `contributors`.

    `sha256` is that of all lines of the object, which is known once the object is finished.
    """

    unit: str
    rows: int = 0
    series: int = 0
    peak: Peak | None = None
    first_timestamp: str = ""
    last_timestamp: str = ""
    sha256: str = ""
    contributors: tuple[Contributor, ...] | None = None

    def to_json(self) -> dict[str, object]:
        if self.contributors is not None:
            return {"rows": self.rows, "empty": self.rows == 0, "topContributors": list(self.contributors)}
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
        """Read `to_metadata` back, which has no contributors.

        Raises KeyError, TypeError or ValueError on what it did not write.
        """
        return cls(
            unit=told["unit"],
            rows=int(told["rows"]),
            series=int(told["series"]),
            peak=Peak(**json.loads(told["peak"])) if "peak" in told else None,
            first_timestamp=told.get("firsttimestamp", ""),
            last_timestamp=told.get("lasttimestamp", ""),
            sha256=told["sha256"],
        )


class Spool:
    """The rows of one query after another in a file, as gzipped JSON lines, the same bytes each time.

    A query is in it whole or not at all, so what cannot be had of one leaves the others as they are.
    """

    def __init__(self, file: BinaryIO, remaining_seconds: Callable[[], float]) -> None:
        """Begin at the file's position; its buffer, if it has one, may keep a full disk from being undone."""
        self._file, self._remaining_seconds = file, remaining_seconds
        self._digest, self._gzip = hashlib.sha256(), zlib.compressobj(COMPRESSION, wbits=GZIP)

    def add(self, fetch: ResultsRequest, pages: Iterable[Page]) -> Summary:
        """Write every row of every page of a query; on any exception, the spool is as it was.

        Raises
        ------
        MalformedReply
            Timestamps and values of different length, a value that is not a number, a unit that changes.
        ResultsTooLarge
            More than the disk or the time left can take; told before anything is stored.
        """
        tally = _Tally()
        with self._undone_on_failure(), _named_disk_errors():
            for page in pages:
                lines = tally.add(page, list(fetch.table.batches(fetch, page, tally.rows)))
                self._digest.update(lines)
                self._write(self._gzip.compress(lines))
                if self._file.tell() > MOST_BYTES or self._remaining_seconds() < SECONDS_TO_STORE:
                    raise ResultsTooLarge(f"{TOO_LARGE} (after {tally.rows} rows)")
        return tally.summary(ranked=fetch.table.ranked)

    def finish(self) -> str:
        """Write the end of the gzip file, and return the sha256 of all lines."""
        with _named_disk_errors():
            self._write(self._gzip.flush())
        return self._digest.hexdigest()

    @contextmanager
    def _undone_on_failure(self) -> Iterator[None]:
        place, digest, gzip = self._file.tell(), self._digest.copy(), self._gzip.copy()
        try:
            yield
        except BaseException:
            self._digest, self._gzip = digest, gzip
            self._file.seek(place)
            self._file.truncate()
            raise

    def _write(self, data: bytes) -> None:
        """Write all of it: a file without a buffer may take a part, as the last of a disk."""
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) :]


@contextmanager
def _named_disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:  # of the disk: those of the network have names by now
        raise ResultsTooLarge(f"{TOO_LARGE} ({error})") from error


@dataclass
class _Tally:
    unit: str | None = None
    rows: int = 0
    peak: Peak | None = None
    first: str = ""
    last: str = ""
    labels: Seen = field(default_factory=Seen)
    contributors: list[Contributor] = field(default_factory=list)

    def add(self, page: Page, batches: list[Batch]) -> bytes:
        """Count the page in and return its lines; a page is what memory has to hold."""
        self._add_unit(str(page.get("unit", "None")))
        for batch in batches:
            self.labels.add(batch.label)
            if batch.values:
                self._add_values(batch)
            if batch.contributor and len(self.contributors) < NAMED:
                self.contributors.append(batch.contributor)
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

    def summary(self, *, ranked: bool) -> Summary:
        return Summary(
            unit=self.unit or "None",
            rows=self.rows,
            series=len(self.labels),
            peak=self.peak,
            first_timestamp=self.first,
            last_timestamp=self.last,
            contributors=tuple(self.contributors) if ranked else None,
        )
