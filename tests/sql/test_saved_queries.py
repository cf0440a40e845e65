"""Writer, schema, Glue table and DuckDB have the same columns, and the saved queries answer what they say."""

from __future__ import annotations

import gzip
import io
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from rich.console import Console
from samtranslator.yaml_helper import yaml_parse

from flowquery.core.model import Query, QueryRequest, Selection, Window
from flowquery.results.objects import query_key
from flowquery.results.request import ResultsRequest
from flowquery.results.spool import Spool
from localaws.__main__ import main
from localaws.demo import sql
from tests.loopback import QUERY_ID, ROOT, SCOPE_ID, Stack, event

RESOURCES = yaml_parse((ROOT / "template.yaml").read_text("utf-8"))["Resources"]
TABLES = {name: RESOURCES[f"{name.title()}Table"]["Properties"]["TableInput"] for name in ("results", "contributors")}
SCHEMAS = {name: json.loads((ROOT / f"schemas/{name}.row.json").read_text("utf-8")) for name in TABLES}
GLUE_TYPES = {"DOUBLE": "double", "BIGINT": "bigint", "VARCHAR": "string"}
GLUE_OF = {"number": "double", "integer": "bigint", "string": "string"}
HOSTILE = 'a"b\\c\nd\te,f\'g;--<script>\u2028 é 😀 \x7f {"label":"x"}'


def store(folder: Path, start: str, end: str, *series: tuple[str, list[tuple[str, float]]]) -> str:
    """Store series as the handler does, in one page, and return the key."""
    window = Window(datetime.fromisoformat(start), datetime.fromisoformat(end))
    query_request = QueryRequest(Selection("RETRANSMISSIONS", "INTER_AZ"), window)
    request = ResultsRequest(Query(SCOPE_ID, QUERY_ID), query_request)
    points = [
        {"label": label, "timestamps": [datetime.fromisoformat(at) for at, _ in has], "values": [v for _, v in has]}
        for label, has in series
    ]
    body = io.BytesIO()
    spool = Spool(body, lambda: 900)
    summary = spool.add(request, [{"unit": "Count", "datapoints": points}])
    spool.finish()
    key = query_key(request, summary)
    path = folder / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body.getvalue())
    return key


def rows(folder: Path, text: str, *parameters: str) -> list[tuple[Any, ...]]:
    return sql.connect(folder).execute(text, list(parameters)).fetchall()


@pytest.mark.parametrize("name", TABLES)
def test_the_columns_are_those_of_the_schema_in_glue_and_in_duckdb(stack: Stack, tmp_path: Path, name: str) -> None:
    empty = rows(tmp_path, f"DESCRIBE {name}")
    finding(stack, tmp_path)

    described = rows(tmp_path, f"DESCRIBE {name}")

    expected = [(column.lower(), GLUE_OF[kind(part)]) for column, part in columns(name).items()]
    partition = [("date", "string")]
    in_glue = [(column["Name"], column["Type"]) for column in TABLES[name]["StorageDescriptor"]["Columns"]]
    assert in_glue == expected
    assert [(column["Name"], column["Type"]) for column in TABLES[name]["PartitionKeys"]] == partition
    assert [(column.lower(), GLUE_TYPES[of]) for column, of, *_ in described] == expected + partition
    assert [row[:2] for row in described] == [row[:2] for row in empty]


def finding(stack: Stack, folder: Path) -> dict[str, Any]:
    """Run a query with a finding, copy what it stored, and return its output."""
    output = stack.run({**event("run_query"), "alarmAbove": 1}).output
    sql.download(stack.aws.client("s3"), output["results"]["bucket"], folder)
    return output


def columns(name: str) -> dict[str, Any]:
    properties: dict[str, Any] = SCHEMAS[name]["properties"]
    return properties


def kind(part: dict[str, Any]) -> str:
    return str(part["type"] if isinstance(part["type"], str) else part["type"][0])


@pytest.mark.parametrize("name", TABLES)
def test_the_columns_are_those_that_are_written(stack: Stack, tmp_path: Path, name: str) -> None:
    output = finding(stack, tmp_path)

    [path] = (tmp_path / name).glob("*/*")
    written = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    assert {tuple(row) for row in written} == {tuple(columns(name))}
    for row in written:
        Draft202012Validator(SCHEMAS[name], format_checker=FormatChecker()).validate(row)
    found = rows(tmp_path, f"SELECT * FROM {name}")
    stored = output["results"] if name == "results" else output["ranking"]["results"]
    assert len(found) == stored["rows"]
    assert found == [(*row.values(), "2026-11-24") for row in written]


@pytest.mark.parametrize("name", TABLES)
def test_the_table_lies_where_the_rows_are_stored(stack: Stack, tmp_path: Path, name: str) -> None:
    output = finding(stack, tmp_path)

    stored = output["results"] if name == "results" else output["ranking"]["results"]
    template = TABLES[name]["Parameters"]["storage.location.template"]["Fn::Sub"]
    location = template.replace("${!date}", "2026-11-24").removeprefix("s3://${ResultsBucket}/")
    assert stored["key"].startswith(f"{location}/")
    assert TABLES[name]["StorageDescriptor"]["Location"]["Fn::Sub"] == f"s3://${{ResultsBucket}}/{name}/"


def test_saved_queries_are_the_files() -> None:
    queries = [r["Properties"]["QueryString"] for r in RESOURCES.values() if r["Type"] == "AWS::Athena::NamedQuery"]

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


def test_labels_and_numbers_come_back_as_they_were(tmp_path: Path) -> None:
    values = [0.1, 1e-300, 1.7976931348623157e308, 5e-324, -0.0, 123456789.123456789]
    at = "2026-11-24T08:00:00Z"
    store(tmp_path, at, "2026-11-24T09:00:00Z", (HOSTILE, [(at, value) for value in values]))

    found = rows(tmp_path, 'SELECT label, value, "timestamp" FROM results')

    assert [(label, repr(value)) for label, value, _ in found] == [(HOSTILE, repr(value)) for value in values]
    assert {row[2] for row in found} == {at}


def test_a_prompt_answers_line_by_line_and_goes_on_after_a_mistake(tmp_path: Path) -> None:
    store(tmp_path, "2026-11-24T08:00:00Z", "2026-11-24T09:00:00Z", ("a[b]", [("2026-11-24T08:00:00Z", 1.5)]))
    lines = iter(["SELEKT", "", "SELECT label, value FROM results"])

    def read(_: str) -> str:
        try:
            return next(lines)
        except StopIteration as end:
            raise EOFError from end

    said = io.StringIO()
    sql.prompt(Console(file=said, width=100), sql.connect(tmp_path), read)

    assert "syntax error" in said.getvalue()
    assert "a[b]" in said.getvalue()
    assert "1.5" in said.getvalue()


def test_the_command_says_what_it_lacks_and_fails_on_a_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sql", "--folder", str(tmp_path), "SELECT 1"]) == 2
    assert "make run" in capsys.readouterr().err

    store(tmp_path, "2026-11-24T08:00:00Z", "2026-11-24T09:00:00Z")
    assert main(["sql", "--folder", str(tmp_path), "SELECT count(*) AS rows FROM results"]) == 0
    assert main(["sql", "--folder", str(tmp_path), "SELEKT"]) == 1
