"""Lambda function StartExecution: the target of the schedules."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flowquery.aws import step_functions
from flowquery.aws.logger import LOGGER
from flowquery.aws.network_flow_monitor import allowed_values
from flowquery.sweep.schedule import ScheduledExecution, StateMachine

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

STATE_MACHINES = {
    StateMachine.RUN_QUERY: os.environ["STATE_MACHINE_ARN"],
    StateMachine.SWEEP_SCOPE: os.environ["SWEEP_STATE_MACHINE_ARN"],
}
step_functions.client()


@LOGGER.inject_lambda_context
def handler(event: object, context: LambdaContext) -> dict[str, object]:  # noqa: ARG001
    """Start RunQuery or SweepScope over the window that a scheduled time means, once, however often it is delivered.

    Takes `{"scheduledTime", "scopeId"}`, optionally `windowMinutes` (15), `delayMinutes` (10, since data is late) and
    `suffix` (another execution over the same window). For RunQuery also `metricName`, `destinationCategory` and its
    options; with `"workflow": "SweepScope"` the options of SweepScope's input. Answers `{"name", "started", "input"}`;
    `started` is false where that execution has ended already.
    Raises InvalidInput and the errors of StartExecution by `flowquery.core.errors`.
    """
    execution = ScheduledExecution.parse(event, allowed_values)
    machine = STATE_MACHINES[execution.state_machine]
    started = step_functions.start_once(machine, execution.name, execution.input)
    answer = {"name": execution.name, "started": started, "input": dict(execution.input)}
    LOGGER.info("scheduled", extra={"execution": answer})
    return answer
