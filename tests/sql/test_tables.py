"""Writer, schema, Glue table and DuckDB have the same columns, and what is written is read back."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from samtranslator.yaml_helper import yaml_parse

from localaws.demo import sql
from tests.loopback import ROOT, Stack, event
from tests.sql.folder import rows, store

RESOURCES = yaml_parse((ROOT / "template.yaml").read_text("utf-8"))["Resources"]
TABLES = {name: RESOURCES[f"{name.title()}Table"]["Properties"]["TableInput"] for name in ("results", "contributors")}
SCHEMAS = {name: json.loads((ROOT / f"schemas/{name}.row.json").read_text("utf-8")) for name in TABLES}
GLUE_TYPES = {"DOUBLE": "double", "BIGINT": "bigint", "VARCHAR": "string"}
GLUE_OF = {"number": "double", "integer": "bigint", "string": "string"}
HOSTILE = 'a"b\\c\nd\te,f\'g;--<script>\u2028 é 😀 \x7f {"label":"x"}'


@pytest.mark.parametrize("name", TABLES)
def test_the_columns_are_those_of_the_schema_in_glue_and_in_duckdb(stack: Stack, tmp_path: Path, name: str) -> None:
    empty = rows(tmp_path, f"DESCRIBE {name}")
    finding(stack, tmp_path)

    described = rows(tmp_path, f"DESCRIBE {name}")

    expected = [(column.lower(), GLUE_OF[kind(definition)]) for column, definition in columns(name).items()]
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


def kind(definition: dict[str, Any]) -> str:
    kinds = definition["type"]
    return str(kinds if isinstance(kinds, str) else kinds[0])


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


def test_labels_and_numbers_come_back_as_they_were(tmp_path: Path) -> None:
    values = [0.1, 1e-300, 1.7976931348623157e308, 5e-324, -0.0, 123456789.123456789]
    at = "2026-11-24T08:00:00Z"
    store(tmp_path, at, "2026-11-24T09:00:00Z", (HOSTILE, [(at, value) for value in values]))

    found = rows(tmp_path, 'SELECT label, value, "timestamp" FROM results')

    assert [(label, repr(value)) for label, value, _ in found] == [(HOSTILE, repr(value)) for value in values]
    assert {row[2] for row in found} == {at}
