"""The handlers that the status step is measured beside, each in a real process of AWS's runtime interface client."""

from __future__ import annotations

import compileall
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from localaws.lambda_runtimes.runtime_api import RuntimeApi

if TYPE_CHECKING:
    from collections.abc import Sequence

FUNCTION, LAYER = "GetQueryStatusFunction", "DependenciesLayer"  # folders of what sam build made
PYTHON = getattr(sys, "_base_executable", sys.executable)  # without this environment's packages

EVENT = {"scopeId": "a1b2c3d4-5678-90ab-cdef-1234567890ab", "queryId": "cc4f4ab3-3103-33b8-80ff-d6597a0c6cea"}

EMPTY_CODE = """
def handler(event, context):
    return {}
"""
HTTP_CODE = """
import http.client
import json
import os

connection = http.client.HTTPConnection(os.environ["AWS_ENDPOINT_URL"].removeprefix("http://"))


def handler(event, context):
    scope, query = event["scopeId"], event["queryId"]
    connection.request("GET", f"/workloadInsights/{scope}/topContributorsDataQueries/{query}/status")
    return json.load(connection.getresponse())
"""
BOTO3_CODE = """
import boto3

client = boto3.client("networkflowmonitor")


def handler(event, context):
    reply = client.get_query_status_workload_insights_top_contributors_data(
        scopeId=event["scopeId"], queryId=event["queryId"]
    )
    return {"status": reply["status"]}
"""
POWERTOOLS_CODE = """
import boto3
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.utilities.parser import BaseModel, event_parser

logger, metrics, tracer = Logger(), Metrics(), Tracer()
client = boto3.client("networkflowmonitor")


class Query(BaseModel):
    scopeId: str
    queryId: str


@logger.inject_lambda_context
@metrics.log_metrics
@tracer.capture_lambda_handler
@event_parser(model=Query)
def handler(event, context):
    reply = client.get_query_status_workload_insights_top_contributors_data(
        scopeId=event.scopeId, queryId=event.queryId
    )
    metrics.add_metric("Checks", "Count", 1)
    logger.info("status")
    return {"status": reply["status"]}
"""

RUNTIME_PACKAGES = ("awslambdaric", "simplejson", "snapshot_restore_py.py", "runtime_client*.so")
BOTO3_PACKAGES = ("boto3", "botocore", "s3transfer", "jmespath", "urllib3", "dateutil", "six.py")
POWERTOOLS_PACKAGES = (
    *("aws_lambda_powertools", "typing_extensions.py", "aws_xray_sdk", "wrapt"),
    *("pydantic", "pydantic_core", "annotated_types", "typing_inspection"),
)


@dataclass(frozen=True)
class Contestant:
    """A handler and the folders on its path: its own code first, then what it imports, then the runtime."""

    name: str
    handler: str
    folders: tuple[Path, ...]


EMPTY = "empty handler"
HTTP = "bare HTTP call"
BOTO3 = "plain boto3, with bytecode"
BOTO3_SOURCE = "plain boto3, without bytecode"
POWERTOOLS = "the same and all of Powertools, with bytecode"
STATUS_STEP = "the status step, as sam build makes it"
STATUS_STEP_UNPRUNED = "the status step on all that pip installs, with bytecode"


def prepare(folder: Path, build: Path) -> dict[str, Contestant]:
    """Return the contestants by name, made in `folder` of this environment's packages and of `build`."""
    runtime = _packages(folder / "runtime", RUNTIME_PACKAGES)
    boto3 = _packages(folder / "boto3", BOTO3_PACKAGES)
    source = _packages(folder / "source", BOTO3_PACKAGES, bytecode=False)
    powertools = _packages(folder / "powertools", POWERTOOLS_PACKAGES)
    plain = _code(folder / "plain", BOTO3_CODE)
    function, handler = build / FUNCTION, "get_query_status.handler"
    contestants = [
        Contestant(EMPTY, "app.handler", (_code(folder / "empty", EMPTY_CODE), runtime)),
        Contestant(HTTP, "app.handler", (_code(folder / "http", HTTP_CODE), runtime)),
        Contestant(BOTO3, "app.handler", (plain, boto3, runtime)),
        Contestant(BOTO3_SOURCE, "app.handler", (plain, source, runtime)),
        Contestant(POWERTOOLS, "app.handler", (_code(folder / "all", POWERTOOLS_CODE), boto3, powertools, runtime)),
        Contestant(STATUS_STEP, handler, (function, build / LAYER / "python", runtime)),
        Contestant(STATUS_STEP_UNPRUNED, handler, (function, boto3, powertools, runtime)),
    ]
    return {contestant.name: contestant for contestant in contestants}


