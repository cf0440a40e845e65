"""The deployed handler in this process, on a clock that tests turn."""

from __future__ import annotations

import importlib.util
import json
import os
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from localaws.clock import Clock
from localaws.lambda_runtimes.deployed_function import (
    DeployedFunction,
    FunctionKey,
    InvocationResult,
    runtime_variables,
    timeout_payload,
)

Handler = Callable[[Any, Any], Any]


class InProcessRuntime:
    """One invocation at a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._handlers: dict[FunctionKey, Handler] = {}
        self._lock = threading.RLock()

    def invoke(self, function: DeployedFunction, payload: bytes, request_id: str) -> InvocationResult:
        with self._lock, _only_variables(runtime_variables(function)):
            began = self._clock.monotonic()
            context = LambdaContext(function, request_id, self._clock, began + function.timeout_seconds)
            error: str | None = None
            try:
                reply = json.dumps(self._handler(function)(json.loads(payload), context)).encode()
            except Exception as raised:  # the runtime reports whatever a handler raises
                reply, error = _exception_payload(raised, request_id), "Unhandled"
            seconds = self._clock.monotonic() - began
            if seconds > function.timeout_seconds:
                reply, error = timeout_payload(function, request_id), "Unhandled"
            return InvocationResult(function, reply, error, duration_ms=seconds * 1000)

    def close(self) -> None:
        self._handlers.clear()

    def _handler(self, function: DeployedFunction) -> Handler:
        if function.key not in self._handlers:
            self._handlers[function.key] = _import_handler(function)
        return self._handlers[function.key]


class LambdaContext:
    """The part of Lambda's context object that handlers use."""

    def __init__(self, function: DeployedFunction, request_id: str, clock: Clock, deadline: float) -> None:
        self.function_name = function.name
        self.function_version = "$LATEST"
        self.memory_limit_in_mb = str(function.memory_mb)  # text in the real runtime too
        self.invoked_function_arn = function.arn
        self.aws_request_id = request_id
        self._clock = clock
        self._deadline = deadline

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._deadline - self._clock.monotonic()) * 1000))


def _import_handler(function: DeployedFunction) -> Handler:
    module_name, _, name = function.handler.rpartition(".")
    spec = importlib.util.spec_from_file_location(f"deployed_{module_name}", function.code / f"{module_name}.py")
    if spec is None or spec.loader is None:
        raise ImportError(f"Unable to import module '{module_name}'")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    handler: Handler = getattr(module, name)
    return handler


def _exception_payload(raised: Exception, request_id: str) -> bytes:
    payload = {
        "errorType": type(raised).__name__,
        "errorMessage": str(raised),
        "stackTrace": traceback.format_tb(raised.__traceback__),
        "requestId": request_id,
    }
    return json.dumps(payload).encode()


@contextmanager
def _only_variables(variables: dict[str, str]) -> Iterator[None]:
    """Leave the handler nothing but its own variables; never cleared, since the server's threads read theirs."""
    before = dict(os.environ)
    os.environ.update(variables)
    for name in before.keys() - variables.keys():
        if not name.startswith("MOTO_"):
            del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(before)
        for name in variables.keys() - before.keys():
            del os.environ[name]
