"""Lambda function GetQueryResults."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flowquery.aws import clock, s3
from flowquery.aws.logger import LOGGER
from flowquery.aws.metrics import METRICS, measure, measure_peak
from flowquery.aws.network_flow_monitor import NetworkFlowMonitor, allowed_values
from flowquery.query.output import ResultsInput, measure_query, query_output
from flowquery.results.store import store_query

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

BUCKET, REGION = os.environ["RESULTS_BUCKET"], os.environ["AWS_REGION"]
SERVICE = NetworkFlowMonitor()
s3.client()


@LOGGER.inject_lambda_context
@METRICS.log_metrics
def handler(event: object, context: LambdaContext) -> dict[str, object]:
    """Fetch all pages of a query's results and store them as one object, whole or not at all.

    Takes `events/get_query_results.json`. Answers `schemas/run_query.output.json`, which never has the rows but the
    first few of a ranking. Raises InvalidInput and the errors of the family's GetQueryResults and of PutObject by
    `flowquery.core.errors`.
    """
    began, given = clock.monotonic(), ResultsInput.parse(event, allowed_values)
    request = given.request
    pages = SERVICE.results_pages(request.query)
    key, summary = store_query(request, pages, BUCKET, clock.remaining_seconds(context))
    output = query_output(given, BUCKET, key, summary, clock.gb_seconds(began, context.memory_limit_in_mb), REGION)
    if request.query_request and summary.peak and summary.contributors is None:
        measure_peak(request.query_request.selection, summary.peak)
    measure_query(given.usage, output, measure)
    LOGGER.info("stored", extra=output)
    return output
