"""Lambda function StartExecution: what the schedule invokes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flowquery.aws import network_flow_monitor, step_functions
from flowquery.aws.observability import LOGGER
from flowquery.sweep.schedule import ScheduledRun, Workflow

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

STATE_MACHINES = {
    Workflow.RUN_QUERY: os.environ["STATE_MACHINE_ARN"],
    Workflow.SWEEP_SCOPE: os.environ["SWEEP_STATE_MACHINE_ARN"],
}
step_functions.client()


@LOGGER.inject_lambda_context
def handler(event: object, context: LambdaContext) -> dict[str, object]:  # noqa: ARG001
    """Start RunQuery or SweepScope over the window that a scheduled time means, once, however often it is delivered.

    Takes `{"scheduledTime", "scopeId"}`, optionally `windowMinutes` (15), `delayMinutes` (10, since data is late) and
    `suffix` (another run over the same window); for RunQuery `metricName`, `destinationCategory`, `alarmAbove`; with
    `"workflow": "SweepScope"` what SweepScope's input has beside the window. Answers `{"name", "started", "input"}`;
    `started` is false where that execution has ended already.
    Raises InvalidInput and the errors of StartExecution by `flowquery.core.errors`.
    """
    run = ScheduledRun.parse(event, network_flow_monitor.allowed_values())
    started = step_functions.start_once(STATE_MACHINES[run.workflow], run)
    answer = {"name": run.name, "started": started, "input": dict(run.input)}
    LOGGER.info("scheduled", extra={"execution": answer})
    return answer
