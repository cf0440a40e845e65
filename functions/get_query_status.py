"""Lambda function GetQueryStatus: the status step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowquery.aws import clock, network_flow_monitor
from flowquery.aws.observability import LOGGER, METRICS, measure
from flowquery.query.status_step import Watch, watch

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

network_flow_monitor.client()


@LOGGER.inject_lambda_context
@METRICS.log_metrics
def handler(event: object, context: LambdaContext) -> dict[str, object]:
    """Look at a query, hold while that pays, and answer its status and what to do next.

    Takes `{"scopeId", "queryId"}`, and optionally `poll` (what the previous call answered), `holdSeconds` (0: look
    once), `timeoutSeconds` (the budget for the whole query, 1800) and `retryCount`. Answers at most 2 KB:
    `{"scopeId", "queryId", "status", "poll": {"waitSeconds", "exhausted", "elapsedSeconds", "checks", "observed", …}}`.
    Raises InvalidInput and the errors of GetQueryStatusWorkloadInsightsTopContributorsData by `flowquery.core.errors`.
    """
    request, memory = Watch.parse(event), context.memory_limit_in_mb
    answer = watch(request, network_flow_monitor.get_query_status, clock.seconds_left(context), memory, measure)
    LOGGER.info("status", extra=answer)
    return answer
