"""From stored results to the output of RunQuery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowquery.core.fields import object_field, parse_number, parse_object
from flowquery.core.model import REQUEST_FIELDS, Query, QueryRequest, Status
from flowquery.query.cost import Usage, query_cost
from flowquery.results.request import ResultsRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowquery.core.model import AllowedValues, Family
    from flowquery.results.spool import Summary

    Measure = Callable[[str, float], object]


@dataclass(frozen=True)
class ResultsInput:
    """The input of GetQueryResults: which results to fetch, what makes a finding, and what was used so far."""

    request: ResultsRequest
    alarm_above: float | None
    usage: Usage

    @classmethod
    def parse(cls, event: object, allowed_values: Callable[[Family], AllowedValues]) -> ResultsInput:
        fields = parse_object(event)
        query = Query.parse(fields)
        query_request = None
        if any(fields.get(name) is not None for name in REQUEST_FIELDS):
            query_request = QueryRequest.parse(fields, allowed_values(query.family))
        above = None if fields.get("alarmAbove") is None else parse_number(fields, "alarmAbove")
        return cls(ResultsRequest(query, query_request), above, Usage.parse(fields))

    def is_finding(self, summary: Summary) -> bool:
        return self.alarm_above is not None and summary.peak is not None and summary.peak.value > self.alarm_above


def query_output(
    results: ResultsInput, bucket: str, key: str, summary: Summary, gb_seconds: float, region: str
) -> dict[str, object]:
    """Return the output of an execution that succeeds, as `schemas/run_query.output.json` says."""
    finding = results.is_finding(summary)
    return {
        "status": Status.SUCCEEDED.value,
        **results.request.to_json(),
        "results": {"bucket": bucket, "key": key, **summary.to_json()},
        "finding": finding,
        "alarmAbove": results.alarm_above,
        "cost": query_cost(results.usage, gb_seconds, region, finding=finding),
    }


def measure_query(usage: Usage, output: Mapping[str, object], measure: Measure) -> None:
    """Measure the seconds until the query's end was observed, and the dollars, where they are known."""
    measure("QuerySeconds", usage.poll.elapsed_seconds)
    if isinstance(price := object_field(output, "cost").get("dollars"), float):
        measure("RunDollars", price)
