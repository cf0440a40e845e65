"""Amazon SNS: the alarm topic."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import boto3

from flowquery.aws.session import CONFIG, named_errors

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient


@cache
def client() -> SNSClient:
    return boto3.client("sns", config=CONFIG)


def publish(topic_arn: str, subject: str, message: str) -> str:
    """Publish (SNS Publish) and return the message's id."""
    with named_errors():
        return client().publish(TopicArn=topic_arn, Subject=subject, Message=message)["MessageId"]
