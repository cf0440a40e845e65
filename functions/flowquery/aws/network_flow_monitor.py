"""The only module that calls Network Flow Monitor."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import boto3
from botocore import xform_name
from botocore.config import Config
from botocore.model import ListShape, StringShape, StructureShape

from flowquery.aws.session import CONFIG, named_errors
from flowquery.core.errors import MalformedReply, TransientFault
from flowquery.core.inputs import is_id, is_status
from flowquery.core.model import Family, Query, QueryRequest
from flowquery.results.seen import Seen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from botocore.model import OperationModel, Shape
    from mypy_boto3_networkflowmonitor import NetworkFlowMonitorClient

    Reply = Mapping[str, object]

MAX_PAGES = 10_000
_PYTHON_TYPES: Mapping[str, type] = {"string": str, "double": float, "float": float, "integer": int, "long": int}

# No operation takes a client token, so a second attempt of a start may be a second query; and a sweep has to see each
# throttle.
ONE_ATTEMPT = CONFIG.merge(Config(retries={"mode": "standard", "total_max_attempts": 1}))


@cache
def client(config: Config = CONFIG) -> NetworkFlowMonitorClient:
    """Return the client, made once. Region and endpoint come from the environment."""
    made = boto3.client("networkflowmonitor", config=config)
    made.meta.events.register("after-call.networkflowmonitor", _refuse_incomplete_reply)
    return made


def allowed_values(family: Family = Family.DATA) -> Mapping[str, tuple[str, ...]]:
    """Return the enums of a start request's members, from the botocore service model."""
    return {name: tuple(s.enum) for name, s in _start_members(family).items() if isinstance(s, StringShape) and s.enum}


def start_query(scope_id: str, request: QueryRequest, family: Family = Family.DATA) -> Query:
    """Start a query (the family's StartQuery), in one attempt; a limit is for the family that has one."""
    members: dict[str, object] = {
        "scopeId": scope_id,
        "metricName": request.metric_name,
        "destinationCategory": request.destination_category,
        "startTime": request.start_time,
        "endTime": request.end_time,
    }
    if request.limit is not None and "limit" in _start_members(family):
        members["limit"] = request.limit
    try:
        reply = _call(family, "StartQuery", members, ONE_ATTEMPT)
    except TransientFault as fault:
        raise TransientFault(f"{fault}; a query may have been started, and a retry may start a second one") from fault
    if not is_id(reply["queryId"]):
        raise MalformedReply(f"StartQuery{family}: the reply's queryId cannot be used in a request")
    return Query(scope_id, str(reply["queryId"]), family)


def get_query_status(query: Query, config: Config | None = None) -> str:
    """Return the status as the service says it (the family's GetQueryStatus).

    The enum of the service model is not enforced: a newer status passes, for the caller to decide.
    """
    reply = _call(query.family, "GetQueryStatus", _ids(query), config)
    if not is_status(reply["status"]):
        raise MalformedReply(f"GetQueryStatus{query.family}: the reply's status is not a name")
    return str(reply["status"])


def stop_query(query: Query, config: Config | None = None) -> None:
    """Stop a query (the family's StopQuery)."""
    _call(query.family, "StopQuery", _ids(query), config)


def results_page(query: Query, token: str | None = None, config: Config | None = None) -> Reply:
    """Return one page of the results (the family's GetQueryResults)."""
    request = {**_ids(query), **({"nextToken": token} if token else {})}
    return _call(query.family, "GetQueryResults", request, config)


def results_pages(query: Query, get: Callable[[Query, str | None], Reply] = results_page) -> Iterator[Reply]:
    """Yield the pages of the results (the family's GetQueryResults), every one or an error.

    botocore's paginator ends early and quietly on a cut page, and never on tokens that alternate.
    """
    token, tokens = None, Seen()
    while True:
        page = get(query, token)
        yield page
        token = cast("str | None", page.get("nextToken"))
        if not token:
            return
        urlsplit.cache_clear()  # type: ignore[attr-defined]  # it keeps addresses, and none comes twice
        if len(tokens) == MAX_PAGES or not tokens.add(token):
            raise MalformedReply(f"GetQueryResults{query.family}: the pages do not end (page {len(tokens) + 2})")


def _ids(query: Query) -> dict[str, str]:
    return {"scopeId": query.scope_id, "queryId": query.query_id}


def _call(family: Family, verb: str, members: Mapping[str, object], config: Config | None = None) -> Reply:
    made = client() if config is None else client(config)  # the one that handlers make at their start, not a second
    with named_errors():
        return cast("Reply", getattr(made, xform_name(f"{verb}{family}"))(**members))


def _start_members(family: Family) -> Mapping[str, Shape]:
    request = client().meta.service_model.operation_model(f"StartQuery{family}").input_shape
    return request.members if request else {}


def _refuse_incomplete_reply(parsed: object, model: OperationModel, http_response: object, **_: object) -> None:
    """Refuse a 2xx reply that lacks what the model requires: botocore turns one that cannot be parsed into `{}`.

    Results also need their list, which the model of the ranking family does not require.
    """
    status, shape = getattr(http_response, "status_code", 0), model.output_shape
    if 200 <= status < 300 and shape is not None:
        problem = _first_problem(parsed, shape, "reply")
        lists = (name for name, member in shape.members.items() if isinstance(member, ListShape))
        missing = (f"reply: {name} is missing" for name in lists if name not in cast("dict[str, object]", parsed))
        problem = problem or next(missing, None)
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
