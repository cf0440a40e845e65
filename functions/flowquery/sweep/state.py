"""A sweep: many queries of one scope, and the state of each. The caller hands it back, so no store is needed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, cast

from flowquery.core.errors import InvalidInput
from flowquery.core.fields import (
    is_id,
    is_status,
    parse_amount,
    parse_count,
    parse_flag,
    parse_id,
    parse_list,
    parse_number,
    parse_object,
    parse_whole_within,
    parse_within,
    required,
)
from flowquery.core.limits import (
    RANKING_LIMIT,
    REQUESTS_PER_SECOND,
    STATUS_LENGTH,
    SWEEP_QUERIES,
    TIMEOUT_SECONDS,
    Bounds,
)
from flowquery.core.model import IN_PROGRESS, Family, Peak, Query, QueryRequest, Selection, Status, Window
from flowquery.core.text import ascii_text
from flowquery.polling.pace import Pace
from flowquery.polling.state import Poll

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Fields = Mapping[str, object]

QUERY_CAUSE_LENGTH = 160
# A backfill divides its rate by the number of its concurrent sweeps.
_RATE = Bounds(0.001, REQUESTS_PER_SECOND.most, REQUESTS_PER_SECOND.default)
_CURRENT_RATE = Bounds(1e-6, REQUESTS_PER_SECOND.most, REQUESTS_PER_SECOND.default)


class Progress(StrEnum):
    """What the state machine does next."""

    GOES_ON = "GOES_ON"
    ENDED = "ENDED"
    COMPLETE = "COMPLETE"  # all queries have ended, and what succeeded is stored


WAITING = "WAITING"  # not started yet
STORED = "STORED"  # by an earlier execution, so not started
SUCCEEDED = Status.SUCCEEDED.value


@dataclass(frozen=True)
class SweepQuery:
    """One query of a sweep. Times are seconds of the sweep's budget.

    Attributes
    ----------
    window
        The index of its window in the sweep.
    status
        WAITING until it is started, then the status that the service says. For one that did not succeed the name of
        the error; STORED for one that an earlier execution has stored.
    started_at, checked_at, due_at
        When it was started, when a status check last said its status, and when the next check is due.
    faults
        Transient faults in a row.
    unclear
        A start had an unclear outcome, so a query may be running whose id nobody knows. It ends by itself.
    rows, unit, peak, contributors
        Of its results, once they are stored; contributors are the first rows of a ranking.
    """

    window: int
    selection: Selection
    query_id: str | None = None
    status: str = WAITING
    cause: str = ""
    started_at: float = 0.0
    checked_at: float = 0.0
    due_at: float = 0.0
    checks: int = 0
    faults: int = 0
    unclear: bool = False
    rows: int | None = None
    unit: str | None = None
    peak: Peak | None = None
    contributors: tuple[Fields, ...] = ()

    @property
    def is_running(self) -> bool:
        return self.status in IN_PROGRESS

    @property
    def has_failed(self) -> bool:
        return not self.is_running and self.status not in (WAITING, STORED, SUCCEEDED)

    def fail(self, error: str, cause: str) -> SweepQuery:
        return replace(self, status=error, cause=ascii_text(cause)[:QUERY_CAUSE_LENGTH])

    def to_json(self) -> dict[str, object]:
        """Return it without members that have their initial value, since the state of all has to stay small."""
        members: dict[str, object] = {"queryId": self.query_id, "status": self.status, "cause": self.cause}
        if self.is_running:
            members |= {"startedAt": round(self.started_at, 3), "checkedAt": round(self.checked_at, 3)}
            members |= {"dueAt": round(self.due_at, 3), "checks": self.checks}
        if self.is_running or self.status == WAITING:
            members["faults"] = self.faults
        members |= {"unclear": self.unclear, "unit": self.unit, "peak": self.peak.to_json() if self.peak else None}
        members["topContributors"] = list(self.contributors)
        kept = {name: value for name, value in members.items() if value}
        rows = {} if self.rows is None else {"rows": self.rows}
        return {"window": self.window, **self.selection.to_json(), **kept, **rows}

    @classmethod
    def parse(cls, value: object, windows: int) -> SweepQuery:
        fields = parse_object(value, "sweep.queries")
        query_id, status = fields.get("queryId"), fields.get("status")
        selection = Selection(str(fields.get("metricName")), str(fields.get("destinationCategory")))
        contributors = parse_list({"topContributors": [], **fields}, "topContributors", 0, int(RANKING_LIMIT.most))
        query = cls(
            window=parse_count(fields, "window", at_most=windows - 1),
            selection=selection,
            query_id=str(query_id) if is_id(query_id) else None,
            status=str(status),
            cause=str(fields.get("cause", "")),
            started_at=parse_amount(fields, "startedAt", 0),
            checked_at=parse_amount(fields, "checkedAt", 0),
            due_at=parse_amount(fields, "dueAt", 0),
            checks=parse_count(fields, "checks", 0),
            faults=parse_count(fields, "faults", 0),
            unclear=parse_flag(fields, "unclear"),
            rows=None if fields.get("rows") is None else parse_count(fields, "rows"),
            unit=None if fields.get("unit") is None else str(fields["unit"]),
            peak=_parse_peak(fields.get("peak")),
            contributors=tuple(parse_object(row, "topContributors") for row in contributors),
        )
        if not query.is_plausible(fields):
            raise InvalidInput(f"sweep.queries: hand back what the previous step answered, got {fields!r}"[:200])
        return query

    def is_plausible(self, fields: Fields) -> bool:
        """Tell whether a step could have answered it."""
        names = fields.get("metricName"), fields.get("destinationCategory"), fields.get("status")
        with_id = self.query_id is not None
        return (
            all(map(is_status, names))
            and with_id == (fields.get("queryId") is not None)
            and (with_id or not (self.is_running or self.rows))
            and (not self.is_running or (self.started_at <= self.checked_at and self.started_at < self.due_at))
        )


class StoredObject(NamedTuple):
    """An object that this sweep has stored, and the index of its window."""

    window: int
    bucket: str
    key: str
    rows: int

    def to_json(self) -> dict[str, object]:
        return {"bucket": self.bucket, "key": self.key, "rows": self.rows}

    @classmethod
    def parse(cls, value: object, windows: int) -> StoredObject:
        fields = parse_object(value, "sweep.stored")
        window, rows = parse_count(fields, "window", at_most=windows - 1), parse_count(fields, "rows")
        return cls(window, str(fields.get("bucket")), str(fields.get("key")), rows)


@dataclass(frozen=True)
class Sweep:
    """The state of a sweep between two steps.

    Attributes
    ----------
    poll
        What was spent: the budget of the whole sweep, status checks of all queries, what steps took. Its
        `wait_seconds` is the advice to the state machine.
    progressed_at
        When a query last was started or ended.
    starts_at, start_error
        When the next start may be tried, and the name of the error of the latest start that was refused.
    alarm_above, allow_partial, limit
        As in the input.
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
    start_error: str = ""
    alarm_above: Mapping[str, float] = field(default_factory=dict)
    allow_partial: bool = False
    limit: int | None = None
    stored: tuple[StoredObject, ...] = ()

    def query_request(self, query: SweepQuery) -> QueryRequest:
        return QueryRequest(query.selection, self.windows[query.window], self.limit)

    def started_query(self, query: SweepQuery) -> Query:
        return Query(self.scope_id, cast("str", query.query_id), self.family)

    def with_query(self, index: int, query: SweepQuery) -> Sweep:
        return replace(self, queries=(*self.queries[:index], query, *self.queries[index + 1 :]))

    def unfinished(self) -> Iterable[SweepQuery]:
        return (query for query in self.queries if query.is_running or query.status == WAITING)

    def is_finding(self, query: SweepQuery) -> bool:
        """Tell whether its peak is above the value that the input sets for its metric."""
        above = self.alarm_above.get(query.selection.metric_name)
        return above is not None and query.peak is not None and query.peak.value > above

    @property
    def progress(self) -> Progress:
        if any(self.unfinished()):
            return Progress.GOES_ON
        to_store = any(query.status == SUCCEEDED and query.rows is None for query in self.queries)
        return Progress.ENDED if to_store else Progress.COMPLETE

    def to_json(self) -> dict[str, object]:
        return {
            "scopeId": self.scope_id,
            "family": self.family.value,
            "windows": [window.to_json() for window in self.windows],
            "queries": [query.to_json() for query in self.queries],
            "requestsPerSecond": self.pace.ceiling,
            "pace": {"rate": round(self.pace.rate, 6), "nextAt": round(self.pace.next_at, 3)},
            "timeoutSeconds": self.timeout_seconds,
            "poll": self.poll.to_json(),
            "progressedAt": round(self.progressed_at, 3),
            "startsAt": round(self.starts_at, 3),
            "startError": self.start_error,
            "alarmAbove": dict(self.alarm_above),
            "allowPartial": self.allow_partial,
            "limit": self.limit,
            "stored": [{"window": stored.window, **stored.to_json()} for stored in self.stored],
            "progress": self.progress.value,
        }

    @classmethod
    def parse(cls, value: object) -> Sweep:
        """Read what an earlier step answered as `sweep`; refuse what none answers."""
        fields = parse_object(value, "sweep")
        windows = tuple(Window.parse(window, "windows") for window in parse_list(fields, "windows", 1, SWEEP_QUERIES))
        queries = [SweepQuery.parse(query, len(windows)) for query in parse_list(fields, "queries", 0, SWEEP_QUERIES)]
        stored = [StoredObject.parse(item, len(windows)) for item in parse_list(fields, "stored", 0, SWEEP_QUERIES)]
        pace, poll = parse_object(fields.get("pace"), "sweep.pace"), Poll.parse(fields)
        above = parse_object(fields.get("alarmAbove", {}), "alarmAbove")
        for members, name in ((fields, "requestsPerSecond"), (fields, "timeoutSeconds"), (pace, "rate")):
            required(members, name)
        if any(query.is_running and query.started_at > poll.elapsed_seconds for query in queries):
            raise InvalidInput("sweep.queries: expected no startedAt after poll.elapsedSeconds")
        return cls(
            scope_id=parse_id(fields, "scopeId"),
            windows=windows,
            queries=tuple(queries),
            pace=Pace(
                ceiling=parse_within(fields, "requestsPerSecond", _RATE),
                rate=parse_within(pace, "rate", _CURRENT_RATE),
                next_at=parse_amount(pace, "nextAt"),
            ),
            timeout_seconds=parse_within(fields, "timeoutSeconds", TIMEOUT_SECONDS),
            family=Family.parse(fields),
            poll=poll,
            progressed_at=parse_amount(fields, "progressedAt", 0),
            starts_at=parse_amount(fields, "startsAt", 0),
            start_error=str(fields.get("startError", ""))[:STATUS_LENGTH],
            alarm_above={name: parse_number(above, name) for name in above},
            allow_partial=parse_flag(fields, "allowPartial"),
            limit=None if fields.get("limit") is None else parse_whole_within(fields, "limit", RANKING_LIMIT),
            stored=tuple(stored),
        )


def _parse_peak(value: object) -> Peak | None:
    if value is None:
        return None
    fields = parse_object(value, "peak")
    return Peak(parse_number(fields, "value"), str(fields.get("label", "")), str(fields.get("timestamp", "")))
