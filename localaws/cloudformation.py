"""CloudFormation: SAM templates, and the resources and properties that moto leaves out in silence.

What moto does not create is created here through the service's own API, as CloudFormation does it; what is not
simulated is on a list; and any other type fails the stack.
"""

from __future__ import annotations

import importlib
import io
import json
import logging
import os
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import boto3
import yaml
from moto.athena.models import athena_backends
from moto.awslambda.models import lambda_backends
from moto.cloudformation import parsing
from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import CloudFormationBackend, Stack, cloudformation_backends
from moto.core import DEFAULT_ACCOUNT_ID
from moto.kms.models import kms_backends
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

Template = dict[str, Any]
Properties = dict[str, Any]

NOT_SIMULATED = {
    "AWS::S3::BucketPolicy": "moto ignores its condition on TLS and would deny everything",
}

# moto replaces what it should update and loses what it does not know.
NO_UPDATE = "Updating {0} is not simulated: sam delete --stack-name {0}, then deploy again"


def _apply_schedule(physical_id: str, properties: Properties) -> None:
    _client("scheduler").create_schedule(**{"Name": physical_id, **properties})


def _apply_alarm(physical_id: str, properties: Properties) -> None:
    _client("cloudwatch").put_metric_alarm(**{"AlarmName": physical_id, **properties})


def _apply_subscription(_: str, properties: Properties) -> None:
    _client("sns").subscribe(**properties)


def _apply_topic_policy(_: str, properties: Properties) -> None:
    for topic in properties["Topics"]:
        policy = json.dumps(properties["PolicyDocument"])
        _client("sns").set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)


def _apply_event_invoke_config(_: str, properties: Properties) -> None:
    _client("lambda").put_function_event_invoke_config(**properties)


def _apply_database(_: str, properties: Properties) -> None:
    _client("glue").create_database(**properties)


def _apply_table(_: str, properties: Properties) -> None:
    _client("glue").create_table(**properties)


def _apply_work_group(_: str, properties: Properties) -> None:
    configuration = dict(properties["WorkGroupConfiguration"])
    configuration["BytesScannedCutoffPerQuery"] = int(configuration["BytesScannedCutoffPerQuery"])
    _client("athena").create_work_group(
        Name=properties["Name"], Description=properties["Description"], Configuration=configuration
    )


def _apply_named_query(_: str, properties: Properties) -> None:
    _client("athena").create_named_query(**properties)


# Types that moto's CloudFormation does not know at all.
ADDED: Mapping[str, Callable[[str, Properties], None]] = {
    "AWS::Scheduler::Schedule": _apply_schedule,
    "AWS::CloudWatch::Alarm": _apply_alarm,
    "AWS::SNS::Subscription": _apply_subscription,
    "AWS::SNS::TopicPolicy": _apply_topic_policy,
    "AWS::Lambda::EventInvokeConfig": _apply_event_invoke_config,
    "AWS::Glue::Database": _apply_database,
    "AWS::Glue::Table": _apply_table,
    "AWS::Athena::WorkGroup": _apply_work_group,
    "AWS::Athena::NamedQuery": _apply_named_query,
}


def _delete_schedule(resource: Resource) -> None:
    _client("scheduler").delete_schedule(Name=resource.physical_id)


def _delete_alarm(resource: Resource) -> None:
    _client("cloudwatch").delete_alarms(AlarmNames=[resource.physical_id])


def _delete_database(resource: Resource) -> None:  # with its tables
    name = resource.properties["DatabaseInput"]["Name"]
    for table in _client("glue").get_tables(DatabaseName=name)["TableList"]:
        _client("glue").delete_table(DatabaseName=name, Name=table["Name"])
    _client("glue").delete_database(Name=name)


def _delete_work_group(resource: Resource) -> None:  # with its saved queries, for which moto has no call
    name = resource.properties["Name"]
    queries = _backend(athena_backends).named_queries
    for query_id in [query_id for query_id, query in queries.items() if query.workgroup.name == name]:
        del queries[query_id]
    _client("athena").delete_work_group(WorkGroup=name, RecursiveDeleteOption=True)


def _detach_policies(role: Resource) -> None:  # without which moto refuses to delete the role
    for arn in role.properties.get("ManagedPolicyArns", []):
        _client("iam").detach_role_policy(RoleName=role.physical_id, PolicyArn=arn)


# Of the types above those that another stack would notice, and what deleting others takes.
DELETED: Mapping[str, Callable[[Resource], None]] = {
    "AWS::Scheduler::Schedule": _delete_schedule,
    "AWS::CloudWatch::Alarm": _delete_alarm,
    "AWS::Glue::Database": _delete_database,
    "AWS::Athena::WorkGroup": _delete_work_group,
    "AWS::IAM::Role": _detach_policies,
}


