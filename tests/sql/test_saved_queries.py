"""The saved queries are those of the template, and answer what they say."""

from __future__ import annotations

from pathlib import Path

import pytest
from samtranslator.yaml_helper import yaml_parse

from localaws.demo import sql
from tests.loopback import ROOT
from tests.sql.folder import rows, store

RESOURCES = yaml_parse((ROOT / "template.yaml").read_text("utf-8"))["Resources"]


def test_saved_queries_are_the_files() -> None:
    named = [each["Properties"] for each in RESOURCES.values() if each["Type"] == "AWS::Athena::NamedQuery"]
    queries = [properties["QueryString"] for properties in named]

    assert sorted(queries) == sorted(path.read_text("utf-8") for path in (ROOT / "sql").glob("*.sql"))


@pytest.mark.parametrize("path", sorted((ROOT / "sql").glob("*.sql")), ids=lambda path: path.stem)
def test_saved_queries_use_what_athena_and_duckdb_both_know(path: Path) -> None:
    text = path.read_text("utf-8")

    assert '"date"' in text  # without a condition on the partition Athena reads all days
    assert text.startswith("--")
    assert not any(word in text.lower() for word in ("::", "qualify", "group by all", " ilike ", "strptime", "now("))


def test_top_contributors_counts_points_of_the_window_once(tmp_path: Path) -> None:
    first = [("2026-11-24T08:00:00Z", 10.0), ("2026-11-24T08:05:00Z", 20.0)]
    store(tmp_path, "2026-11-24T08:00:00Z", "2026-11-24T08:10:00Z", ("big", first), ("small", first[:1]))
    store(tmp_path, "2026-11-24T08:05:00Z", "2026-11-24T08:20:00Z", ("big", [first[1], ("2026-11-24T08:15:00Z", 5.0)]))
    window = ("2026-11-24T08:00:00Z", "2026-11-24T08:15:00Z")

    found = rows(tmp_path, sql.saved("top_contributors"), "2026-11-24", "2026-11-24", *window)

    assert [row[3:] for row in found] == [("big", 30.0, 20.0, 2), ("small", 10.0, 10.0, 1)]


def test_week_over_week_compares_the_sums_of_both_weeks(tmp_path: Path) -> None:
    for day, grows, shrinks in (("2026-11-10", 1.0, 5.0), ("2026-11-17", 4.0, 2.0), ("2026-11-24", 99.0, 99.0)):
        at = f"{day}T08:00:00Z"
        store(tmp_path, at, f"{day}T09:00:00Z", ("grows", [(at, grows)]), ("shrinks", [(at, shrinks)]))

    found = rows(tmp_path, sql.saved("week_over_week"), "2026-11-17", "2026-11-10", "2026-11-24")

    assert [row[3:] for row in found] == [("grows", 4.0, 1.0, 3.0), ("shrinks", 2.0, 5.0, -3.0)]


def test_first_appearance_puts_the_latest_label_first(tmp_path: Path) -> None:
    for day, labels in (("2026-11-22", ["old"]), ("2026-11-23", ["old", "new"]), ("2026-11-01", ["before"])):
        at = f"{day}T08:00:00Z"
        store(tmp_path, at, f"{day}T09:00:00Z", *[(label, [(at, 1.0)]) for label in labels])

    found = rows(tmp_path, sql.saved("first_appearance"), "2026-11-20")

    assert [(row[2], row[3][:10], row[4][:10]) for row in found] == [
        ("new", "2026-11-23", "2026-11-23"),
        ("old", "2026-11-22", "2026-11-23"),
    ]
