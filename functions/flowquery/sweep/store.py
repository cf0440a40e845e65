"""The results of a sweep: what succeeded of a window as one object, and an output that says how each query ended."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from flowquery.alarms.query_alarm import part
from flowquery.core.errors import FlowqueryError, MalformedReply, Throttled, TransientFault
from flowquery.core.model import Family
from flowquery.query.cost import priced
from flowquery.results.spool import ResultsRequest, Spool, Summary
from flowquery.results.store import about_software, put_once, stored_digest, temporary_file
from flowquery.results.windows import key, selection_text
from flowquery.sweep.invocation import Invocation
from flowquery.sweep.state import STORED, SUCCEEDED, Stored, Sweep, SweepQuery, selection_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from flowquery.core.model import Query
    from flowquery.results.rows import Page

    GetPage = Callable[[Query, str | None], Page]

MOST_TRIES = 3  # of a query whose results do not come
MOST_THROTTLES = 20  # of a page: each slows the pace down
LONGEST_LABEL, LONGEST_OTHER_LABEL = 40, 16  # characters; one that is not ASCII takes up to 12 bytes in JSON
MOST_NAMED = 20  # queries: of more rankings than these, no contributor is named, or the state would outgrow its limit
END_TRANSITIONS = 1  # the state that ends the execution


class Pages(NamedTuple):
    """All pages of a query, by way of a function that gets one, sent once (`flowquery.aws.network_flow_monitor`)."""

    all: Callable[[Query, GetPage], Iterable[Page]]
    one: GetPage


class Storing(Invocation):
    """The work of one invocation of StoreSweep: window after window, as long as there is time."""

    def __init__(self, sweep: Sweep, bucket: str, pages: Pages, remaining: Callable[[], float]) -> None:
        super().__init__(sweep)
        self._bucket, self._pages, self._remaining, self._time = bucket, pages, remaining, remaining()

    def run(self) -> None:
        """Store what is not stored yet; a window that would begin late is left to the next invocation.

        Raises
        ------
        Throttled, TransientFault, AccessDenied, InvalidRequest
            Results that do not come for longer than the tries here last, or as S3 answers. Nothing of the window is
            stored then; a retry does the same again, to the same object.
        """
        for index in range(len(self.sweep.windows)):
            numbers = [number for number, asked in enumerate(self.sweep.queries) if _is_due(asked, index)]
            if numbers and self._remaining() < self._time / 2:
                return
            if numbers:
                self._store_window(index, numbers)

    def answer(self, memory_mb: str | int, retry_count: int = 0) -> Sweep:
        """Return the sweep with what this invocation took."""
        return self._charged(memory_mb, 2 + retry_count, 1 + retry_count)

    def _store_window(self, index: int, numbers: list[int]) -> None:
        with temporary_file() as file:
            spool = Spool(file, self._remaining)
            summaries = {number: summary for number in numbers if (summary := self._spooled(spool, number))}
            if not summaries:
                return
            sha256, sweep, window = spool.finish(), self.sweep, self.sweep.windows[index]
            selections = [sweep.queries[number].selection for number in summaries]
            place = key(sweep.scope_id, window, selections, sweep.family, sweep.limit)
            rows = sum(summary.rows for summary in summaries.values())
            told = {
                **{name.lower(): text for name, text in window.to_json().items()},
                **{"scopeid": sweep.scope_id, "selection": selection_text(selections), "queries": str(len(selections))},
                **{"rows": str(rows), "sha256": sha256, **_span(summaries.values()), **about_software()},
            }
            # The same selection stored by another run meanwhile: its rows are what is there.
            ours = put_once(self._bucket, place, file, told) or stored_digest(self._bucket, place) == sha256
        for number, summary in summaries.items():
            asked = self.sweep.queries[number]
            summed = _summed(asked, summary, named=len(self.sweep.queries) <= MOST_NAMED)
            self.sweep = self.sweep.put(number, summed if ours else replace(asked, status=STORED))
        if ours:
            stored = Stored(index, self._bucket, place, rows)
            self.sweep = replace(self.sweep, stored=(*self.sweep.stored, stored))

    def _spooled(self, spool: Spool, number: int) -> Summary | None:
        """Add a query's rows to those of the window; one whose results cannot be had is failed, and None returned."""
        asked = self.sweep.queries[number]
        fetch, tries = ResultsRequest(self.sweep.query(asked), self.sweep.query_request(asked)), 0
        while True:
            try:
                return spool.add(fetch, self._pages.all(fetch.query, self._page))
            except Throttled:
                raise
            except FlowqueryError as error:
                tries += 1
                if isinstance(error, (MalformedReply, TransientFault)) and tries < MOST_TRIES:
                    continue
                if isinstance(error, TransientFault):
                    raise
                self.sweep = self.sweep.put(number, asked.fail(type(error).__name__, str(error)))
                return None

    def _page(self, query: Query, token: str | None) -> Page:
        throttles = 0
        while True:
            self._sleep_until(self.sweep.pace.ready_at)
            try:
                return self._paced(lambda: self._pages.one(query, token))
            except Throttled:
                throttles += 1
                if throttles == MOST_THROTTLES:
                    raise


