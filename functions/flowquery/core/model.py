"""What the functions talk about. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


class Status(StrEnum):
    """The states of a query, from the botocore service model (`WorkloadInsightsTopContributorsDataQueryStatus`)."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


IN_PROGRESS = frozenset({Status.QUEUED.value, Status.RUNNING.value})
ENDED = frozenset(Status) - IN_PROGRESS


class Family(StrEnum):
    """The families of queries about a scope, by the end of their operations' names in the botocore service model."""

    DATA = "WorkloadInsightsTopContributorsData"
    RANKING = "WorkloadInsightsTopContributors"


@dataclass(frozen=True)
class Query:
    scope_id: str
    query_id: str
    family: Family = Family.DATA

    def to_json(self) -> dict[str, str]:
        named = {} if self.family is Family.DATA else {"family": self.family.value}
        return {"scopeId": self.scope_id, "queryId": self.query_id, **named}


SELECTION_FIELDS = ("metricName", "destinationCategory", "startTime", "endTime")


@dataclass(frozen=True)
class QueryRequest:
    """What a query asks for: one metric and one destination category over a window of time, in UTC.

    `limit` is the number of ranked rows, for the family that takes one; None leaves it to the service.
    """

    metric_name: str
    destination_category: str
    start_time: datetime
    end_time: datetime
    limit: int | None = None

    def to_json(self) -> dict[str, str]:
        return {
            "metricName": self.metric_name,
            "destinationCategory": self.destination_category,
            "startTime": timestamp_text(self.start_time),
            "endTime": timestamp_text(self.end_time),
        }


@dataclass(frozen=True)
class Poll:
    """What is known about the watching of one query; handed back by the caller, so no store is needed.

    Attributes
    ----------
    wait_seconds
        Advice: how long to wait before the next check, whole seconds. Already counted in `elapsed_seconds`.
    exhausted
        The query goes on but the budget is spent.
    elapsed_seconds
        Budget spent so far: time held, waits granted, retries charged.
    checks
        Status calls that were made, failed ones included.
    observed
        How often each status, and each absorbed fault, was seen.
    transitions
        State transitions that watching took so far: two for each answer, one for each wait and each retry.
    requests, gb_seconds
        Invocations of the status step so far, failed attempts included, and what those that answered took of memory
        and time.
    """

    wait_seconds: int = 0
    exhausted: bool = False
    elapsed_seconds: float = 0.0
    checks: int = 0
    observed: Mapping[str, int] = field(default_factory=dict)
    transitions: int = 0
    requests: int = 0
    gb_seconds: float = 0.0

    def plus(self, transitions: int, requests: int, gb_seconds: float) -> Poll:
        """Return it with what a step took."""
        return replace(
            self,
            transitions=self.transitions + transitions,
            requests=self.requests + requests,
            gb_seconds=self.gb_seconds + gb_seconds,
        )

    @property
    def last_status(self) -> str | None:
        """The status to go by while looks fail: QUEUED or RUNNING, for after any other there is no next look."""
        return next((status for status in (Status.RUNNING, Status.QUEUED) if status in self.observed), None)

    def to_json(self) -> dict[str, object]:
        return {
            "waitSeconds": self.wait_seconds,
            "exhausted": self.exhausted,
            "elapsedSeconds": round(self.elapsed_seconds, 3),
            "checks": self.checks,
            "observed": dict(self.observed),
            "transitions": self.transitions,
            "requests": self.requests,
            "gbSeconds": round(self.gb_seconds, 3),
        }


@dataclass(frozen=True)
class Peak:
    """The highest value; its label is cut in JSON, since it goes into an object's metadata, of which S3 takes 2 KB."""

    value: float
    label: str
    timestamp: str

    def to_json(self) -> dict[str, object]:
        return {"value": self.value, "label": self.label[:100], "timestamp": self.timestamp}


@dataclass(frozen=True)
class Run:
    """An execution of RunQuery; times in UTC, the output, error and cause of one that was looked at alone."""

    name: str
    status: str
    started: datetime
    seconds: float | None = None
    output: Mapping[str, object] = field(default_factory=dict)
    error: str = ""
    cause: str = ""


def ascii_text(text: str) -> str:
    return "".join(character if character.isascii() and character.isprintable() else "?" for character in text)


def timestamp_text(moment: datetime) -> str:
    """ISO 8601 in UTC with a `Z`, the form of every timestamp in outputs and stored rows."""
    return moment.isoformat().replace("+00:00", "Z")
