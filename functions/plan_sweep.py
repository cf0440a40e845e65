"""Lambda function PlanSweep."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from flowquery.aws import clock, s3
from flowquery.aws.logger import LOGGER
from flowquery.aws.network_flow_monitor import allowed_values
from flowquery.core import transitions
from flowquery.core.fields import parse_count, parse_object
from flowquery.results.store import stored_selections
from flowquery.sweep.plan import SweepDefaults, leave_out, plan_ranking, plan_sweep

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

BUCKET, DEFAULTS = os.environ["RESULTS_BUCKET"], SweepDefaults.from_environment(os.environ)
s3.client()


@LOGGER.inject_lambda_context
def handler(event: object, context: LambdaContext) -> dict[str, object]:
    """Check the input of SweepScope, and leave out the queries whose rows are stored.

    Takes `{"input": schemas/sweep_scope.input.json, "retryCount"}`. Answers `{"sweep", "ranking"}`: the state that
    every later step takes and answers, and what RankContributors takes beside the output.
    Raises InvalidInput before any call, and the errors of ListObjectsV2 and HeadObject by `flowquery.core.errors`.
    """
    began, fields = clock.monotonic(), parse_object(event)
    retries = parse_count(fields, "retryCount", 0)
    sweep = plan_sweep(fields.get("input"), allowed_values(), DEFAULTS)
    selections = frozenset(query.selection for query in sweep.queries)
    stored = stored_selections(BUCKET, sweep.scope_id, sweep.windows, selections, sweep.family, sweep.limit)
    sweep = leave_out(sweep, stored)
    gb_seconds = clock.gb_seconds(began, context.memory_limit_in_mb)
    sweep = replace(sweep, poll=sweep.poll.plus(transitions.PLAN_SWEEP + retries, 1 + retries, gb_seconds))
    LOGGER.info("planned", extra={"scopeId": sweep.scope_id, "queries": len(sweep.queries)})
    return {"sweep": sweep.to_json(), "ranking": plan_ranking(fields.get("input"), DEFAULTS)}
