"""The input of RunQuery: checked as a whole before any call, its defaults filled in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from flowquery.core.errors import InvalidInput
from flowquery.core.fields import (
    parse_id,
    parse_number,
    parse_object,
    parse_whole_within,
    parse_within,
    refuse_unknown_names,
)
from flowquery.core.limits import HOLD_SECONDS, RANKING_LIMIT, TIMEOUT_SECONDS
from flowquery.core.model import REQUEST_FIELDS, Family, Query, QueryRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowquery.core.model import AllowedValues

    Fields = Mapping[str, object]

QUERY_INPUT_FIELDS = (
    "scopeId",
    "queryId",
    *REQUEST_FIELDS,
    "family",
    "limit",
    "alarmAbove",
    "holdSeconds",
    "timeoutSeconds",
)


@dataclass(frozen=True)
class QueryDefaults:
    """The values of the stack's parameters, for an input without its own."""

    hold_seconds: float = HOLD_SECONDS.default
    timeout_seconds: float = TIMEOUT_SECONDS.default
    limit: int = int(RANKING_LIMIT.default)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> QueryDefaults:
        return cls(
            hold_seconds=float(environment["HOLD_SECONDS"]),
            timeout_seconds=float(environment["TIMEOUT_SECONDS"]),
            limit=int(environment["RANKING_LIMIT"]),
        )


@dataclass(frozen=True)
class QueryInput:
    """An input of RunQuery: either a request to start, or the id of a query that is running already.

    Attributes
    ----------
    query_id
        Of a query that was handed in.
    query_request
        What the query asks for; None where a query was handed in without saying.
    limit
        How many contributors a ranking of a finding has.
    alarm_above
        The value above which the peak is a finding, in the result's unit.
    hold_seconds, timeout_seconds
        How long one invocation of the status step may hold; the budget of the whole query.
    """

    scope_id: str
    family: Family
    query_id: str | None
    query_request: QueryRequest | None
    limit: int
    alarm_above: float | None
    hold_seconds: float
    timeout_seconds: float

    @classmethod
    def parse(
        cls, event: object, allowed_values: Callable[[Family], AllowedValues], defaults: QueryDefaults
    ) -> QueryInput:
        fields = parse_object(event)
        refuse_unknown_names(fields, QUERY_INPUT_FIELDS)
        scope_id, family = parse_id(fields, "scopeId"), Family.parse(fields)
        query_id = None if fields.get("queryId") is None else parse_id(fields, "queryId")
        limit = parse_whole_within(fields, "limit", RANKING_LIMIT, defaults.limit)
        request = None
        if query_id is None or family is Family.RANKING or any(fields.get(name) is not None for name in REQUEST_FIELDS):
            request = replace(QueryRequest.parse(fields, allowed_values(family)), limit=limit)
        return cls(
            scope_id=scope_id,
            family=family,
            query_id=query_id,
            query_request=request,
            limit=limit,
            alarm_above=_parse_alarm_above(fields, family, request),
            hold_seconds=parse_within(fields, "holdSeconds", HOLD_SECONDS, defaults.hold_seconds),
            timeout_seconds=parse_within(fields, "timeoutSeconds", TIMEOUT_SECONDS, defaults.timeout_seconds),
        )

    @property
    def handed_in(self) -> Query | None:
        return None if self.query_id is None else Query(self.scope_id, self.query_id, self.family)

    @property
    def required_request(self) -> QueryRequest:
        """The request of a query to start; `parse` refuses an input that has neither it nor a query id."""
        return cast("QueryRequest", self.query_request)

    def to_json(self, query: Query) -> dict[str, object]:
        """Return the input of every later step, each field in it, null where there is none."""
        requested = self.query_request.to_json() if self.query_request else dict.fromkeys(REQUEST_FIELDS)
        return {
            "scopeId": query.scope_id,
            "queryId": query.query_id,
            "family": query.family.value,
            **requested,
            "limit": self.limit,
            "alarmAbove": self.alarm_above,
            "holdSeconds": self.hold_seconds,
            "timeoutSeconds": self.timeout_seconds,
        }


def _parse_alarm_above(fields: Fields, family: Family, request: QueryRequest | None) -> float | None:
    value = fields.get("alarmAbove")
    if value is None:
        return None
    if family is not Family.DATA:
        raise InvalidInput(f"alarmAbove: for the family {Family.DATA} only, got {value!r} with family {family}")
    if request is None:
        raise InvalidInput(f"alarmAbove: needs {', '.join(REQUEST_FIELDS)}, since a finding is about a metric")
    return parse_number(fields, "alarmAbove")