def _complete_bucket(name: str, properties: Properties) -> None:
    s3 = _client("s3")
    if "PublicAccessBlockConfiguration" in properties:
        given = properties["PublicAccessBlockConfiguration"]
        block = {setting: str(value).lower() == "true" for setting, value in given.items()}  # "true" is a boolean too
        s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=block)
    if "LifecycleConfiguration" in properties:
        rules = [_lifecycle_rule(rule) for rule in properties["LifecycleConfiguration"]["Rules"]]
        s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": rules})


def _lifecycle_rule(rule: Properties) -> Properties:
    days = int(rule["ExpirationInDays"])
    return {
        "ID": rule["Id"],
        "Status": rule["Status"],
        "Filter": {"Prefix": rule["Prefix"]},
        "Expiration": {"Days": days},
    }


def _complete_log_group(name: str, properties: Properties) -> None:
    _client("logs").put_retention_policy(logGroupName=name, retentionInDays=int(properties["RetentionInDays"]))


def _complete_role(name: str, properties: Properties) -> None:
    for policy in properties.get("Policies", []):  # moto keeps the text of a Python dictionary
        document = json.dumps(policy["PolicyDocument"])
        _client("iam").put_role_policy(RoleName=name, PolicyName=policy["PolicyName"], PolicyDocument=document)
    for arn in properties.get("ManagedPolicyArns", []):
        _client("iam").attach_role_policy(RoleName=name, PolicyArn=arn)


def _complete_key(key_id: str, properties: Properties) -> None:
    # moto keeps the dictionary, on which every call then breaks, the one that could replace it included.
    _backend(kms_backends).keys[key_id].policy = json.dumps(properties["KeyPolicy"])


def _complete_queue(url: str, properties: Properties) -> None:
    attributes = {name: str(value).lower() for name, value in properties.items() if name != "QueueName"}
    _client("sqs").set_queue_attributes(QueueUrl=url, Attributes=attributes)


def _complete_topic(arn: str, properties: Properties) -> None:
    for name in ("DisplayName", "KmsMasterKeyId"):
        if name in properties:
            value = properties[name]
            _client("sns").set_topic_attributes(TopicArn=arn, AttributeName=name, AttributeValue=value)


def _complete_state_machine(arn: str, properties: Properties) -> None:
    logging, tracing = properties["LoggingConfiguration"], properties["TracingConfiguration"]
    groups = [destination["CloudWatchLogsLogGroup"] for destination in logging["Destinations"]]
    destinations = [{"cloudWatchLogsLogGroup": {"logGroupArn": group["LogGroupArn"]}} for group in groups]
    _client("stepfunctions").update_state_machine(
        stateMachineArn=arn,
        loggingConfiguration={
            "level": logging["Level"],
            "includeExecutionData": logging["IncludeExecutionData"],
            "destinations": destinations,
        },
        tracingConfiguration={"enabled": tracing["Enabled"]},
    )


def _complete_function(name: str, properties: Properties) -> None:
    function = _backend(lambda_backends).get_function(name)
    layers = [getattr(layer, "arn", layer) for layer in properties.get("Layers", [])]  # moto's Ref gives the object
    function.layers = function._get_layers_data(layers)
    function.architectures = properties.get("Architectures", ["x86_64"])
    function.tracing_config = properties.get("TracingConfig", function.tracing_config)
    function.logs_group_name = properties.get("LoggingConfig", {}).get("LogGroup", function.logs_group_name)
    function.tags = {tag["Key"]: tag["Value"] for tag in properties.get("Tags", [])}


def _complete_layer(arn: str, properties: Properties) -> None:
    layer = _backend(lambda_backends).layers_versions_by_arn(arn)
    layer.compatible_architectures = properties.get("CompatibleArchitectures", [])


# Types that moto creates without some of the template's properties.
COMPLETED: Mapping[str, Callable[[str, Properties], None]] = {
    "AWS::IAM::Role": _complete_role,
    "AWS::KMS::Key": _complete_key,
    "AWS::S3::Bucket": _complete_bucket,
    "AWS::Lambda::Function": _complete_function,
    "AWS::Lambda::LayerVersion": _complete_layer,
    "AWS::Logs::LogGroup": _complete_log_group,
    "AWS::SQS::Queue": _complete_queue,
    "AWS::SNS::Topic": _complete_topic,
    "AWS::StepFunctions::StateMachine": _complete_state_machine,
}


