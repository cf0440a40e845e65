"""The results of a sweep: what succeeded of each window becomes one stored object."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flowquery.aws import s3
from flowquery.aws.network_flow_monitor import all_pages
from flowquery.core import transitions
from flowquery.core.errors import FlowqueryError, MalformedReply, Throttled, TransientFault
from flowquery.results.objects import stored_rows, sweep_key, sweep_metadata
from flowquery.results.request import ResultsRequest
from flowquery.results.spool import Spool, Summary, temporary_file
from flowquery.sweep.invocation import SweepInvocation
from flowquery.sweep.state import SUCCEEDED, StoredObject, Sweep, SweepQuery

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowquery.core.model import Query
    from flowquery.results.rows import Page

    GetPage = Callable[[Query, str | None], Page]

MOST_ATTEMPTS = 3  # for the results of a query
MOST_THROTTLES = 20  # of a page: each slows the pace down
# Characters of a peak's label; one that is not ASCII takes up to 12 bytes in JSON.
ASCII_LABEL_LENGTH, OTHER_LABEL_LENGTH = 40, 16
# Queries: of more rankings than these, no contributor is kept, or the state would exceed its limit.
MOST_QUERIES_WITH_CONTRIBUTORS = 20


class SweepStore(SweepInvocation):
    """The work of one invocation of StoreSweep: window after window, as long as there is time."""

    def __init__(self, sweep: Sweep, bucket: str, get_page: GetPage, remaining: Callable[[], float]) -> None:
        """Begin. `get_page` sends its request once, since the pace has to see each throttle."""
        super().__init__(sweep)
        self._bucket, self._get_page = bucket, get_page
        self._remaining, self._time = remaining, remaining()

    def run(self) -> None:
        """Store what is not stored yet. A window that would begin late is left to the next invocation.

        Raises
        ------
        Throttled, TransientFault, AccessDenied, InvalidRequest
            Results that cannot be fetched for longer than the attempts here last, or as S3 answers. Nothing of the
            window is stored then; a retry does the same again, to the same object.
        """
        for window in range(len(self.sweep.windows)):
            numbers = [number for number, query in enumerate(self.sweep.queries) if _is_due(query, window)]
            if numbers and self._remaining() < self._time / 2:
                return
            if numbers:
                self._store_window(window, numbers)

    def answer(self, memory_mb: str | int, retry_count: int = 0) -> Sweep:
        """Return the sweep with what this invocation took."""
        return self._charged(memory_mb, transitions.STORE_SWEEP + retry_count, 1 + retry_count)

    def _store_window(self, index: int, numbers: list[int]) -> None:
        with temporary_file() as file:
            spool = Spool(file, self._remaining)
            summaries = {number: summary for number in numbers if (summary := self._spooled(spool, number))}
            if not summaries:
                return
            sweep, window, sha256 = self.sweep, self.sweep.windows[index], spool.finish()
            by_selection = {sweep.queries[number].selection: summary for number, summary in summaries.items()}
            key = sweep_key(sweep.scope_id, window, by_selection, sweep.family, sweep.limit)
            metadata: Mapping[str, str] = sweep_metadata(sweep.scope_id, window, by_selection, sha256)
            if not s3.put_once(self._bucket, key, file, metadata):
                # By an attempt whose answer was lost, or by another execution at the same time. The findings are those
                # of the rows that were just fetched.
                metadata = s3.object_metadata(self._bucket, key)
        for number, summary in summaries.items():
            query = self._with_summary(self.sweep.queries[number], summary)
            self.sweep = self.sweep.with_query(number, query)
        stored = StoredObject(index, self._bucket, key, stored_rows(metadata))
        self.sweep = replace(self.sweep, stored=(*self.sweep.stored, stored))

    def _spooled(self, spool: Spool, number: int) -> Summary | None:
        """Add a query's rows to those of the window, or fail the query and return None."""
        query = self.sweep.queries[number]
        request = ResultsRequest(self.sweep.started_query(query), self.sweep.query_request(query))
        attempts = 0
        while True:
            try:
                return spool.add(request, all_pages(request.query, self._page))
            except Throttled:
                raise
            except FlowqueryError as error:
                attempts += 1
                if isinstance(error, (MalformedReply, TransientFault)) and attempts < MOST_ATTEMPTS:
                    continue
                if isinstance(error, TransientFault):
                    raise
                self.sweep = self.sweep.with_query(number, query.fail(type(error).__name__, str(error)))
                return None

    def _page(self, query: Query, token: str | None) -> Page:
        throttles = 0
        while True:
            self._sleep_until(self.sweep.pace.ready_at)
            try:
                return self._paced(lambda: self._get_page(query, token))
            except Throttled:
                throttles += 1
                if throttles == MOST_THROTTLES:
                    raise

    def _with_summary(self, query: SweepQuery, summary: Summary) -> SweepQuery:
        peak, contributors = summary.peak, summary.contributors or ()
        if peak:
            is_ascii = peak.label[:ASCII_LABEL_LENGTH].isascii()
            peak = replace(peak, label=peak.label[: ASCII_LABEL_LENGTH if is_ascii else OTHER_LABEL_LENGTH])
        if len(self.sweep.queries) > MOST_QUERIES_WITH_CONTRIBUTORS:
            contributors = ()
        return replace(query, rows=summary.rows, unit=summary.unit, peak=peak, contributors=contributors)


def _is_due(query: SweepQuery, window: int) -> bool:
    return query.window == window and query.status == SUCCEEDED and query.rows is None
