"""The schemas of this version, and a value held against one of them and against every released version."""

from __future__ import annotations

import json
import re
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource

from tests.contract.released import check_released
from tests.loopback import ROOT, Run

SCHEMAS = {path.stem: json.loads(path.read_text("utf-8")) for path in (ROOT / "schemas").glob("*.json")}


def closed(schema: Any) -> Any:
    """Return the schema of an output without room for fields that it does not describe."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    parts = {name: closed(part) for name, part in schema.items()}
    return {"additionalProperties": False, **parts} if isinstance(schema.get("properties"), dict) else parts


def registry(schemas: dict[str, Any]) -> Registry[Any]:
    resources = {name: Resource.from_contents(schema) for name, schema in schemas.items()}
    by_id = [(schemas[name]["$id"], resource) for name, resource in resources.items()]
    return Registry().with_resources(by_id + [(f"{name}.json", resource) for name, resource in resources.items()])


CLOSED = {name: schema if name.endswith(".input") else closed(schema) for name, schema in SCHEMAS.items()}
VALIDATORS = {
    name: Draft202012Validator(schema, registry=registry(schemas), format_checker=FormatChecker())
    for name in SCHEMAS
    for schemas in (SCHEMAS if name.endswith(".input") else CLOSED,)
    for schema in (schemas[name],)
}


def check(value: Any, name: str) -> None:
    """Hold a value against a schema; an output may have no field that its schema does not describe."""
    VALIDATORS[name].validate(value)
    check_released(value, name)


# Of states that share another one's function.
FUNCTIONS = {"ReportFinding": "raise_alarm", "CheckBackfill": "plan_backfill"}


def check_attempts(run: Run) -> None:
    """Hold what a state machine has given to its functions, and what they answered, against the functions' schemas."""
    for attempt in run.attempts:
        name = FUNCTIONS.get(attempt.state) or re.sub(r"(?<!^)(?=[A-Z])", "_", attempt.state).lower()
        if attempt.error != "InvalidInput":
            check(attempt.payload, f"{name}.input")
        if attempt.error is None:
            check(attempt.answer, f"{'run_query' if name == 'get_query_results' else name}.output")
