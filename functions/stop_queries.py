"""Lambda function StopQueries: stops the queries of a sweep that broke."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowquery.aws import clock
from flowquery.aws.logger import LOGGER
from flowquery.aws.network_flow_monitor import NetworkFlowMonitor
from flowquery.core.fields import parse_count, parse_object
from flowquery.sweep.round import Round
from flowquery.sweep.state import Sweep

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

SERVICE = NetworkFlowMonitor(attempts=1)


@LOGGER.inject_lambda_context
def handler(event: object, context: LambdaContext) -> dict[str, object]:
    """Stop every running query of a sweep whose id is known, and fail the queries that wait.

    Takes `{"sweep", "lostAttempts", "retryCount"}`: `lostAttempts` is how often the step that broke was tried since
    the sweep was last answered. Answers `{"sweep"}`; `unclear` marks queries whose start may have been lost with an
    attempt. Raises InvalidInput alone.
    """
    fields = parse_object(event)
    retries, lost = parse_count(fields, "retryCount", 0), parse_count(fields, "lostAttempts", 0)
    sweep, remaining = Sweep.parse(fields.get("sweep")), clock.remaining_seconds(context)
    current = Round(sweep, SERVICE, remaining, max(lost, 1))
    current.stop_all()
    sweep = current.answer(0.0, context.memory_limit_in_mb, retries, lost)
    LOGGER.info("stopped", extra={"scopeId": sweep.scope_id, "queries": len(sweep.queries)})
    return {"sweep": sweep.to_json()}
