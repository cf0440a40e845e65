"""Lambda function RankContributors."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flowquery.aws import clock, s3
from flowquery.aws.logger import LOGGER
from flowquery.aws.network_flow_monitor import NetworkFlowMonitor
from flowquery.core.errors import FlowqueryError
from flowquery.sweep.ranking import RankingRequest, rank_contributors, ranked_output, unranked_output

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

BUCKET, REGION = os.environ["RESULTS_BUCKET"], os.environ["AWS_REGION"]
SERVICE = NetworkFlowMonitor(attempts=1)
s3.client()


@LOGGER.inject_lambda_context
def handler(event: object, context: LambdaContext) -> dict[str, object]:
    """Rank who contributed most to the findings of an output of RunQuery or SweepScope.

    Takes `{"output"}`, and optionally `rankedPeaks` (for how many of the highest findings), `limit` (rows of each),
    `timeoutSeconds`, `requestsPerSecond` and `retryCount`. Answers `{"output"}`: the same with `ranking` or `rankings`,
    or with `rankingFailure`, which says why there is none; and the cost of all. A ranking query that does not end in
    the function's time is stopped.
    Raises InvalidInput alone.
    """
    began, request = clock.monotonic(), RankingRequest.parse(event)
    memory = context.memory_limit_in_mb
    try:
        remaining = clock.remaining_seconds(context)
        sweep = rank_contributors(request, SERVICE, SERVICE.results_page, BUCKET, remaining)
    except FlowqueryError as error:
        output = unranked_output(request, error, clock.gb_seconds(began, memory), REGION)
    else:
        output = ranked_output(request, sweep, clock.gb_seconds(began, memory), REGION)
    LOGGER.info("ranked", extra={"scopeId": output.get("scopeId"), "rankingFailure": output["rankingFailure"]})
    return {"output": output}
