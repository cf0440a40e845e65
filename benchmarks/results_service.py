"""A loopback of what storing results needs, in a process of its own: pages of results, and puts that are measured.

`python -m benchmarks.results_service` prints its port. A scope is called `rows-N`: its queries have N rows, in pages
of 500 rows, each page five series of a hundred points.
"""

from __future__ import annotations

import json
import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PAGE_ROWS, POINTS = 500, 100
START = datetime(2026, 11, 24, tzinfo=UTC)


@cache
def page(number: int, rows: int) -> bytes:
    """Return the page as the service sends it: ISO 8601, labels as long as a subnet's name."""
    dice = random.Random(number)
    timestamps = [(START + timedelta(minutes=5 * index)).isoformat() for index in range(POINTS)]
    datapoints = []
    for first in range(0, min(PAGE_ROWS, rows - number * PAGE_ROWS), POINTS):
        level, zone = dice.uniform(50, 500), dice.randrange(1, 7)
        values = [round(level * dice.uniform(0.7, 1.3), 1) for _ in range(POINTS)]
        label = f"use1-az{zone}/subnet-{number * PAGE_ROWS + first:017x}"
        datapoints.append({"timestamps": timestamps, "values": values, "label": label})
    body: dict[str, object] = {"unit": "Count", "datapoints": datapoints}
    if (number + 1) * PAGE_ROWS < rows:
        body["nextToken"] = str(number + 1)
    return json.dumps(body).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each reply waits 40 ms for an acknowledgement

    stored = 0  # bytes of the latest put

    def handle(self) -> None:
        with suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/stored":
            self.answer(str(_Handler.stored).encode())
            return
        rows = int(url.path.split("/rows-")[1].split("/")[0])
        self.answer(page(int(parse_qs(url.query).get("nextToken", ["0"])[0]), rows))

    def do_PUT(self) -> None:
        left = int(self.headers["Content-Length"])
        while left:
            left -= len(self.rfile.read(min(left, 65536)))
        _Handler.stored = int(self.headers.get("X-Amz-Decoded-Content-Length") or self.headers["Content-Length"])
        self.answer(b"")

    def handle_expect_100(self) -> bool:
        self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: the table is the output."""


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as service:
        print(service.server_address[1], flush=True)
        service.serve_forever()
