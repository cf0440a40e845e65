"""The benchmark of results, small: it runs, and every contestant stores every row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import results_throughput
from benchmarks.results_contestants import CONTESTANTS
from benchmarks.results_service import PAGE_ROWS, page


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux, whose /proc tells a process's peak")
def test_a_small_run_measures_everybody_and_every_layout(capsys: pytest.CaptureFixture[str]) -> None:
    results_throughput.main(["--rows", "500", "1000", "--rounds", "1", "--days", "1", "--json"])

    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert report["contestants"].keys() == CONTESTANTS.keys()
    for by_rows in report["contestants"].values():
        assert all(measured["cpuSeconds"] > 0 and measured["stored"] > 0 for measured in by_rows.values())
    assert [layout["objects"] for layout in report["queries"].values()] == [96, 1, 1]
    assert len(report["targets"]) == 4
    text = results_throughput.as_text(report)
    assert all(name in text for name in (*CONTESTANTS, "top_contributors", "Parquet by day", "at most 0.20"))


@pytest.mark.parametrize(("memory", "flat"), [(1.1e6, True), (1.11e6, False)])
def test_memory_is_flat_where_it_grows_by_a_tenth_at_most_above_idle(memory: float, flat: bool) -> None:
    ours = {20_000: {"memory": 1e6, "peak": 6e7, "stored": 1.0, "cpuSeconds": 1.0}}
    ours[200_000] = {**ours[20_000], "memory": memory}
    loop = {rows: {"memory": 1e8, "peak": 2e8, "stored": 9.0, "cpuSeconds": 9.0} for rows in ours}

    targets = results_throughput.targets({results_throughput.OURS: ours, results_throughput.LOOP: loop})

    assert [target["met"] for target in targets] == [True, flat, True, True]


def test_every_layout_holds_the_same_rows(tmp_path: Path) -> None:
    windows = results_throughput.store_windows(tmp_path / "windows", 1)
    layouts = [
        windows,
        results_throughput.join_days(windows, tmp_path / "days"),
        results_throughput.to_parquet(windows, tmp_path / "parquet"),
    ]

    rows = 96 * results_throughput.SERIES * results_throughput.POINTS
    sums = {
        results_throughput.connect(at).execute("SELECT count(*), max(value) FROM results").fetchone() for at in layouts
    }
    [(counted, _)] = [row for row in sums if row]
    assert (counted, len(sums)) == (rows, 1)
    assert (windows / "results").is_dir()


def test_the_pages_of_the_service_have_the_rows_that_are_asked_for() -> None:
    held, number = 0, 0
    while True:
        reply = json.loads(page(number, 1_200))
        held += sum(len(series["values"]) for series in reply["datapoints"])
        if "nextToken" not in reply:
            break
        number += 1

    assert (held, number) == (1_200, 1_200 // PAGE_ROWS)
