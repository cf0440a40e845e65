"""The polling frontier: seconds of detection lag against dollars, for the status step and for what could replace it.

`python -m benchmarks.polling_frontier` prints the tables and says which targets are met; `--json` prints the same for
machines, `--chart FILE` draws it, `--draws N` sets how many queries are drawn of each distribution (4,000).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import numpy as np

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "functions")]

from benchmarks.optimum import Grid, best_hold_plan, best_wait_loop  # noqa: E402
from benchmarks.plans import (  # noqa: E402
    CALL,
    LAMBDA_REQUEST,
    LAMBDA_SECOND,
    MEMORY_GB,
    PRICES,
    REGION,
    ROUND,
    TRANSITION,
    Outcome,
    rivals,
)
from benchmarks.virtual_time import SEED, World, average, ours  # noqa: E402
from flowquery.core.transitions import QUERY_RESULTS, START_QUERY  # noqa: E402
from flowquery.polling.policy import POLICY, decide  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.plans import Floats

OURS, PLAN = "Flowquery", "best hold-and-wait plan (2)"
TUNED = ("early_growth", "steady_interval", "late_growth", "jitter", "first_jitter")
BEST_WAITS = {0.5: "best Wait-only loop (0.5)", 2.0: "best Wait-only loop (2)"}
EXPRESS = "Express child, Wait 1 s"
# What an execution pays besides polling: its other transitions, and two functions of 256 MB for 0.3 and 0.6 s. One that
# a schedule starts finds no warm environment, and the initialisation of each function takes 0.5 s.
START_AND_RESULTS = (
    (START_QUERY + QUERY_RESULTS) * TRANSITION + 2 * LAMBDA_REQUEST + (0.3 + 0.6 + 2 * 0.5) * 2 * LAMBDA_SECOND
)
INITIALISATION = 0.5 * LAMBDA_SECOND


@dataclass(frozen=True)
class Distribution:
    """How long queries take, as parts of `(weight, shift, kind, scale, sigma)`: log-normal, or exponential."""

    name: str
    parts: Sequence[tuple[float, float, str, float, float]]

    def draws(self, count: int, generator: np.random.Generator) -> Floats:
        weights = [part[0] for part in self.parts]
        chosen = generator.choice(len(self.parts), size=count, p=weights)
        drawn = np.empty(count)
        for index, (_, shift, kind, scale, sigma) in enumerate(self.parts):
            normal, exponential = generator.standard_normal(count), generator.standard_exponential(count)
            drawn[chosen == index] = (
                shift + scale * (np.exp(sigma * normal) if kind == "log-normal" else exponential)
            )[chosen == index]
        return drawn

    def cdf(self, times: Floats) -> Floats:
        total = np.zeros(len(times))
        for weight, shift, kind, scale, sigma in self.parts:
            ratio = np.maximum((times - shift) / scale, 1e-12)
            total += weight * (_normal_cdf(np.log(ratio) / sigma) if kind == "log-normal" else 1 - np.exp(-ratio))
        return total

    def longest(self) -> float:
        """Return the time that all but a hundred-thousandth of the queries end before."""
        return max(
            shift + scale * (math.exp(4.27 * sigma) if kind == "log-normal" else 11.5)
            for _, shift, kind, scale, sigma in self.parts
        )


def log_normal(median: float, sigma: float) -> Distribution:
    return Distribution(f"log-normal, median {median:g} s, sigma {sigma:g}", [(1.0, 0.0, "log-normal", median, sigma)])


TARGETED = {median: log_normal(median, 0.6) for median in (5, 20, 90)}
DISTRIBUTIONS = [
    *TARGETED.values(),
    *(log_normal(median, sigma) for sigma in (0.3, 1.0) for median in (5, 20, 90)),
    Distribution(
        "mixture: 80 % around 5 s, 20 % around 120 s",
        [(0.8, 0.0, "log-normal", 5.0, 0.3), (0.2, 0.0, "log-normal", 120.0, 0.3)],
    ),
    Distribution("never tuned for: 30 s and then exponential, mean 30 s", [(1.0, 30.0, "exponential", 30.0, 0.0)]),
]


def compare(distribution: Distribution, durations: Floats) -> dict[str, Outcome]:
    """Return the outcomes of everybody on the same draws."""
    longest, beyond = distribution.longest(), float(np.max(durations))
    plans = rivals(beyond)
    plans += [
        best_wait_loop(name, Grid.of(distribution.cdf, longest, weight), beyond) for weight, name in BEST_WAITS.items()
    ]
    plans.append(best_hold_plan(PLAN, Grid.of(distribution.cdf, longest, 2.0), beyond))
    return {OURS: ours(durations), **{plan.name: plan.outcome(durations) for plan in plans}}


@dataclass(frozen=True)
class Estimate:
    value: float
    error: float

    @classmethod
    def mean(cls, values: Floats) -> Estimate:
        return cls(float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values))))

    @classmethod
    def ratio(cls, ours: Floats, theirs: Floats) -> Estimate:
        """Return the ratio of two means on the same draws, with its standard error (delta method)."""
        ratio = float(ours.mean() / theirs.mean())
        residual = (ours - ratio * theirs) / theirs.mean()
        return cls(ratio, float(residual.std(ddof=1) / math.sqrt(len(ours))))


@dataclass(frozen=True)
class Target:
    name: str
    measured: Estimate
    at_most: float

    @property
    def met(self) -> bool:
        return self.measured.value <= self.at_most


def total(outcome: Outcome, weight: float = 2.0) -> Floats:
    """Return dollars plus lag, a second of which is worth `weight` rounds."""
    return outcome.dollars + weight * ROUND * outcome.lag


def targets(outcomes: dict[int, dict[str, Outcome]]) -> list[Target]:
    found = []
    limits = {5: (0.8, 12), 20: (0.95, 35), 90: (1.1, 110)}
    for median, (express, checks) in limits.items():
        of = outcomes[median]
        mine, waits, plan = of[OURS], of[BEST_WAITS[2.0]], of[PLAN]
        found += [
            Target(f"{median} s: lag / best Wait-only loop", Estimate.ratio(mine.lag, waits.lag), 0.35),
            Target(f"{median} s: dollars / best Wait-only loop", Estimate.ratio(mine.dollars, waits.dollars), 0.4),
            Target(f"{median} s: total / best hold-and-wait plan", Estimate.ratio(total(mine), total(plan)), 1.25),
            Target(f"{median} s: total / Express child", Estimate.ratio(total(mine), total(of[EXPRESS])), express),
            Target(f"{median} s: checks", Estimate.mean(mine.checks), checks),
        ]
    return found


def long_query(count: int) -> Target:
    return Target("20 minutes: checks", Estimate.mean(ours(np.full(count, 1200.0)).checks), 400)


def hold_lengths(durations: Floats, runs: int) -> dict[str, dict[str, float]]:
    """Return what the length of a hold changes, for the draws and for queries of 20 minutes."""
    found = {}
    for hold in (0.0, 30.0, 60.0, 120.0, 300.0, 600.0, 840.0):
        drawn, long = (average(drawn, hold, runs=runs) for drawn in (durations, np.linspace(1080.0, 1320.0, 500)))
        found[f"{hold:g}"] = {
            "medianNinetyTotal": float(total(drawn).mean()) * 1000,
            "twentyMinutesTotal": float(total(long).mean()) * 1000,
            "twentyMinutesLag": float(long.lag.mean()),
        }
    return found


def neighbours(durations: dict[int, Floats], runs: int) -> dict[str, dict[str, float]]:
    """Return what other choices of the policy's numbers change, as ratios to its own: dollars plus lag, and checks."""
    choices = {"": {}, **{f"{name} x {by}": {name: getattr(POLICY, name) * by} for name in TUNED for by in (0.8, 1.25)}}
    found: dict[str, dict[str, float]] = {}
    for choice, change in choices.items():
        with mock.patch("flowquery.query.status_step.decide", partial(decide, policy=replace(POLICY, **change))):
            outcomes = {median: average(drawn, runs=runs) for median, drawn in durations.items()}
            long = average(np.full(1, 1200.0), runs=runs)
        found[choice] = {
            **{f"total{median}": float(np.mean(total(outcome))) for median, outcome in outcomes.items()},
            **{f"checks{median}": float(np.mean(outcome.checks)) for median, outcome in outcomes.items()},
            "checksTwentyMinutes": float(np.mean(long.checks)),
        }
    chosen = found.pop("")
    return {choice: {name: value / chosen[name] for name, value in row.items()} for choice, row in found.items()}


