"""NetworkFlowMonitorBackend: queries that move on by being looked at, as a script says."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import RLock
from typing import TypedDict, TypeVar

import boto3
from moto.core.base_backend import BackendDict, BaseBackend
from moto.moto_api._internal import mock_random

from .exceptions import ResourceNotFoundException, ValidationException, modelled

FIVE_MINUTES = timedelta(minutes=5)
Result = TypeVar("Result")
ENDED = ("SUCCEEDED", "FAILED", "CANCELED")


class Series(TypedDict):
    timestamps: list[datetime]
    values: list[float]
    label: str


class Page(TypedDict, total=False):
    unit: str
    datapoints: list[Series]
    nextToken: str


@dataclass(frozen=True)
class Script:
    """How queries go.

    Attributes
    ----------
    statuses
        What successive looks at a query answer; the last one repeats. A name that ends in Exception is that error.
    start_faults, stop_faults, result_faults
        The errors that the first calls of an operation get.
    series, seed, unit, page_size
        The results. A page holds `page_size` series. The unit of counted metrics is undocumented; Count is a choice.
    """

    statuses: tuple[str, ...] = ("QUEUED", "RUNNING", "RUNNING", "SUCCEEDED")
    start_faults: tuple[str, ...] = ()
    stop_faults: tuple[str, ...] = ()
    result_faults: tuple[str, ...] = ()
    series: int = 3
    seed: int = 0
    unit: str | None = None
    page_size: int = 2


@dataclass(frozen=True)
class Call:
    operation: str
    scope_id: str
    query_id: str | None
    outcome: str


@dataclass
class Query:
    scope_id: str
    query_id: str
    script: Script
    metric_name: str
    start_time: datetime
    end_time: datetime
    looks: int = 0
    canceled: bool = False

    @property
    def status(self) -> str:
        """What the latest look saw."""
        seen = [status for status in self.script.statuses[: max(self.looks, 1)] if not status.endswith("Exception")]
        return "CANCELED" if self.canceled else seen[-1] if seen else "QUEUED"

    def look(self) -> str:
        status = self.script.statuses[min(self.looks, len(self.script.statuses) - 1)]
        self.looks += 1
        if self.canceled:
            return "CANCELED"
        if status.endswith("Exception"):
            raise modelled(status)
        return status

    def series(self, region_name: str) -> list[Series]:
        """Return the results, shaped like the one sample that AWS publishes: five-minute points, labels as use1-az6."""
        dice = random.Random(f"{self.script.seed}/{self.metric_name}/{self.start_time}/{self.end_time}")
        area, direction, number = region_name.split("-")[:3] if region_name.count("-") == 2 else ("us", "east", "1")
        count = max(1, (self.end_time - self.start_time) // FIVE_MINUTES)
        timestamps = [self.start_time + index * FIVE_MINUTES for index in range(count)]
        return [
            Series(
                timestamps=timestamps, values=_values(dice, count), label=f"{area}{direction[0]}{number}-az{zone + 1}"
            )
            for zone in range(self.script.series)
        ]


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
    """Implementation of the NetworkFlowMonitor APIs of the family WorkloadInsightsTopContributorsData."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.script = Script()
        self.queries: dict[str, Query] = {}
        self.calls: list[Call] = []
        self.observer: Callable[[Call], None] | None = None
        self.faults = _Faults()
        self.lock = RLock()

    def start_query(
        self,
        scopeId: str,
        metricName: str,
        destinationCategory: str,
        startTime: datetime,
        endTime: datetime,
    ) -> Query:
        def start() -> Query:
            self.faults.raise_next("StartQuery", self.script.start_faults)
            return self.add_query(scopeId, str(mock_random.uuid4()), metricName, startTime, endTime)

        return self._recorded("StartQuery", scopeId, None, start)

    def add_query(
        self,
        scope_id: str,
        query_id: str,
        metric_name: str = "RETRANSMISSIONS",
        start_time: datetime = datetime(2026, 11, 24, 8, 0),  # timestamps arrive naive, in UTC
        end_time: datetime = datetime(2026, 11, 24, 8, 15),
    ) -> Query:
        self.queries[query_id] = Query(scope_id, query_id, self.script, metric_name, start_time, end_time)
        return self.queries[query_id]

    def get_query_status(self, scope_id: str, query_id: str) -> str:
        # What an unknown id answers is undocumented; ValidationException is what the model leaves.
        return self._recorded(
            "GetQueryStatus", scope_id, query_id, lambda: self._find(scope_id, query_id, ValidationException).look()
        )

    def get_query_results(self, scope_id: str, query_id: str, next_token: str | None, max_results: int | None) -> Page:
        def get() -> Page:
            self.faults.raise_next("GetQueryResults", self.script.result_faults)
            query = self._find(scope_id, query_id, ResourceNotFoundException)
            if query.status != "SUCCEEDED":  # undocumented, a choice
                raise ValidationException(f"The query is {query.status}")
            return self._page(query, next_token, max_results or query.script.page_size)

        return self._recorded("GetQueryResults", scope_id, query_id, get)

    def _page(self, query: Query, next_token: str | None, size: int) -> Page:
        series = query.series(self.region_name)
        offsets = {f"page-{offset}": offset for offset in range(size, len(series), size)}
        if next_token is not None and next_token not in offsets:
            raise ValidationException(f"nextToken is not one that was given out: {next_token!r}")
        offset = offsets[next_token] if next_token else 0
        unit = query.script.unit or ("Bytes" if query.metric_name == "DATA_TRANSFERRED" else "Count")
        page = Page(unit=unit, datapoints=series[offset : offset + size])
        if f"page-{offset + size}" in offsets:
            page["nextToken"] = f"page-{offset + size}"
        return page

    def stop_query(self, scope_id: str, query_id: str) -> None:
        def stop() -> None:
            self.faults.raise_next("StopQuery", self.script.stop_faults)
            query = self._find(scope_id, query_id, ValidationException)
            if query.status in ENDED:  # undocumented, a choice
                raise ValidationException(f"The query has ended as {query.status}")
            query.canceled = True

        self._recorded("StopQuery", scope_id, query_id, stop)

    def _find(self, scope_id: str, query_id: str, error: type[Exception]) -> Query:
        query = self.queries.get(query_id)
        if query is None or query.scope_id != scope_id:
            raise error(f"Query {query_id} does not exist in scope {scope_id}")
        return query

    def _recorded(self, operation: str, scope_id: str, query_id: str | None, call: Callable[[], Result]) -> Result:
        with self.lock:
            outcome = "OK"
            try:
                result = call()
                outcome = result if isinstance(result, str) else "OK"
                query_id = result.query_id if isinstance(result, Query) else query_id
                return result
            except Exception as error:
                outcome = getattr(error, "code", type(error).__name__)
                raise
            finally:
                made = Call(operation, scope_id, query_id, outcome)
                self.calls.append(made)
                if self.observer:
                    self.observer(made)


# urls.py is looked up beside the backend's module, so the name has to be the one in moto's namespace.
NetworkFlowMonitorBackend.__module__ = "moto.networkflowmonitor.models"

networkflowmonitor_backends = BackendDict(
    NetworkFlowMonitorBackend,
    "networkflowmonitor",
    use_boto3_regions=False,
    additional_regions=boto3.Session().get_available_regions("cloudwatch"),
)
