"""The benchmark of sweeps, small: it runs, counts what is billed, and judges by its targets."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from benchmarks import sweep_cost, sweep_world
from benchmarks.plans import CALL
from benchmarks.sweep_cost import CHILDREN, EXPRESS, LOOPS, ONE_EXPRESS, OURS, Limited, Row
from benchmarks.sweep_world import Usage
from localaws.scripted_network_flow_monitor import Call
from tests.loopback import ROOT


def usage(transitions: int = 12, seconds: float = 15.75, calls: int = 5) -> Usage:
    made = [Call("GetQueryStatus", "scope", "query", "RUNNING", at=float(at)) for at in range(calls)]
    return Usage(transitions, 5, 0.1, seconds, made, {})


def test_a_small_run_measures_everybody_on_the_same_queries() -> None:
    # In a process of its own: moto's backends are global.
    command = [sys.executable, "-m", "benchmarks.sweep_cost", "--queries", "1", "2", "--seeds", "1", "--json"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    report: dict[str, Any] = json.loads(ran.stdout)
    for count, rows in report["queries"].items():
        assert {OURS, CHILDREN, LOOPS, EXPRESS, ONE_EXPRESS} == rows.keys()
        assert rows[EXPRESS]["transitions"] == 1 + int(count)
        assert rows[EXPRESS]["calls"] == rows[LOOPS]["calls"] == rows[LOOPS]["requests"]
        assert rows[CHILDREN]["requests"] == 3 * int(count)
        assert rows[OURS]["transitions"] < rows[LOOPS]["transitions"]
        assert all(row["dollars"] > 0 and row["seconds"] > 5 for row in rows.values())
    one, two = (report["queries"][count][LOOPS]["transitions"] for count in ("1", "2"))
    # Beside the Map: a start, results, and rounds of three.
    assert (one - 3) % 3 == (two - 5) % 3 == 0


def test_a_map_is_counted_once_and_its_children_with_the_step_that_starts_each() -> None:
    rows = sweep_cost.rivals([usage(12), usage(15)], [usage(6), usage(6)])

    assert rows[LOOPS].transitions == 1 + 11 + 14
    assert rows[CHILDREN].transitions == 1 + 2 * (1 + 6)
    assert rows[EXPRESS].transitions == 1 + 2
    assert rows[EXPRESS].express == pytest.approx(2 * (1e-6 + 15.8 * 0.00001667 / 16))
    assert rows[ONE_EXPRESS].express == pytest.approx(1e-6 + 15.8 * 0.00001667 / 16)
    assert rows[LOOPS].dollars == pytest.approx(26 * 2.5e-5 + 10 * 2e-7 + 0.2 * 0.0000133334)


def test_a_retry_is_a_transition() -> None:
    names = ["PassStateEntered", "TaskStateEntered", "TaskScheduled", "TaskFailed", "TaskScheduled", "TaskSucceeded"]

    assert sweep_world.transitions([{"type": name} for name in names]) == 3


def test_branches_beyond_the_most_at_once_wait_for_one_to_end() -> None:
    assert sweep_cost.side_by_side([4, 2, 3], branches=2) == 5
    assert sweep_cost.side_by_side([4, 2, 3]) == 4


def test_a_sweep_has_some_queries_of_a_window_or_whole_windows() -> None:
    some, whole = sweep_world.sweep(2), sweep_world.sweep(66)

    assert (some["selections"], some["windows"]) == (sweep_world.PAIRS[:2], [sweep_world.window(0)])
    assert (whole["selections"], whole["windows"]) == (sweep_world.PAIRS, [*map(sweep_world.window, (0, 1))])
    with pytest.raises(ValueError, match="40 queries"):
        sweep_world.sweep(40)


def test_every_window_has_the_same_durations_in_an_order_of_its_own() -> None:
    drawn = sweep_cost.durations(66, 0)

    first, second = drawn[:33], drawn[33:]
    assert sorted(first) == sorted(second) == sweep_cost.DURATIONS
    assert first != second
    assert sweep_cost.durations(33, 0) == first != sweep_cost.durations(33, 1)
    assert sweep_cost.DURATIONS[16] == pytest.approx(20)


def test_the_rate_under_a_limit_counts_accepted_requests_from_the_first_to_the_last() -> None:
    calls = [Call("GetQueryStatus", "scope", "query", "RUNNING", at=at) for at in (0.0, 0.2, 0.4, 1 - CALL)]
    refused = Call("GetQueryStatus", "scope", "query", "ThrottlingException", at=0.5)
    ran = Usage(9, 3, 0.1, 1.0, [*calls, refused], {"counts": {"SUCCEEDED": 2, "QueryFailed": 1}})

    limited = sweep_cost.limited(ran, 3)

    assert (limited.failed, limited.accepted, limited.throttled) == (1, 4, 1)
    assert limited.of_limit == pytest.approx(4 / 5)


def test_sweeps_that_start_within_the_flexible_window_spread_what_those_at_one_instant_heap() -> None:
    profile = [n / 5 for n in range(200)]  # 40 seconds at 5 requests a second

    spread, heaped = (sweep_cost.herd([profile], 200, flexible) for flexible in (300.0, 0.0))

    assert 1 < spread < 2
    assert heaped == pytest.approx(300 / 40)


def test_targets_are_judged_and_printed(capsys: pytest.CaptureFixture[str]) -> None:
    def row(transitions: float, express: float = 0.0) -> Row:
        return Row(transitions, 10, 200, 1.0, 40, express)

    limits = {33: [Limited(0, 200, 10, 42, 0.95)], 132: [Limited(0, 900, 9, 200, 0.86), Limited(1, 800, 9, 200, 0.8)]}
    ours = {(OURS, count): row(transitions) for count, transitions in ((1, 6), (33, 10), (66, 14), (99, 18), (132, 22))}
    rows = {**ours, (LOOPS, 33): row(500), (CHILDREN, 33): row(300), (EXPRESS, 33): row(34, 0.001)}

    report = sweep_cost.Report(1, rows, limits, {"flexible": 1.2}, sweep_cost.targets(rows, limits, 1.2))
    sweep_cost.print_report(report)

    assert [target.met for target in report.targets] == [True] * 4 + [True, True, False, False, True]
    table = capsys.readouterr().out
    assert all(name in table for name in (OURS, LOOPS, "95% of the limit", "at worst 80%", "pass", "FAIL"))
    assert json.loads(json.dumps(report.to_json()))["targets"][-1]["met"] is True


def test_steps_of_added_cost_are_measured_by_how_far_they_are_off_their_mean() -> None:
    def row(transitions: float) -> Row:
        return Row(transitions, 0, 0, 0, 0)

    ours = {(OURS, count): row(transitions) for count, transitions in ((33, 10), (66, 20), (99, 30), (132, 46))}
    rows = {**ours, (LOOPS, 33): row(500), (EXPRESS, 33): row(34)}

    [target] = [target for target in sweep_cost.targets(rows, {}, 1) if "added" in target.name]

    assert target.measured == pytest.approx(4 / 12)
    assert not target.met