def _packages(target: Path, patterns: Sequence[str], *, bytecode: bool = True) -> Path:
    """Copy packages of this environment, with bytecode as the runtime's own, or without, as pip packages them."""
    target.mkdir()
    for path in [path for pattern in patterns for path in Path(sysconfig.get_path("purelib")).glob(pattern)]:
        if path.is_dir():
            shutil.copytree(path, target / path.name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(path, target)
    if bytecode:
        compileall.compile_dir(target, quiet=1)
    return target


def _code(folder: Path, code: str) -> Path:
    folder.mkdir()
    folder.joinpath("app.py").write_text(code, "utf-8")
    return folder


class Environment:
    """An execution environment: from exec on, a process and the Runtime API that it asks for work (Linux)."""

    def __init__(self, contestant: Contestant, endpoint: str) -> None:
        self._name, self._api = contestant.name, RuntimeApi()
        self._process = subprocess.Popen(
            [PYTHON, "-m", "awslambdaric", contestant.handler],
            cwd=contestant.folders[0],
            env={**_variables(contestant), "AWS_ENDPOINT_URL": endpoint, "AWS_LAMBDA_RUNTIME_API": self._api.address},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        failed = self._api.wait_until_ready()
        if failed is not None:
            sys.exit(f"{self._name}: {failed.body.decode()}")

    def invoke(self) -> None:
        arn = "arn:aws:lambda:us-east-1:123456789012:function:function"
        answer = self._api.deliver("request", json.dumps(EVENT).encode(), arn, timeout_seconds=60)
        if answer.error:
            sys.exit(f"{self._name}: {answer.body.decode()}")

    def cpu_seconds(self) -> float:
        """Return the CPU time so far, which unlike that of wait4 can be read of a process that goes on."""
        return int(self._proc("schedstat").split()[0]) / 1e9

    def peak_mb(self) -> float:
        return next(int(line.split()[1]) / 1024 for line in self._proc("status").splitlines() if "VmHWM" in line)

    def close(self) -> float:
        """End the process, and return the CPU seconds, user and system, of its whole life."""
        self._process.kill()
        _, _, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = 0
        self._api.close()
        return usage.ru_utime + usage.ru_stime

    def _proc(self, name: str) -> str:
        return Path(f"/proc/{self._process.pid}/{name}").read_text("ascii")


def import_milliseconds(contestant: Contestant) -> dict[str, float]:
    """Return how long each module's own import takes, by name; the handler's own includes making its client."""
    module = contestant.handler.partition(".")[0]
    command = [PYTHON, "-X", "importtime", "-c", f"import awslambdaric.bootstrap, {module}"]
    variables = {**_variables(contestant), "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}  # nothing is called
    ran = subprocess.run(command, env=variables, check=True, capture_output=True, text=True)
    lines = re.findall(r"^import time: +(\d+) \| +\d+ \| +(\S+)$", ran.stderr, re.MULTILINE)
    return {name: int(microseconds) / 1000 for microseconds, name in lines}


def _variables(contestant: Contestant) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "TZ": ":UTC",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "loopback",
        "AWS_SECRET_ACCESS_KEY": "loopback",
        "AWS_LAMBDA_FUNCTION_NAME": "function",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "LAMBDA_TASK_ROOT": str(contestant.folders[0]),
        "POWERTOOLS_SERVICE_NAME": "flowquery",
        "POWERTOOLS_METRICS_NAMESPACE": "Flowquery",
        "PYTHONPATH": os.pathsep.join(map(str, contestant.folders)),
        "PYTHONDONTWRITEBYTECODE": "1",  # as the folders are read-only in Lambda
    }
