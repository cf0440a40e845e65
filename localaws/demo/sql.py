"""SQL over stored results as Athena has it: the same objects, the same columns, the same texts, run by DuckDB."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console
from rich.markup import escape
from rich.table import Table

ROOT = Path(__file__).parents[2]
TABLES = ("results", "contributors")  # each under its prefix, its columns as schemas/….row.json says
TYPES = {"number": "DOUBLE", "integer": "BIGINT", "string": "VARCHAR"}
MOST_SHOWN = 40


def saved(name: str) -> str:
    """Return the text of a saved query."""
    return (ROOT / f"sql/{name}.sql").read_text("utf-8")


def download(s3: Any, bucket: str, folder: Path) -> None:
    """Copy the tables' objects: to read them on S3, DuckDB would have to download an extension."""
    for table in TABLES:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{table}/"):
            for stored in page.get("Contents", []):
                path = folder / stored["Key"]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(s3.get_object(Bucket=bucket, Key=stored["Key"])["Body"].read())


def connect(folder: Path) -> duckdb.DuckDBPyConnection:
    """Return a connection with a view for each table over the objects in `folder`."""
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
    for table in TABLES:
        connection.execute(f"CREATE VIEW {table} AS {_selected(folder, table)}")  # of names that this project chose
    return connection


def _selected(folder: Path, table: str) -> str:
    columns = column_types(table)
    if not any(folder.glob(f"{table}/*/*.jsonl.gz")):
        nulls = (f'NULL::{kind} AS "{name}"' for name, kind in {**columns, "date": "VARCHAR"}.items())
        return f"SELECT {', '.join(nulls)} WHERE false"
    files = str(folder / table / "*/*.jsonl.gz").replace("'", "''")
    column_list = ", ".join(f"'{name}': '{kind}'" for name, kind in columns.items())
    return (
        f"SELECT * FROM read_json('{files}', format = 'newline_delimited', "
        f"columns = {{{column_list}}}, hive_partitioning = true, hive_types = {{'date': VARCHAR}})"
    )


def column_types(table: str) -> dict[str, str]:
    """Return DuckDB's types of a table's columns, from the schema of a row."""
    properties = json.loads((ROOT / f"schemas/{table}.row.json").read_text("utf-8"))["properties"]
    json_types = {name: schema["type"] for name, schema in properties.items()}
    return {name: TYPES[kind if isinstance(kind, str) else kind[0]] for name, kind in json_types.items()}


def show(console: Console, cursor: duckdb.DuckDBPyConnection, most: int = MOST_SHOWN) -> None:
    rows = cursor.fetchmany(most + 1)
    table = Table()
    for column in cursor.description or []:
        table.add_column(column[0], overflow="fold")
    for row in rows[:most]:
        table.add_row(*[escape(_text(value)) for value in row])
    console.print(table)
    if len(rows) > most:
        console.print(f"These are the first {most} rows. LIMIT and ORDER BY choose others.")


def _text(value: object) -> str:
    return f"{value:.12g}" if isinstance(value, float) else "" if value is None else str(value)


def answer(
    console: Console,
    connection: duckdb.DuckDBPyConnection,
    text: str,
    parameters: Sequence[str] = (),
    most: int = MOST_SHOWN,
) -> bool:
    """Run a query and show its rows, or its error; tell whether it succeeded."""
    try:
        show(console, connection.execute(text, list(parameters)), most)
    except duckdb.Error as error:
        console.print(f"[red]{escape(str(error))}[/]")
        return False
    return True


def prompt(console: Console, connection: duckdb.DuckDBPyConnection, read: Callable[[str], str] = input) -> None:
    """Answer queries, a line each, until the end of the input."""
    for table in TABLES:
        console.print(f"Table {table}: " + ", ".join([*column_types(table), "date"]))
    while True:
        try:
            text = read("sql> ").strip()
        except EOFError:
            return
        if text:
            answer(console, connection, text)
