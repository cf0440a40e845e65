"""The Lambda Runtime API of one environment (docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html)."""

from __future__ import annotations

import queue
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class RuntimeReply:
    """What a runtime answers to an event. `error` is the value of x-amz-function-error."""

    body: bytes = b""
    error: str | None = None
    is_reusable: bool = True
    timed_out: bool = False


@dataclass(frozen=True)
class RuntimeExit(RuntimeReply):
    """The runtime's process has ended."""

    exit_code: int = 0
    error: str | None = "Unhandled"
    is_reusable: bool = False

    def __init__(self, exit_code: int) -> None:
        object.__setattr__(self, "exit_code", exit_code)

    @property
    def how(self) -> str:
        if self.exit_code < 0:
            return "with error: signal: killed"
        return f"with error: exit status {self.exit_code}" if self.exit_code else "without providing a reason"


class RuntimeApi:
    """Hands one event at a time to the runtime, and takes its reply."""

    def __init__(self) -> None:
        self.replies: queue.Queue[RuntimeReply] = queue.Queue()
        self._events: queue.Queue[tuple[dict[str, str], bytes] | None] = queue.Queue()
        self._ready = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_RequestHandler,), {"api": self}))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def wait_until_ready(self) -> RuntimeReply | None:
        """Wait for the end of initialisation; return how it failed, if it did."""
        while not self._ready.wait(0.005):
            if not self.replies.empty():
                return self.replies.get()
        return None

    def deliver(self, request_id: str, payload: bytes, arn: str, timeout_seconds: float) -> RuntimeReply:
        headers = {
            "Lambda-Runtime-Aws-Request-Id": request_id,
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + timeout_seconds) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": arn,
        }
        self._events.put((headers, payload))
        try:
            return self.replies.get(timeout=timeout_seconds)
        except queue.Empty:
            return RuntimeReply(error="Unhandled", is_reusable=False, timed_out=True)

    def next_event(self) -> tuple[dict[str, str], bytes] | None:
        self._ready.set()
        return self._events.get()

    def close(self) -> None:
        self._events.put(None)
        self._server.shutdown()
        self._server.server_close()


class _RequestHandler(BaseHTTPRequestHandler):
    api: RuntimeApi
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # unbuffered, headers and body leave apart, and each hop waits 40 ms for an acknowledgement

    def handle(self) -> None:
        with suppress(ConnectionError):  # a runtime that is killed hangs up
            super().handle()

    def do_GET(self) -> None:
        event = self.api.next_event()
        if event is not None:
            self._send(200, *event)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/init/error"):
            reply = RuntimeReply(body, "Unhandled", is_reusable=False)
        else:
            reply = RuntimeReply(body, "Unhandled" if self.path.endswith("/error") else None)
        self.api.replies.put(reply)
        self._send(202, {}, b"{}")

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Log nothing: the command's output is for people."""
