"""Callers of a released version are callers of this one: later versions only add, and errors keep their names."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from jsonschema.exceptions import ValidationError

from tests.contract.released import VERSIONS, breaks, check_released, read_schemas
from tests.loopback import ROOT, event

NOW = read_schemas(ROOT / "schemas")
NAMES = [(version, name) for version, schemas in VERSIONS.items() for name in schemas if name != "common"]
ONE = VERSIONS["1"]


@pytest.mark.parametrize(("version", "name"), NAMES)
def test_a_released_contract_holds(version: str, name: str) -> None:
    assert breaks(name, VERSIONS[version], NOW) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_a_release_has_the_workflows_the_status_step_and_the_errors(version: str) -> None:
    workflows = [path.name.partition(".")[0] for path in (ROOT / "statemachines").glob("*.asl.yaml")]

    both = {f"{name}.{kind}" for name in (*workflows, "get_query_status") for kind in ("input", "output")}
    assert set(VERSIONS[version]) == {*both, "common", "errors"}


def changed(name: str, change: Callable[[Any], Any]) -> list[str]:
    """Return what breaks once `change` was done to a schema of this version."""
    new = copy.deepcopy(ONE)
    change(new[name])
    return [broken for stem in ONE if stem != "common" for broken in breaks(stem, ONE, new)]


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("sweep_scope.output", lambda s: s["properties"].pop("counts"), "it.counts is gone"),
        ("sweep_scope.output", lambda s: s["required"].remove("empty"), "it.empty is not always there"),
        ("sweep_scope.output", lambda s: s["properties"]["empty"].update(type="string"), "empty: string is not taken"),
        (
            "sweep_scope.output",
            lambda s: s["properties"]["status"]["enum"].append("HALF"),
            "status: 'HALF' is not taken",
        ),
        (
            "sweep_scope.output",
            lambda s: s["properties"]["queries"]["items"]["properties"]["rows"]["oneOf"].append({"type": "string"}),
            "queries[].rows: string is not taken",
        ),
        (
            "sweep_scope.output",
            lambda s: s["properties"]["queries"]["items"]["properties"].pop("peak"),
            "queries[].peak is gone",
        ),
        ("run_query.output", lambda s: s["$defs"]["series"]["properties"].pop("peak"), "results.peak is gone"),
        ("common", lambda s: s["$defs"]["peak"]["properties"].pop("label"), "peak.label is gone"),
        ("common", lambda s: s["$defs"]["timeoutSeconds"].update(maximum=60), "timeoutSeconds: maximum is narrower"),
        ("common", lambda s: s["$defs"]["metricName"]["enum"].pop(), "metricName: 'DATA_TRANSFERRED' is not taken"),
        ("common", lambda s: s["$defs"]["id"].update(pattern="^x$"), "scopeId: pattern is another"),
        ("run_query.input", lambda s: s["required"].append("limit"), "it.limit is not always there"),
        ("backfill.input", lambda s: s["properties"].pop("windowMinutes"), "it.windowMinutes is gone"),
        ("backfill.input", lambda s: s["properties"]["windowMinutes"].update(minimum=15), "minimum is narrower"),
        ("backfill.input", lambda s: s.pop("patternProperties"), "fields named ^AWS_STEP_FUNCTIONS_ are refused"),
        ("run_query.input", lambda s: s["oneOf"].pop(0), "it.metricName is not always there"),
        ("run_query.input", lambda s: s["oneOf"][1]["properties"].update(limit={"type": "null"}), "limit: integer"),
        ("sweep_scope.input", lambda s: s["allOf"][0]["anyOf"].pop(), "selections: array is not taken"),
        ("backfill.output", lambda s: s["properties"].update(left={"type": "number"}), "left: number is not taken"),
        ("errors", lambda s: s["enum"].remove("QueryFailed"), "QueryFailed is gone"),
    ],
)
def test_what_breaks_a_caller_is_seen(name: str, change: Callable[[Any], Any], said: str) -> None:
    assert any(said in broken for broken in changed(name, change)), changed(name, change)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("sweep_scope.output", lambda s: s["properties"].update(more={"type": "string"})),
        ("sweep_scope.output", lambda s: s["required"].append("rankings")),
        ("run_query.input", lambda s: s["oneOf"].append({"required": ["queryId", "limit"]})),
        ("sweep_scope.input", lambda s: s["properties"].update(more={"type": "string"})),
        ("common", lambda s: s["$defs"]["metricName"]["enum"].append("LATENCY")),
        ("common", lambda s: s["$defs"]["timeoutSeconds"].update(maximum=1e6)),
        ("common", lambda s: s["$defs"]["poll"]["properties"].update(more={"type": "integer"})),
        ("errors", lambda s: s["enum"].append("QueryLost")),
        ("run_query.output", lambda s: s["$defs"]["series"]["required"].append("series")),
    ],
)
def test_what_only_adds_breaks_nobody(name: str, change: Callable[[Any], Any]) -> None:
    assert changed(name, change) == []


def test_refusing_unknown_fields_breaks_callers_and_taking_them_does_not() -> None:
    closed = ONE["backfill.input"]
    opened = {**ONE, "backfill.input": {name: closed[name] for name in closed if name != "additionalProperties"}}

    assert breaks("backfill.input", opened, ONE) == ["it: unknown fields are refused"]
    assert breaks("backfill.input", ONE, opened) == []


def test_a_reader_of_a_released_version_ignores_what_he_does_not_know_and_nothing_else() -> None:
    poll = event("get_query_status_next")["poll"]
    good = {"scopeId": "s", "queryId": "q", "status": "RUNNING", "poll": {**poll, "more": 1}, "more": 1}
    check_released(good, "get_query_status.output")

    for bad in ({**good, "status": 5}, {name: part for name, part in good.items() if name != "poll"}):
        with pytest.raises(ValidationError):
            check_released(bad, "get_query_status.output")
