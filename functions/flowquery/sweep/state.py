"""A sweep: many queries of one scope, and what is known of each; handed back by the caller, so no store is needed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, cast

from flowquery.core.errors import InvalidInput
from flowquery.core.inputs import (
    is_id,
    is_status,
    parse_amount,
    parse_count,
    parse_family,
    parse_id,
    parse_list,
    parse_number,
    parse_object,
    parse_poll,
    parse_seconds,
    parse_time,
)
from flowquery.core.model import IN_PROGRESS, Family, Peak, Poll, Query, QueryRequest, ascii_text
from flowquery.polling.pace import Pace
from flowquery.results.windows import Selection, Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MOST_QUERIES = 165  # five windows of 33: with the output beside it, their state fits the 256 KiB of Step Functions
LONGEST_CAUSE = 160


class Progress(StrEnum):
    """What the state machine does next."""

    GOES_ON = "GOES_ON"
    ENDED = "ENDED"
    STORED = "STORED"


WAITING = "WAITING"  # not started yet
STORED = "STORED"  # by an earlier run, so not queried
SUCCEEDED = "SUCCEEDED"


@dataclass(frozen=True)
class SweepQuery:
    """One query of a sweep; times are seconds of the sweep's budget.

    Attributes
    ----------
    window
        Which of the sweep's windows.
    status
        WAITING until it is started, then what the service says; for one that did not succeed the name of the error;
        STORED for one that an earlier run has stored, so that it is not queried.
    started_at, looked_at, due_at
        When it was started, when a look last said its status, and when the next look is due.
    faults
        Transient faults in a row.
    unclear
        A start of it had an unclear outcome, so a query may run of which nobody knows the id; it ends by itself.
    rows, unit, peak, contributors
        Of its results, once they are stored; the first contributors are those of a ranking.
    """

    window: int
    selection: Selection
    query_id: str | None = None
    status: str = WAITING
    cause: str = ""
    started_at: float = 0.0
    looked_at: float = 0.0
    due_at: float = 0.0
    checks: int = 0
    faults: int = 0
    unclear: bool = False
    rows: int | None = None
    unit: str | None = None
    peak: Peak | None = None
    contributors: tuple[Mapping[str, object], ...] = ()

    @property
    def runs(self) -> bool:
        return self.status in IN_PROGRESS

    @property
    def failed(self) -> bool:
        return not self.runs and self.status not in (WAITING, STORED, SUCCEEDED)

    def fail(self, error: str, cause: str) -> SweepQuery:
        return replace(self, status=error, cause=ascii_text(cause)[:LONGEST_CAUSE])

    def to_json(self) -> dict[str, object]:
        """Return it without what is as at the beginning, since the state of all has to stay small."""
        known: dict[str, object] = {
            "queryId": self.query_id,
            "status": self.status,
            "cause": self.cause,
            "startedAt": round(self.started_at, 3),
            "lookedAt": round(self.looked_at, 3),
            "dueAt": round(self.due_at, 3),
            "checks": self.checks,
            "faults": self.faults,
            "unclear": self.unclear,
            "rows": self.rows,
            "unit": self.unit,
            "peak": self.peak.to_json() if self.peak else None,
            "topContributors": list(self.contributors),
        }
        if not self.runs:  # its times are of no use any more
            known |= dict.fromkeys(("startedAt", "lookedAt", "dueAt", "checks"))
            known["faults"] = self.faults if self.status == WAITING else 0
        told = {name: value for name, value in known.items() if value or (name == "rows" and value is not None)}
        return {"window": self.window, **selection_json(self.selection), **told}


class Stored(NamedTuple):
    """An object that this sweep has stored, and which window it is of."""

    window: int
    bucket: str
    key: str
    rows: int

    def to_json(self) -> dict[str, object]:
        return {"bucket": self.bucket, "key": self.key, "rows": self.rows}


@dataclass(frozen=True)
class Sweep:
    """The state of a sweep between two steps.

    Attributes
    ----------
    poll
        What was spent: the budget of all, looks at all, what steps took; `wait_seconds` is the advice.
    progressed_at
        When a query last was started or ended.
    starts_at, refused
        When the next start may be tried, and the name of the error that the latest one got.
    alarm_above, allow_partial, ranked_peaks, limit
        As the input has them.
    stored
        The objects that this sweep has stored.
    """

    scope_id: str
    windows: tuple[Window, ...]
    queries: tuple[SweepQuery, ...]
    pace: Pace
    timeout_seconds: float
    family: Family = Family.DATA
    poll: Poll = field(default_factory=Poll)
    progressed_at: float = 0.0
    starts_at: float = 0.0
    refused: str = ""
    alarm_above: Mapping[str, float] = field(default_factory=dict)
    allow_partial: bool = False
    ranked_peaks: int = 3
    limit: int | None = None
    stored: tuple[Stored, ...] = ()

    def query_request(self, asked: SweepQuery) -> QueryRequest:
        return QueryRequest(*asked.selection, *self.windows[asked.window], self.limit)

    def query(self, asked: SweepQuery) -> Query:
        return Query(self.scope_id, cast("str", asked.query_id), self.family)

    def put(self, index: int, asked: SweepQuery) -> Sweep:
        return replace(self, queries=(*self.queries[:index], asked, *self.queries[index + 1 :]))

    def unfinished(self) -> Iterable[SweepQuery]:
        return (asked for asked in self.queries if asked.runs or asked.status == WAITING)

    def is_finding(self, asked: SweepQuery) -> bool:
        """Tell whether its peak is above what the input set for its metric."""
        above = self.alarm_above.get(asked.selection.metric_name)
        return above is not None and asked.peak is not None and asked.peak.value > above

    @property
    def progress(self) -> Progress:
        if any(self.unfinished()):
            return Progress.GOES_ON
        return (
            Progress.ENDED if any(a.status == SUCCEEDED and a.rows is None for a in self.queries) else Progress.STORED
        )

    def to_json(self) -> dict[str, object]:
        return {
            "scopeId": self.scope_id,
            "family": self.family.value,
            "windows": [window.to_json() for window in self.windows],
            "queries": [asked.to_json() for asked in self.queries],
            "requestsPerSecond": self.pace.ceiling,
            "pace": {"rate": round(self.pace.rate, 6), "nextAt": round(self.pace.next_at, 3)},
            "timeoutSeconds": self.timeout_seconds,
            "poll": self.poll.to_json(),
            "progressedAt": round(self.progressed_at, 3),
            "startsAt": round(self.starts_at, 3),
            "refused": self.refused,
            "alarmAbove": dict(self.alarm_above),
            "allowPartial": self.allow_partial,
            "rankedPeaks": self.ranked_peaks,
            "limit": self.limit,
            "stored": [{"window": stored.window, **stored.to_json()} for stored in self.stored],
            "progress": self.progress.value,
        }

    @classmethod
    def parse(cls, value: object) -> Sweep:
        """Read what an earlier step answered as `sweep`; refuses what none answers."""
        fields = parse_object(value, "sweep")
        windows = tuple(parse_window(window) for window in parse_list(fields, "windows", 1, MOST_QUERIES))
        ceiling = parse_seconds(fields, "requestsPerSecond", 0, at_least=0.01, at_most=100)
        pace = parse_object(fields.get("pace"), "sweep.pace")
        queries = [_parse_sweep_query(query, len(windows)) for query in parse_list(fields, "queries", 0, MOST_QUERIES)]
        poll, above = parse_poll(fields), parse_object(fields.get("alarmAbove", {}), "alarmAbove")
        if any(asked.runs and asked.started_at > poll.elapsed_seconds for asked in queries):
            raise InvalidInput("sweep.queries: expected no startedAt after poll.elapsedSeconds")
        return cls(
            scope_id=parse_id(fields, "scopeId"),
            windows=windows,
            queries=tuple(queries),
            pace=Pace(
                ceiling, parse_seconds(pace, "rate", 0, at_least=1e-6, at_most=100), parse_amount(pace, "nextAt")
            ),
            timeout_seconds=parse_seconds(fields, "timeoutSeconds", 0, at_least=1, at_most=86_400),
            family=parse_family(fields),
            poll=poll,
            progressed_at=parse_amount(fields, "progressedAt", 0),
            starts_at=parse_amount(fields, "startsAt", 0),
            refused=str(fields.get("refused", ""))[:64],
            alarm_above={name: parse_number(above, name) for name in above},
            allow_partial=fields.get("allowPartial") is True,
            ranked_peaks=parse_count(fields, "rankedPeaks", 0),
            limit=None if fields.get("limit") is None else parse_count(fields, "limit", at_least=1, at_most=500),
            stored=tuple(
                _parse_stored(stored, len(windows)) for stored in parse_list(fields, "stored", 0, MOST_QUERIES)
            ),
        )


def selection_json(selection: Selection) -> dict[str, object]:
    return {"metricName": selection.metric_name, "destinationCategory": selection.destination_category}


def parse_window(value: object) -> Window:
    fields = parse_object(value, "windows")
    window = Window(parse_time(fields, "startTime"), parse_time(fields, "endTime"))
    if window.end_time <= window.start_time:
        raise InvalidInput(f"endTime: expected a time after startTime, got {fields['endTime']!r}")
    return window


def _parse_sweep_query(value: object, windows: int) -> SweepQuery:
    fields = parse_object(value, "sweep.queries")
    query_id, status = fields.get("queryId"), fields.get("status")
    names = fields.get("metricName"), fields.get("destinationCategory")
    rows = parse_list({"topContributors": [], **fields}, "topContributors", 0, 500)
    asked = SweepQuery(
        window=parse_count(fields, "window", at_most=windows - 1),
        selection=Selection(str(names[0]), str(names[1])),
        query_id=str(query_id) if is_id(query_id) else None,
        status=str(status),
        cause=str(fields.get("cause", "")),
        started_at=parse_amount(fields, "startedAt", 0),
        looked_at=parse_amount(fields, "lookedAt", 0),
        due_at=parse_amount(fields, "dueAt", 0),
        checks=parse_count(fields, "checks", 0),
        faults=parse_count(fields, "faults", 0),
        unclear=fields.get("unclear") is True,
        rows=None if fields.get("rows") is None else parse_count(fields, "rows"),
        unit=None if fields.get("unit") is None else str(fields["unit"]),
        peak=_parse_peak(fields.get("peak")),
        contributors=tuple(parse_object(row, "topContributors") for row in rows),
    )
    whole = all(map(is_status, names)) and is_status(status) and (asked.query_id or not (asked.runs or asked.rows))
    timely = not asked.runs or (asked.started_at <= asked.looked_at and asked.started_at < asked.due_at)
    if not (whole and timely) or (query_id is not None and not asked.query_id):
        raise InvalidInput(f"sweep.queries: hand back what the previous step answered, got {fields!r}"[:200])
    return asked


def _parse_peak(value: object) -> Peak | None:
    if value is None:
        return None
    fields = parse_object(value, "peak")
    return Peak(parse_number(fields, "value"), str(fields.get("label", "")), str(fields.get("timestamp", "")))


def _parse_stored(value: object, windows: int) -> Stored:
    fields = parse_object(value, "sweep.stored")
    window, rows = parse_count(fields, "window", at_most=windows - 1), parse_count(fields, "rows")
    return Stored(window, str(fields.get("bucket")), str(fields.get("key")), rows)
