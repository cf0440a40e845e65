"""Lambda function StoreSweep."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from flowquery.aws import clock, network_flow_monitor
from flowquery.aws.observability import LOGGER, METRICS, measure
from flowquery.core.inputs import parse_count, parse_object
from flowquery.results import store
from flowquery.sweep.state import Progress, Sweep
from flowquery.sweep.store import Pages, Storing, measure_sweep, sweep_output

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

BUCKET, REGION = os.environ["RESULTS_BUCKET"], os.environ["AWS_REGION"]
network_flow_monitor.client(
    network_flow_monitor.ONE_ATTEMPT
)  # each page is sent once, since throttles have to be seen where the pace is kept
PAGES = Pages(
    all=network_flow_monitor.results_pages,
    one=partial(network_flow_monitor.results_page, config=network_flow_monitor.ONE_ATTEMPT),
)
store.client()


@LOGGER.inject_lambda_context
@METRICS.log_metrics
def handler(event: object, context: LambdaContext) -> dict[str, object]:
    """Store what succeeded of each window as one object, whole or not at all.

    Takes `{"sweep", "retryCount"}`, answers `{"sweep", "output"}`; the output is null while windows are left, which the
    next invocation stores. Raises InvalidInput and the errors of GetQueryResults and PutObject by
    `flowquery.core.errors`.
    """
    fields = parse_object(event)
    retries = parse_count(fields, "retryCount", 0)
    work = Storing(Sweep.parse(fields.get("sweep")), BUCKET, PAGES, clock.seconds_left(context))
    work.run()
    sweep = work.answer(context.memory_limit_in_mb, retries)
    output = sweep_output(sweep, REGION) if sweep.progress is Progress.STORED else None
    if output:
        measure_sweep(sweep, output, measure)
    LOGGER.info("stored", extra={"scopeId": sweep.scope_id, "progress": sweep.progress})
    return {"sweep": sweep.to_json(), "output": output}
