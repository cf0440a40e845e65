"""Deployed workflows on the loopback in turned time, and what their executions spent."""

from __future__ import annotations

import io
import itertools
import json
import logging
import os
import random
import threading
import warnings
import zipfile
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import yaml

from benchmarks.plans import CALL
from benchmarks.virtual_time import SEED
from localaws.clock import TurnedClock
from localaws.lambda_runtimes.in_process import InProcessRuntime
from localaws.scripted_network_flow_monitor import Script
from localaws.server import LocalAws

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from localaws.scripted_network_flow_monitor import Call

FOLDER = Path(__file__).parent
METRICS = ("DATA_TRANSFERRED", "RETRANSMISSIONS", "TIMEOUTS")
CATEGORIES = (
    *("INTRA_AZ", "INTER_AZ", "INTER_VPC", "UNCLASSIFIED", "AMAZON_S3", "AMAZON_DYNAMODB", "INTER_REGION"),
    *("INTERNET", "AWS_SERVICE", "LOCAL_ZONE", "TRANSIT_GATEWAY"),
)
PAIRS = [
    {"metricName": metric, "destinationCategory": category} for metric in METRICS for category in CATEGORIES
]  # a whole scope
FIRST_WINDOW, WINDOW = datetime(2026, 11, 24, 8, tzinfo=UTC), timedelta(minutes=15)


def window(number: int) -> dict[str, str]:
    start = FIRST_WINDOW + number * WINDOW
    return {"startTime": start.isoformat(), "endTime": (start + WINDOW).isoformat()}


QUERY = {**PAIRS[0], **window(0)}


def sweep(count: int) -> dict[str, object]:
    """Return SweepScope's input for the first so many queries: some of one window, or whole windows."""
    windows, rest = divmod(count, len(PAIRS))
    if windows and rest:
        raise ValueError(f"{count} queries: expected up to {len(PAIRS)}, or a multiple of it")
    return {
        "windows": [window(number) for number in range(max(windows, 1))],
        "selections": PAIRS if windows else PAIRS[:count],
    }


@dataclass(frozen=True)
class Usage:
    """What an execution spent: transitions (retries counted), invocations, their GB-seconds, and seconds."""

    transitions: int
    requests: int
    gb_seconds: float
    seconds: float
    calls: list[Call] = field(repr=False)
    output: Any = field(repr=False)


class World:
    """The stack, the loop that a user would write beside it, and a Network Flow Monitor that follows a script."""

    def __init__(self, aws: LocalAws, clock: TurnedClock, outputs: dict[str, str]) -> None:
        self._aws, self._clock = aws, clock
        self._scopes = map("scope-{}".format, itertools.count())  # no run finds what another has stored
        self.run_query = outputs["RunQueryArn"]
        self.sweep_scope = outputs["SweepScopeArn"]
        self.plain_loop = self._deploy_plain_loop(outputs["ResultsBucketName"])

    def loop(self, seconds: float) -> Usage:
        """Run the Map of plain loops with one query."""
        event: dict[str, object] = {"queries": [{"scopeId": next(self._scopes), **QUERY}]}
        return self._run(self.plain_loop, event, _script([seconds]))

    def child(self, seconds: float) -> Usage:
        """Run RunQuery."""
        return self._run(self.run_query, {"scopeId": next(self._scopes), **QUERY}, _script([seconds]))

    def sweep(self, durations: Sequence[float], limit: float | None = None, **more: object) -> Usage:
        """Run SweepScope with as many queries as there are durations, against a limit of requests a second."""
        event = {"scopeId": next(self._scopes), **sweep(len(durations)), **more}
        return self._run(self.sweep_scope, event, _script(durations, limit))

    def _run(self, machine: str, event: dict[str, object], script: Script) -> Usage:
        service, sfn, began = self._aws.network_flow_monitor, self._aws.client("stepfunctions"), self._clock.monotonic()
        service.reset()
        service.script = script
        self._aws.lambda_backend.invocations.clear()
        arn = sfn.start_execution(stateMachineArn=machine, input=json.dumps(event))["executionArn"]
        while (described := sfn.describe_execution(executionArn=arn))["status"] == "RUNNING":
            threading.Event().wait(0.005)
        if described["status"] != "SUCCEEDED":
            raise RuntimeError(f"{arn} is {described['status']}: {described.get('error')}: {described.get('cause')}")
        while "output" not in described:  # moto sets it after the status
            described = sfn.describe_execution(executionArn=arn)
        invocations = list(self._aws.lambda_backend.invocations)
        return Usage(
            transitions=transitions(sfn.get_execution_history(executionArn=arn)["events"]),
            requests=len(invocations),
            gb_seconds=sum(invocation.billed_gb_seconds for invocation in invocations),
            seconds=self._clock.monotonic() - began,
            calls=list(service.calls),
            output=json.loads(described["output"]),
        )

    def _deploy_plain_loop(self, bucket: str) -> str:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as zipped:
            zipped.write(FOLDER / "plain_loop.py", "plain_loop.py")
        role = self._aws.client("iam").list_roles()["Roles"][0]["Arn"]
        definition = (FOLDER / "plain_loop.asl.yaml").read_text("utf-8")
        for name in ("start", "check", "fetch"):
            function = self._aws.client("lambda").create_function(
                FunctionName=f"plain-loop-{name}",
                Runtime="python3.13",
                Role=role,
                Handler=f"plain_loop.{name}",
                Code={"ZipFile": archive.getvalue()},
                MemorySize=128,
                Timeout=30,
                Environment={"Variables": {"RESULTS_BUCKET": bucket}},
            )
            definition = definition.replace(f"${{{name.capitalize()}FunctionArn}}", function["FunctionArn"])
        machine = self._aws.client("stepfunctions").create_state_machine(
            name="plain-loop", definition=json.dumps(yaml.safe_load(definition)), roleArn=role
        )
        return str(machine["stateMachineArn"])


def transitions(history: list[dict[str, Any]]) -> int:
    """Return what Step Functions bills: every state entered, and every retry."""
    names = [str(event["type"]) for event in history]
    scheduled = sum(name in ("TaskScheduled", "LambdaFunctionScheduled") for name in names)
    entered = sum(name.endswith("StateEntered") for name in names)
    return entered + scheduled - names.count("TaskStateEntered")


def _script(durations: Sequence[float], limit: float | None = None) -> Script:
    return Script(seconds=tuple(durations), latency=CALL, page_size=100, requests_per_second=limit)


@contextmanager
def deployed() -> Iterator[World]:
    """Deploy the stack; everything that would wait turns the clock."""
    clock = TurnedClock()
    random.seed(SEED)  # the jitter of production
    logging.getLogger("moto").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", "No application metrics")  # Powertools
    with (
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        redirect_stdout(nowhere),  # the handlers' logs
        mock.patch.multiple("flowquery.aws.clock", monotonic=clock.monotonic, sleep=clock.sleep),
        mock.patch("botocore.endpoint.time", clock),
        LocalAws(InProcessRuntime(clock), clock) as aws,
    ):
        yield World(aws, clock, aws.deploy({"ScopeId": "scope"}))
