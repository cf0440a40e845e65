"""AWS's own runtime interface client, in a process for each execution environment."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path

from localaws.lambda_runtimes.deployed_function import (
    DeployedFunction,
    FunctionKey,
    InvocationResult,
    error_payload,
    runtime_variables,
    timeout_payload,
)
from localaws.lambda_runtimes.runtime_api import RuntimeApi, RuntimeExit, RuntimeReply


class ProcessRuntime:
    """Keeps environments warm, and makes another one where invocations overlap."""

    def __init__(self) -> None:
        self._idle: dict[FunctionKey, list[ExecutionEnvironment]] = defaultdict(list)
        self._all: list[ExecutionEnvironment] = []
        self._lock = threading.Lock()

    def invoke(self, function: DeployedFunction, payload: bytes, request_id: str) -> InvocationResult:
        environment = self._take_environment(function)
        result, is_reusable = environment.invoke(payload, request_id)
        with self._lock:
            if is_reusable:
                self._idle[function.key].append(environment)
            else:
                self._all.remove(environment)
        if not is_reusable:
            environment.close()
        return result

    def close(self) -> None:
        with self._lock:
            environments, self._all = self._all, []
        for environment in environments:
            environment.close()

    def _take_environment(self, function: DeployedFunction) -> ExecutionEnvironment:
        with self._lock:
            if self._idle[function.key]:
                return self._idle[function.key].pop()
        environment = ExecutionEnvironment(function)
        with self._lock:
            self._all.append(environment)
        return environment


class ExecutionEnvironment:
    """A process, and the Runtime API that it asks for events."""

    def __init__(self, function: DeployedFunction) -> None:
        self.function = function
        self._started = time.monotonic()
        self._init_ms: float | None = None
        self._api = RuntimeApi()
        self._log = tempfile.TemporaryFile()
        self._log_offset = 0
        variables = {
            **runtime_variables(function),
            "AWS_LAMBDA_RUNTIME_API": self._api.address,
            "PYTHONPATH": str(function.code),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "awslambdaric", function.handler],
            cwd=function.code,
            env=variables,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the command, which then closes this
        )
        threading.Thread(target=self._watch, daemon=True).start()

    def invoke(self, payload: bytes, request_id: str) -> tuple[InvocationResult, bool]:
        """Return the result, and whether the environment can take another event."""
        is_cold = self._init_ms is None
        init_failure = self._api.wait_until_ready() if is_cold else None
        began = time.monotonic()
        if is_cold:
            self._init_ms = (began - self._started) * 1000
        reply = init_failure or self._api.deliver(request_id, payload, self.function.arn, self.function.timeout_seconds)
        duration_ms = (time.monotonic() - began) * 1000
        memory_mb = self._peak_memory_mb()
        reply = self._lambda_reply(reply, memory_mb, request_id)
        init_ms = self._init_ms if is_cold else None
        result = InvocationResult(
            self.function, reply.body, reply.error, self._new_log(), duration_ms, init_ms, memory_mb
        )
        return result, reply.is_reusable

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._api.close()
        self._log.close()

    def _watch(self) -> None:
        self._api.replies.put(RuntimeExit(self._process.wait()))

    def _lambda_reply(self, reply: RuntimeReply, memory_mb: int | None, request_id: str) -> RuntimeReply:
        """Return what Lambda answers where the runtime has ended, taken too long, or outgrown its memory."""
        if isinstance(reply, RuntimeExit):
            return _runtime_failure(request_id, reply.how)
        if reply.timed_out:
            return RuntimeReply(timeout_payload(self.function, request_id), "Unhandled", is_reusable=False)
        if memory_mb is not None and memory_mb > self.function.memory_mb:
            return _runtime_failure(request_id, "with error: signal: killed")
        return reply

    def _peak_memory_mb(self) -> int | None:
        """Return the peak resident memory, where the system tells it (Linux)."""
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text("ascii")
        except OSError:
            return None
        lines = [line for line in status.splitlines() if line.startswith("VmHWM:")]
        return -(-int(lines[0].split()[1]) // 1024) if lines else None

    def _new_log(self) -> str:
        text = os.pread(self._log.fileno(), 1 << 20, self._log_offset)
        self._log_offset += len(text)
        return text.decode("utf-8", "replace").rstrip()


def _runtime_failure(request_id: str, how: str) -> RuntimeReply:
    message = f"RequestId: {request_id} Error: Runtime exited {how}"
    return RuntimeReply(error_payload("Runtime.ExitError", message), "Unhandled", is_reusable=False)
