"""Lambda function StoreSweep."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flowquery.aws import clock, s3
from flowquery.aws.logger import LOGGER
from flowquery.aws.metrics import METRICS, measure
from flowquery.aws.network_flow_monitor import NetworkFlowMonitor
from flowquery.core.fields import parse_count, parse_object
from flowquery.sweep.output import measure_sweep, sweep_output
from flowquery.sweep.state import Progress, Sweep
from flowquery.sweep.store import SweepStore

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

BUCKET, REGION = os.environ["RESULTS_BUCKET"], os.environ["AWS_REGION"]
SERVICE = NetworkFlowMonitor(attempts=1)  # the pace has to see each throttle
s3.client()


@LOGGER.inject_lambda_context
@METRICS.log_metrics
def handler(event: object, context: LambdaContext) -> dict[str, object]:
    """Store what succeeded of each window as one object, whole or not at all.

    Takes `{"sweep", "retryCount"}`. Answers `{"sweep", "output"}`, of which one is null: the sweep while windows are
    left, which the next invocation stores, and then the output. Raises InvalidInput and the errors of GetQueryResults
    and PutObject by `flowquery.core.errors`.
    """
    fields = parse_object(event)
    retries = parse_count(fields, "retryCount", 0)
    sweep, remaining = Sweep.parse(fields.get("sweep")), clock.remaining_seconds(context)
    store = SweepStore(sweep, BUCKET, SERVICE.results_page, remaining, retries)
    store.run()
    sweep = store.answer(context.memory_limit_in_mb, retries)
    LOGGER.info("stored", extra={"scopeId": sweep.scope_id, "progress": sweep.progress})
    if sweep.progress is not Progress.COMPLETE:
        return {"sweep": sweep.to_json(), "output": None}
    output = sweep_output(sweep, REGION)
    measure_sweep(sweep, output["cost"], measure)
    return {"sweep": None, "output": output}
