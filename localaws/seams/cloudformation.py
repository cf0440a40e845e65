"""CloudFormation: SAM templates, and resources that moto does not create whole.

Patches `cloudformation_backends.backend`: moto knows no transform, ignores a definition on S3 and its substitutions,
gives a change set no outputs, and skips types that it does not know with CREATE_COMPLETE. In this backend a type that
`cloudformation_resources.py` neither creates nor lists fails the stack. An update is refused, since moto replaces what
it should update.
"""

from __future__ import annotations

import importlib
import json
import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from moto.cloudformation import parsing
from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import CloudFormationBackend, Stack, cloudformation_backends
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

from localaws.seams.cloudformation_resources import (
    ADDED,
    COMPLETED,
    DELETED,
    NOT_SIMULATED,
    Properties,
    Resource,
    client,
)

Template = dict[str, Any]

NO_UPDATE = "Updating {0} is not simulated: sam delete --stack-name {0}, then deploy again"

# moto warns of each type that it does not know, and this module creates those.
warnings.filterwarnings("ignore", "Tried to parse", module="moto.cloudformation.parsing")
logging.getLogger("moto").setLevel(logging.ERROR)


def install() -> None:
    """Swap the backend. Call it before the server answers its first request."""
    cloudformation_backends.backend = SamBackend
    cloudformation_backends.clear()


class SamBackend(CloudFormationBackend):
    @property
    def _url_module(self) -> Any:
        return importlib.import_module("moto.cloudformation.urls")

    def create_stack(self, name: str, template: str, parameters: dict[str, str], *args: Any, **kwargs: Any) -> Stack:
        expanded = expand(template, parameters)
        stack = super().create_stack(name, json.dumps(expanded), parameters, *args, **kwargs)
        _complete(stack)
        return stack

    def create_change_set(
        self, stack_name: str, change_set_name: str, template: str, parameters: Any, *args: Any, **kwargs: Any
    ) -> Any:
        if "UPDATE" in (*args, *kwargs.values()):
            raise ValidationError(message=NO_UPDATE.format(stack_name))
        expanded = json.dumps(expand(template, parameters))
        return super().create_change_set(stack_name, change_set_name, expanded, parameters, *args, **kwargs)

    def execute_change_set(self, change_set_name: str, stack_name: str | None = None) -> None:
        super().execute_change_set(change_set_name, stack_name)
        names = {change_set_name, stack_name}
        for change_set in self.change_sets.values():
            if names & {change_set.change_set_id, change_set.change_set_name}:
                stack = change_set.stack
                stack._parse_template()
                stack.output_map = stack._create_output_map()
                _complete(stack)

    def update_stack(self, name: str, *_: Any, **__: Any) -> Stack:
        raise ValidationError(message=NO_UPDATE.format(name))

    def delete_stack(self, name_or_stack_id: str) -> None:
        # A name is looked up by moto, which then calls this with the id.
        stack = self.stacks.get(name_or_stack_id)
        for resource in resources(stack) if stack else ():
            if resource.type in DELETED:
                DELETED[resource.type](resource)
        super().delete_stack(name_or_stack_id)


def expand(text: str, parameters: Mapping[str, str]) -> Template:
    """Return the template as CloudFormation sees it after the SAM transform, state machine definitions included."""
    template = yaml_parse(text)
    machines = {
        name: resource["Properties"]
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::StateMachine" and "DefinitionUri" in resource["Properties"]
    }
    definitions = {name: _definition(properties) for name, properties in machines.items()}
    if template.get("Transform"):
        template = transform(template, dict(parameters), _NoManagedPolicies())
    for parameter in template.get("Parameters", {}).values():  # moto splits a value that is given, but no default
        if parameter["Type"] == "CommaDelimitedList" and "Default" in parameter:
            parameter["Default"] = parameter["Default"].split(",")
    for name, definition in definitions.items():
        template["Resources"][name]["Properties"]["DefinitionString"] = definition
    template = _with_names(template, _database_names(template))
    _refuse_other_types({resource["Type"] for resource in template["Resources"].values()})
    return template


def _database_names(template: Template) -> dict[str, Any]:
    databases = {name: one for name, one in template["Resources"].items() if one["Type"] == "AWS::Glue::Database"}
    return {name: database["Properties"]["DatabaseInput"]["Name"] for name, database in databases.items()}


def _with_names(value: Any, names: Mapping[str, Any]) -> Any:
    """Put the name of a resource in the place of its Ref, which is nothing in moto for a type that it does not know."""
    if isinstance(value, dict):
        if len(value) == 1 and value.get("Ref") in names:
            return names[value["Ref"]]
        return {key: _with_names(member, names) for key, member in value.items()}
    return [_with_names(item, names) for item in value] if isinstance(value, list) else value


def _refuse_other_types(types: set[str]) -> None:
    """Refuse a template with a type that is neither created nor on the list of those that are not simulated."""
    others = sorted(types - parsing.get_model_map().keys() - ADDED.keys() - NOT_SIMULATED.keys())
    if others:
        raise ValidationError(message=f"Neither created nor listed as not simulated: {', '.join(others)}")


class _NoManagedPolicies:
    def load(self) -> dict[str, str]:
        return {}


def _definition(properties: Properties) -> Template:
    """Return the definition in S3 with its substitutions, and leave in its place what the transform accepts."""
    location = properties.pop("DefinitionUri")
    if isinstance(location, str):
        bucket, _, key = location.removeprefix("s3://").partition("/")
        location = {"Bucket": bucket, "Key": key}
    body = client("s3").get_object(Bucket=location["Bucket"], Key=location["Key"])["Body"].read()
    properties["Definition"] = {"StartAt": "Placeholder"}
    substitutions = properties.pop("DefinitionSubstitutions", {})
    # Joined rather than Fn::Sub: moto's would turn the `$$` of the context object into `$`.
    pieces = re.split(r"\$\{(\w+)\}", json.dumps(yaml.safe_load(body)))
    return {"Fn::Join": ["", [substitutions[piece] if index % 2 else piece for index, piece in enumerate(pieces)]]}


def resources(stack: Stack) -> Iterator[Resource]:
    """Yield what the template asks for, conditions applied."""
    for logical_id, resource in stack.template_dict.get("Resources", {}).items():
        condition = resource.get("Condition")
        if condition and not stack.resource_map.lazy_condition_map[condition]:
            continue
        created = stack.resource_map._parsed_resources.get(logical_id)
        own_id = f"{stack.name}-{logical_id}"  # of a type that moto does not know
        physical_id = str(getattr(created, "physical_resource_id", getattr(created, "arn", own_id)))
        properties = parsing.clean_json(resource.get("Properties", {}), stack.resource_map)
        yield Resource(logical_id, resource["Type"], physical_id, properties)


def _complete(stack: Stack) -> None:
    for resource in resources(stack):
        apply = ADDED.get(resource.type) or COMPLETED.get(resource.type)
        try:
            if apply:
                apply(resource.physical_id, resource.properties)
        except Exception as error:
            where = f"{resource.logical_id} ({resource.type})"
            raise ValidationError(message=f"{where}: {type(error).__name__}: {error}") from error
