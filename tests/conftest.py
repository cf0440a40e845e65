"""What every suite shares: an environment that reaches nothing but this machine."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator

import pytest
from botocore.httpsession import URLLib3Session
from hypothesis import HealthCheck, settings

from flowquery.aws import clock, network_flow_monitor, s3, session, sns, step_functions
from localaws.clock import TurnedClock
from localaws.server import LocalAws
from tests import same_thread
from tests.loopback import ENVIRONMENT, FaultyRuntime, Stack
from tests.scripted import ScriptedServer, serving

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
    **ENVIRONMENT,
    POWERTOOLS_SERVICE_NAME="flowquery",
    POWERTOOLS_METRICS_NAMESPACE="Flowquery",
)

# Its logger keeps the stream that is there when it is made, which is not to be that of one test.
importlib.import_module("flowquery.aws.logger")

# No deadline: a slow machine is no failure. In CI there are more examples, the same each time.
settings.register_profile(
    "flowquery",
    deadline=None,
    max_examples=100 if "CI" in os.environ else 30,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("flowquery")


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the SDK's own retries not sleep."""

    class NoSleep:
        @staticmethod
        def sleep(_: float) -> None:
            return

    monkeypatch.setattr("botocore.endpoint.time", NoSleep)


@pytest.fixture(scope="session")
def deployed() -> Iterator[Stack]:
    turned = TurnedClock()
    runtime = FaultyRuntime(turned)
    with LocalAws(runtime, turned) as aws, same_thread.answering(aws.endpoint_url):
        yield Stack(aws, runtime, turned)


@pytest.fixture
def stack(deployed: Stack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    for name, value in deployed.aws.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(clock, "monotonic", deployed.clock.monotonic)
    monkeypatch.setattr(clock, "sleep", deployed.clock.sleep)
    forget_clients()
    deployed.forget()
    return deployed


@pytest.fixture
def over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send requests to the loopback AWS over its socket, as those outside this process do."""
    monkeypatch.setattr(URLLib3Session, "send", same_thread.send_over_http)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with serving() as scripted:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{scripted.port}")
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        forget_clients()
        yield scripted
    forget_clients()


@pytest.fixture
def turned_clock(monkeypatch: pytest.MonkeyPatch) -> TurnedClock:
    """Let holds and pauses take no time."""
    turned = TurnedClock()
    monkeypatch.setattr(clock, "monotonic", turned.monotonic)
    monkeypatch.setattr(clock, "sleep", turned.sleep)
    return turned


@pytest.fixture
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    for config in (session.CONFIG, s3.PUT_CONFIG):
        monkeypatch.setattr(config, "read_timeout", 0.2)
    for verb in network_flow_monitor.READ_TIMEOUTS:
        monkeypatch.setitem(network_flow_monitor.READ_TIMEOUTS, verb, 0.2)


def forget_clients() -> None:
    for module in (network_flow_monitor, s3, sns, step_functions):
        module.client.cache_clear()
