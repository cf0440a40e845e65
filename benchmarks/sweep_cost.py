"""What a sweep of many queries costs: SweepScope beside what a user would run in its place.

`python -m benchmarks.sweep_cost` prints the tables and says which targets are met; `--json` prints the same for
machines, `--seeds N` sets how many orders of the durations are drawn (10).

Everything that runs is deployed on the loopback, the production code and the rivals' alike, in turned time: a call of
Network Flow Monitor takes 0.15 s, waits take what they say, and all else takes none. Lambda's time is what the clock
says; functions are warm, for everybody. All contestants get the same durations: those of each window of 33 queries are
33 quantiles of one distribution in an order of their own, so that no figure hangs on which draw is the longest.

On one turned clock the branches of a Map would wait for each other. So of each rival every query runs alone, once for
each duration, in a real execution that counts its transitions, and a Map of them is their sum: its own state once, and
40 branches at a time, which is what an inline Map runs, for the total time. The rivals meet no limit, which is their
best case: nothing in them keeps to a rate, and 33 branches start 33 queries at once. The Express children are the same
loops, priced by how long each ran; the one Express child that holds the whole Map has 5 minutes for everything.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import math
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import NormalDist, fmean
from typing import TYPE_CHECKING

import numpy as np

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "functions")]

from benchmarks.plans import CALL, EXPRESS_GB, LAMBDA_REQUEST, PRICES, REGION, TRANSITION  # noqa: E402
from benchmarks.sweep_world import PAIRS, deployed  # noqa: E402
from benchmarks.virtual_time import SEED  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.sweep_world import Usage, World

MEDIAN, SIGMA = 20.0, 0.3  # of a log-normal distribution
DURATIONS = [
    MEDIAN * math.exp(SIGMA * NormalDist().inv_cdf((rank + 0.5) / len(PAIRS))) for rank in range(len(PAIRS))
]  # seconds
COUNTS = [1, 33, 66, 99, 132]
BRANCHES = 40  # docs.aws.amazon.com/step-functions/latest/dg/state-map-inline.html
LIMIT, SENT = 5.0, 10.0  # requests a second: what the simulated service takes, and what the sweep sends at first
LIMITED = [33, 132]
SWEEPS, FLEXIBLE_SECONDS = 1000, 300.0

OURS, CHILDREN, LOOPS = "SweepScope", "Map of RunQuery", "Map of plain Wait loops"
EXPRESS, ONE_EXPRESS = "Map of Express loops", "one Express child, the Map in it"


@dataclass(frozen=True)
class Row:
    """What so many queries cost; `express` is what only Express executions are billed, in dollars."""

    transitions: float
    requests: float
    calls: float
    gb_seconds: float
    seconds: float
    express: float = 0.0

    @property
    def dollars(self) -> float:
        functions = self.requests * LAMBDA_REQUEST + self.gb_seconds * PRICES["lambdaGbSecondArm64"]
        return float(self.transitions * TRANSITION + functions + self.express)

    @classmethod
    def mean(cls, rows: Sequence[Row]) -> Row:
        return cls(*(sum(getattr(row, one.name) for row in rows) / len(rows) for one in fields(cls)))

    @classmethod
    def of(cls, runs: Sequence[Usage], transitions: float, express: float = 0.0) -> Row:
        """Return the sum of runs side by side."""
        return cls(
            transitions,
            sum(run.requests for run in runs),
            sum(len(run.calls) for run in runs),
            sum(run.gb_seconds for run in runs),
            side_by_side([run.seconds for run in runs]),
            express,
        )

    def to_json(self) -> dict[str, float]:
        return {
            "transitions": self.transitions,
            "requests": self.requests,
            "calls": self.calls,
            "gbSeconds": self.gb_seconds,
            "dollars": self.dollars,
            "seconds": self.seconds,
        }


Rows = dict[tuple[str, int], Row]


@dataclass(frozen=True)
class Target:
    name: str
    measured: float
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def to_json(self) -> dict[str, object]:
        bound = {"atLeast" if self.at_least else "atMost": self.limit}
        return {"name": self.name, "measured": self.measured, **bound, "met": self.met}


@dataclass(frozen=True)
class Limited:
    """A sweep against a service that takes LIMIT requests a second; it sends SENT at first.

    The rate is over all its time, with the end in which only the longest queries run and few requests are due.
    """

    failed: int
    accepted: int
    throttled: int
    seconds: float
    of_limit: float


def durations(count: int, seed: int) -> list[float]:
    """Return how long the queries of that many take, window after window."""
    dice = np.random.default_rng([SEED, seed])
    windows = [dice.permutation(DURATIONS).tolist() for _ in range(-(-count // len(PAIRS)))]
    return [seconds for window in windows for seconds in window][:count]


def compare(world: World, counts: Sequence[int], seeds: int) -> Rows:
    """Return what each contestant spends on each number of queries."""
    rows: dict[tuple[str, int], list[Row]] = {}
    loops: dict[float, Usage] = {}
    children: dict[float, Usage] = {}
    for count, seed in itertools.product(counts, range(seeds)):
        drawn = durations(count, seed)
        for seconds in set(drawn) - loops.keys():
            loops[seconds], children[seconds] = world.loop(seconds), world.child(seconds)
        spent = rivals([loops[seconds] for seconds in drawn], [children[seconds] for seconds in drawn])
        ran = world.sweep(drawn)
        spent[OURS] = Row.of([ran], ran.transitions)
        for name, row in spent.items():
            rows.setdefault((name, count), []).append(row)
    return {key: Row.mean(found) for key, found in rows.items()}


def rivals(loops: Sequence[Usage], children: Sequence[Usage]) -> dict[str, Row]:
    """Return what Maps of these cost; a loop ran in a Map of its own, whose state is counted once here."""
    request, second = PRICES["expressRequest"], PRICES["expressGbSecond"] * EXPRESS_GB
    each = sum(request + billed_seconds(loop.seconds) * second for loop in loops)
    whole = request + billed_seconds(side_by_side([loop.seconds for loop in loops])) * second
    return {
        CHILDREN: Row.of(children, 1 + sum(1 + child.transitions for child in children)),
        LOOPS: Row.of(loops, 1 + sum(loop.transitions - 1 for loop in loops)),
        EXPRESS: Row.of(loops, 1 + len(loops), each),
        ONE_EXPRESS: Row.of(loops, 1, whole),
    }


def billed_seconds(seconds: float) -> float:
    return math.ceil(seconds * 10 - 1e-9) / 10


def side_by_side(seconds: Iterable[float], branches: int = BRANCHES) -> float:
    """Return when the last of them ends, so many at a time."""
    ends = [0.0] * branches
    for one in seconds:
        heapq.heapreplace(ends, ends[0] + one)
    return max(ends)


def against_limit(world: World, count: int, seed: int) -> Limited:
    ran = world.sweep(durations(count, seed), LIMIT, requestsPerSecond=SENT, allowPartial=True)
    return limited(ran, count)


def limited(ran: Usage, count: int) -> Limited:
    accepted = [call.at for call in ran.calls if call.outcome != "ThrottlingException"]
    seconds = max(accepted) - min(accepted) + CALL
    return Limited(
        failed=count - ran.output["counts"].get("SUCCEEDED", 0),
        accepted=len(accepted),
        throttled=len(ran.calls) - len(accepted),
        seconds=seconds,
        of_limit=len(accepted) / seconds / LIMIT,
    )


def herd(profiles: Sequence[Sequence[float]], sweeps: int = SWEEPS, flexible: float = FLEXIBLE_SECONDS) -> float:
    """Return the most requests in a second, in parts of the mean of the first five minutes.

    Each sweep is due at the same time, starts anywhere within the flexible window, and then makes its calls when one
    that ran here made them.
    """
    starts = np.random.default_rng(SEED).uniform(0, flexible, sweeps) if flexible else np.zeros(sweeps)
    times = np.sort(np.concatenate([start + profiles[n % len(profiles)] for n, start in enumerate(starts)]))
    peak = np.max(np.searchsorted(times, times + 1.0) - np.arange(len(times)))
    return float(peak / (np.searchsorted(times, 300.0) / 300.0))


def targets(rows: Rows, limits: dict[int, list[Limited]], peak: float) -> list[Target]:
    mine, loops, express = (rows[name, 33] for name in (OURS, LOOPS, EXPRESS))
    added = [rows[OURS, more].dollars - rows[OURS, fewer].dollars for fewer, more in ((33, 66), (66, 99), (99, 132))]
    mean = sum(added) / len(added)
    uneven = max(abs(one - mean) / mean for one in added)
    found = [
        Target("33 queries: transitions / Map of plain loops", mine.transitions / loops.transitions, 0.1),
        Target("33 queries: dollars / Map of plain loops", mine.dollars / loops.dollars, 0.25),
        Target("33 queries: dollars / Map of Express loops", mine.dollars / express.dollars, 1.0),
        Target("added dollars a query, 33 to 132: off their mean", uneven, 0.15),
    ]
    for count, runs in limits.items():
        failed, rate = sum(one.failed for one in runs), fmean(one.of_limit for one in runs)
        found.append(Target(f"{count} queries, limited: failed", failed, 0))
        found.append(Target(f"{count} queries, limited: rate / limit", rate, 0.85, at_least=True))
    return [*found, Target(f"{SWEEPS:,} sweeps due at once: peak / mean", peak, 3.0)]


@dataclass(frozen=True)
class Report:
    seeds: int
    rows: Rows
    limits: dict[int, list[Limited]]
    peaks: dict[str, float]
    targets: list[Target]

    def to_json(self) -> dict[str, object]:
        counts = sorted({count for _, count in self.rows})
        return {
            "seed": SEED,
            "seeds": self.seeds,
            "prices": PRICES,
            "queries": {
                count: {name: row.to_json() for (name, of), row in self.rows.items() if of == count} for count in counts
            },
            "limited": {count: [vars(one) for one in runs] for count, runs in self.limits.items()},
            "peaks": self.peaks,
            "targets": [target.to_json() for target in self.targets],
        }


def measure(world: World, counts: Sequence[int], seeds: int) -> Report:
    rows = compare(world, counts, seeds)
    if not set(COUNTS) <= set(counts):  # the targets are about these
        return Report(seeds, rows, {}, {}, [])
    limits = {count: [against_limit(world, count, seed) for seed in range(seeds)] for count in LIMITED}
    profiles = [call_times(world.sweep(durations(len(PAIRS), seed))) for seed in range(seeds)]
    peaks = {"flexible": herd(profiles), "none": herd(profiles, flexible=0)}
    return Report(seeds, rows, limits, peaks, targets(rows, limits, peaks["flexible"]))


def call_times(ran: Usage) -> list[float]:
    """Return when its calls were made, in seconds from the first."""
    return [call.at - ran.calls[0].at for call in ran.calls]


HEADER = f"""\
What a sweep costs, at the prices of {PRICES["date"]} in {REGION}: means of {{seeds}} orders of the durations
(log-normal, median {MEDIAN:g} s, sigma {SIGMA:g}; seed {SEED}). A call of Network Flow Monitor takes {CALL} s.
transitions: retries counted. requests: Lambda invocations. calls: of Network Flow Monitor. seconds: from start to end.\
"""


def print_report(report: Report) -> None:
    print(HEADER.format(seeds=report.seeds))
    print(f"\n{'queries':>7}  {'':34}{'transitions':>11}{'requests':>10}{'calls':>9}{'GB-s':>9}", end="")
    print(f"{'dollars':>11}{'seconds':>9}")
    for (name, count), row in sorted(report.rows.items(), key=lambda of: (of[0][1], of[1].dollars)):
        print(
            f"{count:7}  {name:34}{row.transitions:11.1f}{row.requests:10.1f}{row.calls:9.1f}{row.gb_seconds:9.2f}"
            f"{row.dollars:11.6f}{row.seconds:9.1f}"
        )
    if report.limits:
        print(f"\n{LIMIT:g} requests a second taken, {SENT:g} sent at first")
    for count, runs in report.limits.items():
        worst = min(runs, key=lambda one: one.of_limit)
        failed, rate = sum(one.failed for one in runs), fmean(one.of_limit for one in runs)
        print(
            f"{count:7}  failed {failed}; {rate:.0%} of the limit, at worst {worst.of_limit:.0%}: "
            f"{worst.accepted} accepted in {worst.seconds:.1f} s, {worst.throttled} throttled"
        )
    for name, peak in report.peaks.items():
        within = f"within {FLEXIBLE_SECONDS:g} s" if name == "flexible" else "at the same instant"
        print(f"{SWEEPS:,} sweeps that start {within}: peak of requests a second {peak:.2f} times the mean")
    if report.targets:
        print(f"\n{'targets':52}{'measured':>10}{'bound':>12}")
    for target in report.targets:
        bound = f"{'>=' if target.at_least else '<='} {target.limit:g}"
        print(f"  {target.name:50}{target.measured:10.3f}{bound:>12}  {'pass' if target.met else 'FAIL'}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="What a sweep of many queries costs, beside its rivals.")
    parser.add_argument("--seeds", type=int, default=10, help="orders of the durations (10)")
    parser.add_argument("--queries", type=int, nargs="+", default=COUNTS, help="how many queries (1 33 66 99 132)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    with deployed() as world:
        report = measure(world, sorted(options.queries), options.seeds)
    if options.json:
        print(json.dumps(report.to_json(), indent=1))
    else:
        print_report(report)
    return 0 if all(target.met for target in report.targets) else 1


if __name__ == "__main__":
    sys.exit(main())
