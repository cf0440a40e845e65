"""Network Flow Monitor in virtual time, for sweeps: queries that take so long, and what goes wrong with requests."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO
from unittest import mock

from flowquery.core.errors import AccessDenied, InvalidRequest, QuotaExceeded, Throttled, TransientFault
from flowquery.core.model import Family, Query, QueryRequest, Selection, Window
from flowquery.polling.pace import Pace
from flowquery.sweep.state import Sweep, SweepQuery

WINDOW = Window(datetime(2026, 11, 24, 8, tzinfo=UTC), datetime(2026, 11, 24, 9, tzinfo=UTC))
FAULTS = {
    "throttled": Throttled,
    "fault": TransientFault,
    "slow": TransientFault,
    "quota": QuotaExceeded,
    "denied": AccessDenied,
    "invalid": InvalidRequest,
}


def sweep_of(count: int, rate: float = 5.0, timeout: float = 600.0, **more: Any) -> Sweep:
    queries = tuple(SweepQuery(0, Selection("TIMEOUTS", f"CATEGORY_{number}")) for number in range(count))
    return Sweep("scope", (WINDOW,), queries, Pace(rate, rate), timeout, **more)


def through_json(sweep: Sweep) -> Sweep:
    return Sweep.parse(json.loads(json.dumps(sweep.to_json())))


@dataclass
class Service:
    """Queries in virtual time; `script` says what goes wrong with the first requests."""

    seconds: tuple[float, ...] = (20.0,)
    script: tuple[str, ...] = ()
    concurrent: int = 10**6
    limit: float | None = None  # starts a second
    call: float = 0.1
    slow: float = 7.0
    end: str = "SUCCEEDED"
    now: float = 0.0
    requests: list[tuple[float, str, str]] = field(default_factory=list)
    started: dict[str, float] = field(default_factory=dict)
    stopped: dict[str, float] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds

    def status(self, query_id: str) -> str:
        if query_id in self.stopped:
            return "CANCELED"
        number = list(self.started).index(query_id)
        seconds = self.seconds[number % len(self.seconds)]
        return self.end if self.now >= self.started[query_id] + seconds else "RUNNING"

    def times(self, *kinds: str) -> list[float]:
        return [at for at, kind, _ in self.requests if not kinds or kind in kinds]

    def _request(self, kind: str, name: str) -> None:
        number = len(self.requests)
        self.requests.append((self.now, kind, name))
        failure = self.script[number] if number < len(self.script) else "none"
        self.sleep(self.slow if failure == "slow" else self.call)
        if failure in FAULTS and (failure != "quota" or kind == "start"):
            raise FAULTS[failure](failure)

    def start_query(self, scope_id: str, request: QueryRequest, family: Family) -> Query:
        self._request("start", request.selection.destination_category)
        running = sum(self.status(query_id) == "RUNNING" for query_id in self.started)
        if running >= self.concurrent:
            raise QuotaExceeded("at once")
        if self.limit is not None and any(self.now - at < 1 / self.limit for at in self.started.values()):
            raise Throttled("starts")
        query_id = f"q{len(self.started)}"
        self.started[query_id] = self.now
        return Query(scope_id, query_id, family)

    def get_query_status(self, query: Query) -> str:
        self._request("check", query.query_id)
        return self.status(query.query_id)

    def stop_query(self, query: Query) -> None:
        self._request("stop", query.query_id)
        if self.status(query.query_id) != "RUNNING":
            raise InvalidRequest("ended")
        self.stopped[query.query_id] = self.now

    def results_page(self, query: Query, _: str | None) -> dict[str, Any]:
        """Return the only page of a query's results: for a ranking one row, else three points of a series."""
        self._request("fetch", query.query_id)
        if query.family is Family.RANKING:
            return {"topContributors": [{"remoteIdentifier": query.query_id, "value": 9}]}
        times = [WINDOW.start_time + timedelta(minutes=5 * index) for index in range(3)]
        return {"unit": "Count", "datapoints": [{"label": query.query_id, "timestamps": times, "values": [1, 7.5, 2]}]}

    @contextmanager
    def clock(self, seed: int = 0) -> Iterator[None]:
        """Let time be that of this service, and the dice be those of the seed."""
        clock = mock.patch.multiple("flowquery.aws.clock", monotonic=lambda: self.now, sleep=self.sleep)
        with clock, mock.patch("flowquery.sweep.round.random", random.Random(seed)):
            yield


class Bucket:
    """S3 for one sweep: objects that are put once, their rows and their metadata."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[list[dict[str, Any]], dict[str, str]]] = {}

    def put_once(self, _: str, key: str, file: BinaryIO, metadata: dict[str, str]) -> bool:
        if key in self.objects:
            return False
        file.seek(0)
        rows = [json.loads(line) for line in gzip.decompress(file.read()).splitlines()]
        self.objects[key] = (rows, dict(metadata))
        return True

    def list_keys(self, _: str, prefix: str) -> Iterator[str]:
        return iter([key for key in self.objects if key.startswith(prefix)])

    def object_metadata(self, _: str, key: str) -> dict[str, str]:
        return self.objects[key][1]

    @contextmanager
    def answering(self) -> Iterator[None]:
        with mock.patch.multiple(
            "flowquery.aws.s3",
            put_once=self.put_once,
            list_keys=self.list_keys,
            object_metadata=self.object_metadata,
        ):
            yield
