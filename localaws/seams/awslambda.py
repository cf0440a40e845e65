"""Lambda without Docker: moto's API in front, the deployed function's own code behind it.

Patches `lambda_backends.backend`, since moto runs functions in Docker alone. In this backend a runtime of
`localaws/lambda_runtimes/` runs the code that was uploaded. It retries asynchronous events as the function is
configured, and then sends them to the queue that is configured; moto does neither.

Layers are not unpacked: the packages come from the virtual environment, which has the same versions.
"""

from __future__ import annotations

import base64
import importlib
import io
import json
import tempfile
import threading
import uuid
import zipfile
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from moto.awslambda.models import LambdaBackend, lambda_backends
from moto.sqs.models import sqs_backends

from localaws.lambda_runtimes.deployed_function import DeployedFunction, InvocationResult, Runtime

LOG_RESULT_BYTES = 4096  # as Lambda returns of a log


def install(runtime: Runtime) -> None:
    """Put `runtime` behind moto's Lambda API. Call it before the server answers its first request."""
    RunningLambdaBackend.runtime = runtime
    lambda_backends.backend = RunningLambdaBackend
    lambda_backends.clear()


class RunningLambdaBackend(LambdaBackend):
    """Keeps the results of all invocations."""

    runtime: Runtime
    invocations: list[InvocationResult]

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
        invocation_type = headers.get("x-amz-invocation-type", "RequestResponse")
        if invocation_type == "DryRun":
            return b""
        if invocation_type == "Event":
            threading.Thread(target=self._run_event, args=(function, payload)).start()
            return b""
        result = self._run(function, payload)
        if result.error:
            response_headers["x-amz-function-error"] = result.error
        response_headers["x-amz-log-result"] = base64.b64encode(result.log.encode()[-LOG_RESULT_BYTES:]).decode()
        response_headers["Content-Length"] = str(len(result.payload))
        return result.payload

    def _run_event(self, function: Any, payload: bytes) -> None:
        """Try as often as is configured, then send the event to the queue; the minutes in between are left out."""
        config = function.event_invoke_config[0].config if function.event_invoke_config else {}
        for _ in range(1 + int(config.get("MaximumRetryAttempts", 2))):
            result = self._run(function, payload)
            if not result.error:
                return
        queue_arn = config.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
        if queue_arn:
            record = {"requestPayload": json.loads(payload), "responsePayload": json.loads(result.payload)}
            sqs = sqs_backends[self.account_id][self.region_name]
            sqs.send_message(queue_arn.rpartition(":")[2], json.dumps(record))

    def _run(self, function: Any, payload: bytes) -> InvocationResult:
        request_id = str(uuid.uuid4())
        result = self.runtime.invoke(self._deployed(function), payload, request_id)
        function.logs_backend.ensure_log_group(function.logs_group_name)
        function.save_logs(f"{result.log}\n{result.report(request_id)}")
        self.invocations.append(result)
        return result

    def _deployed(self, function: Any) -> DeployedFunction:
        return DeployedFunction(
            name=function.function_name,
            arn=function.function_arn,
            handler=function.handler,
            environment={name: str(value) for name, value in function.environment_vars.items()},
            timeout_seconds=int(function.timeout),
            memory_mb=int(function.memory_size),
            code=self._unpacked_code(function),
        )

    def _unpacked_code(self, function: Any) -> Path:
        code = Path(self._folder.name, function.code_sha_256.replace("/", "_"))
        if not code.exists():
            with tempfile.TemporaryDirectory(dir=self._folder.name) as partial:
                zipfile.ZipFile(io.BytesIO(function.code_bytes)).extractall(partial)
                if not code.exists():
                    Path(partial).rename(code)
                    Path(partial).mkdir()
        return code
