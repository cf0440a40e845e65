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

ROOT = Path(__file__).parent.parent
SCHEMA = ROOT / "schemas/results.row.json"
PREFIX = "results/"
MOST_SHOWN = 40


def saved(name: str) -> str:
    """Return the text of a saved query."""
    return (ROOT / f"sql/{name}.sql").read_text("utf-8")


def download(s3: Any, bucket: str, folder: Path) -> None:
    """Copy the table's objects: DuckDB would need an extension, and so a download, to read them in their place."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=PREFIX):
        for stored in page.get("Contents", []):
            path = folder / stored["Key"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(s3.get_object(Bucket=bucket, Key=stored["Key"])["Body"].read())


def connect(folder: Path) -> duckdb.DuckDBPyConnection:
    """Return a connection whose view `results` is the table over the objects in `folder`."""
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
    files = str(folder / PREFIX / "*/*.jsonl.gz").replace("'", "''")
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in column_types().items())
    connection.execute(  # of names that this project chose
        f"CREATE VIEW results AS SELECT * FROM read_json('{files}', format = 'newline_delimited', "
        f"columns = {{{columns}}}, hive_partitioning = true, hive_types = {{'date': VARCHAR}})"
    )
    return connection


def column_types() -> dict[str, str]:
    """Return DuckDB's types of the columns, from the schema of a row."""
    properties = json.loads(SCHEMA.read_text("utf-8"))["properties"]
    return {name: "DOUBLE" if part["type"] == "number" else "VARCHAR" for name, part in properties.items()}


def show(console: Console, cursor: duckdb.DuckDBPyConnection) -> None:
    rows = cursor.fetchmany(MOST_SHOWN + 1)
    table = Table()
    for column in cursor.description or []:
        table.add_column(column[0], overflow="fold")
    for row in rows[:MOST_SHOWN]:
        table.add_row(*[escape(_text(value)) for value in row])
    console.print(table)
    if len(rows) > MOST_SHOWN:
        console.print(f"The first {MOST_SHOWN} rows; LIMIT and ORDER BY choose others.")


def _text(value: object) -> str:
    return f"{value:.12g}" if isinstance(value, float) else "" if value is None else str(value)


def answer(console: Console, connection: duckdb.DuckDBPyConnection, text: str, parameters: Sequence[str] = ()) -> bool:
    """Run a query and show its rows, or what is wrong with it; tell which."""
    try:
        show(console, connection.execute(text, list(parameters)))
    except duckdb.Error as error:
        console.print(f"[red]{escape(str(error))}[/]")
        return False
    return True


def prompt(console: Console, connection: duckdb.DuckDBPyConnection, read: Callable[[str], str] = input) -> None:
    """Answer queries, a line each, until the end of the input."""
    console.print("The table is results; its columns: " + ", ".join([*column_types(), "date"]))
    while True:
        try:
            text = read("sql> ").strip()
        except EOFError:
            return
        if text:
            answer(console, connection, text)
