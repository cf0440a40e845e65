"""The benchmark, small: it runs, its optimum is one, and it counts as the production code counts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from benchmarks import polling_frontier
from benchmarks.optimum import Grid, best_hold_plan, best_wait_loop
from benchmarks.plans import CALL, TRANSITION, rivals, wait_loop
from benchmarks.polling_frontier import BEST_WAITS, DISTRIBUTIONS, OURS, PLAN, TARGETED, total
from benchmarks.virtual_time import World

if TYPE_CHECKING:
    from pathlib import Path


def test_a_small_run_measures_everybody_and_draws_the_chart(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    fast = {5: TARGETED[5], 20: polling_frontier.log_normal(6, 0.3), 90: polling_frontier.log_normal(7, 0.3)}
    monkeypatch.setattr(polling_frontier, "TARGETED", fast)
    monkeypatch.setattr(polling_frontier, "DISTRIBUTIONS", list(fast.values()))
    chart = tmp_path / "chart.svg"

    polling_frontier.main(["--draws", "50", "--json", "--chart", str(chart)])

    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert {target["met"] for target in report["targets"]} <= {True, False}
    assert len(report["targets"]) == 16
    assert all(row["lag"] > 0 for rows in report["distributions"].values() for row in rows.values())
    assert all({OURS, PLAN, *BEST_WAITS.values()} <= set(rows) for rows in report["distributions"].values())
    assert report["herd"]["jitter"]["tenth"] < report["herd"]["none"]["tenth"]
    assert "</svg>" in chart.read_text("utf-8")


def test_the_table_has_every_measurement(capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = polling_frontier.compare(TARGETED[5], np.array([3.0, 5.0, 9.0]))
    target = polling_frontier.Target("checks", polling_frontier.Estimate(13, 0.1), 12)
    peaks = {"second": 3, "tenth": 2}
    ratios = {"60": {"medianNinetyTotal": 1.0, "twentyMinutesTotal": 2.0, "twentyMinutesLag": 3.0}}

    polling_frontier.print_report(
        polling_frontier.Report(
            3, {"five": outcomes}, [target], ratios, {"jitter x 2": {"total5": 1.5}}, {"none": peaks}
        )
    )

    table = capsys.readouterr().out
    assert all(name in table for name in (*outcomes, "five", "60 s", "jitter x 2", "FAIL"))


def test_the_best_loop_is_no_dearer_than_any_other() -> None:
    distribution = TARGETED[5]
    durations = np.sort(distribution.draws(20_000, np.random.default_rng(1)))
    beyond = float(durations[-1])
    grid = Grid.of(distribution.cdf, distribution.longest(), 2.0)

    best = float(np.mean(total(best_wait_loop("best", grid, beyond).outcome(durations))))

    for seconds in range(1, 9):
        loop = wait_loop("fixed", [seconds] * 100, beyond, with_lambda=False)
        assert best < float(np.mean(total(loop.outcome(durations))))
    assert float(np.mean(total(best_hold_plan("plan", grid, beyond).outcome(durations)))) < best


def test_a_world_counts_transitions_as_the_poll_does() -> None:
    world = World(100.0, hold=10.0).run()

    assert world.poll is not None
    assert world.dollars[-1] == pytest.approx(
        world.poll["transitions"] * TRANSITION + world.invocations * 2e-7 + world.slot_seconds[-1] * 1.666675e-6
    )
    assert world.poll["checks"] == len(world.checks)


@pytest.mark.parametrize("plan", rivals(700.0), ids=lambda plan: plan.name)
def test_every_rival_sees_the_end_after_it_has_come(plan: Any) -> None:
    outcome = plan.outcome(np.array([0.0, 1.0, 61.0, 299.9, 300.1, 700.0]))

    assert np.all(outcome.lag >= CALL - 1e-9)
    assert np.all(np.diff(outcome.dollars) >= 0)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=lambda distribution: distribution.name)
def test_draws_follow_their_distribution(distribution: Any) -> None:
    draws = np.sort(distribution.draws(4000, np.random.default_rng(1)))

    expected = np.arange(1, 4001) / 4000
    assert np.max(np.abs(distribution.cdf(draws) - expected)) < 0.03
    assert distribution.cdf(np.array([distribution.longest()]))[0] > 0.99998
