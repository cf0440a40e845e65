"""Lambda function RaiseAlarm."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aws_lambda_powertools.metrics import MetricUnit

from flowquery import topic
from flowquery.alarm import write_alarm
from flowquery.observability import LOGGER, METRICS

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

TOPIC_ARN = os.environ["ALARM_TOPIC_ARN"]
topic.client()


@LOGGER.inject_lambda_context
@METRICS.log_metrics
def handler(event: object, context: LambdaContext) -> dict[str, str]:  # noqa: ARG001
    """Publish the alarm of a run that did not succeed, and count it as `AlarmsRaised`.

    Takes `{"run": the state of RunQuery, "executionArn": "…"}`, answers `{"messageId", "subject"}`.
    Raises InvalidInput and the errors of SNS Publish by `flowquery.errors`.
    """
    alarm = write_alarm(event)
    message_id = topic.publish(TOPIC_ARN, alarm)
    METRICS.add_metric("AlarmsRaised", MetricUnit.Count, 1)
    LOGGER.info("alarm", extra={"messageId": message_id, "subject": alarm.subject})
    return {"messageId": message_id, "subject": alarm.subject}
