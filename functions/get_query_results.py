"""Lambda function GetQueryResults."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flowquery.alarms.finding import is_finding
from flowquery.aws import clock, network_flow_monitor
from flowquery.aws.observability import LOGGER, METRICS, count_peak, measure
from flowquery.core.inputs import parse_alarm_above, parse_object
from flowquery.query.cost import Usage, measure_run, run_cost
from flowquery.results import store
from flowquery.results.spool import ResultsRequest
from flowquery.results.store import fetch_and_store

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

BUCKET, REGION = os.environ["RESULTS_BUCKET"], os.environ["AWS_REGION"]
network_flow_monitor.client()
store.client()


@LOGGER.inject_lambda_context
@METRICS.log_metrics
def handler(event: object, context: LambdaContext) -> dict[str, object]:
    """ResultsRequest all pages of a query's results and store them as one object, whole or not at all.

    Takes `events/get_query_results.json`, answers `schemas/run_query.output.json`, never the rows but the first few of
    a ranking. Raises InvalidInput and the errors of the family's GetQueryResults and PutObject by
    `flowquery.core.errors`.
    """
    began, fields = clock.monotonic(), parse_object(event)
    fetch, spent = ResultsRequest.parse(fields, network_flow_monitor.allowed_values()), Usage.parse(fields)
    alarm_above = parse_alarm_above(fields, fetch.query.family)
    results = fetch_and_store(fetch, BUCKET, clock.seconds_left(context))
    count_peak(fetch, results)
    cost = run_cost(spent, clock.gb_seconds(began, context.memory_limit_in_mb), REGION)
    found = {"finding": is_finding(results, alarm_above), "alarmAbove": alarm_above}
    answer: dict[str, object] = {"status": "SUCCEEDED", **fetch.to_json(), "results": results, **found, "cost": cost}
    measure_run(spent, cost, measure)
    LOGGER.info("stored", extra=answer)
    return answer
