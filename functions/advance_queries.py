"""Lambda function AdvanceQueries: the step that moves all queries of a sweep on by a round."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowquery.aws import clock
from flowquery.aws.observability import LOGGER, METRICS, measure
from flowquery.core.inputs import parse_count, parse_object
from flowquery.sweep.calls import CALLS
from flowquery.sweep.round import Round
from flowquery.sweep.state import Sweep

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@LOGGER.inject_lambda_context
@METRICS.log_metrics
def handler(event: object, context: LambdaContext) -> dict[str, object]:
    """Start what may be started, look at what runs, and hold while that pays, all under one rate.

    Takes `{"sweep", "retryCount"}`, the sweep as the step before answered it; answers `{"sweep"}` with what is known
    now, whose `poll.waitSeconds` is how long to wait before the next round. An error of one query is that query's end;
    raises InvalidInput alone.
    """
    fields = parse_object(event)
    retries = parse_count(fields, "retryCount", 0)
    work = Round(Sweep.parse(fields.get("sweep")), CALLS, clock.seconds_left(context), retries, measure)
    sweep = work.answer(work.run(), context.memory_limit_in_mb, retries)
    LOGGER.info("round", extra={"scopeId": sweep.scope_id, "progress": sweep.progress, "poll": sweep.poll.to_json()})
    return {"sweep": sweep.to_json()}
