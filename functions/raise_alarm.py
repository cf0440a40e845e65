"""Lambda function RaiseAlarm."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aws_lambda_powertools.metrics import MetricUnit

from flowquery.alarms.finding import finding_output, write_finding
from flowquery.alarms.query_alarm import parse_run, write_alarm
from flowquery.alarms.sweep_alarm import sweep_finding_output, write_sweep_alarm
from flowquery.aws import clock, sns
from flowquery.aws.observability import LOGGER, METRICS
from flowquery.core.inputs import parse_object
from flowquery.query.cost import invocation_cost

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

TOPIC_ARN, REGION = os.environ["ALARM_TOPIC_ARN"], os.environ["AWS_REGION"]
sns.client()


@LOGGER.inject_lambda_context
@METRICS.log_metrics
def handler(event: object, context: LambdaContext) -> dict[str, object]:
    """Publish the alarm of a run that did not succeed, or of a finding.

    Takes `{"run": the state of the workflow, "executionArn": "…"}`, and `"workflow": "SweepScope"` or `"Backfill"`
    where it is not RunQuery's; answers `{"messageId", "subject", "output"}`, `output` being that of a run with a
    finding. Counts `AlarmsRaised` or `FindingsRaised`.
    Raises InvalidInput and the errors of SNS Publish by `flowquery.core.errors`.
    """
    began, (run, arn) = clock.monotonic(), parse_run(event)
    workflow, found = str(parse_object(event).get("workflow", "RunQuery")), run.get("found")
    sweeps = workflow == "SweepScope"
    if sweeps:
        alarm = write_sweep_alarm(run, arn)
    else:
        alarm = write_finding(run, arn) if found else write_alarm(run, arn, workflow)
    message_id = sns.publish(TOPIC_ARN, alarm)
    METRICS.add_metric("FindingsRaised" if alarm.finding else "AlarmsRaised", MetricUnit.Count, 1)
    LOGGER.info("alarm", extra={"messageId": message_id, "subject": alarm.subject})
    own_cost = invocation_cost(event, clock.gb_seconds(began, context.memory_limit_in_mb))
    shape = sweep_finding_output if sweeps else finding_output
    output = shape(run, own_cost, REGION) if found else None
    return {"messageId": message_id, "subject": alarm.subject, "output": output}
