"""What the status step takes to start and to check, beside handlers that a user would write, and the memory to choose.

Every contestant is a real process of AWS's runtime interface client on what `sam build` made, against a loopback
Network Flow Monitor. A cold start is the CPU time from exec to the first answered invocation, as wait4 tells it;
contestants take turns in random order, and each ratio is of two starts of one round. CPU time is the measure since
Lambda gives CPU by memory. The loopback speaks plain HTTP: what TLS takes comes on top for everyone who calls.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import statistics
import sys
import tempfile
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import contestants
from benchmarks.contestants import (
    BOTO3,
    BOTO3_SOURCE,
    EMPTY,
    HTTP,
    STATUS_STEP,
    Contestant,
    Environment,
)
from benchmarks.service import serving

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ROOT = Path(__file__).parent.parent

# What has to be met: the cold start beside plain boto3 with bytecode and without, and the layer's zip.
MOST_OF_BOTO3, STRETCH_OF_BOTO3, MOST_OF_SOURCE, MOST_LAYER_MB = 0.90, 0.80, 0.48, 3.0

PRICES = json.loads((ROOT / "functions/flowquery/query/prices.json").read_text("utf-8"))["regions"]["us-east-1"]
WAIT_ROUND = 3 * PRICES["standardTransition"]  # Wait, Task, Choice
ROUNDS_PER_SECOND_OF_LAG = 2  # what a second of not knowing is worth, as in the polling frontier
MB_PER_VCPU = 1769  # docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
MEMORY_SIZES = (128, 192, 256, 512, 1024, 1769)
QUERY_SECONDS = (2, 5, 20, 90)

IMPORT_RUNS = 7
WARM_BLOCKS, WARM_BLOCK = 10, 50


def main() -> int:
    parser = argparse.ArgumentParser(description="The cold start and the warm check of the status step.")
    parser.add_argument("--rounds", type=int, default=20, help="cold starts of each contestant (20)")
    parser.add_argument("--build", type=Path, default=ROOT / ".aws-sam/build", help="what sam build made")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    arguments = parser.parse_args()
    if sys.version_info[:2] != (3, 13):
        sys.exit("cold_start: needs Python 3.13, the deployed version, for `make setup` and `make build`")
    if not Path("/proc/self/schedstat").exists():
        sys.exit("cold_start: needs Linux, whose /proc tells what a process that goes on has taken")
    layer = arguments.build / contestants.LAYER
    if not layer.is_dir():
        sys.exit(f"cold_start: {layer} is missing; run `make build` first")
    with tempfile.TemporaryDirectory(prefix="cold-start-") as folder, serving() as service:
        all_of_them = contestants.prepare(Path(folder), arguments.build)
        starts, peaks = cold_starts(all_of_them, service.url, arguments.rounds)
        imports = imports_of(all_of_them[name] for name in (BOTO3, STATUS_STEP))
        checks = warm_checks([all_of_them[name] for name in (EMPTY, HTTP, BOTO3, STATUS_STEP)], service.url)
        before = service.connections
        warm_checks([all_of_them[STATUS_STEP]], service.url, blocks=1)
        connections = service.connections - before
    report = summarise(starts, peaks, imports, checks, zipped_mb(layer))
    report["connections"] = connections
    print(json.dumps(report, indent=2) if arguments.json else as_text(report))
    return 0 if all(target["met"] for target in report["targets"] if not target["stretch"]) else 1


def cold_starts(
    all_of_them: Mapping[str, Contestant], endpoint: str, rounds: int
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Return CPU milliseconds of each start by contestant, and the highest peak of resident memory in MB."""
    starts: dict[str, list[float]] = {name: [] for name in all_of_them}
    peaks = dict.fromkeys(all_of_them, 0.0)
    order = random.Random(0)
    for number in range(rounds + 1):
        for name, contestant in order.sample(list(all_of_them.items()), len(all_of_them)):
            environment = Environment(contestant, endpoint)
            environment.invoke()
            peaks[name] = max(peaks[name], environment.peak_mb())
            milliseconds = 1000 * environment.close()
            if number > 0:  # the first round fills the system's cache of files
                starts[name].append(milliseconds)
    return starts, peaks


