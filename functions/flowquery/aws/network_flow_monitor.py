"""Amazon CloudWatch Network Flow Monitor: queries that are started, checked, fetched and stopped."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import boto3
from botocore import xform_name
from botocore.config import Config
from botocore.model import StringShape

from flowquery.aws.replies import bound_replies, check_replies
from flowquery.aws.session import CONFIG, named_errors, service_model, was_never_sent
from flowquery.core.errors import MalformedReply, TransientFault, UnclearOutcome
from flowquery.core.fields import is_id, is_status
from flowquery.core.model import Family, Query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from botocore.model import OperationModel, Shape
    from mypy_boto3_networkflowmonitor import NetworkFlowMonitorClient

    from flowquery.core.model import AllowedValues, QueryRequest

    Reply = Mapping[str, object]
    GetPage = Callable[[Query, str | None], Reply]

MOST_PAGES = 10_000
LONGEST_REPLY_SECONDS = 30.0
SERVICE = "networkflowmonitor"
# Seconds for each read of the socket. A start is sent only once, and a page of results takes its time.
READ_TIMEOUTS = {"StartQuery": 20.0, "GetQueryResults": 20.0, "GetQueryStatus": 5.0, "StopQuery": 5.0}


@cache
def client(attempts: int) -> NetworkFlowMonitorClient:
    """Return the client that sends each request so often at most. Region and endpoint come from the environment."""
    config = CONFIG.merge(Config(retries={"mode": "standard", "total_max_attempts": attempts}))
    new: NetworkFlowMonitorClient = boto3.client("networkflowmonitor", config=config)
    new.meta.events.register(f"before-call.{SERVICE}", _set_read_timeout)
    check_replies(new)
    bound_replies(new, LONGEST_REPLY_SECONDS)
    return new


@cache
def allowed_values(family: Family = Family.DATA) -> AllowedValues:
    """Return the enums of the members of the family's StartQuery, from the botocore service model."""
    members = _start_members(family).items()
    return {name: tuple(shape.enum) for name, shape in members if isinstance(shape, StringShape) and shape.enum}


class NetworkFlowMonitor:
    """The operations of queries, by one client.

    Each raises the errors of `flowquery.core.errors`.
    """

    def __init__(self, attempts: int = 2) -> None:
        """Make the client now, at the start of the function.

        One attempt where a second one does harm: no operation takes a client token, so a repeated start may be a second
        query; and a sweep has to see each throttle.
        """
        self._attempts = attempts
        client(attempts)

    def start_query(self, scope_id: str, request: QueryRequest, family: Family = Family.DATA) -> Query:
        """Start a query (the family's StartQuery). The limit is sent to the family that takes one.

        Raises
        ------
        UnclearOutcome
            Anything but a query id and a clear refusal: a query may be running whose id nobody knows.
        """
        members: dict[str, object] = {
            "scopeId": scope_id,
            "metricName": request.selection.metric_name,
            "destinationCategory": request.selection.destination_category,
            "startTime": request.window.start_time,
            "endTime": request.window.end_time,
        }
        if request.limit is not None and "limit" in _start_members(family):
            members["limit"] = request.limit
        try:
            reply = self._call(family, "StartQuery", members)
        except (TransientFault, MalformedReply) as fault:
            if was_never_sent(fault.__cause__):
                raise
            raise UnclearOutcome(f"{fault}; a query may be running whose id nobody knows") from fault
        if not is_id(reply["queryId"]):
            raise UnclearOutcome(f"StartQuery{family}: the reply's queryId cannot be used in a request")
        return Query(scope_id, str(reply["queryId"]), family)

    def get_query_status(self, query: Query) -> str:
        """Return the status as the service says it (the family's GetQueryStatus).

        The enum of the service model is not enforced: a newer status passes, for the caller to decide.
        """
        reply = self._call(query.family, "GetQueryStatus", _ids(query))
        if not is_status(reply["status"]):
            raise MalformedReply(f"GetQueryStatus{query.family}: the reply's status is not a name")
        return str(reply["status"])

    def stop_query(self, query: Query) -> None:
        """Stop a query (the family's StopQuery)."""
        self._call(query.family, "StopQuery", _ids(query))

    def results_page(self, query: Query, token: str | None = None) -> Reply:
        """Return one page of the results (the family's GetQueryResults)."""
        return self._call(query.family, "GetQueryResults", {**_ids(query), **({"nextToken": token} if token else {})})

    def results_pages(self, query: Query) -> Iterator[Reply]:
        """Yield all pages of the results, or raise."""
        return all_pages(query, self.results_page)

    def _call(self, family: Family, verb: str, members: Mapping[str, object]) -> Reply:
        operation = xform_name(f"{verb}{family}")
        with named_errors():
            return cast("Reply", getattr(client(self._attempts), operation)(**members))


def all_pages(query: Query, get_page: GetPage) -> Iterator[Reply]:
    """Yield all pages of the results (the family's GetQueryResults), or raise.

    botocore's paginator ends early and silently on a cut page, and never ends on tokens that alternate. Here a token is
    compared with one that is remembered, which changes at each power of two, so any cycle is found.
    """
    token, remembered = None, None
    for number in range(1, MOST_PAGES + 1):
        page = get_page(query, token)
        yield page
        token = cast("str | None", page.get("nextToken"))
        if not token:
            return
        urlsplit.cache_clear()  # type: ignore[attr-defined]  # it keeps addresses, and none comes twice
        if token == remembered:
            break
        if number & (number - 1) == 0:
            remembered = token
    raise MalformedReply(f"GetQueryResults{query.family}: the pages do not end (page {number})")


def _ids(query: Query) -> dict[str, str]:
    return {"scopeId": query.scope_id, "queryId": query.query_id}


def _start_members(family: Family) -> Mapping[str, Shape]:
    request = service_model(SERVICE).operation_model(f"StartQuery{family}").input_shape
    return request.members if request else {}


def _set_read_timeout(params: dict[str, dict[str, object]], model: OperationModel, **_: object) -> None:
    verb = next((verb for verb in READ_TIMEOUTS if model.name.startswith(verb)), None)
    if verb:
        params["context"]["read_timeout"] = READ_TIMEOUTS[verb]
