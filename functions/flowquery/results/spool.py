"""Pages of results to rows on disk: every row or an error, in memory bounded by a page."""

from __future__ import annotations

import hashlib
import tempfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flowquery.core.errors import FlowqueryError, MalformedReply, ResultsTooLarge
from flowquery.core.model import Family, Peak
from flowquery.results.distinct import DistinctCount
from flowquery.results.rows import BATCHES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import BinaryIO

    from flowquery.results.request import ResultsRequest
    from flowquery.results.rows import Batch, Contributor, Page, ToBatches

MOST_SPOOLED_BYTES = 400 * 1024 * 1024  # of the 512 MB that /tmp has
SECONDS_TO_STORE = 30.0
GZIP = 31  # tells zlib to write a gzip file with the largest window; its header holds no time
COMPRESSION = 1  # the fastest: level 6 takes a sixth off the size, and twice the time
TOO_LARGE = "the results do not fit the function; use a shorter window, or one destination category at a time"
TOP_CONTRIBUTORS = 5  # rows of a ranking that a summary names


@dataclass(frozen=True)
class Summary:
    """What a caller needs to know of a query's rows, which it does not see.

    Of a ranking it has the first `contributors`, in place of series, unit, peak and times. `sha256` is that of all
    lines of the object, which is known once the object is finished.
    """

    unit: str | None
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


def temporary_file() -> BinaryIO:
    """Return a file for a Spool.

    It has no name, so a process that is killed leaves nothing on the disk. It has no buffer, so what a full disk did
    not take is not left in one.
    """
    return tempfile.TemporaryFile(buffering=0)


class Spool:
    """The rows of one query after another in a file, as gzipped JSON lines, the same bytes each time.

    A query is in it whole or not at all, so a query that fails leaves the rows of the others as they are.
    """

    def __init__(self, file: BinaryIO, remaining_seconds: Callable[[], float]) -> None:
        """Begin at the file's position. The file has no buffer; one may keep a full disk from being undone."""
        self._file, self._remaining_seconds = file, remaining_seconds
        self._digest = hashlib.sha256()
        self._gzip = zlib.compressobj(COMPRESSION, wbits=GZIP)

    def add(self, request: ResultsRequest, pages: Iterable[Page]) -> Summary:
        """Write every row of every page of a query. On any exception, the spool is as it was.

        Raises
        ------
        MalformedReply
            Timestamps and values of different length, a value that is not a number, a unit that changes.
        ResultsTooLarge
            More than the disk or the time left can take; raised before anything is stored.
        """
        tally, to_batches = _Tally(), BATCHES[request.query.family]
        with self._undone_on_failure(), _named_disk_errors():
            for page in pages:
                lines = tally.add(page, _batches(to_batches, request, page, tally.rows))
                self._digest.update(lines)
                self._write(self._gzip.compress(lines))
                if self._file.tell() > MOST_SPOOLED_BYTES or self._remaining_seconds() < SECONDS_TO_STORE:
                    raise ResultsTooLarge(f"{TOO_LARGE} (after {tally.rows} rows)")
        return tally.summary(ranked=request.query.family is Family.RANKING)

    def finish(self) -> str:
        """Write the end of the gzip file, and return the sha256 of all lines."""
        with _named_disk_errors():
            self._write(self._gzip.flush())
        return self._digest.hexdigest()

    @contextmanager
    def _undone_on_failure(self) -> Iterator[None]:
        position, digest, gzip = self._file.tell(), self._digest.copy(), self._gzip.copy()
        try:
            yield
        except BaseException:
            self._digest, self._gzip = digest, gzip
            self._file.seek(position)
            self._file.truncate()
            raise

    def _write(self, data: bytes) -> None:
        """Write all of it: a file without a buffer may take a part, as the last of a disk."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]


def _batches(to_batches: ToBatches, request: ResultsRequest, page: Page, rows_before: int) -> list[Batch]:
    """Return the rows of a page. Whatever its members raise, such as a time that no calendar has, is MalformedReply."""
    try:
        return list(to_batches(request, page, rows_before))
    except FlowqueryError:
        raise
    except Exception as error:
        raise MalformedReply(f"the page cannot be read: {type(error).__name__}: {error}"[:500]) from error


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
    first_timestamp: str = ""
    last_timestamp: str = ""
    labels: DistinctCount = field(default_factory=DistinctCount)
    contributors: list[Contributor] = field(default_factory=list)

    def add(self, page: Page, batches: list[Batch]) -> bytes:
        """Count the page in and return its lines. Memory has to hold no more than a page."""
        if page.get("unit"):
            self._add_unit(str(page["unit"]))
        for batch in batches:
            self.labels.add(batch.label)
            if batch.values:
                self._add_values(batch)
            if batch.contributor and len(self.contributors) < TOP_CONTRIBUTORS:
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
            timestamp = batch.timestamps[batch.values.index(highest)] if batch.timestamps else ""
            self.peak = Peak(highest, batch.label, timestamp)
        if batch.timestamps:
            self.first_timestamp = min(self.first_timestamp or batch.timestamps[0], *batch.timestamps)
            self.last_timestamp = max(self.last_timestamp, *batch.timestamps)

    def summary(self, *, ranked: bool) -> Summary:
        return Summary(
            unit=self.unit,
            rows=self.rows,
            series=len(self.labels),
            peak=self.peak,
            first_timestamp=self.first_timestamp,
            last_timestamp=self.last_timestamp,
            contributors=tuple(self.contributors) if ranked else None,
        )