def warm_checks(some: Iterable[Contestant], endpoint: str, blocks: int = WARM_BLOCKS) -> dict[str, list[float]]:
    """Return CPU milliseconds of a warm invocation with one check, by contestant and block."""
    environments = {contestant.name: Environment(contestant, endpoint) for contestant in some}
    checks: dict[str, list[float]] = defaultdict(list)
    for environment in environments.values():
        environment.invoke()
    for _ in range(blocks):
        for name, environment in environments.items():
            before = environment.cpu_seconds()
            for _ in range(WARM_BLOCK):
                environment.invoke()
            checks[name].append(1000 * (environment.cpu_seconds() - before) / WARM_BLOCK)
    for environment in environments.values():
        environment.close()
    return checks


def imports_of(some: Iterable[Contestant]) -> dict[str, dict[str, float]]:
    """Return the median milliseconds of each module's own import, by contestant and module."""
    medians = {}
    for contestant in some:
        runs = [contestants.import_milliseconds(contestant) for _ in range(IMPORT_RUNS)]
        medians[contestant.name] = {name: statistics.median(run.get(name, 0.0) for run in runs) for name in runs[0]}
    return medians


def summarise(
    starts: Mapping[str, list[float]],
    peaks: Mapping[str, float],
    imports: Mapping[str, Mapping[str, float]],
    checks: Mapping[str, list[float]],
    layer_mb: float,
) -> dict[str, Any]:
    rows: dict[str, Any] = {
        name: {
            "cpuMs": spread(values),
            "ofBoto3": spread(ratios(values, starts[BOTO3])),
            "ofBoto3WithoutBytecode": spread(ratios(values, starts[BOTO3_SOURCE])),
            "peakMb": round(peaks[name], 1),
        }
        for name, values in starts.items()
    }
    step = rows[STATUS_STEP]
    check_ms = statistics.median(checks[STATUS_STEP])
    return {
        "python": sys.version.split()[0],
        "rounds": len(starts[STATUS_STEP]),
        "coldStart": rows,
        "imports": by_package(imports),
        "warmCheck": {name: spread(values) for name, values in checks.items()},
        "memory": memory_table(step["cpuMs"]["median"] / 1000, check_ms / 1000),
        "targets": [
            target("cold start, of plain boto3 with bytecode", step["ofBoto3"]["median"], MOST_OF_BOTO3),
            target("the same, stretch", step["ofBoto3"]["median"], STRETCH_OF_BOTO3, stretch=True),
            target("cold start, of plain boto3 without", step["ofBoto3WithoutBytecode"]["median"], MOST_OF_SOURCE),
            target("layer, MB zipped", layer_mb, MOST_LAYER_MB),
        ],
    }


def ratios(mine: list[float], its: list[float]) -> list[float]:
    return [one / other for one, other in zip(mine, its, strict=True)]


def spread(values: list[float]) -> dict[str, float]:
    first, median, third = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    return {"median": round(median, 3), "firstQuartile": round(first, 3), "thirdQuartile": round(third, 3)}


def target(name: str, measured: float, at_most: float, *, stretch: bool = False) -> dict[str, Any]:
    return {"name": name, "measured": measured, "atMost": at_most, "met": measured <= at_most, "stretch": stretch}


