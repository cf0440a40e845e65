"""Lambda function PlanBackfill."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flowquery.aws import s3
from flowquery.aws.logger import LOGGER
from flowquery.aws.network_flow_monitor import allowed_values
from flowquery.core.errors import InvalidInput
from flowquery.core.fields import parse_count, parse_object
from flowquery.core.text import short_digest
from flowquery.results.store import stored_selections
from flowquery.sweep.backfill import Backfill, incomplete_cause
from flowquery.sweep.plan import SweepDefaults

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext

BUCKET, REGION = os.environ["RESULTS_BUCKET"], os.environ["AWS_REGION"]
DEFAULTS = SweepDefaults.from_environment(os.environ)
s3.client()


@LOGGER.inject_lambda_context
def handler(event: object, context: LambdaContext) -> dict[str, object]:  # noqa: ARG001
    """List the windows of a backfill that are not stored whole, as an object that a Distributed Map reads.

    Takes `{"input": schemas/backfill.input.json, "execution": its name}`. Once the Map has ended, also `planned`, how
    many windows were to do, and `manifest`, where the Map has exported its results. Answers
    `schemas/plan_backfill.output.json`. Raises InvalidInput before any call, and the errors of ListObjectsV2,
    HeadObject and PutObject by `flowquery.core.errors`.
    """
    fields = parse_object(event)
    backfill = Backfill.parse(fields.get("input"), allowed_values(), DEFAULTS)
    execution = _execution_name(fields)
    planned = None if fields.get("planned") is None else parse_count(fields, "planned")
    stored = stored_selections(
        BUCKET, backfill.scope_id, backfill.windows, backfill.selections, backfill.family, backfill.limit
    )
    items, prefix = backfill.items(stored), f"backfills/{execution}"
    place = {"bucket": BUCKET, "key": f"{prefix}/{'windows' if planned is None else 'left'}.json"}
    s3.put_json(place["bucket"], place["key"], items)
    answer: dict[str, object] = {**backfill.to_json(), **backfill.estimate(stored, REGION), **place}
    LOGGER.info("backfill", extra={"plan": answer})
    if planned is not None:
        output = backfill.output(len(items), planned, place, fields.get("manifest"))
        return {**answer, "output": output, "cause": incomplete_cause(output, BUCKET, prefix)}
    return {**answer, "prefix": prefix, "sweep": dict(backfill.sweep_input), "suffix": short_digest(execution)}


def _execution_name(fields: Mapping[str, object]) -> str:
    name = fields.get("execution")
    if not isinstance(name, str) or not 1 <= len(name) <= 80 or "/" in name:
        raise InvalidInput("execution: expected the name of an execution, 1 to 80 characters without '/'")
    return name
