"""What fetching and storing results takes, beside the loop that a user would write, and querying a year of them.

Every contestant runs alone in a process of its own against a loopback service in another; CPU time is the measure of
speed, since Lambda gives CPU by memory and the loopback's own time is not theirs. The loopback speaks plain HTTP: what
TLS takes comes on top for everyone.

The year is one object per window of 15 minutes, as a schedule stores them, beside the same objects joined by day, as
gzipped lines and as the Parquet files of an Athena CTAS.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from benchmarks.results_contestants import CONTESTANTS
from benchmarks.results_service import PAGE_ROWS, page
from flowquery.core.model import Query, QueryRequest, Selection, Window
from flowquery.results.objects import query_key
from flowquery.results.request import ResultsRequest
from flowquery.results.spool import Spool
from localaws.demo import sql

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
OURS, LOOP, GZIP = CONTESTANTS
ROWS = [1_000, 20_000, 200_000]
MOST_MEMORY, MOST_GROWTH, MOST_STORED, MOST_TIME = 0.2, 1.1, 0.3, 1.0
STATE_BYTES = 256 * 1024  # docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html

WINDOW = timedelta(minutes=15)
FIRST_DAY = datetime(2025, 1, 1, tzinfo=UTC)
SERIES, POINTS = 99, 3  # of an object: a sweep's 33 queries with three series each, a point every five minutes

Measures = dict[str, dict[int, dict[str, float]]]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="The throughput of fetching, storing and querying results.")
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS, help="sizes of results (1000 20000 200000)")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each contestant and size (5)")
    parser.add_argument("--days", type=int, default=365, help="how much is queried (365)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    chosen = parser.parse_args(arguments)
    measures = measure(sorted(chosen.rows), chosen.rounds)
    report: dict[str, Any] = {
        "contestants": measures,
        "stepFunctionsRows": rows_in_a_state(),
        "queries": query_seconds(chosen.days),
        "targets": targets(measures),
    }
    print(json.dumps(report, indent=2) if chosen.json else as_text(report))
    return 0 if all(target["met"] for target in report["targets"]) else 1


def measure(sizes: list[int], rounds: int) -> Measures:
    """Return the medians by contestant and number of rows."""
    runs: dict[tuple[str, int], list[dict[str, float]]] = defaultdict(list)
    order, every = random.Random(0), [(name, rows) for name in CONTESTANTS for rows in sizes]
    with serving() as url:
        for _ in range(rounds):
            for name, rows in order.sample(every, len(every)):
                runs[name, rows].append(run(url, name, rows))
    return {
        name: {
            rows: {key: statistics.median(one[key] for one in runs[name, rows]) for key in runs[name, rows][0]}
            for rows in sizes
        }
        for name in CONTESTANTS
    }


@contextmanager
def serving() -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.results_service"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout
        try:
            yield f"http://127.0.0.1:{int(service.stdout.readline())}"
        finally:
            service.kill()


def run(url: str, name: str, rows: int) -> dict[str, float]:
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("AWS_")},
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "loopback",
        "AWS_SECRET_ACCESS_KEY": "loopback",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "NO_PROXY": "127.0.0.1",
        "RESULTS_BUCKET": "results",
        "POWERTOOLS_LOG_LEVEL": "ERROR",
        "POWERTOOLS_SERVICE_NAME": "flowquery",
        "POWERTOOLS_METRICS_NAMESPACE": "Flowquery",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'functions'}",
    }
    command = [sys.executable, "-m", "benchmarks.results_contestants", name, str(rows)]
    ran = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True)
    measured: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    with urllib.request.urlopen(f"{url}/stored") as reply:
        return {**measured, "stored": int(reply.read())}


def rows_in_a_state() -> int:
    """Return how many rows Step Functions can hold that calls the API itself; a page further and the run has failed."""
    size = len(json.dumps(json.loads(page(0, PAGE_ROWS)), separators=(",", ":")))
    return STATE_BYTES // size * PAGE_ROWS


def targets(measures: Measures) -> list[dict[str, Any]]:
    sizes = sorted(measures[OURS])
    ours, loop, middle = measures[OURS][sizes[-1]], measures[LOOP][sizes[-1]], measures[OURS][sizes[-2]]
    compared = [
        ("peak memory above idle, of the loop's", ours["memory"] / loop["memory"], MOST_MEMORY),
        (f"the same, of that at {sizes[-2]:,} rows", ours["memory"] / middle["memory"], MOST_GROWTH),
        ("bytes stored, of the loop's", ours["stored"] / loop["stored"], MOST_STORED),
        ("CPU time, of the loop's", ours["cpuSeconds"] / loop["cpuSeconds"], MOST_TIME),
    ]
    return [
        {"name": f"{name}, at {sizes[-1]:,} rows", "measured": measured, "most": most, "met": measured <= most}
        for name, measured, most in compared
    ]


def query_seconds(days: int) -> dict[str, dict[str, float]]:
    """Return for each layout the seconds that each saved query takes, and how many objects the layout has."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        layouts = {
            "an object per window": store_windows(folder / "windows", days),
            "joined by day": join_days(folder / "windows", folder / "days"),
            "Parquet by day": to_parquet(folder / "windows", folder / "parquet"),
        }
        return {
            name: {"objects": sum(path.is_file() for path in at.rglob("*.*")), **time_queries(at, days)}
            for name, at in layouts.items()
        }


