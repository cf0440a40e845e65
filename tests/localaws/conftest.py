from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.loopback import Stack


@pytest.fixture
def nfm(stack: Stack, over_http: None) -> Any:
    """Return a client of Network Flow Monitor on the loopback that sends each request once, over HTTP."""
    return boto3.client("networkflowmonitor", config=Config(retries={"total_max_attempts": 1}))
