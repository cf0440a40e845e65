"""Lambda without Docker: moto's Lambda API in front, the deployed function's own code behind it.

Layers are not unpacked: the packages come from the virtual environment, which has the same versions.
"""

from __future__ import annotations

import base64
import importlib.util
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import uuid
import zipfile
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from moto.awslambda import models as lambda_models
from moto.sqs.models import sqs_backends

from localaws.lambda_runtimes.runtime_api import Exited, RuntimeApi

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableMapping

    from localaws.clock import Clock


@dataclass(frozen=True)
class DeployedFunction:
    """What the deployment says of a function; nothing of it comes from anywhere else."""

    name: str
    arn: str
    handler: str
    environment: dict[str, str]
    timeout_seconds: int
    memory_mb: int
    code: Path


@dataclass(frozen=True)
class Invocation:
    """One invocation: the answer, and what its REPORT line says. `error` is the value of x-amz-function-error."""

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
    def invoke(self, function: DeployedFunction, payload: bytes, request_id: str) -> Invocation: ...

    def close(self) -> None: ...


def install(runtime: Runtime) -> None:
    """Put `runtime` behind moto's Lambda API. Call it before the server answers its first request."""
    Backend.runtime = runtime
    lambda_models.lambda_backends.backend = Backend
    lambda_models.lambda_backends.clear()


class Backend(lambda_models.LambdaBackend):
    runtime: Runtime
    invocations: list[Invocation]
    observer: Callable[[Invocation], None] | None = None

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.invocations = []
        self._folder = tempfile.TemporaryDirectory(prefix="functions-")

    @property
    def _url_module(self) -> Any:
        return importlib.import_module("moto.awslambda.urls")

    def invoke(
        self,
        function_name: str,
        qualifier: str | None,
        body: Any,
        headers: Any,
        response_headers: MutableMapping[str, str],
    ) -> bytes:
        function = self.get_function(function_name, qualifier)
        payload = body.encode() if isinstance(body, str) else body or b"{}"
        kind = headers.get("x-amz-invocation-type", "RequestResponse")
        if kind == "DryRun":
            return b""
        if kind == "Event":
            threading.Thread(target=self._run_event, args=(function, payload)).start()
            return b""
        invocation = self._run(function, payload)
        if invocation.error:
            response_headers["x-amz-function-error"] = invocation.error
        response_headers["x-amz-log-result"] = base64.b64encode(invocation.log.encode()[-4096:]).decode()
        response_headers["Content-Length"] = str(len(invocation.payload))
        return invocation.payload

    def _run_event(self, function: Any, payload: bytes) -> None:
        """Try as often as is configured, then leave the event where that says; the minutes in between are left out."""
        config = function.event_invoke_config[0].config if function.event_invoke_config else {}
        for _ in range(1 + int(config.get("MaximumRetryAttempts", 2))):
            invocation = self._run(function, payload)
            if not invocation.error:
                return
        queue = config.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
        if queue:
            sqs = sqs_backends[self.account_id][self.region_name]
            said = {"requestPayload": json.loads(payload), "responsePayload": json.loads(invocation.payload)}
            sqs.send_message(queue.rpartition(":")[2], json.dumps(said))

    def _run(self, function: Any, payload: bytes) -> Invocation:
        request_id = str(uuid.uuid4())
        invocation = self.runtime.invoke(self._deployed(function), payload, request_id)
        function.logs_backend.ensure_log_group(function.logs_group_name)
        function.save_logs(f"{invocation.log}\n{invocation.report(request_id)}")
        self.invocations.append(invocation)
        return invocation

    def _deployed(self, function: Any) -> DeployedFunction:
        code = Path(self._folder.name, function.code_sha_256.replace("/", "_"))
        if not code.exists():
            with tempfile.TemporaryDirectory(dir=self._folder.name) as partial:
                zipfile.ZipFile(io.BytesIO(function.code_bytes)).extractall(partial)
                if not code.exists():
                    Path(partial).rename(code)
                    Path(partial).mkdir()
        environment = {name: str(value) for name, value in function.environment_vars.items()}
        return DeployedFunction(
            name=function.function_name,
            arn=function.function_arn,
            handler=function.handler,
            environment=environment,
            timeout_seconds=int(function.timeout),
            memory_mb=int(function.memory_size),
            code=code,
        )


def _service_environment(function: DeployedFunction) -> dict[str, str]:
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


def _error(error_type: str, message: str) -> bytes:
    return json.dumps({"errorType": error_type, "errorMessage": message}).encode()


def _timed_out(function: DeployedFunction, request_id: str) -> bytes:
    message = f"RequestId: {request_id} Error: Task timed out after {function.timeout_seconds:.2f} seconds"
    return _error("Sandbox.Timedout", message)


