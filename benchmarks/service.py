"""A loopback Network Flow Monitor that answers every check at once, over connections that stay open."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

BODY = json.dumps({"status": "SUCCEEDED"}).encode()


class Service(ThreadingHTTPServer):
    daemon_threads = True
    connections = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # unbuffered, headers and body leave apart, and each reply waits 40 ms for an acknowledgement
    server: Service

    def handle(self) -> None:
        self.server.connections += 1
        with suppress(ConnectionError):  # a process that was measured is killed
            super().handle()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_: object) -> None:
        """Say nothing: the table is the output."""


@contextmanager
def serving() -> Iterator[Service]:
    with Service(("127.0.0.1", 0), _Handler) as service:
        threading.Thread(target=service.serve_forever, args=(0.05,), daemon=True).start()
        yield service
        service.shutdown()