def herd(count: int, *, jitter: bool) -> dict[str, int]:
    """Return the most checks in any second, and in any tenth of one, of queries that start at the same instant.

    The first check is at once by contract, so the count begins with the second; it goes on for two minutes.
    """
    worlds = [World(120.0, seed=seed, jitter=jitter).run() for seed in range(SEED, SEED + count)]
    times = np.array(sorted(check for world in worlds for check in world.checks if check > 0))
    return {
        name: int(np.max(np.searchsorted(times, times + window) - np.arange(len(times))))
        for name, window in (("second", 1.0), ("tenth", 0.1))
    }


@dataclass(frozen=True)
class Report:
    draws: int
    outcomes: dict[str, dict[str, Outcome]]
    targets: list[Target]
    holds: dict[str, dict[str, float]]
    neighbours: dict[str, dict[str, float]]
    herd: dict[str, dict[str, int]]

    def to_json(self) -> dict[str, object]:
        return {
            "seed": SEED,
            "draws": self.draws,
            "prices": PRICES,
            "distributions": {
                name: {who: _row(outcome, who) for who, outcome in outcomes.items()}
                for name, outcomes in self.outcomes.items()
            },
            "targets": [
                {"name": target.name, **vars(target.measured), "atMost": target.at_most, "met": target.met}
                for target in self.targets
            ],
            "holdSeconds": self.holds,
            "neighbours": self.neighbours,
            "herd": self.herd,
        }


