"""Lambda function StopQueries: what a sweep does that gives up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowquery.aws import clock
from flowquery.aws.observability import LOGGER
from flowquery.core.inputs import parse_count, parse_object
from flowquery.sweep.calls import CALLS
from flowquery.sweep.round import Round
from flowquery.sweep.state import Sweep

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@LOGGER.inject_lambda_context
def handler(event: object, context: LambdaContext) -> dict[str, object]:
    """Stop every query of a sweep that runs, as far as its id is known, and call off what waits.

    Takes `{"sweep", "retryCount"}`, answers `{"sweep"}`; `unclear` marks queries of which another may run that nobody
    knows the id of. Raises InvalidInput alone.
    """
    fields = parse_object(event)
    retries, sweep = parse_count(fields, "retryCount", 0), Sweep.parse(fields.get("sweep"))
    # The attempts of the step that broke are lost as those before a retry are, and may have started queries.
    work = Round(sweep, CALLS, clock.seconds_left(context), 1)
    work.stop_all()
    answer = work.answer(0.0, context.memory_limit_in_mb, retries)
    LOGGER.info("stopped", extra={"scopeId": sweep.scope_id, "queries": len(sweep.queries)})
    return {"sweep": answer.to_json()}
