"""Lambda function PlanBackfill."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flowquery.aws import network_flow_monitor
from flowquery.aws.observability import LOGGER
from flowquery.core.errors import InvalidInput
from flowquery.core.inputs import parse_count, parse_object
from flowquery.results import store
from flowquery.results.windows import short_digest
from flowquery.sweep.backfill import Backfill

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext

BUCKET, REGION = os.environ["RESULTS_BUCKET"], os.environ["AWS_REGION"]
REQUESTS_PER_SECOND = float(os.environ["REQUESTS_PER_SECOND"])
TIMEOUT_SECONDS = float(os.environ["TIMEOUT_SECONDS"])
store.client()


@LOGGER.inject_lambda_context
def handler(event: object, context: LambdaContext) -> dict[str, object]:  # noqa: ARG001
    """List the windows of a backfill that are not stored whole, as an object that a Distributed Map reads.

    Takes `{"backfill": the input of the workflow, "execution": its name}`, and once it has run `planned`, how many were
    to do. Answers `schemas/plan_backfill.output.json`. Raises InvalidInput before any call, and the errors of
    ListObjectsV2, HeadObject and PutObject by `flowquery.core.errors`.
    """
    fields = parse_object(event)
    backfill = Backfill.parse(
        fields.get("backfill"), network_flow_monitor.allowed_values(), REQUESTS_PER_SECOND, TIMEOUT_SECONDS
    )
    execution = _execution(fields)
    planned = None if fields.get("planned") is None else parse_count(fields, "planned")
    stored = store.stored_selections(BUCKET, backfill.scope_id, backfill.windows, backfill.selections)
    items, told = backfill.items(stored), backfill.estimate(stored, REGION)
    prefix = f"backfills/{execution}"
    key = f"{prefix}/{'windows' if planned is None else 'left'}.json"
    store.put_json(BUCKET, key, items)
    done = 0 if planned is None else max(0, planned - len(items))
    answer: dict[str, object] = {**backfill.to_json(), **told, "done": done, "bucket": BUCKET, "key": key}
    LOGGER.info("backfill", extra={"plan": answer})
    return {**answer, "prefix": prefix, "sweep": dict(backfill.sweep), "suffix": short_digest(execution)}


def _execution(fields: Mapping[str, object]) -> str:
    name = fields.get("execution")
    if not isinstance(name, str) or not 1 <= len(name) <= 80 or "/" in name:
        raise InvalidInput("execution: expected the name of an execution, 1 to 80 characters without '/'")
    return name
