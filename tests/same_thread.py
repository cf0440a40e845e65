"""The loopback AWS without its socket: what this process sends to it is answered by the thread that sends it.

A connection and a thread for each request cost more than most answers. What is answered, and how the SDK reads it, is
the same: the server's own WSGI application gets the request.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any
from unittest import mock
from urllib.parse import unquote_to_bytes, urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.httpsession import URLLib3Session
from moto.core.request import (
    PRESERVED_HEADER_NAMES_ENVIRON_KEY,
    environ_key_for_header,
    should_preserve_original_header_name,
)
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.exceptions import InternalServerError
from werkzeug.test import run_wsgi_app

send_over_http = URLLib3Session.send


@contextmanager
def answering(endpoint_url: str) -> Iterator[None]:
    """Answer requests to `endpoint_url`, whichever client sends them, and send all others."""
    application = DomainDispatcherApplication(create_backend_app)

    def send(session: URLLib3Session, request: AWSPreparedRequest) -> AWSResponse:
        if request.url.startswith(f"{endpoint_url}/"):
            return _answer(application, request)
        return send_over_http(session, request)

    with mock.patch.object(URLLib3Session, "send", send):
        yield


def _answer(application: DomainDispatcherApplication, request: AWSPreparedRequest) -> AWSResponse:
    environ = _environ(request)
    try:
        chunks, status, headers = run_wsgi_app(application, environ, buffered=True)
    except Exception:  # the server turns whatever its application raises into this reply
        chunks, status, headers = run_wsgi_app(InternalServerError(), environ, buffered=True)
    return AWSResponse(request.url, int(status.split()[0]), HTTPHeaders.from_pairs(headers), _Raw(b"".join(chunks)))


def _environ(request: AWSPreparedRequest) -> dict[str, Any]:
    """Return the request as the server hands it to its application."""
    url = urlsplit(request.url)
    target = f"{url.path}?{url.query}" if url.query else url.path
    body = _bytes(request.body)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(url.path).decode("latin-1"),
        "QUERY_STRING": url.query,
        "REQUEST_URI": target,
        "RAW_URI": target,
        "SERVER_NAME": url.hostname,
        "SERVER_PORT": str(url.port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": url.netloc,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": url.scheme,
        "wsgi.input": BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": None,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in request.headers.items():
        environ[environ_key_for_header(name)] = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    names = [name for name in request.headers if should_preserve_original_header_name(name)]
    environ[PRESERVED_HEADER_NAMES_ENVIRON_KEY] = {environ_key_for_header(name): name for name in names}
    return environ


def _bytes(body: Any) -> bytes:
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    return bytes(body) if isinstance(body, bytes | bytearray) else body.read()


class _Raw(BytesIO):
    """A body as the SDK reads it from urllib3."""

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.read()
