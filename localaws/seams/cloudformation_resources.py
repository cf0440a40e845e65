"""CloudFormation: the types of resources that moto skips in silence, and the properties that it leaves out.

What moto does not create is created here through the service's own API, as CloudFormation does it, and deleted with the
stack. What this project does not simulate is on a list. `tests/template/test_resources.py` reads every resource of the
template back.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import boto3
from moto.athena.models import athena_backends
from moto.awslambda.models import lambda_backends
from moto.core import DEFAULT_ACCOUNT_ID
from moto.kms.models import kms_backends

Properties = dict[str, Any]

NOT_SIMULATED = {
    "AWS::S3::BucketPolicy": "moto ignores its condition on TLS and would deny everything",
}


@dataclass(frozen=True)
class Resource:
    """A resource of a stack; `properties` are the template's, with every reference resolved."""

    logical_id: str
    type: str
    physical_id: str
    properties: Properties


def _apply_schedule(physical_id: str, properties: Properties) -> None:
    client("scheduler").create_schedule(**{"Name": physical_id, **properties})


def _apply_alarm(physical_id: str, properties: Properties) -> None:
    client("cloudwatch").put_metric_alarm(**{"AlarmName": physical_id, **properties})


def _apply_subscription(_: str, properties: Properties) -> None:
    client("sns").subscribe(**properties)


def _apply_topic_policy(_: str, properties: Properties) -> None:
    for topic in properties["Topics"]:
        policy = json.dumps(properties["PolicyDocument"])
        client("sns").set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)


def _apply_event_invoke_config(_: str, properties: Properties) -> None:
    client("lambda").put_function_event_invoke_config(**properties)


def _apply_database(_: str, properties: Properties) -> None:
    client("glue").create_database(**properties)


def _apply_table(_: str, properties: Properties) -> None:
    client("glue").create_table(**properties)


def _apply_work_group(_: str, properties: Properties) -> None:
    configuration = dict(properties["WorkGroupConfiguration"])
    configuration["BytesScannedCutoffPerQuery"] = int(configuration["BytesScannedCutoffPerQuery"])
    client("athena").create_work_group(
        Name=properties["Name"], Description=properties["Description"], Configuration=configuration
    )


def _apply_named_query(_: str, properties: Properties) -> None:
    client("athena").create_named_query(**properties)


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
    client("scheduler").delete_schedule(Name=resource.physical_id)


def _delete_alarm(resource: Resource) -> None:
    client("cloudwatch").delete_alarms(AlarmNames=[resource.physical_id])


def _delete_database(resource: Resource) -> None:  # with its tables
    name = resource.properties["DatabaseInput"]["Name"]
    for table in client("glue").get_tables(DatabaseName=name)["TableList"]:
        client("glue").delete_table(DatabaseName=name, Name=table["Name"])
    client("glue").delete_database(Name=name)


def _delete_work_group(resource: Resource) -> None:  # with its saved queries, for which moto has no call
    name = resource.properties["Name"]
    queries = _backend(athena_backends).named_queries
    for query_id in [query_id for query_id, query in queries.items() if query.workgroup.name == name]:
        del queries[query_id]
    client("athena").delete_work_group(WorkGroup=name, RecursiveDeleteOption=True)


def _detach_policies(role: Resource) -> None:  # without which moto refuses to delete the role
    for arn in role.properties.get("ManagedPolicyArns", []):
        client("iam").detach_role_policy(RoleName=role.physical_id, PolicyArn=arn)


# Of the types above those that another stack would notice, and what deleting others takes.
DELETED: Mapping[str, Callable[[Resource], None]] = {
    "AWS::Scheduler::Schedule": _delete_schedule,
    "AWS::CloudWatch::Alarm": _delete_alarm,
    "AWS::Glue::Database": _delete_database,
    "AWS::Athena::WorkGroup": _delete_work_group,
    "AWS::IAM::Role": _detach_policies,
}


def _complete_bucket(name: str, properties: Properties) -> None:
    s3 = client("s3")
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
    client("logs").put_retention_policy(logGroupName=name, retentionInDays=int(properties["RetentionInDays"]))


def _complete_role(name: str, properties: Properties) -> None:
    for policy in properties.get("Policies", []):  # moto keeps the text of a Python dictionary
        document = json.dumps(policy["PolicyDocument"])
        client("iam").put_role_policy(RoleName=name, PolicyName=policy["PolicyName"], PolicyDocument=document)
    for arn in properties.get("ManagedPolicyArns", []):
        client("iam").attach_role_policy(RoleName=name, PolicyArn=arn)


def _complete_key(key_id: str, properties: Properties) -> None:
    # moto keeps the dictionary, on which every call then breaks, the one that could replace it included.
    _backend(kms_backends).keys[key_id].policy = json.dumps(properties["KeyPolicy"])


def _complete_queue(url: str, properties: Properties) -> None:
    attributes = {name: str(value).lower() for name, value in properties.items() if name != "QueueName"}
    client("sqs").set_queue_attributes(QueueUrl=url, Attributes=attributes)


def _complete_topic(arn: str, properties: Properties) -> None:
    for name in ("DisplayName", "KmsMasterKeyId"):
        if name in properties:
            value = properties[name]
            client("sns").set_topic_attributes(TopicArn=arn, AttributeName=name, AttributeValue=value)


def _complete_state_machine(arn: str, properties: Properties) -> None:
    logging, tracing = properties["LoggingConfiguration"], properties["TracingConfiguration"]
    groups = [destination["CloudWatchLogsLogGroup"] for destination in logging["Destinations"]]
    destinations = [{"cloudWatchLogsLogGroup": {"logGroupArn": group["LogGroupArn"]}} for group in groups]
    client("stepfunctions").update_state_machine(
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


def _backend(backends: Any) -> Any:
    return backends[DEFAULT_ACCOUNT_ID][os.environ["AWS_DEFAULT_REGION"]]


def client(service: str) -> Any:
    return cast("Any", boto3).client(service, endpoint_url=f"http://localhost:{os.environ['MOTO_PORT']}")
