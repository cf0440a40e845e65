"""Lambda function PlanSweep."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from flowquery.aws import clock, network_flow_monitor
from flowquery.aws.observability import LOGGER
from flowquery.core.inputs import parse_count, parse_object
from flowquery.results import store
from flowquery.sweep.plan import Defaults, leave_out, plan_ranking, plan_sweep
from flowquery.sweep.state import Sweep

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

BUCKET, DEFAULTS = os.environ["RESULTS_BUCKET"], Defaults.parse(os.environ)
store.client()


@LOGGER.inject_lambda_context
def handler(event: object, context: LambdaContext) -> dict[str, object]:
    """Say which queries a sweep takes: those of an input of SweepScope that no earlier run has stored.

    Takes `{"plan": {"input": …}}`, or `{"plan": {"sweep": …}}` of one with findings, whose highest peaks are to be
    ranked; answers `{"sweep"}`, the state that every later step takes and answers.
    Raises InvalidInput and the errors of ListObjectsV2 and HeadObject by `flowquery.core.errors`.
    """
    began, fields = clock.monotonic(), parse_object(event)
    plan, retries = parse_object(fields.get("plan"), "plan"), parse_count(fields, "retryCount", 0)
    if plan.get("sweep") is not None:
        sweep = plan_ranking(Sweep.parse(plan["sweep"]))
    else:
        sweep = plan_sweep(plan.get("input"), network_flow_monitor.allowed_values(), DEFAULTS)
        asked = frozenset(asked.selection for asked in sweep.queries)
        sweep = leave_out(sweep, store.stored_selections(BUCKET, sweep.scope_id, sweep.windows, asked))
    used = clock.gb_seconds(began, context.memory_limit_in_mb)
    # The state before it, itself, and the Choice after it.
    answer = replace(sweep, poll=sweep.poll.plus(transitions=3 + retries, requests=1 + retries, gb_seconds=used))
    LOGGER.info("planned", extra={"scopeId": sweep.scope_id, "queries": len(sweep.queries)})
    return {"sweep": answer.to_json()}
