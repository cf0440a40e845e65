"""Replies, checked before botocore parses them.

botocore turns a 2xx reply that is cut short, empty, or not JSON into `{}`, and coerces members of another type than the
service model says: `""` for a list becomes an empty list. It also fails on the body of an error that is not what the
protocol says, although the HTTP status alone tells what to do.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from botocore.model import ListShape, StructureShape
from urllib3.exceptions import HTTPError

from flowquery.core.errors import MalformedReply, TransientFault

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from botocore.awsrequest import AWSPreparedRequest, AWSResponse
    from botocore.client import BaseClient
    from botocore.httpsession import URLLib3Session
    from botocore.model import OperationModel, Shape

CHUNK_BYTES = 64 * 1024
# By the type of the shape. Booleans are integers in Python, but not in JSON, so types are compared exactly.
_JSON_TYPES: Mapping[str, tuple[type, ...]] = {
    "structure": (dict,),
    "list": (list,),
    "string": (str,),
    "timestamp": (str, int, float),
    "double": (float, int),
    "float": (float, int),
    "integer": (int,),
    "long": (int,),
    "boolean": (bool,),
}
# Required by the model, but known to be absent or null on live accounts.
_OPTIONAL = frozenset({"unit"})


def check_replies(client: BaseClient) -> None:
    """Check every reply to this client."""
    client.meta.events.register("before-parse", _check_reply)


def bound_replies(client: BaseClient, seconds: float) -> None:
    """Bound the time in which a reply has to arrive: botocore's `read_timeout` is that of each read of the socket."""
    endpoint = client._endpoint  # type: ignore[attr-defined]  # there is no public way to the HTTP session
    endpoint.http_session = _BoundedSession(endpoint.http_session, seconds)


class _BoundedSession:
    """An HTTP session that reads each reply within a time."""

    def __init__(self, session: URLLib3Session, seconds: float) -> None:
        self._session, self._seconds = session, seconds
        self.close = session.close

    def send(self, request: AWSPreparedRequest) -> AWSResponse:
        deadline = time.monotonic() + self._seconds
        request.stream_output = True  # read here, not by the session
        response = self._session.send(request)
        chunks = []
        try:
            while chunk := response.raw.read1(CHUNK_BYTES):
                chunks.append(chunk)
                if time.monotonic() > deadline:
                    raise ReadTimeoutError(endpoint_url=request.url)
        except HTTPError as error:
            raise ConnectionClosedError(error=error, request=request, endpoint_url=request.url) from error
        response._content = b"".join(chunks)  # type: ignore[attr-defined]  # what its property `content` would read
        return response


def _check_reply(operation_model: OperationModel, response_dict: dict[str, object], **_: object) -> None:
    """Refuse a 2xx reply that is not whole or not what the model says; make the body of an error parsable.

    Raises
    ------
    TransientFault
        The reply is shorter than its Content-Length, empty, or not JSON. The same call may succeed.
    MalformedReply
        The reply is whole, and not what the model says.
    """
    status, body, shape = response_dict["status_code"], response_dict["body"], operation_model.output_shape
    if not isinstance(status, int) or not isinstance(body, bytes):
        return
    if not 200 <= status < 300:
        if not isinstance(_parsed(body), dict):
            response_dict["body"] = b"{}"
    elif shape is not None and shape.members:
        if len(body) < _declared_length(response_dict):
            raise TransientFault(f"{operation_model.name}: the reply was cut short after {len(body)} bytes")
        try:
            reply = json.loads(body)
        except RecursionError as error:
            raise MalformedReply(f"{operation_model.name}: the reply is nested too deeply") from error
        except ValueError as error:
            raise TransientFault(f"{operation_model.name}: the reply is not JSON ({len(body)} bytes)") from error
        problem = _first_problem(reply, shape, "reply")
        if problem:
            raise MalformedReply(f"{operation_model.name}: {problem}")


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _declared_length(response_dict: Mapping[str, object]) -> int:
    headers = response_dict["headers"]
    text = str(headers.get("content-length", "")) if hasattr(headers, "get") else ""
    return int(text) if text.isascii() and text.isdigit() else 0


def _first_problem(value: object, shape: Shape, path: str) -> str | None:
    """Return the first member that the model does not allow, or None."""
    if type(value) not in _JSON_TYPES.get(shape.type_name, (type(value),)):
        return f"{path} is not a {shape.type_name}"
    members: Iterable[tuple[object, Shape, str]] = ()
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        present = {name for name in shape.members if value.get(name) is not None}
        # A page of results has its list, even where the model does not require it.
        required = {*shape.required_members, *_lists_of(shape, path)} - _OPTIONAL
        missing = sorted(required - present)
        if missing:
            return f"{path}.{missing[0]} is missing"
        members = ((value[name], shape.members[name], f"{path}.{name}") for name in shape.members if name in present)
    elif isinstance(shape, ListShape) and isinstance(value, list):
        allowed = _JSON_TYPES.get(shape.member.type_name, ())
        if not isinstance(shape.member, (StructureShape, ListShape)) and {*map(type, value)} <= {*allowed}:
            return None
        members = ((item, shape.member, f"{path}[{index}]") for index, item in enumerate(value))
    return next((problem for member in members if (problem := _first_problem(*member))), None)


def _lists_of(shape: StructureShape, path: str) -> list[str]:
    return [name for name, member in shape.members.items() if isinstance(member, ListShape)] if path == "reply" else []
