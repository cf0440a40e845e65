"""The ranking of a finding: who contributed most to the highest peaks. One invocation starts, holds, stores and stops.

It serves RunQuery, whose output is of one query, and SweepScope, whose output has many.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from flowquery.core.errors import InvalidInput
from flowquery.core.fields import (
    object_field,
    objects_field,
    parse_count,
    parse_id,
    parse_number,
    parse_object,
    parse_whole_within,
    parse_within,
)
from flowquery.core.limits import RANKED_PEAKS, RANKING_LIMIT, REQUESTS_PER_SECOND, TIMEOUT_SECONDS
from flowquery.core.model import Family, Selection, Window
from flowquery.polling.pace import Pace
from flowquery.query.cost import total_cost
from flowquery.sweep.round import Round
from flowquery.sweep.state import SUCCEEDED, Progress, Sweep, SweepQuery
from flowquery.sweep.store import SweepStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowquery.core.errors import FlowqueryError
    from flowquery.sweep.round import Operations
    from flowquery.sweep.store import GetPage

    Fields = Mapping[str, object]

SECONDS_AFTER_WATCHING = 120.0  # of the invocation's time; watching ends before


class Finding(NamedTuple):
    """A peak above its threshold, and how far: as a multiple, since peaks of different metrics have different units."""

    window: int
    selection: Selection
    excess: float


@dataclass(frozen=True)
class RankingRequest:
    """The input of RankContributors, checked.

    Attributes
    ----------
    output
        Of GetQueryResults or of StoreSweep, with findings.
    sweep
        The ranking queries of its highest peaks, none of them started.
    retry_count
        Of the Task.
    """

    output: Fields
    sweep: Sweep
    retry_count: int

    @classmethod
    def parse(cls, event: object) -> RankingRequest:
        fields = parse_object(event)
        output = parse_object(fields.get("output"), "output")
        windows = [Window.parse(window, "output") for window in objects_field(output, "windows") or [output]]
        most = parse_whole_within(fields, "rankedPeaks", RANKED_PEAKS)
        highest = sorted(_findings(output), key=lambda finding: finding.excess, reverse=True)
        if not highest and "queries" not in output:
            raise InvalidInput("output: expected a finding, got an output without one")
        if "queries" in output:
            highest = highest[:most]
        rate = parse_within(fields, "requestsPerSecond", REQUESTS_PER_SECOND)
        sweep = Sweep(
            scope_id=parse_id(output, "scopeId"),
            windows=tuple(windows),
            queries=tuple(SweepQuery(finding.window, finding.selection) for finding in highest),
            pace=Pace(rate, rate),
            timeout_seconds=parse_within(fields, "timeoutSeconds", TIMEOUT_SECONDS),
            family=Family.RANKING,
            limit=parse_whole_within(fields, "limit", RANKING_LIMIT),
        )
        return cls(output, sweep, parse_count(fields, "retryCount", 0))


def rank_contributors(
    request: RankingRequest, operations: Operations, get_page: GetPage, bucket: str, remaining: Callable[[], float]
) -> Sweep:
    """Run the ranking queries to their end and store what succeeded. No query is left running.

    A query that fails, or that is stopped because time runs out, has its error as its status.

    Raises
    ------
    AccessDenied, InvalidRequest, Throttled, TransientFault
        The rows of a window cannot be fetched or stored.
    """
    retries = request.retry_count
    watching = Round(request.sweep, operations, lambda: remaining() - SECONDS_AFTER_WATCHING, retries, until_end=True)
    watching.run()
    watching.stop_all("QueryTimedOut", "when the time of RankContributors was over")
    sweep = watching.sweep_at_present
    while sweep.progress is Progress.ENDED:
        store = SweepStore(sweep, bucket, get_page, remaining)
        store.run()
        if store.sweep_at_present.queries == sweep.queries:
            return _without_rows(sweep)
        sweep = store.sweep_at_present
    return sweep


def _without_rows(sweep: Sweep) -> Sweep:
    """Fail the queries for whose rows there is no time left."""
    for index, query in enumerate(sweep.queries):
        if query.status == SUCCEEDED and query.rows is None:
            sweep = sweep.with_query(index, query.fail("QueryTimedOut", "no time was left to fetch its rows"))
    return sweep


def ranked_output(request: RankingRequest, sweep: Sweep, gb_seconds: float, region: str) -> dict[str, object]:
    """Return the output with its ranking, or why there is none, and the cost of both."""
    rankings = [_ranking(query) for query in sweep.queries]
    cost = _total(request, sweep.poll.checks, gb_seconds, region)
    if "queries" in request.output:
        return {**request.output, "rankings": rankings, "rankingFailure": None, "cost": cost}
    [ranking], [stored] = rankings, sweep.stored or (None,)
    if stored is None or "cause" in ranking:
        failure = {"error": ranking["status"], "cause": ranking.get("cause", "")}
        return {**request.output, "ranking": None, "rankingFailure": failure, "cost": cost}
    rows = {"rows": ranking["rows"], "empty": not ranking["rows"], "topContributors": ranking["topContributors"]}
    results = {"bucket": stored.bucket, "key": stored.key, **rows}
    single = {"queryId": ranking["queryId"], "results": results}
    return {**request.output, "ranking": single, "rankingFailure": None, "cost": cost}


def unranked_output(
    request: RankingRequest, error: FlowqueryError, gb_seconds: float, region: str
) -> dict[str, object]:
    """Return the output of a finding whose ranking failed as a whole."""
    failure = {"error": type(error).__name__, "cause": str(error)}
    none: Fields = {"rankings": []} if "queries" in request.output else {"ranking": None}
    return {**request.output, **none, "rankingFailure": failure, "cost": _total(request, 0, gb_seconds, region)}


def _total(request: RankingRequest, checks: int, gb_seconds: float, region: str) -> dict[str, object]:
    retries = request.retry_count
    own = {"checks": checks, "transitions": retries, "requests": 1 + retries, "gbSeconds": gb_seconds}
    return total_cost([object_field(request.output, "cost"), own], region)


def _ranking(query: SweepQuery) -> dict[str, object]:
    return {
        "window": query.window,
        **query.selection.to_json(),
        "queryId": query.query_id,
        "status": query.status,
        **({"cause": query.cause} if query.has_failed else {}),
        **({"unclear": True} if query.unclear else {}),
        "rows": query.rows,
        "topContributors": list(query.contributors),
    }


def _findings(output: Fields) -> list[Finding]:
    """Return the findings of an output of RunQuery, or of SweepScope."""
    above = output.get("alarmAbove")
    thresholds = above if isinstance(above, dict) else {output.get("metricName"): above}
    queries = objects_field(output, "queries")
    if not queries:
        queries = [{**output, "window": 0, "peak": object_field(output, "results").get("peak")}]
    return [_finding(query, thresholds) for query in queries if query.get("finding") is True]


def _finding(query: Fields, thresholds: Mapping[object, object]) -> Finding:
    selection = Selection(str(query.get("metricName")), str(query.get("destinationCategory")))
    threshold = parse_number({"alarmAbove": thresholds.get(selection.metric_name)}, "alarmAbove")
    value = parse_number(object_field(query, "peak"), "value")
    return Finding(parse_count(query, "window"), selection, value / threshold if threshold > 0 else math.inf)
