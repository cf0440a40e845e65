"""Who fetches and stores results in benchmarks/results_throughput.py; each runs alone in a process of its own.

`python -m benchmarks.results_contestants NAME ROWS` prints as JSON: CPU seconds, seconds, peak memory, and peak memory
above the process that has imported all and made its clients, in bytes.
"""

from __future__ import annotations

import gzip
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import boto3

if TYPE_CHECKING:
    from collections.abc import Callable

SELECTION = {
    "metricName": "RETRANSMISSIONS",
    "destinationCategory": "INTER_AZ",
    "startTime": "2026-11-24T00:00:00Z",
    "endTime": "2026-11-24T08:20:00Z",
}
QUERY = "cc4f4ab3-3103-33b8-80ff-d6597a0c6cea"


class Contestant(Protocol):
    def run(self, scope: str) -> None: ...


class Context:
    function_name, memory_limit_in_mb, aws_request_id = "function", 256, "request"
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:function"

    def get_remaining_time_in_millis(self) -> int:
        return 900_000


class Flowquery:
    """The deployed handler."""

    def __init__(self) -> None:
        import get_query_results  # noqa: PLC0415  # of this contestant alone

        self.handler: Any = get_query_results.handler

    def run(self, scope: str) -> None:
        poll = {"waitSeconds": 0, "exhausted": False, "elapsedSeconds": 1, "checks": 1, "observed": {"SUCCEEDED": 1}}
        event = {"scopeId": scope, "queryId": QUERY, **SELECTION, "poll": poll}
        self.handler(event, Context())


class Loop:
    """What a user would write: the paginator, one list, `json.dumps`, `put_object`."""

    compressed = False

    def __init__(self) -> None:
        self.nfm, self.s3 = boto3.client("networkflowmonitor"), boto3.client("s3")

    def run(self, scope: str) -> None:
        paginator = self.nfm.get_paginator("get_query_results_workload_insights_top_contributors_data")
        datapoints: list[Any] = []
        for page in paginator.paginate(scopeId=scope, queryId=QUERY):
            datapoints += page["datapoints"]
        body = json.dumps({"unit": page["unit"], "datapoints": datapoints}, default=str).encode()
        self.s3.put_object(Bucket="results", Key="results.json", Body=gzip.compress(body) if self.compressed else body)


class LoopWithGzip(Loop):
    """The same with `gzip.compress`."""

    compressed = True


CONTESTANTS: dict[str, Callable[[], Contestant]] = {
    "Flowquery": Flowquery,
    "the loop of a user": Loop,
    "the same loop, gzip": LoopWithGzip,
}


def measure(name: str, rows: int) -> dict[str, float]:
    contestant = CONTESTANTS[name]()
    idle, began, cpu = peak_bytes(), time.perf_counter(), time.process_time()
    contestant.run(f"rows-{rows}")
    return {
        "cpuSeconds": time.process_time() - cpu,
        "seconds": time.perf_counter() - began,
        "memory": peak_bytes() - idle,
        "peak": peak_bytes(),
    }


def peak_bytes() -> int:
    status = Path("/proc/self/status").read_text("ascii")
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(sys.argv[1], int(sys.argv[2]))) + "\n")
