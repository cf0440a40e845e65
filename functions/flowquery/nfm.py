"""The only module that calls Network Flow Monitor."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, cast

import boto3
from botocore.config import Config
from botocore.model import ListShape, StringShape, StructureShape

from flowquery.errors import MalformedReply, TransientFault
from flowquery.inputs import is_id, is_status
from flowquery.model import Query, Selection
from flowquery.sdk import CONFIG, named_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from botocore.model import OperationModel, Shape
    from mypy_boto3_networkflowmonitor import NetworkFlowMonitorClient
    from mypy_boto3_networkflowmonitor.literals import DestinationCategoryType as DestinationCategory
    from mypy_boto3_networkflowmonitor.literals import WorkloadInsightsMetricType as MetricName
    from mypy_boto3_networkflowmonitor.type_defs import (
        GetQueryResultsWorkloadInsightsTopContributorsDataInputTypeDef as ResultsRequest,
    )
    from mypy_boto3_networkflowmonitor.type_defs import (
        GetQueryResultsWorkloadInsightsTopContributorsDataOutputTypeDef as ResultsPage,
    )

FAMILY = "WorkloadInsightsTopContributorsData"
MAX_PAGES = 10_000
_PYTHON_TYPES: Mapping[str, type] = {"string": str, "double": float, "float": float, "integer": int, "long": int}

# No operation takes a client token, so a second attempt of a start may be a second query.
START_CONFIG = CONFIG.merge(Config(retries={"mode": "standard", "total_max_attempts": 1}))


@cache
def client(config: Config = CONFIG) -> NetworkFlowMonitorClient:
    """Return the client, made once. Region and endpoint come from the environment."""
    made = boto3.client("networkflowmonitor", config=config)
    made.meta.events.register("after-call.networkflowmonitor", _refuse_incomplete_reply)
    return made


def allowed_values() -> Mapping[str, tuple[str, ...]]:
    """Return the enums of a start request's members, from the botocore service model."""
    request = client().meta.service_model.operation_model(f"StartQuery{FAMILY}").input_shape
    members = request.members if request else {}
    return {name: tuple(shape.enum) for name, shape in members.items() if isinstance(shape, StringShape) and shape.enum}


def start_query(scope_id: str, selection: Selection) -> Query:
    """Start a query (StartQueryWorkloadInsightsTopContributorsData), in one attempt."""
    try:
        with named_errors():
            reply = client(START_CONFIG).start_query_workload_insights_top_contributors_data(
                scopeId=scope_id,
                metricName=cast("MetricName", selection.metric_name),
                destinationCategory=cast("DestinationCategory", selection.destination_category),
                startTime=selection.start_time,
                endTime=selection.end_time,
            )
    except TransientFault as fault:
        raise TransientFault(f"{fault}; a query may have been started, and a retry may start a second one") from fault
    if not is_id(reply["queryId"]):
        raise MalformedReply(f"StartQuery{FAMILY}: the reply's queryId cannot be used in a request")
    return Query(scope_id, reply["queryId"])


def get_query_status(query: Query) -> str:
    """Return the status as the service says it (GetQueryStatusWorkloadInsightsTopContributorsData).

    The enum of the service model is not enforced: a newer status passes, for the caller to decide.
    """
    with named_errors():
        reply = client().get_query_status_workload_insights_top_contributors_data(
            scopeId=query.scope_id, queryId=query.query_id
        )
    status: str = reply["status"]
    if not is_status(status):
        raise MalformedReply(f"GetQueryStatus{FAMILY}: the reply's status is not a name")
    return status


def stop_query(query: Query) -> None:
    """Stop a query (StopQueryWorkloadInsightsTopContributorsData)."""
    with named_errors():
        client().stop_query_workload_insights_top_contributors_data(scopeId=query.scope_id, queryId=query.query_id)


def results_pages(query: Query) -> Iterator[ResultsPage]:
    """Yield the pages of the results (GetQueryResultsWorkloadInsightsTopContributorsData), every one or an error.

    botocore's paginator ends early and quietly on a cut page, and never on tokens that alternate.
    """
    tokens: set[str] = set()
    page = _results_page(query, None)
    yield page
    while token := page.get("nextToken"):
        if token in tokens or len(tokens) == MAX_PAGES:
            raise MalformedReply(f"GetQueryResults{FAMILY}: the pages do not end (page {len(tokens) + 2})")
        tokens.add(token)
        page = _results_page(query, token)
        yield page


def _results_page(query: Query, token: str | None) -> ResultsPage:
    request: ResultsRequest = {"scopeId": query.scope_id, "queryId": query.query_id}
    if token:
        request["nextToken"] = token
    with named_errors():
        return client().get_query_results_workload_insights_top_contributors_data(**request)


def _refuse_incomplete_reply(parsed: object, model: OperationModel, http_response: object, **_: object) -> None:
    """Refuse a 2xx reply that lacks what the model requires: botocore turns one that cannot be parsed into `{}`."""
    status = getattr(http_response, "status_code", 0)
    if 200 <= status < 300 and model.output_shape is not None:
        problem = _first_problem(parsed, model.output_shape, "reply")
        if problem:
            raise MalformedReply(f"{model.name}: {problem}")


def _first_problem(value: object, shape: Shape, path: str) -> str | None:
    parts: Iterable[tuple[object, Shape, str]] = ()
    if isinstance(shape, StructureShape):
        if not isinstance(value, dict):
            return f"{path}: not an object"
        missing = [name for name in shape.required_members if value.get(name) is None]
        if missing:
            return f"{path}: {missing[0]} is missing"
        parts = ((value[name], part, f"{path}.{name}") for name, part in shape.members.items() if name in value)
    elif isinstance(shape, ListShape):
        if not isinstance(value, list):
            return f"{path}: not a list"
        parts = ((item, shape.member, f"{path}[{index}]") for index, item in enumerate(value))
    elif not isinstance(value, _PYTHON_TYPES.get(shape.type_name, object)):
        return f"{path}: not a {shape.type_name}"
    return next((problem for part in parts if (problem := _first_problem(*part))), None)
