"""NetworkFlowMonitorBackend: queries that move on by being looked at, or with time, as a script says."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import RLock
from typing import Any, TypedDict, TypeVar

import boto3
from moto.core.base_backend import BackendDict, BaseBackend
from moto.moto_api._internal import mock_random

from localaws.clock import Clock, SystemClock

from .exceptions import ResourceNotFoundException, ValidationException, modelled

FIVE_MINUTES = timedelta(minutes=5)
Result = TypeVar("Result")
ENDED = ("SUCCEEDED", "FAILED", "CANCELED")
QUEUED_PART = 0.2  # of the time that a query takes
DATA, RANKING = "WorkloadInsightsTopContributorsData", "WorkloadInsightsTopContributors"


class Series(TypedDict):
    timestamps: list[datetime]
    values: list[float]
    label: str


class Contributor(TypedDict):
    accountId: str
    localSubnetId: str
    localAz: str
    localVpcId: str
    localRegion: str
    remoteIdentifier: str
    value: int


class Page(TypedDict, total=False):
    unit: str
    datapoints: list[Series]
    topContributors: list[Contributor]
    nextToken: str


@dataclass(frozen=True)
class Ranking:
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
        What successive looks at a query answer; the last one repeats. A name that ends in Exception is that error.
    start_faults, stop_faults, result_faults
        The errors that the first calls of an operation get.
    series, seed, unit, label, page_size
        The results; labels are zones unless one is given. A page holds `page_size` series or rows. The unit of counted
        metrics is undocumented; Count is a choice.
    ranking
        How queries of the ranking family go, and how many rows they give.
    seconds
        How long queries take, in the order of their starts and over again; the clock then moves them, however often
        they are looked at, and of `statuses` only the last counts, as their end.
    ends
        How the queries over a metric and a category end instead: a status, or the error that asking for results gets.
    refused
        The metrics and categories for which StartQuery answers ValidationException.
    requests_per_second, burst
        The rate of requests, whatever the operation, and how many may come at once; others get ThrottlingException.
    concurrent_queries
        How many may be QUEUED or RUNNING; StartQuery answers ServiceQuotaExceededException while there are as many.
    latency
        Seconds that a call takes; what it answers is what was so when it began.
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
    ranking: Ranking = field(default_factory=Ranking)
    seconds: tuple[float, ...] = ()
    ends: Mapping[tuple[str, str], str] = field(default_factory=dict)
    refused: tuple[tuple[str, str], ...] = ()
    requests_per_second: float | None = None
    burst: int = 5
    concurrent_queries: int | None = None
    latency: float = 0.0


@dataclass(frozen=True)
class Call:
    operation: str
    scope_id: str
    query_id: str | None
    outcome: str
    at: float = field(default=0.0, compare=False)  # of the clock, when it came


@dataclass
class Query:
    scope_id: str
    query_id: str
    script: Script
    clock: Clock
    metric_name: str
    destination_category: str
    start_time: datetime
    end_time: datetime
    limit: int | None = None
    family: str = DATA
    seconds: float | None = None
    looks: int = 0
    canceled: bool = False

    def __post_init__(self) -> None:
        self.started = self.clock.monotonic()

    @property
    def statuses(self) -> tuple[str, ...]:
        if self.family != DATA:
            return self.script.ranking.statuses
        *before, end = self.script.statuses
        scripted = self.script.ends.get((self.metric_name, self.destination_category), end)
        return (*before, end if scripted.endswith("Exception") else scripted)

    @property
    def results_fault(self) -> str | None:
        scripted = self.script.ends.get((self.metric_name, self.destination_category), "")
        return scripted if self.family == DATA and scripted.endswith("Exception") else None

    @property
    def status(self) -> str:
        """What the latest look saw, or what time has made of it."""
        if self.canceled:
            return "CANCELED"
        if self.seconds is not None:
            return self._timed_status(self.seconds)
        seen = [status for status in self.statuses[: max(self.looks, 1)] if not status.endswith("Exception")]
        return seen[-1] if seen else "QUEUED"

    def _timed_status(self, seconds: float) -> str:
        elapsed = round(self.clock.monotonic() - self.started, 6)  # a turned clock is a sum, exact to a part of that
        if elapsed >= seconds:
            return self.statuses[-1]
        return "RUNNING" if elapsed >= QUEUED_PART * seconds else "QUEUED"

    def look(self) -> str:
        scripted = self.statuses[min(self.looks, len(self.statuses) - 1)]
        self.looks += 1
        if self.canceled or self.seconds is not None:
            return self.status
        if scripted.endswith("Exception"):
            raise modelled(scripted)
        return scripted

    def series(self, region_name: str) -> list[Series]:
        """Return the results, shaped like the one sample that AWS publishes: five-minute points, labels as use1-az6."""
        dice = self._dice()
        area, direction, number = region_name.split("-")[:3] if region_name.count("-") == 2 else ("us", "east", "1")
        count = max(1, (self.end_time - self.start_time) // FIVE_MINUTES)
        timestamps = [self.start_time + index * FIVE_MINUTES for index in range(count)]
        return [
            Series(
                timestamps=timestamps,
                values=_values(dice, count),
                label=self.script.label or f"{area}{direction[0]}{number}-az{zone + 1}",
            )
            for zone in range(self.script.series)
        ]

    def contributors(self, region_name: str) -> list[Contributor]:
        """Return ranked rows, of subnets in the zones of `series`."""
        dice = self._dice()
        zones = [series["label"] for series in self.series(region_name)] or ["use1-az1"]
        values = sorted((dice.randrange(100, 2000) for _ in range(self.script.ranking.rows)), reverse=True)
        rows = [
            Contributor(
                accountId="123456789012",
                localSubnetId=f"subnet-{dice.randrange(16**17):017x}",
                localAz=zones[rank % len(zones)],
                localVpcId=f"vpc-{dice.randrange(16**17):017x}",
                localRegion=region_name,
                remoteIdentifier=f"subnet-{dice.randrange(16**17):017x}",
                value=value,
            )
            for rank, value in enumerate(values)
        ]
        return rows[: self.limit]

    def _dice(self) -> random.Random:
        asked = (self.metric_name, self.destination_category, self.start_time, self.end_time, self.family)
        return random.Random(f"{self.script.seed}/{asked}")


def _values(dice: random.Random, count: int) -> list[float]:
    level = dice.uniform(50, 500)
    return [round(level * dice.uniform(0.7, 1.3) * (4 if dice.random() < 0.1 else 1), 1) for _ in range(count)]


@dataclass
class _Faults:
    given: dict[str, int] = field(default_factory=dict)

    def raise_next(self, operation: str, faults: tuple[str, ...]) -> None:
        given = self.given.get(operation, 0)
        self.given[operation] = given + 1
        if given < len(faults):
            raise modelled(faults[given])


class NetworkFlowMonitorBackend(BaseBackend):
    """Implementation of the NetworkFlowMonitor APIs for queries about a scope: over time, and ranked."""

    clock: Clock = SystemClock()

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.script = Script()
        self.queries: dict[str, Query] = {}
        self.calls: list[Call] = []
        self.observer: Callable[[Call], None] | None = None
        self.faults = _Faults()
        self.lock = RLock()
        self._next_due = 0.0

    def start_query(
        self,
        family: str,
        scopeId: str,
        metricName: str,
        destinationCategory: str,
        startTime: datetime,
        endTime: datetime,
        limit: int | None = None,
    ) -> Query:
        def start() -> Query:
            faults = self.script.start_faults if family == DATA else self.script.ranking.start_faults
            self.faults.raise_next(f"StartQuery{family}", faults)
            if (metricName, destinationCategory) in self.script.refused:
                raise ValidationException(f"{metricName} of {destinationCategory} is refused, as the script says")
            self._hold_to_quota()
            return self.add_query(
                scopeId, str(mock_random.uuid4()), metricName, startTime, endTime, limit, family, destinationCategory
            )

        return self._recorded(f"StartQuery{_short(family)}", scopeId, None, start)

    def add_query(
        self,
        scope_id: str,
        query_id: str,
        metric_name: str = "RETRANSMISSIONS",
        start_time: datetime = datetime(2026, 11, 24, 8, 0),  # timestamps arrive naive, in UTC
        end_time: datetime = datetime(2026, 11, 24, 8, 15),
        limit: int | None = None,
        family: str = DATA,
        destination_category: str = "INTER_AZ",
    ) -> Query:
        seconds = self.script.seconds[len(self.queries) % len(self.script.seconds)] if self.script.seconds else None
        query = Query(
            scope_id,
            query_id,
            self.script,
            self.clock,
            metric_name,
            destination_category,
            start_time,
            end_time,
            limit,
            family,
            seconds,
        )
        self.queries[query_id] = query
        return query

    def get_query_status(self, family: str, scope_id: str, query_id: str) -> str:
        # What an unknown id answers is undocumented; ValidationException is what the model leaves.
        def look() -> str:
            return self._find(family, scope_id, query_id, ValidationException).look()

        return self._recorded(f"GetQueryStatus{_short(family)}", scope_id, query_id, look)

    def get_query_results(
        self, family: str, scope_id: str, query_id: str, next_token: str | None, max_results: int | None
    ) -> Page:
        def get() -> Page:
            faults = self.script.result_faults if family == DATA else self.script.ranking.result_faults
            self.faults.raise_next(f"GetQueryResults{family}", faults)
            query = self._find(family, scope_id, query_id, ResourceNotFoundException)
            if query.status != "SUCCEEDED":  # undocumented, a choice
                raise ValidationException(f"The query is {query.status}")
            if query.results_fault:
                raise modelled(query.results_fault)
            return self._page(query, next_token, max_results or query.script.page_size)

        return self._recorded(f"GetQueryResults{_short(family)}", scope_id, query_id, get)

    def _page(self, query: Query, next_token: str | None, size: int) -> Page:
        items: list[Any] = (query.series if query.family == DATA else query.contributors)(self.region_name)
        offsets = {f"page-{offset}": offset for offset in range(size, len(items), size)}
        if next_token is not None and next_token not in offsets:
            raise ValidationException(f"nextToken is not one that was given out: {next_token!r}")
        offset = offsets[next_token] if next_token else 0
        page = Page(topContributors=items[offset : offset + size])
        if query.family == DATA:
            unit = query.script.unit or ("Bytes" if query.metric_name == "DATA_TRANSFERRED" else "Count")
            page = Page(unit=unit, datapoints=items[offset : offset + size])
        if f"page-{offset + size}" in offsets:
            page["nextToken"] = f"page-{offset + size}"
        return page

    def stop_query(self, family: str, scope_id: str, query_id: str) -> None:
        def stop() -> None:
            self.faults.raise_next("StopQuery", self.script.stop_faults)
            query = self._find(family, scope_id, query_id, ValidationException)
            if query.status in ENDED:  # undocumented, a choice
                raise ValidationException(f"The query has ended as {query.status}")
            query.canceled = True

        self._recorded(f"StopQuery{_short(family)}", scope_id, query_id, stop)

    def _throttle(self) -> None:
        """Refuse a request that comes too soon; it costs the later ones nothing (a token bucket, kept as one time)."""
        rate, now = self.script.requests_per_second, self.clock.monotonic()
        if rate is None:
            return
        due = max(self._next_due, now) + 1 / rate
        if due - now > self.script.burst / rate + 1e-9:
            raise modelled("ThrottlingException")
        self._next_due = due

    def _hold_to_quota(self) -> None:
        quota = self.script.concurrent_queries
        if quota is not None and sum(query.status in ("QUEUED", "RUNNING") for query in self.queries.values()) >= quota:
            raise modelled("ServiceQuotaExceededException")

    def _find(self, family: str, scope_id: str, query_id: str, error: type[Exception]) -> Query:
        query = self.queries.get(query_id)
        if query is None or (query.scope_id, query.family) != (scope_id, family):
            raise error(f"Query {query_id} does not exist in scope {scope_id}")
        return query

    def _recorded(self, operation: str, scope_id: str, query_id: str | None, call: Callable[[], Result]) -> Result:
        try:
            with self.lock:
                return self._record(operation, scope_id, query_id, call)
        finally:
            if self.script.latency:
                self.clock.sleep(self.script.latency)

    def _record(self, operation: str, scope_id: str, query_id: str | None, call: Callable[[], Result]) -> Result:
        outcome, at = "OK", self.clock.monotonic()
        try:
            self._throttle()
            result = call()
            outcome = result if isinstance(result, str) else "OK"
            query_id = result.query_id if isinstance(result, Query) else query_id
            return result
        except Exception as error:
            outcome = getattr(error, "code", type(error).__name__)
            raise
        finally:
            made = Call(operation, scope_id, query_id, outcome, at)
            self.calls.append(made)
            if self.observer:
                self.observer(made)


def _short(family: str) -> str:
    """Return what tells a ranking's calls from those that most queries make."""
    return "" if family == DATA else "Ranking"


# urls.py is looked up beside the backend's module, so the name has to be the one in moto's namespace.
NetworkFlowMonitorBackend.__module__ = "moto.networkflowmonitor.models"

networkflowmonitor_backends = BackendDict(
    NetworkFlowMonitorBackend,
    "networkflowmonitor",
    use_boto3_regions=False,
    additional_regions=boto3.Session().get_available_regions("cloudwatch"),
)
