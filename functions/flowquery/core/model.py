"""The vocabulary: queries, what they ask for, and what they answer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from flowquery.core.errors import InvalidInput
from flowquery.core.fields import parse_choice, parse_id, parse_object, parse_time, parse_whole_within
from flowquery.core.limits import LABEL_LENGTH, RANKING_LIMIT
from flowquery.core.text import timestamp_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    Fields = Mapping[str, object]
    AllowedValues = Mapping[str, tuple[str, ...]]


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

    @classmethod
    def parse(cls, fields: Fields) -> Family:
        if fields.get("family") is None:
            return cls.DATA
        return cls(parse_choice(fields, "family", tuple(cls)))

    def to_json(self) -> dict[str, str]:
        """Return the field `family`, which outputs have where it is not the default."""
        return {} if self is Family.DATA else {"family": self.value}


@dataclass(frozen=True)
class Query:
    """A query that was started."""

    scope_id: str
    query_id: str
    family: Family = Family.DATA

    @classmethod
    def parse(cls, fields: Fields) -> Query:
        return cls(parse_id(fields, "scopeId"), parse_id(fields, "queryId"), Family.parse(fields))

    def to_json(self) -> dict[str, str]:
        return {"scopeId": self.scope_id, "queryId": self.query_id, **self.family.to_json()}


class Selection(NamedTuple):
    """A metric and a destination category."""

    metric_name: str
    destination_category: str

    @classmethod
    def parse(cls, fields: Fields, allowed: AllowedValues) -> Selection:
        """Read it; `allowed` has the enums of the service model."""
        return cls(
            parse_choice(fields, "metricName", allowed["metricName"]),
            parse_choice(fields, "destinationCategory", allowed["destinationCategory"]),
        )

    def to_json(self) -> dict[str, str]:
        return {"metricName": self.metric_name, "destinationCategory": self.destination_category}


class Window(NamedTuple):
    """From a time up to another, in UTC, whole seconds."""

    start_time: datetime
    end_time: datetime

    @classmethod
    def parse(cls, value: object, name: str = "the event") -> Window:
        fields = parse_object(value, name)
        window = cls(parse_time(fields, "startTime"), parse_time(fields, "endTime"))
        if window.end_time <= window.start_time:
            raise InvalidInput(f"endTime: expected a time after startTime, got {fields['endTime']!r}")
        return window

    def to_json(self) -> dict[str, str]:
        return {"startTime": timestamp_text(self.start_time), "endTime": timestamp_text(self.end_time)}


REQUEST_FIELDS = ("metricName", "destinationCategory", "startTime", "endTime")


@dataclass(frozen=True)
class QueryRequest:
    """What StartQuery takes: a selection over a window, and for a ranking the number of rows.

    A `limit` of None leaves the number of rows to the service.
    """

    selection: Selection
    window: Window
    limit: int | None = None

    @classmethod
    def parse(cls, fields: Fields, allowed: AllowedValues, default_limit: int | None = None) -> QueryRequest:
        selection, window = Selection.parse(fields, allowed), Window.parse(fields)
        if fields.get("limit") is None:
            return cls(selection, window, default_limit)
        return cls(selection, window, parse_whole_within(fields, "limit", RANKING_LIMIT))

    def to_json(self) -> dict[str, str]:
        return {**self.selection.to_json(), **self.window.to_json()}


@dataclass(frozen=True)
class Peak:
    """The highest value, in the unit of the results."""

    value: float
    label: str
    timestamp: str

    def to_json(self) -> dict[str, object]:
        return {"value": self.value, "label": self.label[:LABEL_LENGTH], "timestamp": self.timestamp}