# moto warns of each type that it does not know, which here means: left to this module.
warnings.filterwarnings("ignore", "Tried to parse", module="moto.cloudformation.parsing")
logging.getLogger("moto").setLevel(logging.ERROR)


def install() -> None:
    """Swap the backend. Call it before the server answers its first request."""
    cloudformation_backends.backend = Backend
    cloudformation_backends.clear()


class Backend(CloudFormationBackend):
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
    for parameter in template.get("Parameters", {}).values():  # of which moto splits what is given, but no default
        if parameter["Type"] == "CommaDelimitedList" and "Default" in parameter:
            parameter["Default"] = parameter["Default"].split(",")
    for name, definition in definitions.items():
        template["Resources"][name]["Properties"]["DefinitionString"] = definition
    template = _with_names(template, _database_names(template))
    known = parsing.get_model_map().keys() | ADDED.keys() | NOT_SIMULATED.keys()
    unknown = sorted({resource["Type"] for resource in template["Resources"].values()} - known)
    if unknown:
        raise ValidationError(message=f"Not simulated, and not on the list of what is not: {', '.join(unknown)}")
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


class _NoManagedPolicies:
    def load(self) -> dict[str, str]:
        return {}


def _definition(properties: Properties) -> Template:
    """Return the definition in S3 with its substitutions, and leave in its place what the transform accepts."""
    location = properties.pop("DefinitionUri")
    if isinstance(location, str):
        bucket, _, key = location.removeprefix("s3://").partition("/")
        location = {"Bucket": bucket, "Key": key}
    body = _client("s3").get_object(Bucket=location["Bucket"], Key=location["Key"])["Body"].read()
    properties["Definition"] = {"StartAt": "Placeholder"}
    substitutions = properties.pop("DefinitionSubstitutions", {})
    # Joined rather than Fn::Sub: moto's would turn the `$$` of the context object into `$`.
    parts = re.split(r"\$\{(\w+)\}", json.dumps(yaml.safe_load(body)))
    return {"Fn::Join": ["", [substitutions[part] if index % 2 else part for index, part in enumerate(parts)]]}


@dataclass(frozen=True)
class Resource:
    """A resource of a stack; `properties` are the template's, with every reference resolved."""

    logical_id: str
    type: str
    physical_id: str
    properties: Properties


def resources(stack: Stack) -> Iterator[Resource]:
    """Yield what the template asks for, conditions applied."""
    for logical_id, resource in stack.template_dict.get("Resources", {}).items():
        condition = resource.get("Condition")
        if condition and not stack.resource_map.lazy_condition_map[condition]:
            continue
        created = stack.resource_map._parsed_resources.get(logical_id)
        made_up = f"{stack.name}-{logical_id}"  # by this module, for a type that moto does not know
        physical_id = str(getattr(created, "physical_resource_id", getattr(created, "arn", made_up)))
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


def package(path: Path, s3: Any, bucket: str) -> str:
    """Upload what the template at `path` points to, and return it with the places on S3, as `sam package` does."""
    template = yaml_parse(path.read_text("utf-8"))
    uploaded: dict[str, str] = {}

    def upload(local: str, body: Callable[[], bytes]) -> str:
        if local not in uploaded:
            key = local.strip("/").replace("/", "-")
            s3.put_object(Bucket=bucket, Key=key, Body=body())
            uploaded[local] = f"s3://{bucket}/{key}"
        return uploaded[local]

    places = [template.get("Globals", {}).get("Function", {})]
    places += [resource.get("Properties", {}) for resource in template["Resources"].values()]
    for properties in places:
        for name in ("CodeUri", "ContentUri"):
            if name in properties:
                folder = path.parent / properties[name]
                properties[name] = upload(properties[name], partial(zip_folder, folder))
        if "DefinitionUri" in properties:
            file = path.parent / properties["DefinitionUri"]
            properties["DefinitionUri"] = upload(properties["DefinitionUri"], file.read_bytes)
    return json.dumps(template)


def zip_folder(folder: Path) -> bytes:
    """Return the folder as a zip, the same bytes each time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
            archive.writestr(zipfile.ZipInfo(str(file.relative_to(folder)), (2026, 1, 1, 0, 0, 0)), file.read_bytes())
    return buffer.getvalue()


def _backend(backends: Any) -> Any:
    return backends[DEFAULT_ACCOUNT_ID][os.environ["AWS_DEFAULT_REGION"]]


def _client(service: str) -> Any:
    return cast("Any", boto3).client(service, endpoint_url=f"http://localhost:{os.environ['MOTO_PORT']}")