def store_windows(folder: Path, days: int) -> Path:
    """Store what a schedule does, by the deployed code."""
    dice = random.Random(1)
    for number in range(days * (timedelta(days=1) // WINDOW)):
        start = FIRST_DAY + number * WINDOW
        query_request = QueryRequest(Selection("RETRANSMISSIONS", "INTER_AZ"), Window(start, start + WINDOW))
        request = ResultsRequest(Query("scope", f"query-{number}"), query_request)
        at = [start + timedelta(minutes=5 * index) for index in range(POINTS)]
        series = [
            {"label": f"use1-az{label % 6}/{label}", "timestamps": at, "values": [dice.uniform(0, 500) for _ in at]}
            for label in range(SERIES)
        ]
        path = folder / "new"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            spool = Spool(file, lambda: 900.0)
            summary = spool.add(request, [{"unit": "Count", "datapoints": series}])
            spool.finish()
        target = folder / query_key(request, summary)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    return folder


def join_days(windows: Path, folder: Path) -> Path:
    """Join the objects of a day; gzip files one after another are one."""
    for day in sorted((windows / "results").iterdir()):
        joined = folder / "results" / day.name / "day.jsonl.gz"
        joined.parent.mkdir(parents=True)
        joined.write_bytes(b"".join(path.read_bytes() for path in sorted(day.iterdir())))
    return folder


def to_parquet(windows: Path, folder: Path) -> Path:
    folder.mkdir()
    sql.connect(windows).execute(
        f"COPY results TO '{folder / 'results'}' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (\"date\"))"
    )
    return folder


def time_queries(folder: Path, days: int) -> dict[str, float]:
    last = FIRST_DAY + timedelta(days=days - 1)
    day, before = f"{last:%Y-%m-%d}", [f"{last - timedelta(days=back):%Y-%m-%d}" for back in (6, 13)]
    parameters = {
        "top_contributors": [day, day, f"{day}T00:00:00Z", f"{day}T23:59:59Z"],
        "week_over_week": [*before, f"{last + timedelta(days=1):%Y-%m-%d}"],
        "first_appearance": [f"{FIRST_DAY:%Y-%m-%d}"],  # all of it
    }
    return {name: best_of(connect(folder), sql.saved(name), given) for name, given in parameters.items()}


def connect(folder: Path) -> duckdb.DuckDBPyConnection:
    if any(folder.rglob("*.jsonl.gz")):
        return sql.connect(folder)
    connection = duckdb.connect()
    files = folder / "results" / "*/*.parquet"
    connection.execute(
        f"CREATE VIEW results AS SELECT * FROM read_parquet('{files}', hive_partitioning = true, "
        "hive_types = {'date': VARCHAR})"
    )
    return connection


def best_of(connection: duckdb.DuckDBPyConnection, text: str, parameters: list[str], times: int = 3) -> float:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        connection.execute(text, parameters).fetchall()
        taken.append(time.perf_counter() - began)
    return min(taken)


def as_text(report: dict[str, Any]) -> str:
    lines = [
        f"{'rows':>9}  {'contestant':20}  {'rows/CPU s':>10}  {'above idle MB':>13}  {'peak MB':>7}  {'stored MB':>9}"
    ]
    for name, by_rows in report["contestants"].items():
        for rows, row in by_rows.items():
            lines.append(
                f"{int(rows):>9,}  {name:20}  {int(rows) / row['cpuSeconds']:>10,.0f}  {row['memory'] / 1e6:>13.1f}  "
                f"{row['peak'] / 1e6:>7.1f}  {row['stored'] / 1e6:>9.3f}"
            )
    lines.append(
        f"Step Functions that calls the API itself: at most {report['stepFunctionsRows']:,} rows, then the run fails"
    )
    queries = [name for name in report["queries"]["joined by day"] if name != "objects"]
    lines += ["", f"{'layout':22}{'objects':>9}" + "".join(f"{f'{name}, s':>22}" for name in queries)]
    for name, measured in report["queries"].items():
        seconds = "".join(f"{measured[query]:>22.3f}" for query in queries)
        lines.append(f"{name:22}{measured['objects']:>9,}{seconds}")
    lines.append("")
    for target in report["targets"]:
        verdict = "met" if target["met"] else "not met"
        lines.append(f"{target['name']:<64}{target['measured']:>7.3f}, at most {target['most']:.2f}: {verdict}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
