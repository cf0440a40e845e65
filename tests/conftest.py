"""What every suite shares: an environment that reaches nothing but this machine."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
SCOPE_ID = "a1b2c3d4-5678-90ab-cdef-1234567890ab"
QUERY_ID = "cc4f4ab3-3103-33b8-80ff-d6597a0c6cea"
SELECTION = {
    "metricName": "RETRANSMISSIONS",
    "destinationCategory": "INTER_AZ",
    "startTime": "2026-11-24T08:00:00Z",
    "endTime": "2026-11-24T09:00:00Z",
}

for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ.update(
    AWS_ACCESS_KEY_ID="loopback",
    AWS_SECRET_ACCESS_KEY="loopback",
    AWS_DEFAULT_REGION="us-east-1",
    AWS_REGION="us-east-1",
    AWS_EC2_METADATA_DISABLED="true",
    AWS_CONFIG_FILE=os.devnull,
    AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    NO_PROXY="localhost,127.0.0.1",
    RESULTS_BUCKET="results",
    ALARM_TOPIC_ARN="arn:aws:sns:us-east-1:123456789012:alarms",
    STATE_MACHINE_ARN="arn:aws:states:us-east-1:123456789012:stateMachine:RunQuery",
    POWERTOOLS_SERVICE_NAME="flowquery",
    POWERTOOLS_METRICS_NAMESPACE="Flowquery",
)


def event(name: str) -> Any:
    return json.loads((ROOT / "events" / f"{name}.json").read_text("utf-8"))


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the SDK's own retries not sleep."""

    class NoSleep:
        @staticmethod
        def sleep(_: float) -> None:
            return

    monkeypatch.setattr("botocore.endpoint.time", NoSleep)
