"""The only module that publishes to the alarm topic."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import boto3

from flowquery.aws.session import CONFIG, named_errors

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

    from flowquery.alarms.query_alarm import Alarm


@cache
def client() -> SNSClient:
    return boto3.client("sns", config=CONFIG)


def publish(topic_arn: str, alarm: Alarm) -> str:
    """Publish (SNS Publish) and return the message's id."""
    with named_errors():
        return client().publish(TopicArn=topic_arn, Subject=alarm.subject, Message=alarm.text)["MessageId"]
