"""The results of a sweep: what succeeded of each window becomes one stored object."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flowquery.aws import s3
from flowquery.aws.network_flow_monitor import all_pages
from flowquery.core import transitions
from flowquery.core.errors import FlowqueryError, MalformedReply, Throttled, TransientFault
from flowquery.core.model import Selection
from flowquery.results.objects import sweep_key, sweep_metadata
from flowquery.results.request import ResultsRequest
from flowquery.results.spool import Spool, Summary, temporary_file
from flowquery.results.store import WindowObject, window_objects
from flowquery.sweep.invocation import SweepInvocation
from flowquery.sweep.state import SUCCEEDED, StoredObject, Sweep, SweepQuery

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import BinaryIO

    from flowquery.core.model import Query, Window
    from flowquery.results.rows import Page

    GetPage = Callable[[Query, str | None], Page]

MOST_ATTEMPTS = 3  # for the results of a query
MOST_THROTTLES = 20  # of a page: each slows the pace down
RESERVED_SECONDS = 60.0  # of the invocation, to store what was fetched
# Characters of a peak's label; one that is not ASCII takes up to 12 bytes in JSON.
ASCII_LABEL_LENGTH, OTHER_LABEL_LENGTH = 40, 16
# Queries: of more rankings than these, no contributor is kept, or the state would exceed its limit.
MOST_QUERIES_WITH_CONTRIBUTORS = 20


class SweepStore(SweepInvocation):
    """The work of one invocation of StoreSweep: window after window, as long as there is time."""

    def __init__(
        self, sweep: Sweep, bucket: str, get_page: GetPage, remaining: Callable[[], float], retry_count: int = 0
    ) -> None:
        """Begin. `get_page` sends its request once, since the pace has to see each throttle."""
        super().__init__(sweep)
        self._bucket, self._get_page, self._remaining = bucket, get_page, remaining
        self._fetched = 0
        if retry_count:  # nobody knows how many requests the lost attempts have sent just now
            self.sweep = replace(self.sweep, pace=self.sweep.pace.without_burst(self.now))

    def run(self) -> None:
        """Store what is not stored yet. What there is no time for is left to the next invocation.

        A query whose results cannot be fetched fails alone.

        Raises
        ------
        Throttled, TransientFault, AccessDenied, InvalidRequest
            As S3 answers. Nothing more is stored then; a retry stores what is missing.
        """
        for window in range(len(self.sweep.windows)):
            numbers = [number for number, query in enumerate(self.sweep.queries) if _is_due(query, window)]
            if numbers and self._has_time():
                self._store_window(window, numbers)

    def answer(self, memory_mb: str | int, retry_count: int = 0) -> Sweep:
        """Return the sweep with what this invocation took."""
        return self._charged(memory_mb, transitions.STORE_SWEEP + retry_count, 1 + retry_count)

    def _store_window(self, index: int, numbers: list[int]) -> None:
        """Fetch the results of these queries, and put the rows that no object of the window holds yet.

        An earlier attempt whose answer was lost, or another execution, may have stored some. Their summaries are still
        those of the rows that are fetched now.
        """
        sweep, window = self.sweep, self.sweep.windows[index]
        objects = window_objects(self._bucket, sweep.scope_id, window, sweep.family, sweep.limit)
        held = frozenset[Selection]().union(*(one.selections for one in objects))
        with temporary_file() as file, temporary_file() as unneeded:
            spool, other = Spool(file, self._remaining), Spool(unneeded, self._remaining)
            summaries: dict[Selection, Summary] = {}
            fetched: dict[Selection, Summary] = {}
            for number in numbers:
                selection = sweep.queries[number].selection
                if summary := self._fetch(other if selection in held else spool, number):
                    fetched[selection] = summary
                    if selection not in held:
                        summaries[selection] = summary
            if summaries:
                objects.append(self._put(window, summaries, spool.finish(), file))
        ours = [one for one in objects if one.selections & fetched.keys()]
        stored = tuple(StoredObject(index, self._bucket, one.key, one.rows) for one in ours)
        self.sweep = replace(self.sweep, stored=tuple(dict.fromkeys((*self.sweep.stored, *stored))))

    def _put(self, window: Window, summaries: Mapping[Selection, Summary], sha256: str, file: BinaryIO) -> WindowObject:
        sweep = self.sweep
        key = sweep_key(sweep.scope_id, window, summaries, sweep.family, sweep.limit)
        s3.put_once(self._bucket, key, file, sweep_metadata(sweep.scope_id, window, summaries, sha256))
        return WindowObject(key, frozenset(summaries), sum(summary.rows for summary in summaries.values()))

    def _fetch(self, spool: Spool, number: int) -> Summary | None:
        """Add a query's rows to the spool, and its summary to the sweep, or fail it where they cannot be fetched."""
        query = self.sweep.queries[number]
        request = ResultsRequest(self.sweep.started_query(query), self.sweep.query_request(query))
        for attempt in range(1, MOST_ATTEMPTS + 1):
            if not self._has_time():
                return None
            try:
                summary = spool.add(request, all_pages(request.query, self._page))
            except OutOfTimeError as error:
                self._leave(number, error)
                return None
            except FlowqueryError as error:
                if attempt < MOST_ATTEMPTS and isinstance(error, (MalformedReply, TransientFault)):
                    continue
                self.sweep = self.sweep.with_query(number, query.fail(type(error).__name__, str(error)))
                return None
            self._fetched += 1
            self.sweep = self.sweep.with_query(number, self._with_summary(query, summary))
            return summary
        return None

    def _leave(self, number: int, error: OutOfTimeError) -> None:
        """Leave the query to the next invocation, or fail it where a whole invocation was not enough."""
        if not self._fetched:
            self.sweep = self.sweep.with_query(number, self.sweep.queries[number].fail("Throttled", str(error)))

    def _page(self, query: Query, token: str | None) -> Page:
        throttles = 0
        while True:
            ready_at = self.sweep.pace.ready_at
            if ready_at - self.now > self._remaining() - RESERVED_SECONDS:
                raise OutOfTimeError(
                    f"its pages do not fit one invocation at {self.sweep.pace.rate:.3g} requests a second"
                )
            self._sleep_until(ready_at)
            try:
                return self._paced(lambda: self._get_page(query, token))
            except Throttled:
                throttles += 1
                if throttles == MOST_THROTTLES:
                    raise

    def _has_time(self) -> bool:
        return self._remaining() > RESERVED_SECONDS

    def _with_summary(self, query: SweepQuery, summary: Summary) -> SweepQuery:
        peak, contributors = summary.peak, summary.contributors or ()
        if peak:
            is_ascii = peak.label[:ASCII_LABEL_LENGTH].isascii()
            peak = replace(peak, label=peak.label[: ASCII_LABEL_LENGTH if is_ascii else OTHER_LABEL_LENGTH])
        if len(self.sweep.queries) > MOST_QUERIES_WITH_CONTRIBUTORS:
            contributors = ()
        return replace(query, rows=summary.rows, unit=summary.unit, peak=peak, contributors=contributors)


class OutOfTimeError(Exception):
    """The invocation ends before the pace allows the next request."""


def _is_due(query: SweepQuery, window: int) -> bool:
    return query.window == window and query.status == SUCCEEDED and query.rows is None
