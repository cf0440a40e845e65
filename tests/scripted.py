"""Handlers over real HTTP, against a server that sends exactly the bytes scripted."""

from __future__ import annotations

import gzip
import importlib
import json
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Reply = bytes | Callable[[socket.socket], object]


def http(status: int, body: str | bytes = b"", headers: str = "", length: int | None = None) -> bytes:
    payload = body.encode() if isinstance(body, str) else body
    size = len(payload) if length is None else length
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n{headers}\r\n"
    return head.encode() + payload


def ok(**members: Any) -> bytes:
    return http(200, json.dumps(members))


def error(status: int, code: str) -> bytes:
    return http(status, json.dumps({"message": "said the service"}), f"x-amzn-ErrorType: {code}\r\n")


def stored(*rows: object) -> bytes:
    """Return S3's answer with rows as they are stored."""
    return http(200, gzip.compress("".join(f"{json.dumps(row)}\n" for row in rows).encode(), mtime=0))


def listed(*keys: str) -> bytes:
    """Return S3's answer with a listing."""
    contents = "".join(f"<Contents><Key>{key}</Key></Contents>" for key in keys)
    return http(200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>")


# A window of events/plan_backfill.json that is stored in part: a listing, what its object holds, other days.
SWEPT = (
    "results/date=2026-11-01/"
    "a1b2c3d4-5678-90ab-cdef-1234567890ab-sweep-20261101T000000Z-20261102T000000Z-0123abcd.jsonl.gz"
)
PARTLY_STORED: list[Reply] = [listed(SWEPT), http(200, headers="x-amz-meta-selection: TIMEOUTS:INTER_AZ\r\n"), listed()]


@dataclass
class ScriptedServer:
    """Answers requests to Network Flow Monitor from `replies`, others from `other_replies`; the last one repeats."""

    port: int
    replies: list[Reply] = field(default_factory=list)
    other_replies: list[Reply] = field(default_factory=lambda: [http(200)])
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    @property
    def nfm_requests(self) -> list[Request]:
        return [request for request in self.requests if request.path.startswith("/workloadInsights")]

    @property
    def other_requests(self) -> list[Request]:
        return [request for request in self.requests if not request.path.startswith("/workloadInsights")]

    def reply(self, request: Request) -> Reply:
        self.requests.append(request)
        replies = self.replies if request in self.nfm_requests else self.other_replies
        return replies.pop(0) if len(replies) > 1 else replies[0]


@contextmanager
def serving() -> Iterator[ScriptedServer]:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            scripted.connections += 1
            while line := self.rfile.readline():
                method, path, _ = line.decode().split(" ", 2)
                headers = {}
                while (header := self.rfile.readline().decode().strip()) != "":
                    name, _, value = header.partition(":")
                    headers[name.lower()] = value.strip()
                if headers.get("expect") == "100-continue":
                    self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                body = self.rfile.read(int(headers.get("content-length", 0)))
                reply = scripted.reply(Request(method, path, headers, body))
                if callable(reply):
                    reply(self.connection)
                    return
                self.wfile.write(reply)
                if b"Connection: close" in reply:
                    return

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_: Any) -> None:
            """A client that hangs up is part of some scripts."""

    with Server(("127.0.0.1", 0), Handler) as listening:
        scripted = ScriptedServer(listening.server_address[1])
        threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
        yield scripted
        listening.shutdown()


class LambdaContext:
    function_name = "function"
    memory_limit_in_mb = 128
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:function"
    aws_request_id = "request"

    def __init__(self, remaining_seconds: float = 900) -> None:
        self.remaining_seconds = remaining_seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(self.remaining_seconds * 1000)


def call(function: str, event: object, remaining_seconds: float = 900) -> Any:
    """Call a handler as Lambda does: JSON in, JSON out."""
    module = importlib.import_module(function)
    context = LambdaContext(remaining_seconds)
    return json.loads(json.dumps(module.handler(json.loads(json.dumps(event)), context)))
