"""Network Flow Monitor as a script says: statuses, faults, rates, quotas and latencies, on a clock that tests turn.

Every call is recorded. The service itself is `localaws/networkflowmonitor/`, which knows nothing of scripts.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from threading import RLock
from typing import Any

from moto.core.exceptions import ServiceException

from localaws.clock import Clock, SystemClock
from localaws.networkflowmonitor.exceptions import ValidationException
from localaws.networkflowmonitor.models import (
    DATA,
    NetworkFlowMonitorBackend,
    TopContributorsQuery,
    networkflowmonitor_backends,
)

QUEUED_SHARE = 0.2  # of the time that a query takes


@dataclass(frozen=True)
class RankingScript:
    """How queries of the ranking family go, and how many rows they give."""

    statuses: tuple[str, ...] = ("QUEUED", "RUNNING", "SUCCEEDED")
    start_faults: tuple[str, ...] = ()
    result_faults: tuple[str, ...] = ()
    rows: int = 3


@dataclass(frozen=True)
class Script:
    """How queries go.

    Attributes
    ----------
    statuses
        What successive status checks answer; the last one repeats. A name that ends in Exception is that error.
    start_faults, stop_faults, result_faults
        The errors that the first calls of an operation get.
    series, seed, unit, label, page_size
        The results; labels are zones unless one is given. A page holds `page_size` series or rows.
    ranking
        How queries of the ranking family go.
    seconds
        How long queries take, in the order of their starts and over again. The clock then moves them, however often
        they are checked, and of `statuses` only the last counts, as their end.
    ends
        How the queries of a metric and a category end instead: a status, or the error that GetQueryResults gets.
    refused
        The metrics and categories for which StartQuery answers ValidationException.
    requests_per_second, burst
        The rate of requests, whatever the operation, and how many may come at the same time. Others get
        ThrottlingException.
    concurrent_queries
        How many may be QUEUED or RUNNING; StartQuery answers ServiceQuotaExceededException while there are as many.
    latency
        Seconds that a call takes. It answers what was true when it began.
    """

    statuses: tuple[str, ...] = ("QUEUED", "RUNNING", "RUNNING", "SUCCEEDED")
    start_faults: tuple[str, ...] = ()
    stop_faults: tuple[str, ...] = ()
    result_faults: tuple[str, ...] = ()
    series: int = 3
    seed: int = 0
    unit: str | None = None
    label: str | None = None
    page_size: int = 2
    ranking: RankingScript = field(default_factory=RankingScript)
    seconds: tuple[float, ...] = ()
    ends: Mapping[tuple[str, str], str] = field(default_factory=dict)
    refused: tuple[tuple[str, str], ...] = ()
    requests_per_second: float | None = None
    burst: int = 5
    concurrent_queries: int | None = None
    latency: float = 0.0


@dataclass
class Call:
    """A call that the service got.

    Attributes
    ----------
    operation
        Its verb, such as StartQuery; of the ranking family it ends in Ranking, such as StartQueryRanking.
    outcome
        The status that a status check answered, the name of an error, or OK.
    at
        When it came, in seconds of the clock.
    """

    operation: str
    scope_id: str
    query_id: str | None
    outcome: str
    at: float = field(default=0.0, compare=False)


class ScriptedError(ServiceException):
    """An error of the service model; moto looks up its HTTP code there."""

    def __init__(self, code: str) -> None:
        super().__init__(code, f"{code}, as the script says")


def install(clock: Clock) -> None:
    """Let moto serve the scripted backend. Call it before the server answers its first request."""
    ScriptedBackend.clock = clock
    networkflowmonitor_backends.backend = ScriptedBackend
    networkflowmonitor_backends.clear()


class ScriptedQuery(TopContributorsQuery):
    """Status checks move it on, or time where the script says how many seconds it takes."""

    def __init__(self, script: Script, clock: Clock, seconds: float | None = None, **members: Any) -> None:
        super().__init__(**members)
        self.script = script
        self.page_size = script.page_size
        self.zone_count = script.series
        self.contributor_count = script.ranking.rows
        self._clock = clock
        self._seconds = seconds
        self._started = clock.monotonic()
        self._checks = 0
        self._is_canceled = False

    @property
    def status(self) -> str:
        """What the latest status check answered, or what time has made of it."""
        if self._is_canceled:
            return "CANCELED"
        if self._seconds is not None:
            return self._timed_status(self._seconds)
        answered = [status for status in self._statuses[: max(self._checks, 1)] if not status.endswith("Exception")]
        return answered[-1] if answered else "QUEUED"

    @status.setter
    def status(self, value: str) -> None:
        self._is_canceled = value == "CANCELED"

    def advance(self) -> None:
        """Count a status check, and raise the error that the script has for it."""
        scripted = self._statuses[min(self._checks, len(self._statuses) - 1)]
        self._checks += 1
        if scripted.endswith("Exception") and self._seconds is None and not self._is_canceled:
            raise ScriptedError(scripted)

    def raise_results_fault(self) -> None:
        if self._is_data and self._end.endswith("Exception"):
            raise ScriptedError(self._end)

    @property
    def unit(self) -> str:
        return self.script.unit or super().unit

    @property
    def labels(self) -> list[str]:
        return [self.script.label] * self.script.series if self.script.label else super().labels

    @property
    def _is_data(self) -> bool:
        return self.family == DATA

    @property
    def _end(self) -> str:
        """The status that the query ends with, or the error that its results get."""
        return self.script.ends.get((self.metric_name, self.destination_category), self.script.statuses[-1])

    @property
    def _statuses(self) -> tuple[str, ...]:
        if not self._is_data:
            return self.script.ranking.statuses
        last = self.script.statuses[-1] if self._end.endswith("Exception") else self._end
        return (*self.script.statuses[:-1], last)

    def _timed_status(self, seconds: float) -> str:
        elapsed = round(self._clock.monotonic() - self._started, 6)  # a turned clock is a sum of floats
        if elapsed >= seconds:
            return self._statuses[-1]
        return "RUNNING" if elapsed >= QUEUED_SHARE * seconds else "QUEUED"

    def _random(self) -> Random:
        request = (self.metric_name, self.destination_category, self.start_time, self.end_time, self.family)
        return Random(f"{self.script.seed}/{request}")


class ScriptedBackend(NetworkFlowMonitorBackend):
    clock: Clock = SystemClock()

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.script = Script()
        self.calls: list[Call] = []
        self.observer: Callable[[Call], None] | None = None
        self._faults_raised: Counter[str] = Counter()
        self._lock = RLock()
        self._next_request_at = 0.0

    @property
    def _url_module(self) -> Any:
        return importlib.import_module("localaws.networkflowmonitor.urls")

    def start_query(
        self, family: str, scope_id: str, metric_name: str, destination_category: str, *args: Any, **members: Any
    ) -> TopContributorsQuery:
        with self._recorded("StartQuery", family, scope_id) as call:
            self._raise_fault(f"StartQuery{family}", self._script_of(family).start_faults)
            if (metric_name, destination_category) in self.script.refused:
                raise ValidationException(f"{metric_name} of {destination_category} is refused, as the script says")
            self._hold_to_quota()
            query = super().start_query(family, scope_id, metric_name, destination_category, *args, **members)
            call.query_id = query.query_id
        return query

    def get_query_status(self, family: str, scope_id: str, query_id: str) -> str | None:
        with self._recorded("GetQueryStatus", family, scope_id, query_id) as call:
            call.outcome = str(super().get_query_status(family, scope_id, query_id))
        return call.outcome

    def get_query_results(self, family: str, scope_id: str, query_id: str, *args: Any, **page: Any) -> dict[str, Any]:
        with self._recorded("GetQueryResults", family, scope_id, query_id):
            self._raise_fault(f"GetQueryResults{family}", self._script_of(family).result_faults)
            results = super().get_query_results(family, scope_id, query_id, *args, **page)
            self.queries[query_id].raise_results_fault()
        return results

    def stop_query(self, family: str, scope_id: str, query_id: str) -> None:
        with self._recorded("StopQuery", family, scope_id, query_id):
            self._raise_fault("StopQuery", self.script.stop_faults)
            super().stop_query(family, scope_id, query_id)

    def add_query(self, scope_id: str, query_id: str) -> None:
        """Let a query be running that nobody has started here."""
        self.queries[query_id] = self.create_query(
            family=DATA,
            query_id=query_id,
            account_id=self.account_id,
            region_name=self.region_name,
            scope_id=scope_id,
            metric_name="RETRANSMISSIONS",
            destination_category="INTER_AZ",
            start_time=datetime(2026, 11, 24, 8, 0),
            end_time=datetime(2026, 11, 24, 8, 15),
        )

    def create_query(self, **members: Any) -> ScriptedQuery:
        seconds = self.script.seconds
        duration = seconds[len(self.queries) % len(seconds)] if seconds else None
        return ScriptedQuery(self.script, self.clock, duration, **members)

    def _script_of(self, family: str) -> Script | RankingScript:
        return self.script if family == DATA else self.script.ranking

    @contextmanager
    def _recorded(self, verb: str, family: str, scope_id: str, query_id: str | None = None) -> Iterator[Call]:
        """Record the call, hold it to the rate, and let it take its time."""
        operation = verb if family == DATA else f"{verb}Ranking"
        try:
            with self._lock:
                call = Call(operation, scope_id, query_id, "OK", self.clock.monotonic())
                yield from self._held_to_rate(call)
        finally:
            if self.script.latency:
                self.clock.sleep(self.script.latency)

    def _held_to_rate(self, call: Call) -> Iterator[Call]:
        try:
            self._throttle()
            yield call
        except Exception as error:
            call.outcome = getattr(error, "code", type(error).__name__)
            raise
        finally:
            self.calls.append(call)
            if self.observer:
                self.observer(call)

    def _throttle(self) -> None:
        """Refuse a request that comes too soon; it costs the later ones nothing (a token bucket, kept as one time)."""
        rate, now = self.script.requests_per_second, self.clock.monotonic()
        if rate is None:
            return
        next_request_at = max(self._next_request_at, now) + 1 / rate
        if next_request_at - now > self.script.burst / rate + 1e-9:
            raise ScriptedError("ThrottlingException")
        self._next_request_at = next_request_at

    def _hold_to_quota(self) -> None:
        quota = self.script.concurrent_queries
        in_progress = sum(query.status in ("QUEUED", "RUNNING") for query in self.queries.values())
        if quota is not None and in_progress >= quota:
            raise ScriptedError("ServiceQuotaExceededException")

    def _raise_fault(self, operation: str, faults: tuple[str, ...]) -> None:
        number = self._faults_raised[operation]
        self._faults_raised[operation] += 1
        if number < len(faults):
            raise ScriptedError(faults[number])
