"""Lambda function GetQueryStatus: the status step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowquery.aws import clock
from flowquery.aws.logger import LOGGER
from flowquery.aws.metrics import METRICS, measure
from flowquery.aws.network_flow_monitor import NetworkFlowMonitor
from flowquery.query.status_step import StatusRequest, watch

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

SERVICE = NetworkFlowMonitor()


@LOGGER.inject_lambda_context
@METRICS.log_metrics
def handler(event: object, context: LambdaContext) -> dict[str, object]:
    """Check a query's status, hold while that pays, and answer the status and what to do next.

    Takes `{"scopeId", "queryId"}`, and optionally `poll` (what the previous call answered), `holdSeconds` (0: check
    once), `timeoutSeconds` (the budget of the whole query, 1800) and `retryCount`. Answers at most 2 KB:
    `{"scopeId", "queryId", "status", "poll": {"waitSeconds", "exhausted", "elapsedSeconds", "checks", "observed", …}}`.
    Raises InvalidInput before any call, and the errors of GetQueryStatusWorkloadInsightsTopContributorsData by
    `flowquery.core.errors`.
    """
    request, remaining = StatusRequest.parse(event), clock.remaining_seconds(context)
    answer = watch(request, SERVICE.get_query_status, remaining, context.memory_limit_in_mb, measure)
    LOGGER.info("status", extra=answer)
    return answer