def measure(draws: int) -> Report:
    generator = np.random.default_rng(SEED)
    durations = {distribution.name: distribution.draws(draws, generator) for distribution in DISTRIBUTIONS}
    outcomes = {
        distribution.name: compare(distribution, durations[distribution.name]) for distribution in DISTRIBUTIONS
    }
    by_median = {median: outcomes[distribution.name] for median, distribution in TARGETED.items()}
    runs = min(30, max(2, draws // 100))
    return Report(
        draws,
        outcomes,
        [*targets(by_median), long_query(min(draws, 200))],
        hold_lengths(durations[TARGETED[90].name], runs),
        neighbours({median: durations[distribution.name] for median, distribution in TARGETED.items()}, runs),
        {name: herd(min(draws, 1000), jitter=jitter) for name, jitter in (("jitter", True), ("none", False))},
    )


def _row(outcome: Outcome, who: str) -> dict[str, float]:
    """Return a line of the tables; dollars are for a thousand queries."""
    lag, dollars = Estimate.mean(outcome.lag), Estimate.mean(outcome.dollars * 1000)
    has_function = outcome.slot_seconds.any() and "durable" not in who
    whole = dollars.value + 1000 * (START_AND_RESULTS + INITIALISATION * bool(has_function))
    return {
        "lag": lag.value,
        "lagError": lag.error,
        "dollars": dollars.value,
        "dollarsError": dollars.error,
        "wholeRun": whole,
        "checks": float(outcome.checks.mean()),
        "slotSeconds": float(outcome.slot_seconds.mean()),
        "total": float(total(outcome).mean()) * 1000,
    }


def _normal_cdf(values: Floats) -> Floats:
    # Enough digits for a grid that leaves out a hundred-thousandth.
    return np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in values.tolist()])


HEADER = f"""\
The polling frontier: seconds of lag against dollars per 1,000 queries, on the same {{draws}} draws of each distribution
(seed {SEED}), at the prices of {PRICES["date"]} in {REGION}.
A call takes {CALL} s and shows the status of its beginning. Functions have {MEMORY_GB * 1024:.0f} MB (arm64).
Initialisation is counted in the column "whole run" alone, where three functions start cold. Lag: from the end of a
query to the return of the invocation that saw it; transitions and invocations themselves take no time, for anybody.
total: dollars plus lag, a second of which is worth 2 Wait-Task-Choice rounds. slot s: seconds that a query occupies of
the account's Lambda concurrency, the price of holding that no bill shows. Durable functions: one operation for the
start and one for each attempt (the least that can be billed), no data; their limit of 3,000 operations is not enforced.
The best loops and the best plan know the distribution and may wait before their first check. Flowquery does not.\
"""


def print_report(report: Report) -> None:
    print(HEADER.format(draws=report.draws))
    for name, outcomes in report.outcomes.items():
        print(f"\n{name}\n{'':40}{'lag s':>14}{'dollars':>17}{'whole run':>11}{'checks':>8}{'slot s':>8}{'total':>8}")
        for who, outcome in outcomes.items():
            row = _row(outcome, who)
            print(
                f"  {who:38}{row['lag']:8.2f} ±{row['lagError']:4.2f}{row['dollars']:10.4f} ±{row['dollarsError']:6.4f}"
                f"{row['wholeRun']:10.4f}{row['checks']:8.1f}{row['slotSeconds']:8.1f}{row['total']:8.3f}"
            )
    print(f"\n{'how long one invocation holds':32}{'total, 90 s':>14}{'total, 20 min':>16}{'lag s, 20 min':>16}")
    for hold, row in report.holds.items():
        print(f"  {hold + ' s':30}{row['medianNinetyTotal']:14.3f}{row['twentyMinutesTotal']:16.3f}", end="")
        print(f"{row['twentyMinutesLag']:16.2f}")
    print("\nother choices, in parts of the policy's total and checks for medians 5, 20, 90, and checks of 20 minutes")
    for choice, ratios in report.neighbours.items():
        print(f"  {choice:24}" + "".join(f"{ratio:8.3f}" for ratio in ratios.values()))
    print("\nqueries that start at the same instant: most checks in a second, and in a tenth of one")
    for name, peaks in report.herd.items():
        print(f"  {'with jitter' if name == 'jitter' else 'without':30}{peaks['second']:14}{peaks['tenth']:16}")
    print(f"\n{'targets':44}{'measured':>18}{'at most':>10}")
    for target in report.targets:
        measured = f"{target.measured.value:.3f} ±{target.measured.error:.3f}"
        print(f"  {target.name:42}{measured:>18}{target.at_most:10g}  {'pass' if target.met else 'FAIL'}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=4000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--chart", type=Path)
    options = parser.parse_args(arguments)
    report = measure(options.draws)
    if options.json:
        print(json.dumps(report.to_json(), indent=1))
    else:
        print_report(report)
    if options.chart:
        from benchmarks.chart import draw  # noqa: PLC0415 matplotlib is slow to import

        draw({median: report.outcomes[of.name] for median, of in TARGETED.items()}, options.chart)
    return 0 if all(target.met for target in report.targets) else 1


if __name__ == "__main__":
    sys.exit(main())
