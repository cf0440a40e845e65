"""The documents say what is so."""

from __future__ import annotations

import json
import re
import runpy
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse

from tests.loopback import ROOT

README = (ROOT / "README.md").read_text("utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
RESOURCES = yaml_parse((ROOT / "template.yaml").read_text("utf-8"))["Resources"]


def section(title: str) -> str:
    return README.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def rows(title: str) -> dict[str, str]:
    found = re.findall(r"^\| (.+?) \| (.+) \|$", section(title), re.MULTILINE)
    return {first: rest for first, rest in found if first != "---"}


@pytest.mark.parametrize(
    ("name", "arrow"),
    [
        ("run_query", "ChooseByStatus -- QUEUED or RUNNING, budget left --> WaitBeforeNextCheck"),
        ("sweep_scope", "AdvanceQueries -. any error .-> StopQueries"),
        ("backfill", "SweepWindows --> CheckBackfill"),
        ("parent_workflow", "ChooseByPeak -- no peak or value up to quietUpTo --> ScopeCompared"),
    ],
)
def test_a_picture_is_that_of_its_state_machine(name: str, arrow: str) -> None:
    picture = runpy.run_path(str(ROOT / "scripts/picture.py"))

    drawn = picture["picture_of"](name)
    assert arrow in drawn
    assert f"```mermaid\n{drawn}\n```" in README
    assert picture["embed"](README, name, drawn) == README


def test_every_make_command_that_a_document_names_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"(?:`|^    )make ([a-z-]+)", README + CONTRIBUTING, re.MULTILINE))

    assert {"run", "test"} <= named <= targets


def test_every_link_leads_to_a_file() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README + CONTRIBUTING):
        assert (ROOT / target).exists(), target


def test_every_error_is_explained() -> None:
    names = json.loads((ROOT / "schemas/errors.json").read_text("utf-8"))["enum"]

    assert [name.strip("`") for name in rows("Errors") if name != "error"] == names


@pytest.mark.parametrize(("title", "schema"), [("Input", "run_query.input"), ("Output", "run_query.output")])
def test_every_field_is_explained(title: str, schema: str) -> None:
    explained = re.findall(r"`([\w.]+)`", " ".join(rows(title)))

    described = json.loads((ROOT / f"schemas/{schema}.json").read_text("utf-8"))
    assert set(explained) == set(flattened(described))


def flattened(schema: dict[str, Any]) -> list[str]:
    names = []
    for name, field in schema["properties"].items():
        forms = [form for form in [field, *field.get("oneOf", [])] if "properties" in form]
        forms += [
            schema["$defs"][form["$ref"][8:]]
            for form in field.get("oneOf", [])
            if form.get("$ref", "")[0:8] == "#/$defs/"
        ]
        names += [f"{name}.{member}" for form in forms for member in form["properties"]] or [name]
    return names


def test_the_permissions_are_those_of_the_template() -> None:
    functions = {
        name.removesuffix("Function"): resource["Properties"]["Role"]["Fn::GetAtt"][0]
        for name, resource in RESOURCES.items()
        if resource["Type"] == "AWS::Serverless::Function"
    }
    explained = {function: text for function, text in rows("Permissions").items() if function != "function"}

    assert sorted(explained) == sorted(functions)
    for function, role in functions.items():
        [policy] = RESOURCES[role]["Properties"]["Policies"]
        allowed: list[str] = []
        for statement in policy["PolicyDocument"]["Statement"]:
            action = statement["Action"]
            allowed += action if isinstance(action, list) else [action]
        assert re.findall(r"`([^`]+)`", explained[function]) == allowed


def test_the_scenarios_are_those_that_there_are() -> None:
    scenarios = runpy.run_path(str(ROOT / "localaws/demo/scenarios.py"))["SCENARIOS"]

    for scenario in scenarios.keys() - {"succeeded"}:
        assert f"`{scenario}`" in section("See it run")


def test_every_knob_of_the_template_has_a_group() -> None:
    template = yaml_parse((ROOT / "template.yaml").read_text("utf-8"))
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]

    grouped = [name for group in groups for name in group["Parameters"]]
    assert sorted(grouped) == sorted(template["Parameters"])
    assert all(parameter["Description"] for parameter in template["Parameters"].values())
    assert {name for name, parameter in template["Parameters"].items() if "Default" not in parameter} == {"ScopeId"}
