"""Lambda function RaiseAlarm."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flowquery.alarms.write import write_alarm
from flowquery.aws import sns
from flowquery.aws.logger import LOGGER
from flowquery.aws.metrics import METRICS, measure
from flowquery.core.fields import parse_object

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

TOPIC_ARN = os.environ["ALARM_TOPIC_ARN"]
sns.client()


@LOGGER.inject_lambda_context
@METRICS.log_metrics
def handler(event: object, context: LambdaContext) -> dict[str, object]:  # noqa: ARG001
    """Publish the alarm of an execution that did not succeed, or of a finding.

    Takes `schemas/raise_alarm.input.json`; what is missing in it is left out of the text. Answers
    `{"messageId", "subject"}`. Counts `AlarmsRaised` or `FindingsRaised`.
    Raises InvalidInput and the errors of SNS Publish by `flowquery.core.errors`.
    """
    alarm = write_alarm(parse_object(event))
    message_id = sns.publish(TOPIC_ARN, alarm.subject, alarm.text)
    measure("FindingsRaised" if alarm.is_finding else "AlarmsRaised", 1)
    LOGGER.info("alarm", extra={"messageId": message_id, "subject": alarm.subject})
    return {"messageId": message_id, "subject": alarm.subject}
