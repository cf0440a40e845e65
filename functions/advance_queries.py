"""Lambda function AdvanceQueries: one round of a sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowquery.aws import clock
from flowquery.aws.logger import LOGGER
from flowquery.aws.metrics import METRICS, measure
from flowquery.aws.network_flow_monitor import NetworkFlowMonitor
from flowquery.core.fields import parse_count, parse_object
from flowquery.sweep.round import Round
from flowquery.sweep.state import Sweep

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

SERVICE = NetworkFlowMonitor(attempts=1)  # the pace has to see each throttle


@LOGGER.inject_lambda_context
@METRICS.log_metrics
def handler(event: object, context: LambdaContext) -> dict[str, object]:
    """Start queries, check those that are running, and hold while that pays, all at one pace.

    Takes `{"sweep", "retryCount"}`, the sweep as the step before answered it. Answers `{"sweep"}` after the round; its
    `poll.waitSeconds` is how long to wait before the next one. An error of one query is that query's end; raises
    InvalidInput alone.
    """
    fields = parse_object(event)
    retries = parse_count(fields, "retryCount", 0)
    sweep, remaining = Sweep.parse(fields.get("sweep")), clock.remaining_seconds(context)
    current = Round(sweep, SERVICE, remaining, retries, measure)
    sweep = current.answer(current.run(), context.memory_limit_in_mb, retries)
    LOGGER.info("round", extra={"scopeId": sweep.scope_id, "progress": sweep.progress, "poll": sweep.poll.to_json()})
    return {"sweep": sweep.to_json()}
