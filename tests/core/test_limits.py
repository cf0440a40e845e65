"""Every bound is stated once, and parsers, schemas and the template's parameters say the same."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse

from flowquery.aws.network_flow_monitor import allowed_values
from flowquery.aws.session import service_model
from flowquery.core import limits
from flowquery.core.errors import InvalidInput
from flowquery.core.limits import Bounds
from flowquery.core.model import Family
from flowquery.query.request import QueryDefaults, QueryInput
from flowquery.query.status_step import StatusRequest
from flowquery.sweep.backfill import Backfill
from flowquery.sweep.plan import SweepDefaults, plan_sweep
from flowquery.sweep.ranking import RankingRequest
from flowquery.sweep.schedule import ScheduledExecution
from tests.loopback import QUERY_ID, ROOT, SCOPE_ID, SELECTION, event

SCHEMAS = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted((ROOT / "schemas").glob("*.json"))}
PARAMETERS = yaml_parse((ROOT / "template.yaml").read_text("utf-8"))["Parameters"]
BOUNDS_BY_FIELD = {
    "holdSeconds": limits.HOLD_SECONDS,
    "timeoutSeconds": limits.TIMEOUT_SECONDS,
    "limit": limits.RANKING_LIMIT,
    "rankedPeaks": limits.RANKED_PEAKS,
    "requestsPerSecond": limits.REQUESTS_PER_SECOND,
    "windowMinutes": limits.WINDOW_MINUTES,
    "delayMinutes": limits.DELAY_MINUTES,
    "maxConcurrency": limits.MAX_CONCURRENCY,
    "toleratedFailurePercentage": limits.TOLERATED_FAILURE_PERCENTAGE,
}
BOUNDS_BY_PARAMETER = {
    "HoldSeconds": limits.HOLD_SECONDS,
    "TimeoutSeconds": limits.TIMEOUT_SECONDS,
    "RankingLimit": limits.RANKING_LIMIT,
    "RankedPeaks": limits.RANKED_PEAKS,
    "RequestsPerSecond": limits.REQUESTS_PER_SECOND,
    "ScheduleWindowMinutes": limits.WINDOW_MINUTES,
    "ScheduleDelayMinutes": limits.DELAY_MINUTES,
    "SweepWindowMinutes": limits.WINDOW_MINUTES,
    "SweepDelayMinutes": limits.DELAY_MINUTES,
}
WINDOW = {"startTime": SELECTION["startTime"], "endTime": SELECTION["endTime"]}
RUN_QUERY = {"scopeId": SCOPE_ID, **SELECTION}
SWEEP = {"scopeId": SCOPE_ID, **WINDOW}
BACKFILL = {"scopeId": SCOPE_ID, "from": "2026-11-01T00:00:00Z", "to": "2026-11-02T00:00:00Z"}
FINDING = {**RUN_QUERY, "finding": True, "alarmAbove": 1, "results": {"peak": {"value": 5}}}


def parse_run_query(fields: Mapping[str, object]) -> object:
    return QueryInput.parse({**RUN_QUERY, **fields}, allowed_values, QueryDefaults())


def parse_status_step(fields: Mapping[str, object]) -> object:
    return StatusRequest.parse({"scopeId": SCOPE_ID, "queryId": QUERY_ID, **fields})


def parse_sweep(fields: Mapping[str, object]) -> object:
    return plan_sweep({**SWEEP, **fields}, allowed_values(), SweepDefaults())


def parse_backfill(fields: Mapping[str, object]) -> object:
    return Backfill.parse({**BACKFILL, **fields}, allowed_values(), SweepDefaults())


def parse_ranking(fields: Mapping[str, object]) -> object:
    return RankingRequest.parse({"output": FINDING, **fields})


def parse_schedule(fields: Mapping[str, object]) -> object:
    return ScheduledExecution.parse({**event("start_execution"), **fields}, allowed_values)


def parse_sweep_schedule(fields: Mapping[str, object]) -> object:
    return ScheduledExecution.parse({**event("start_execution_sweep"), **fields}, allowed_values)


PARSERS: dict[Callable[[Mapping[str, object]], object], tuple[str, ...]] = {
    parse_run_query: ("holdSeconds", "timeoutSeconds", "limit"),
    parse_status_step: ("holdSeconds", "timeoutSeconds"),
    parse_sweep: ("timeoutSeconds", "requestsPerSecond", "limit", "rankedPeaks"),
    parse_backfill: (
        "windowMinutes",
        "maxConcurrency",
        "toleratedFailurePercentage",
        "timeoutSeconds",
        "requestsPerSecond",
        "limit",
        "rankedPeaks",
    ),
    parse_ranking: ("timeoutSeconds", "requestsPerSecond", "limit", "rankedPeaks"),
    parse_schedule: ("windowMinutes", "delayMinutes", "holdSeconds", "timeoutSeconds", "limit"),
    parse_sweep_schedule: (
        "windowMinutes",
        "delayMinutes",
        "timeoutSeconds",
        "requestsPerSecond",
        "limit",
        "rankedPeaks",
    ),
}


@pytest.mark.parametrize(
    ("parse", "field"),
    [(parse, field) for parse, fields in PARSERS.items() for field in fields],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_parser_accepts_the_bounds_and_refuses_what_is_beyond_them(
    parse: Callable[[Mapping[str, object]], object], field: str
) -> None:
    bounds = BOUNDS_BY_FIELD[field]

    parse({field: bounds.least})
    # With 100 sweeps at once, each has to get the least rate.
    parse({field: bounds.most, **({"requestsPerSecond": 100} if field == "maxConcurrency" else {})})
    for beyond in (bounds.least - 1, bounds.most + 1):
        with pytest.raises(InvalidInput, match=rf"^{field}: expected a .*{bounds.least:g} to {bounds.most:g}, got"):
            parse({field: beyond})


def schema_nodes(value: object, name: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each object in a schema with the name that it stands under."""
    if isinstance(value, dict):
        yield name, value
        for key, member in value.items():
            yield from schema_nodes(member, key)
    elif isinstance(value, list):
        for member in value:
            yield from schema_nodes(member, name)