class ProcessRuntime:
    """AWS's own runtime interface client in a process for each environment, kept warm; more when calls overlap."""

    def __init__(self) -> None:
        self._idle: dict[DeployedKey, list[Environment]] = defaultdict(list)
        self._all: list[Environment] = []
        self._lock = threading.Lock()

    def invoke(self, function: DeployedFunction, payload: bytes, request_id: str) -> Invocation:
        key = (function.arn, str(function.code), function.handler, tuple(sorted(function.environment.items())))
        with self._lock:
            environment = self._idle[key].pop() if self._idle[key] else None
        if environment is None:
            environment = Environment(function)
            with self._lock:
                self._all.append(environment)
        invocation, reusable = environment.invoke(payload, request_id)
        with self._lock:
            if reusable:
                self._idle[key].append(environment)
            else:
                self._all.remove(environment)
        if not reusable:
            environment.close()
        return invocation

    def close(self) -> None:
        with self._lock:
            leaving, self._all = self._all, []
        for environment in leaving:
            environment.close()


DeployedKey = tuple[str, str, str, tuple[tuple[str, str], ...]]


class Environment:
    """One execution environment: a process, and the Runtime API that it asks for work."""

    def __init__(self, function: DeployedFunction) -> None:
        self.function = function
        self._started = time.monotonic()
        self._init_ms: float | None = None
        self._api = RuntimeApi()
        self._log = tempfile.TemporaryFile()
        self._log_offset = 0
        variables = {
            **_service_environment(function),
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

    def _watch(self) -> None:
        self._api.answers.put(Exited(self._process.wait()))

    def invoke(self, payload: bytes, request_id: str) -> tuple[Invocation, bool]:
        """Return the invocation, and whether the environment can take another."""
        cold = self._init_ms is None
        first = self._api.wait_until_ready() if cold else None
        began = time.monotonic()
        if cold:
            self._init_ms = (began - self._started) * 1000
        answer = first or self._api.deliver(request_id, payload, self.function.arn, self.function.timeout_seconds)
        duration_ms = (time.monotonic() - began) * 1000
        memory = self._peak_memory_mb()
        body, error, reusable = answer.body, answer.error, answer.reusable
        if isinstance(answer, Exited):
            body = _error("Runtime.ExitError", f"RequestId: {request_id} Error: Runtime exited {answer.how}")
        elif answer.timed_out:
            body = _timed_out(self.function, request_id)
        elif memory is not None and memory > self.function.memory_mb:
            message = f"RequestId: {request_id} Error: Runtime exited with error: signal: killed"
            body, error, reusable = _error("Runtime.ExitError", message), "Unhandled", False
        init_ms = self._init_ms if cold else None
        return Invocation(self.function, body, error, self._new_log(), duration_ms, init_ms, memory), reusable

    def _peak_memory_mb(self) -> int | None:
        """Return the peak resident memory, where the system tells (Linux)."""
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

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._api.close()
        self._log.close()


class InProcessRuntime:
    """The deployed handler in this process, on a clock that tests turn; one call at a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._handlers: dict[DeployedKey, Callable[[Any, Any], Any]] = {}
        self._lock = threading.RLock()

    def invoke(self, function: DeployedFunction, payload: bytes, request_id: str) -> Invocation:
        with self._lock, _environment(_service_environment(function)):
            began = self._clock.monotonic()
            context = Context(function, request_id, self._clock, began + function.timeout_seconds)
            error: str | None = None
            try:
                answer = json.dumps(self._handler(function)(json.loads(payload), context)).encode()
            except Exception as fault:  # the runtime reports whatever a handler raises
                trace = traceback.format_tb(fault.__traceback__)
                said = {"errorType": type(fault).__name__, "errorMessage": str(fault), "stackTrace": trace}
                answer, error = json.dumps({**said, "requestId": request_id}).encode(), "Unhandled"
            duration = self._clock.monotonic() - began
            if duration > function.timeout_seconds:
                answer, error = _timed_out(function, request_id), "Unhandled"
            return Invocation(function, answer, error, duration_ms=duration * 1000)

    def _handler(self, function: DeployedFunction) -> Callable[[Any, Any], Any]:
        key = (function.arn, str(function.code), function.handler, tuple(sorted(function.environment.items())))
        if key not in self._handlers:
            module_name, _, name = function.handler.rpartition(".")
            spec = importlib.util.spec_from_file_location(
                f"deployed_{module_name}", function.code / f"{module_name}.py"
            )
            if spec is None or spec.loader is None:
                raise ImportError(f"Unable to import module '{module_name}'")
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            self._handlers[key] = getattr(module, name)
        return self._handlers[key]

    def close(self) -> None:
        self._handlers.clear()


class Context:
    """The part of Lambda's context object that handlers use."""

    def __init__(self, function: DeployedFunction, request_id: str, clock: Clock, deadline: float) -> None:
        self.function_name = function.name
        self.function_version = "$LATEST"
        self.memory_limit_in_mb = str(function.memory_mb)  # text in the real runtime too
        self.invoked_function_arn = function.arn
        self.aws_request_id = request_id
        self._clock, self._deadline = clock, deadline

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._deadline - self._clock.monotonic()) * 1000))


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
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
