"""Network Flow Monitor for moto: the service model, the published sample, and moto's own way of moving statuses."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from localaws.networkflowmonitor.responses import NetworkFlowMonitorResponse
from localaws.scripted_network_flow_monitor import Script
from tests.localaws.insights import FAMILY, get_results, get_status, start_query, stop_query
from tests.loopback import ROOT, SELECTION, Stack, event

PACKAGE = ROOT / "localaws/networkflowmonitor"


def test_both_families_of_queries_about_a_scope_are_served(nfm: Any) -> None:
    families = ("WorkloadInsightsTopContributors", "WorkloadInsightsTopContributorsData")

    operations = [xform_name(name) for name in nfm.meta.service_model.operation_names if name.endswith(families)]

    assert len(operations) == 8
    assert all(hasattr(NetworkFlowMonitorResponse, name) for name in operations)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("metricName", "ROUND_TRIP_TIME"),
        ("destinationCategory", "AWS_SERVICES"),
        ("startTime", "yesterday"),
        ("endTime", SELECTION["startTime"]),
        ("metricName", None),
        ("metricName", 5),
        ("metricName", ["TIMEOUTS"]),
    ],
)
def test_a_request_is_held_to_the_service_model(nfm: Any, member: str, value: object) -> None:
    def send(params: dict[str, Any], **_: Any) -> None:
        params["body"] = json.dumps({**SELECTION, member: value}).encode()  # whatever the SDK would refuse itself

    nfm.meta.events.register("before-call", send)

    with pytest.raises(ClientError) as refused:
        start_query(nfm)

    assert refused.value.response["Error"]["Code"] == "ValidationException"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


@pytest.mark.parametrize("limit", [0, 501])
def test_a_limit_is_held_to_the_service_models_bounds(nfm: Any, limit: int) -> None:
    nfm.meta.events.register(
        "before-call", lambda params, **_: params.update(body=json.dumps({**SELECTION, "limit": limit}).encode())
    )

    with pytest.raises(nfm.exceptions.ValidationException, match="from 1 to 500"):
        nfm.start_query_workload_insights_top_contributors(scopeId="scope", **SELECTION)


def test_results_come_in_pages_in_the_published_samples_shape(stack: Stack, nfm: Any) -> None:
    stack.aws.network_flow_monitor.script = Script(("SUCCEEDED",), series=5, page_size=2)
    query_id = start_query(nfm)
    get_status(nfm, query_id)

    paginator = nfm.get_paginator(f"get_query_results_{FAMILY}")
    pages = list(paginator.paginate(scopeId="a1b2c3d4-5678-90ab-cdef-1234567890ab", queryId=query_id))

    sample = event("replies/get_query_results")
    series = [datapoint for page in pages for datapoint in page["datapoints"]]
    assert [len(page["datapoints"]) for page in pages] == [2, 2, 1]
    assert all(set(datapoint) == set(sample["datapoints"][0]) for datapoint in series)
    assert [datapoint["label"] for datapoint in series] == [f"use1-az{number}" for number in range(1, 6)]
    periods = {late - early for datapoint in series for early, late in pairwise(datapoint["timestamps"])}
    assert periods == {timedelta(minutes=5)}


def test_a_stopped_query_is_canceled(nfm: Any) -> None:
    query_id = start_query(nfm)
    stop_query(nfm, query_id)

    assert get_status(nfm, query_id) == "CANCELED"
    with pytest.raises(nfm.exceptions.ValidationException):
        stop_query(nfm, query_id)


def test_a_query_belongs_to_its_own_scope_alone(nfm: Any) -> None:
    query_id = start_query(nfm)

    with pytest.raises(nfm.exceptions.ValidationException):
        get_status(nfm, query_id, scope_id="other")


def test_results_differ_by_metric_and_by_category(stack: Stack, nfm: Any) -> None:
    stack.aws.network_flow_monitor.script = Script(("SUCCEEDED",))
    results = []
    for members in ({}, {"metricName": "TIMEOUTS"}, {"destinationCategory": "INTERNET"}):
        page = get_results(nfm, start_query(nfm, **members))
        results.append(page["datapoints"][0]["values"])

    assert results[0] != results[1] != results[2] != results[0]


def statuses_by_mock_aws(progression: dict[str, object] | None = None) -> list[str]:
    """Check a query three times, in a process of its own: leaving mock_aws resets every backend."""
    code = f"""
import boto3
from moto import mock_aws
from moto.moto_api import state_manager
from localaws.seams import networkflowmonitor
networkflowmonitor.install()
if {progression!r}:
    state_manager.set_transition("networkflowmonitor::query", {progression!r})
with mock_aws():
    client = boto3.client("networkflowmonitor", "eu-west-1")
    query = client.start_query_{FAMILY}(scopeId="scope-1", **{SELECTION!r})
    for _ in range(3):
        print(client.get_query_status_{FAMILY}(scopeId="scope-1", queryId=query["queryId"])["status"])
    page = client.get_query_results_{FAMILY}(scopeId="scope-1", queryId=query["queryId"])
    assert [datapoint["label"] for datapoint in page["datapoints"]] == ["euw1-az1", "euw1-az2", "euw1-az3"]
"""
    # Without AWS_ENDPOINT_URL, by which the server of this process would answer.
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": os.devnull}
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.split()


def test_mock_aws_serves_it_and_ends_queries_at_once() -> None:
    assert statuses_by_mock_aws() == ["SUCCEEDED"] * 3


def test_statuses_move_as_moto_is_told_to_move_them() -> None:
    assert statuses_by_mock_aws({"progression": "manual", "times": 1}) == ["RUNNING", "SUCCEEDED", "SUCCEEDED"]


def test_it_imports_nothing_of_this_project() -> None:
    imported = set()
    for file in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(str(node.module).split(".")[0])

    assert imported - sys.stdlib_module_names == {"boto3", "botocore", "moto"}
