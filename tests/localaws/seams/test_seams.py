"""The seams that make the loopback AWS quick: each does what moto does, only not again and again."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import moto
import pytest
from moto import backends
from moto.stepfunctions.parser.asl.parse import asl_parser

from localaws.seams import execution_ends
from tests.loopback import Stack, event


def test_a_request_does_not_list_the_folder_of_moto(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, listed = Path(moto.__file__).parent, []
    list_folder = os.listdir

    def record(path: str) -> list[str]:
        listed.append(Path(path))
        return list_folder(path)

    monkeypatch.setattr(os, "listdir", record)
    stack.aws.client("sqs").list_queues()

    assert folder not in listed
    packages = {path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("__")}
    assert set(backends.list_of_moto_modules()) == packages


def test_an_execution_does_not_parse_its_definition_again(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asl_parser, "ASLLexer", None)

    first, second = (stack.run(event("run_query")) for _ in range(2))

    assert (first.status, second.status) == ("SUCCEEDED", "SUCCEEDED")
    assert first.path == second.path


def test_who_waits_for_an_execution_goes_on_when_it_has_ended(stack: Stack) -> None:
    client, may_go_on = stack.aws.client("stepfunctions"), threading.Event()

    def hold(_: object) -> None:
        may_go_on.wait(60)

    stack.aws.network_flow_monitor.observer = hold
    machine = {"stateMachineArn": stack.outputs["RunQueryArn"], "input": json.dumps(event("run_query"))}
    arn = client.start_execution(**machine)["executionArn"]

    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(execution_ends.wait_for, arn)
        early = waiting.done()
        may_go_on.set()
        waiting.result(60)

    assert not early
    assert client.describe_execution(executionArn=arn)["status"] == "SUCCEEDED"
