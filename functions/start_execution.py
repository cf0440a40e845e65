"""Lambda function StartExecution: what the schedule invokes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flowquery import executions, nfm
from flowquery.observability import LOGGER
from flowquery.schedule import ScheduledRun

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

STATE_MACHINE_ARN = os.environ["STATE_MACHINE_ARN"]
executions.client()


@LOGGER.inject_lambda_context
def handler(event: object, context: LambdaContext) -> dict[str, object]:  # noqa: ARG001
    """Start RunQuery over the window that a scheduled time means, once, however often that time is delivered.

    Takes `{"scheduledTime", "scopeId", "metricName", "destinationCategory"}`, and optionally `windowMinutes` (15),
    `delayMinutes` (10, since data is late) and `alarmAbove`. Answers `{"name", "started", "input"}`; `started` is false
    where that execution has ended already. Raises InvalidInput and the errors of StartExecution by `flowquery.errors`.
    """
    run = ScheduledRun.parse(event, nfm.allowed_values())
    answer = {"name": run.name, "started": executions.start_once(STATE_MACHINE_ARN, run), "input": dict(run.input)}
    LOGGER.info("scheduled", extra={"execution": answer})
    return answer
