"""A deployed function, the result of its invocation, and what every runtime gives to its code."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

FunctionKey = tuple[str, str, str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class DeployedFunction:
    """What the deployment says of a function; a runtime takes nothing of it from anywhere else."""

    name: str
    arn: str
    handler: str
    environment: dict[str, str]
    timeout_seconds: int
    memory_mb: int
    code: Path

    @property
    def key(self) -> FunctionKey:
        """Tell apart what cannot share an execution environment."""
        return self.arn, str(self.code), self.handler, tuple(sorted(self.environment.items()))


@dataclass(frozen=True)
class InvocationResult:
    """The reply to an invocation, and what its REPORT line says. `error` is the value of x-amz-function-error."""

    function: DeployedFunction
    payload: bytes
    error: str | None
    log: str = ""
    duration_ms: float = 0.0
    init_ms: float | None = None
    max_memory_mb: int | None = None

    @property
    def billed_gb_seconds(self) -> float:
        billed_ms = int(self.duration_ms + (self.init_ms or 0)) + 1
        return billed_ms / 1000 * self.function.memory_mb / 1024

    def report(self, request_id: str) -> str:
        init = f"\tInit Duration: {self.init_ms:.2f} ms" if self.init_ms is not None else ""
        return (
            f"REPORT RequestId: {request_id}\tDuration: {self.duration_ms:.2f} ms\t"
            f"Memory Size: {self.function.memory_mb} MB\tMax Memory Used: {self.max_memory_mb} MB{init}"
        )


class Runtime(Protocol):
    def invoke(self, function: DeployedFunction, payload: bytes, request_id: str) -> InvocationResult: ...

    def close(self) -> None: ...


def runtime_variables(function: DeployedFunction) -> dict[str, str]:
    """Return the environment variables that Lambda gives to the code: those of the runtime and the function's own."""
    region = function.arn.split(":")[3]
    return {
        **{name: os.environ[name] for name in ("PATH", "LANG", "SYSTEMROOT") if name in os.environ},
        "TZ": ":UTC",
        "NO_PROXY": "localhost,127.0.0.1",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ACCESS_KEY_ID": "loopback",
        "AWS_SECRET_ACCESS_KEY": "loopback",
        "AWS_ENDPOINT_URL": f"http://localhost:{os.environ['MOTO_PORT']}",
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "_HANDLER": function.handler,
        "LAMBDA_TASK_ROOT": str(function.code),
        **function.environment,
    }


def error_payload(error_type: str, message: str) -> bytes:
    return json.dumps({"errorType": error_type, "errorMessage": message}).encode()


def timeout_payload(function: DeployedFunction, request_id: str) -> bytes:
    message = f"RequestId: {request_id} Error: Task timed out after {function.timeout_seconds:.2f} seconds"
    return error_payload("Sandbox.Timedout", message)
