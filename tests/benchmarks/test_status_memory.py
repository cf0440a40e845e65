"""The memory of the status step, by the arithmetic that the benchmark prints."""

from __future__ import annotations

from samtranslator.yaml_helper import yaml_parse

from benchmarks.cold_start import MEMORY_SIZES, memory_table
from tests.loopback import ROOT, event

START_SECONDS, CHECK_SECONDS = 0.2, 0.0012


def test_the_default_is_the_least_for_queries_of_5_seconds_and_more() -> None:
    default = yaml_parse((ROOT / "template.yaml").read_text("utf-8"))["Parameters"]["StatusMemorySize"]["Default"]

    assert [least(seconds) for seconds in (5, 20, 90)] == [default] * 3


def test_a_query_that_ends_before_a_small_function_has_started_pays_for_more() -> None:
    assert least(2) > MEMORY_SIZES[0]


def test_power_tuning_tries_the_sizes_of_the_arithmetic() -> None:
    assert event("power_tuning/get_query_status")["powerValues"] == list(MEMORY_SIZES)


def least(query_seconds: int) -> float:
    rows = memory_table(START_SECONDS, CHECK_SECONDS)
    return min(rows, key=lambda row: row[f"dollarsAt{query_seconds}s"])["memoryMb"]
