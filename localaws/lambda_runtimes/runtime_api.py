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
class Answer:
    body: bytes = b""
    error: str | None = None
    reusable: bool = True
    timed_out: bool = False


@dataclass(frozen=True)
class Exited(Answer):
    code: int = 0
    error: str | None = "Unhandled"
    reusable: bool = False

    def __init__(self, code: int) -> None:
        object.__setattr__(self, "code", code)

    @property
    def how(self) -> str:
        if self.code < 0:
            return "with error: signal: killed"
        return f"with error: exit status {self.code}" if self.code else "without providing a reason"


class RuntimeApi:
    """Hands one event at a time to the runtime, and takes its answer."""

    def __init__(self) -> None:
        self.answers: queue.Queue[Answer] = queue.Queue()
        self._work: queue.Queue[tuple[dict[str, str], bytes] | None] = queue.Queue()
        self._ready = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"api": self}))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def wait_until_ready(self) -> Answer | None:
        """Wait for the end of initialisation; return what it ended with, where that is a failure."""
        while not self._ready.wait(0.005):
            if not self.answers.empty():
                return self.answers.get()
        return None

    def deliver(self, request_id: str, payload: bytes, arn: str, timeout_seconds: float) -> Answer:
        headers = {
            "Lambda-Runtime-Aws-Request-Id": request_id,
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + timeout_seconds) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": arn,
        }
        self._work.put((headers, payload))
        try:
            return self.answers.get(timeout=timeout_seconds)
        except queue.Empty:
            return Answer(error="Unhandled", reusable=False, timed_out=True)

    def next(self) -> tuple[dict[str, str], bytes] | None:
        self._ready.set()
        return self._work.get()

    def close(self) -> None:
        self._work.put(None)
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    api: RuntimeApi
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # unbuffered, headers and body leave apart, and each hop waits 40 ms for an acknowledgement

    def handle(self) -> None:
        with suppress(ConnectionError):  # a runtime that is killed hangs up
            super().handle()

    def do_GET(self) -> None:
        work = self.api.next()
        if work is not None:
            self._send(200, *work)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        kind = self.path.rsplit("/", 1)[-1]
        if self.path.endswith("/init/error"):
            self.api.answers.put(Answer(body, "Unhandled", reusable=False))
        else:
            self.api.answers.put(Answer(body, "Unhandled" if kind == "error" else None))
        self._send(202, {}, b"{}")

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing: the command's output is for people."""