def zipped_mb(folder: Path) -> float:
    """Return the size of the folder as a zip, in MB of 10^6 bytes, as `sam package` compresses it."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in folder.rglob("*"):
            packed.write(path, path.relative_to(folder))
    return len(archive.getvalue()) / 1e6


def by_package(imports: Mapping[str, Mapping[str, float]]) -> list[dict[str, Any]]:
    """Return milliseconds by top-level package, the longest first; a handler makes its client when it is imported."""
    packages: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(imports, 0.0))
    for contestant, modules in imports.items():
        for module, milliseconds in modules.items():
            package = module.partition(".")[0]
            own = package in ("app", "get_query_status")
            packages["(the handler, making its client)" if own else package][contestant] += milliseconds
    rows = [{"package": package, **values} for package, values in packages.items()]
    return sorted(rows, key=lambda row: -max(row[BOTO3], row[STATUS_STEP]))


def memory_table(start_seconds: float, check_seconds: float) -> list[dict[str, float]]:
    """Return what 1,000 queries cost by memory, in dollars with lag priced in, each in a cold environment.

    Holding is paid by memory. A start is not: CPU comes with memory, so it takes the same GB-seconds anywhere. But a
    small function starts and checks slower, and what a query's end then waits is lag. That Lambda may give more CPU
    while a function initialises is left out, as no documentation promises it.
    """
    rows = []
    for memory in MEMORY_SIZES:
        share = memory / MB_PER_VCPU
        start, check = start_seconds / share, check_seconds / share
        row: dict[str, float] = {"memoryMb": memory, "startSeconds": start, "checkSeconds": check}
        for query_seconds in QUERY_SECONDS:
            lag = check + max(0.0, start - query_seconds)
            held = (query_seconds + lag) * memory / 1024 * PRICES["lambdaGbSecondArm64"]
            worth = lag * ROUNDS_PER_SECOND_OF_LAG * WAIT_ROUND
            row[f"dollarsAt{query_seconds}s"] = 1000 * (held + worth)
        rows.append({name: round(value, 4) for name, value in row.items()})
    return rows


def as_text(report: Mapping[str, Any]) -> str:
    return "\n".join(
        [
            f"Cold start: CPU ms from exec to the first answer, Python {report['python']}, {report['rounds']} rounds",
            f"{'':<56}{'median [quartiles]':>22}{'of plain':>19}{'of uncompiled':>19}{'peak MB':>9}",
            *(_start_line(name, row) for name, row in report["coldStart"].items()),
            "",
            "Where it goes: ms of imports (-X importtime, which adds its own), by package",
            f"{'':<36}{'plain boto3':>13}{'status step':>13}",
            *(f"{row['package']:<36}{row[BOTO3]:>13.1f}{row[STATUS_STEP]:>13.1f}" for row in _top(report["imports"])),
            "",
            f"Warm check: CPU ms of an invocation with one check, {WARM_BLOCKS} blocks of {WARM_BLOCK}",
            *(f"{name:<56}{_spread(row, 2):>22}" for name, row in report["warmCheck"].items()),
            f"TCP connections that {WARM_BLOCK + 1} invocations of the status step opened: {report['connections']}",
            "",
            "Memory: dollars of 1,000 queries, a second of lag at 2 Wait rounds, each in a cold environment",
            f"{'MB':>6}{'start s':>9}{'check s':>8}" + "".join(f"{f'{seconds} s':>10}" for seconds in QUERY_SECONDS),
            *(_memory_line(row) for row in report["memory"]),
            _least_line(report["memory"]),
            "",
            *(_target_line(row) for row in report["targets"]),
        ]
    )


def _start_line(name: str, row: Mapping[str, Any]) -> str:
    ratios_of = (_spread(row[key], 2) for key in ("ofBoto3", "ofBoto3WithoutBytecode"))
    return f"{name:<56}{_spread(row['cpuMs'], 0):>22}{''.join(f'{text:>19}' for text in ratios_of)}{row['peakMb']:>9}"


def _spread(row: Mapping[str, float], digits: int) -> str:
    median, first, third = (f"{row[name]:.{digits}f}" for name in ("median", "firstQuartile", "thirdQuartile"))
    return f"{median} [{first}, {third}]"


def _top(rows: list[dict[str, Any]], most: int = 16) -> list[dict[str, Any]]:
    rest = {"package": f"(the other {len(rows) - most})"}
    rest |= {name: sum(row[name] for row in rows[most:]) for name in (BOTO3, STATUS_STEP)}
    total = {"package": "(all)", **{name: sum(row[name] for row in rows) for name in (BOTO3, STATUS_STEP)}}
    return [*rows[:most], rest, total]


def _memory_line(row: Mapping[str, float]) -> str:
    dollars = "".join(f"{row[f'dollarsAt{seconds}s']:>10.4f}" for seconds in QUERY_SECONDS)
    return f"{row['memoryMb']:>6}{row['startSeconds']:>9.2f}{row['checkSeconds']:>8.3f}{dollars}"


def _least_line(rows: list[dict[str, float]]) -> str:
    least = (min(rows, key=lambda row: row[f"dollarsAt{seconds}s"])["memoryMb"] for seconds in QUERY_SECONDS)
    return f"{'least at MB':<23}" + "".join(f"{memory:>10}" for memory in least)


def _target_line(row: Mapping[str, Any]) -> str:
    verdict = "met" if row["met"] else "not met"
    return f"{row['name']:<56}{row['measured']:>7.3f}, at most {row['atMost']:.2f}: {verdict}"


if __name__ == "__main__":
    sys.exit(main())
