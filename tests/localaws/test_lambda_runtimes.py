"""The runtimes of deployed functions: what a handler gets, and what becomes of one that fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from localaws.clock import TurnedClock
from localaws.lambda_runtimes.deployed_function import DeployedFunction, Runtime
from localaws.lambda_runtimes.in_process import InProcessRuntime
from localaws.lambda_runtimes.process import ProcessRuntime
from tests.loopback import Stack

pytestmark = pytest.mark.usefixtures("over_http")

HANDLERS = """
import os, sys, threading
class Refused(Exception): pass
def answer(event, context):
    return {"event": event, "name": context.function_name, "memory": context.memory_limit_in_mb,
            "arn": context.invoked_function_arn, "id": context.aws_request_id, "mine": os.environ.get("MINE"),
            "left": 0 < context.get_remaining_time_in_millis() <= 60_000, "stranger": os.environ.get("STRANGER")}
def refuse(event, context):
    raise Refused("not today")
def leave(event, context):
    sys.exit(3)
def sleep(event, context):
    threading.Event().wait()
def grow(event, context):
    return len(bytearray(200 * 1024 * 1024))
"""


@pytest.fixture(params=["process", "in process"])
def runtime(request: pytest.FixtureRequest, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    monkeypatch.setenv("STRANGER", "of the caller")
    made: Runtime = ProcessRuntime() if request.param == "process" else InProcessRuntime(TurnedClock())
    yield made
    made.close()


def deployed_function(
    tmp_path: Path, handler: str, memory_mb: int = 256, source: str = HANDLERS, timeout_seconds: int = 60
) -> DeployedFunction:
    (tmp_path / "handlers.py").write_text(source, "utf-8")
    return DeployedFunction(
        name="function",
        arn="arn:aws:lambda:us-east-1:123456789012:function:function",
        handler=f"handlers.{handler}",
        environment={"MINE": "of the deployment"},
        timeout_seconds=timeout_seconds,
        memory_mb=memory_mb,
        code=tmp_path,
    )


def test_a_handler_gets_what_was_deployed_and_nothing_of_the_caller(runtime: Runtime, tmp_path: Path) -> None:
    result = runtime.invoke(deployed_function(tmp_path, "answer"), b'{"a": 1}', "request-1")

    assert result.error is None
    assert json.loads(result.payload) == {
        "event": {"a": 1},
        "name": "function",
        "memory": "256",
        "arn": "arn:aws:lambda:us-east-1:123456789012:function:function",
        "id": "request-1",
        "mine": "of the deployment",
        "left": True,
        "stranger": None,
    }


def test_an_exception_is_answered_in_the_runtimes_shape(runtime: Runtime, tmp_path: Path) -> None:
    result = runtime.invoke(deployed_function(tmp_path, "refuse"), b"{}", "request-1")

    payload = json.loads(result.payload)
    assert result.error == "Unhandled"
    assert (payload["errorType"], payload["errorMessage"]) == ("Refused", "not today")
    assert set(payload) == {"errorType", "errorMessage", "stackTrace", "requestId"}


@pytest.fixture
def processes() -> Iterator[ProcessRuntime]:
    made = ProcessRuntime()
    yield made
    made.close()


def test_a_handler_that_does_not_end_is_killed_at_its_timeout(
    processes: ProcessRuntime, stack: Stack, tmp_path: Path
) -> None:
    function = deployed_function(tmp_path, "sleep", timeout_seconds=1)

    result = processes.invoke(function, b"{}", "request-1")

    assert result.error == "Unhandled"
    assert json.loads(result.payload)["errorType"] == "Sandbox.Timedout"


@pytest.mark.parametrize(
    ("handler", "source", "error_type"),
    [
        ("leave", HANDLERS, "Runtime.ExitError"),
        ("answer", "raise ImportError('no such thing')", "Runtime.ImportModuleError"),
        ("missing", HANDLERS, "Runtime.HandlerNotFound"),
    ],
)
def test_a_runtime_that_ends_says_how(
    processes: ProcessRuntime, stack: Stack, tmp_path: Path, handler: str, source: str, error_type: str
) -> None:
    function = deployed_function(tmp_path, handler, source=source)

    result = processes.invoke(function, b"{}", "request-1")

    assert result.error == "Unhandled"
    assert json.loads(result.payload)["errorType"] == error_type


def test_a_handler_that_outgrows_its_memory_is_killed(processes: ProcessRuntime, stack: Stack, tmp_path: Path) -> None:
    result = processes.invoke(deployed_function(tmp_path, "grow", memory_mb=128), b"{}", "request-1")

    assert json.loads(result.payload)["errorType"] == "Runtime.ExitError"


def test_an_environment_is_kept_warm(processes: ProcessRuntime, stack: Stack, tmp_path: Path) -> None:
    function = deployed_function(tmp_path, "answer")

    first, second = (processes.invoke(function, b"{}", name) for name in ("request-1", "request-2"))

    assert first.init_ms is not None
    assert second.init_ms is None
