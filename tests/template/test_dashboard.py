"""The dashboard as CloudWatch gets it: valid, nothing over another, and of metrics that somebody sends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest

from flowquery.aws.metrics import UNITS
from tests.loopback import SCOPE_ID, Stack

MONITOR = "arn:aws:networkflowmonitor:us-east-1:123456789012:monitor/between-zones"


@pytest.fixture(scope="module", params=["", "between-zones"])
def widgets(deployed: Stack, request: pytest.FixtureRequest) -> Iterator[list[dict[str, Any]]]:
    outputs = deployed.aws.deploy({"ScopeId": SCOPE_ID, "MonitorName": request.param}, "graphs")
    body = deployed.aws.client("cloudwatch").get_dashboard(DashboardName=outputs["DashboardName"])["DashboardBody"]
    yield json.loads(body)["widgets"]
    deployed.aws.client("cloudformation").delete_stack(StackName="graphs")


def metrics(widgets: list[dict[str, Any]]) -> list[list[Any]]:
    return [metric for widget in widgets for metric in widget["properties"].get("metrics", [])]


def test_no_widget_lies_over_another_and_none_leaves_the_grid(widgets: list[dict[str, Any]]) -> None:
    cells = [
        {(x, y) for x in range(of["x"], of["x"] + of["width"]) for y in range(of["y"], of["y"] + of["height"])}
        for of in widgets
    ]

    assert all(not one & other for one, other in combinations(cells, 2))
    assert max(x for cell in cells for x, _ in cell) < 24
    assert {y for cell in cells for _, y in cell} == set(range(1 + max(y for cell in cells for _, y in cell)))


def test_the_custom_widget_is_the_stacks_function(widgets: list[dict[str, Any]]) -> None:
    [custom] = [widget for widget in widgets if widget["type"] == "custom"]

    assert ":function:graphs-QueryWidgetFunction" in custom["properties"]["endpoint"]


def test_own_metrics_are_those_that_functions_send_with_the_stack_as_their_one_dimension(
    widgets: list[dict[str, Any]],
) -> None:
    own = [metric for metric in metrics(widgets) if metric[0] == "Flowquery"]

    assert {metric[1] for metric in own} == UNITS.keys()
    assert {tuple(metric[2:4]) for metric in own} == {("service", "graphs")}


def test_the_monitors_metrics_are_there_where_it_is_named(widgets: list[dict[str, Any]]) -> None:
    found = [metric for metric in metrics(widgets) if metric[0] == "AWS/NetworkFlowMonitor"]

    if len(widgets) == 7:
        assert found == []
    else:
        assert [metric[1] for metric in found] == ["HealthIndicator", "RoundTripTime", "Retransmissions"]
        assert {tuple(metric[2:4]) for metric in found} == {("MonitorId", MONITOR)}


def test_every_graph_says_its_unit(widgets: list[dict[str, Any]]) -> None:
    graphs = [widget["properties"] for widget in widgets if widget["type"] == "metric"]

    assert all(graph["yAxis"]["left"]["label"] and graph["region"] == "us-east-1" for graph in graphs)
