"""The loopback AWS: moto's server on 127.0.0.1 with the seams of this package, and the template deployed to it."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast
from unittest import mock

import boto3
from botocore.config import Config
from moto.awslambda.models import lambda_backends
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from localaws import scripted_network_flow_monitor
from localaws.clock import Clock
from localaws.lambda_runtimes.deployed_function import Runtime
from localaws.networkflowmonitor.models import networkflowmonitor_backends
from localaws.sam_package import package
from localaws.scripted_network_flow_monitor import ScriptedBackend
from localaws.seams import (
    awslambda,
    cloudformation,
    execution_ends,
    json_paths,
    moto_modules,
    networkflowmonitor,
    stepfunctions,
)
from localaws.seams.awslambda import RunningLambdaBackend

ACCOUNT_ID = "123456789012"
REGION = "us-east-1"
TEMPLATE = Path(__file__).parent.parent / "template.yaml"


class LocalAws:
    """One server a process: moto's backends are global."""

    def __init__(self, runtime: Runtime, clock: Clock, port: int = 0) -> None:
        self.runtime = runtime
        self.clock = clock
        self._port = port
        self._exit = ExitStack()
        self._clients: dict[str, Any] = {}

    def __enter__(self) -> Self:
        execution_ends.install()
        moto_modules.install()
        json_paths.install()
        networkflowmonitor.install()
        scripted_network_flow_monitor.install(self.clock)
        awslambda.install(self.runtime)
        stepfunctions.install(self.clock)
        cloudformation.install()
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        foreign = [name for name in os.environ if name.startswith("AWS_") and name != "AWS_CA_BUNDLE"]
        clean = {name: value for name, value in os.environ.items() if name not in foreign}
        self._exit.enter_context(mock.patch.dict(os.environ, {**clean, **self.environment}, clear=True))
        server = ThreadedMotoServer("127.0.0.1", self._port, verbose=False)
        server.start()
        self._exit.callback(server.stop)
        self._exit.callback(self.runtime.close)
        self._port = server.get_host_and_port()[1]
        os.environ.update(MOTO_PORT=str(self._port), AWS_ENDPOINT_URL=self.endpoint_url)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    @property
    def endpoint_url(self) -> str:
        # With 127.0.0.1 moto cannot read a TemplateURL.
        return f"http://localhost:{self._port}"

    @property
    def environment(self) -> Mapping[str, str]:
        """What a client needs to reach it."""
        return {
            "AWS_ACCESS_KEY_ID": "loopback",
            "AWS_SECRET_ACCESS_KEY": "loopback",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "NO_PROXY": "localhost,127.0.0.1",
        }

    @property
    def network_flow_monitor(self) -> ScriptedBackend:
        return networkflowmonitor_backends[ACCOUNT_ID][REGION]

    @property
    def lambda_backend(self) -> RunningLambdaBackend:
        return lambda_backends[ACCOUNT_ID][REGION]

    def client(self, service: str) -> Any:
        if service not in self._clients:
            config = Config(read_timeout=900)
            self._clients[service] = cast("Any", boto3).client(service, endpoint_url=self.endpoint_url, config=config)
        return self._clients[service]

    def deploy(
        self, parameters: Mapping[str, str], stack_name: str = "flowquery", template: Path = TEMPLATE
    ) -> dict[str, str]:
        """Deploy the template as it is, and return the stack's outputs."""
        bucket = f"{stack_name}-deployment"
        s3, stacks = self.client("s3"), self.client("cloudformation")
        s3.create_bucket(Bucket=bucket)
        stacks.create_stack(
            StackName=stack_name,
            TemplateBody=package(template, s3, bucket),
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
        stack = stacks.describe_stacks(StackName=stack_name)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