def sweep_output(sweep: Sweep, region: str) -> dict[str, object]:
    """Return SweepScope's output, as `schemas/sweep_scope.output.json` says."""
    counts = Counter(asked.status for asked in sweep.queries)
    failed = sum(asked.failed for asked in sweep.queries)
    status = SUCCEEDED if not failed else "PARTIAL" if sweep.allow_partial else "INCOMPLETE"
    return {
        "status": status,
        "scopeId": sweep.scope_id,
        **({} if sweep.family is Family.DATA else {"family": sweep.family.value}),
        "windows": [
            {**window.to_json(), "objects": [stored.to_json() for stored in sweep.stored if stored.window == index]}
            for index, window in enumerate(sweep.windows)
        ],
        "queries": [_query_output(sweep, asked) for asked in sweep.queries],
        "counts": dict(counts),
        "cause": _cause(sweep, counts, failed) if failed else None,
        "empty": not failed and all(asked.rows == 0 for asked in sweep.queries),
        "finding": any(map(sweep.is_finding, sweep.queries)),
        "cost": sweep_cost(sweep, region),
    }


def sweep_cost(sweep: Sweep, region: str) -> dict[str, object]:
    poll = sweep.poll
    counted = {
        "checks": poll.checks,
        "transitions": poll.transitions + END_TRANSITIONS,
        "requests": poll.requests,
        "gbSeconds": round(poll.gb_seconds, 3),
    }
    return priced(counted, region)


def measure_sweep(sweep: Sweep, output: Mapping[str, object], measure: Callable[[str, float], object]) -> None:
    """Tell what a sweep took: its seconds, and its dollars, where they are known."""
    measure("SweepSeconds", round(sweep.poll.elapsed_seconds, 3))
    if isinstance(price := part(output, "cost").get("dollars"), float):
        measure("RunDollars", price)


def _query_output(sweep: Sweep, asked: SweepQuery) -> dict[str, object]:
    return {
        "window": asked.window,
        **selection_json(asked.selection),
        "queryId": asked.query_id,
        "status": asked.status,
        **({"cause": asked.cause} if asked.failed else {}),
        **({"unclear": True} if asked.unclear else {}),
        "rows": asked.rows,
        "unit": asked.unit,
        "peak": asked.peak.to_json() if asked.peak else None,
        "finding": sweep.is_finding(asked),
        **({"topContributors": list(asked.contributors)} if asked.contributors else {}),
    }


def _cause(sweep: Sweep, counts: Mapping[str, int], failed: int) -> str:
    """Say how many of what failed, and what is stored all the same."""
    names = sorted({asked.status for asked in sweep.queries if asked.failed}, key=lambda name: -counts[name])
    each = ", ".join(f"{counts[name]} {name}" for name in names)
    places = ", ".join(f"s3://{stored.bucket}/{stored.key}" for stored in sweep.stored[:5])
    kept = f"; {counts[SUCCEEDED]} are stored in {places}" if places else "; nothing is stored"
    return f"{failed} of {len(sweep.queries)} queries did not succeed: {each}{kept}"


def _is_due(asked: SweepQuery, window: int) -> bool:
    return asked.window == window and asked.status == SUCCEEDED and asked.rows is None


def _summed(asked: SweepQuery, summary: Summary, *, named: bool) -> SweepQuery:
    peak = summary.peak
    if peak:
        longest = LONGEST_LABEL if peak.label[:LONGEST_LABEL].isascii() else LONGEST_OTHER_LABEL
        peak = replace(peak, label=peak.label[:longest])
    contributors = (summary.contributors or ()) if named else ()
    return replace(asked, rows=summary.rows, unit=summary.unit, peak=peak, contributors=contributors)


def _span(summaries: Iterable[Summary]) -> dict[str, str]:
    spans = [(each.first_timestamp, each.last_timestamp) for each in summaries if each.first_timestamp]
    if not spans:
        return {}
    return {"firsttimestamp": min(first for first, _ in spans), "lasttimestamp": max(last for _, last in spans)}