def stated(name: str, *keywords: str) -> list[tuple[object, ...]]:
    """Return what each schema says of a field by these keywords, where it says all of them."""
    return [
        tuple(node[keyword] for keyword in keywords)
        for schema in SCHEMAS.values()
        for field, node in schema_nodes(schema)
        if field == name and all(keyword in node for keyword in keywords)
    ]


@pytest.mark.parametrize("field", BOUNDS_BY_FIELD)
def test_the_schemas_say_the_bounds_of_a_field(field: str) -> None:
    bounds = BOUNDS_BY_FIELD[field]

    both = stated(field, "minimum", "maximum")

    assert both
    assert set(both) == {(bounds.least, bounds.most)}
    assert {least for (least,) in stated(field, "minimum")} == {bounds.least}


def test_the_schemas_say_how_long_a_list_may_be() -> None:
    for name in ("selections", "windows", "queries"):
        longest = {most for (most,) in stated(name, "maxItems")}
        assert longest == {limits.SWEEP_QUERIES}, name
    assert set(stated("observed", "maxProperties")) == {(limits.POLL_STATUSES,)}


def test_the_schemas_say_how_long_a_name_may_be() -> None:
    assert stated("id", "pattern") == [(f"^[A-Za-z0-9][A-Za-z0-9_-]{{0,{limits.ID_LENGTH - 1}}}$",)]
    assert (limits.STATUS_LENGTH,) in stated("status", "maxLength")
    assert PARAMETERS["ScopeId"]["AllowedPattern"] == stated("id", "pattern")[0][0]


@pytest.mark.parametrize("name", BOUNDS_BY_PARAMETER)
def test_a_parameter_of_the_template_has_the_bounds_and_the_default(name: str) -> None:
    parameter, bounds = PARAMETERS[name], BOUNDS_BY_PARAMETER[name]

    assert float(parameter["Default"]) == bounds.default
    assert accepts(parameter, bounds.least)
    assert accepts(parameter, bounds.most)
    assert not accepts(parameter, bounds.least - 1)
    assert not accepts(parameter, bounds.most + 1)


def accepts(parameter: Mapping[str, Any], number: float) -> bool:
    """Tell whether CloudFormation takes the number: by bounds, or by a pattern where it has to be a whole one."""
    if parameter["Type"] == "Number":
        return bool(parameter["MinValue"] <= number <= parameter["MaxValue"])
    return re.fullmatch(parameter["AllowedPattern"], f"{number:g}") is not None


@pytest.mark.parametrize(
    ("bounds", "name"),
    [(bounds, name) for name, bounds in vars(limits).items() if isinstance(bounds, Bounds)],
)
def test_a_default_is_within_its_bounds(bounds: Bounds, name: str) -> None:
    assert bounds.least <= bounds.default <= bounds.most


def test_the_limit_of_a_ranking_is_that_of_the_service_model() -> None:
    request = service_model("networkflowmonitor").operation_model(f"StartQuery{Family.RANKING}").input_shape
    assert request is not None

    shape = request.members["limit"].metadata

    assert (shape["min"], shape["max"]) == (limits.RANKING_LIMIT.least, limits.RANKING_LIMIT.most)


def test_defaults_without_a_stack_are_those_of_the_template() -> None:
    environment = {name: str(PARAMETERS[parameter]["Default"]) for name, parameter in ENVIRONMENT.items()}

    assert QueryDefaults.from_environment(environment) == QueryDefaults()
    assert SweepDefaults.from_environment(environment) == SweepDefaults()


ENVIRONMENT = {
    "HOLD_SECONDS": "HoldSeconds",
    "TIMEOUT_SECONDS": "TimeoutSeconds",
    "REQUESTS_PER_SECOND": "RequestsPerSecond",
    "RANKED_PEAKS": "RankedPeaks",
    "RANKING_LIMIT": "RankingLimit",
}
