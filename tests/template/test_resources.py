"""Every resource of the template, created on loopback and read back through its own API."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from moto.cloudformation.models import cloudformation_backends

from localaws.seams.cloudformation import resources
from localaws.seams.cloudformation_resources import ADDED, COMPLETED, NOT_SIMULATED, Resource
from localaws.server import ACCOUNT_ID, REGION
from tests.loopback import SCOPE_ID, Stack, event

Clients = Callable[[str], Any]
PARAMETERS = {
    "ScopeId": SCOPE_ID,
    "AlarmEmail": "network@example.com",
    "ScheduleState": "ENABLED",
    "ResultsRetentionDays": "30",
    "LogRetentionDays": "7",
    "HoldSeconds": "60",
}


def read_role(clients: Clients, role: Resource) -> Mapping[str, Any]:
    iam, name = clients("iam"), role.physical_id
    described = iam.get_role(RoleName=name)["Role"]
    names = iam.list_role_policies(RoleName=name)["PolicyNames"]
    documents = {policy: iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"] for policy in names}
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    return {
        "Description": described["Description"],
        "AssumeRolePolicyDocument": described["AssumeRolePolicyDocument"],
        "ManagedPolicyArns": [policy["PolicyArn"] for policy in attached],
        "Policies": [{"PolicyName": policy, "PolicyDocument": document} for policy, document in documents.items()],
    }


def read_managed_policy(clients: Clients, policy: Resource) -> Mapping[str, Any]:
    iam, arn = clients("iam"), policy.physical_id
    described = iam.get_policy(PolicyArn=arn)["Policy"]
    version = iam.get_policy_version(PolicyArn=arn, VersionId=described["DefaultVersionId"])["PolicyVersion"]
    return {"Description": described["Description"], "PolicyDocument": version["Document"]}


def read_policy(clients: Clients, policy: Resource) -> Mapping[str, Any]:
    [role] = policy.properties["Roles"]
    described = clients("iam").get_role_policy(RoleName=role, PolicyName=policy.properties["PolicyName"])
    return {"Roles": [described["RoleName"]], **described}


def read_bucket(clients: Clients, bucket: Resource) -> Mapping[str, Any]:
    s3, name = clients("s3"), bucket.physical_id
    encryption = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    rules = s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    return {
        "BucketEncryption": {
            "ServerSideEncryptionConfiguration": [
                {"ServerSideEncryptionByDefault": rule["ApplyServerSideEncryptionByDefault"]} for rule in encryption
            ]
        },
        "PublicAccessBlockConfiguration": s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"],
        "LifecycleConfiguration": {
            "Rules": [
                {
                    "Id": rule["ID"],
                    "Status": rule["Status"],
                    "Prefix": rule["Filter"]["Prefix"],
                    "ExpirationInDays": rule["Expiration"]["Days"],
                }
                for rule in rules
            ]
        },
    }


def read_topic(clients: Clients, topic: Resource) -> Mapping[str, Any]:
    attributes = clients("sns").get_topic_attributes(TopicArn=topic.physical_id)["Attributes"]
    return {name: attributes[name] for name in ("DisplayName", "KmsMasterKeyId")}


def read_topic_policy(clients: Clients, policy: Resource) -> Mapping[str, Any]:
    [topic] = policy.properties["Topics"]
    attributes = clients("sns").get_topic_attributes(TopicArn=topic)["Attributes"]
    return {"Topics": [attributes["TopicArn"]], "PolicyDocument": json.loads(attributes["Policy"])}


def read_subscription(clients: Clients, subscription: Resource) -> Mapping[str, Any]:
    subscriptions = clients("sns").list_subscriptions_by_topic(TopicArn=subscription.properties["TopicArn"])
    [made] = subscriptions["Subscriptions"]
    return {name: made[name] for name in ("TopicArn", "Protocol", "Endpoint")}


def read_key(clients: Clients, key: Resource) -> Mapping[str, Any]:
    kms, key_id = clients("kms"), key.physical_id
    return {
        "Description": kms.describe_key(KeyId=key_id)["KeyMetadata"]["Description"],
        "EnableKeyRotation": kms.get_key_rotation_status(KeyId=key_id)["KeyRotationEnabled"],
        "KeyPolicy": json.loads(kms.get_key_policy(KeyId=key_id, PolicyName="default")["Policy"]),
    }


def read_alarm(clients: Clients, alarm: Resource) -> Mapping[str, Any]:
    [described] = clients("cloudwatch").describe_alarms(AlarmNames=[alarm.physical_id])["MetricAlarms"]
    return dict(described)


def read_dashboard(clients: Clients, dashboard: Resource) -> Mapping[str, Any]:
    return dict(clients("cloudwatch").get_dashboard(DashboardName=dashboard.physical_id))


def read_schedule(clients: Clients, schedule: Resource) -> Mapping[str, Any]:
    return dict(clients("scheduler").get_schedule(Name=schedule.physical_id))


def read_queue(clients: Clients, queue: Resource) -> Mapping[str, Any]:
    sqs, name = clients("sqs"), queue.physical_id.rsplit("/", 1)[-1]
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return {
        "MessageRetentionPeriod": int(attributes["MessageRetentionPeriod"]),
        "SqsManagedSseEnabled": attributes["SqsManagedSseEnabled"] == "true",
    }


def read_log_group(clients: Clients, group: Resource) -> Mapping[str, Any]:
    described = next(  # names begin alike
        found
        for found in clients("logs").describe_log_groups(logGroupNamePrefix=group.physical_id)["logGroups"]
        if found["logGroupName"] == group.physical_id
    )
    return {"LogGroupName": described["logGroupName"], "RetentionInDays": described["retentionInDays"]}


def read_function(clients: Clients, function: Resource) -> Mapping[str, Any]:
    described = clients("lambda").get_function(FunctionName=function.physical_id)
    configuration = described["Configuration"]
    return {
        **configuration,
        "Layers": [layer["Arn"] for layer in configuration["Layers"]],
        "Tags": [{"Key": key, "Value": value} for key, value in described["Tags"].items()],
    }


def read_event_invoke_config(clients: Clients, config: Resource) -> Mapping[str, Any]:
    client = clients("lambda")
    described = client.get_function_event_invoke_config(FunctionName=config.properties["FunctionName"])
    on_failure = {"OnFailure": described["DestinationConfig"]["OnFailure"]}
    function, _, qualifier = described["FunctionArn"].split(":function:")[1].partition(":")
    return {**described, "DestinationConfig": on_failure, "FunctionName": function, "Qualifier": qualifier or "$LATEST"}


def read_state_machine(clients: Clients, machine: Resource) -> Mapping[str, Any]:
    sfn = clients("stepfunctions")
    described = sfn.describe_state_machine(stateMachineArn=machine.physical_id)
    logging = described["loggingConfiguration"]
    arns = [destination["cloudWatchLogsLogGroup"]["logGroupArn"] for destination in logging["destinations"]]
    return {
        "StateMachineName": described["name"],
        "DefinitionString": described["definition"],
        "RoleArn": described["roleArn"],
        "StateMachineType": described["type"],
        "LoggingConfiguration": {
            "Level": logging["level"],
            "IncludeExecutionData": logging["includeExecutionData"],
            "Destinations": [{"CloudWatchLogsLogGroup": {"LogGroupArn": arn}} for arn in arns],
        },
        "TracingConfiguration": {"Enabled": described["tracingConfiguration"]["enabled"]},
        "Tags": [
            {"Key": tag["key"], "Value": tag["value"]}
            for tag in sfn.list_tags_for_resource(resourceArn=machine.physical_id)["tags"]
        ],
    }


def read_layer(clients: Clients, layer: Resource) -> Mapping[str, Any]:
    name, version = layer.physical_id.rsplit(":", 2)[-2:]
    return dict(clients("lambda").get_layer_version(LayerName=name, VersionNumber=int(version)))


def read_database(clients: Clients, database: Resource) -> Mapping[str, Any]:
    described = clients("glue").get_database(Name=database.properties["DatabaseInput"]["Name"])["Database"]
    given = {name: described[name] for name in ("Name", "Description")}
    return {"CatalogId": described["CatalogId"], "DatabaseInput": given}


def read_table(clients: Clients, table: Resource) -> Mapping[str, Any]:
    expected = table.properties["TableInput"]
    described = clients("glue").get_table(DatabaseName=table.properties["DatabaseName"], Name=expected["Name"])["Table"]
    given = {name: described[name] for name in expected}
    return {"CatalogId": described["CatalogId"], "DatabaseName": described["DatabaseName"], "TableInput": given}


def read_work_group(clients: Clients, group: Resource) -> Mapping[str, Any]:
    described = clients("athena").get_work_group(WorkGroup=group.properties["Name"])["WorkGroup"]
    configuration = described["Configuration"]
    given = {name: configuration[name] for name in group.properties["WorkGroupConfiguration"]}
    return {**described, "WorkGroupConfiguration": given}


def read_named_query(clients: Clients, query: Resource) -> Mapping[str, Any]:
    athena = clients("athena")
    ids = athena.list_named_queries(WorkGroup=query.properties["WorkGroup"])["NamedQueryIds"]
    found = [athena.get_named_query(NamedQueryId=query_id)["NamedQuery"] for query_id in ids]
    return next(dict(named) for named in found if named["Name"] == query.properties["Name"])


READERS: Mapping[str, Callable[[Clients, Resource], Mapping[str, Any]]] = {
    "AWS::IAM::Role": read_role,
    "AWS::IAM::ManagedPolicy": read_managed_policy,
    "AWS::IAM::Policy": read_policy,
    "AWS::S3::Bucket": read_bucket,
    "AWS::SNS::Topic": read_topic,
    "AWS::SNS::TopicPolicy": read_topic_policy,
    "AWS::SNS::Subscription": read_subscription,
    "AWS::KMS::Key": read_key,
    "AWS::CloudWatch::Alarm": read_alarm,
    "AWS::CloudWatch::Dashboard": read_dashboard,
    "AWS::Scheduler::Schedule": read_schedule,
    "AWS::SQS::Queue": read_queue,
    "AWS::Logs::LogGroup": read_log_group,
    "AWS::Lambda::Function": read_function,
    "AWS::Lambda::EventInvokeConfig": read_event_invoke_config,
    "AWS::StepFunctions::StateMachine": read_state_machine,
    "AWS::Lambda::LayerVersion": read_layer,
    "AWS::Glue::Database": read_database,
    "AWS::Glue::Table": read_table,
    "AWS::Athena::WorkGroup": read_work_group,
    "AWS::Athena::NamedQuery": read_named_query,
}
# Code and content are what runs, as the workflow tests show; moto's API does not tell a function's log group, but
# the test of logs does; moto names a layer by its logical id; moto ignores
# what deleting a workgroup takes along, which the test of deleting looks at.
NOT_READ_BACK = {"Code", "Content", "LoggingConfig", "LayerName", "RecursiveDeleteOption"}


@pytest.fixture(scope="module")
def created(deployed: Stack) -> Iterator[list[Resource]]:
    deployed.aws.deploy(PARAMETERS, "reading")
    backend = cloudformation_backends[ACCOUNT_ID][REGION]
    yield list(resources(next(stack for stack in backend.stacks.values() if stack.name == "reading")))
    deployed.aws.client("cloudformation").delete_stack(StackName="reading")


@pytest.mark.parametrize("kind", READERS)
def test_each_resource_is_what_the_template_says(deployed: Stack, created: list[Resource], kind: str) -> None:
    of_kind = [resource for resource in created if resource.type == kind]
    assert of_kind
    for resource in of_kind:
        properties = {name: value for name, value in resource.properties.items() if name not in NOT_READ_BACK}
        expected, read = normal(properties), normal(READERS[kind](deployed.aws.client, resource))
        assert {name: read.get(name) for name in expected} == expected, resource.logical_id


def normal(value: Any) -> Any:
    """Return the value without what APIs and templates write in two ways: numbers as text, defaults, order."""
    if isinstance(value, Mapping):
        return {name: normal(member) for name, member in value.items()}
    if isinstance(value, list):
        return [normal(item) for item in value]
    if hasattr(value, "arn"):  # moto's Ref of a layer gives the object
        return value.arn
    return int(value) if isinstance(value, (int, float)) or (isinstance(value, str) and value.isdigit()) else value


def test_no_type_is_left_out(created: list[Resource]) -> None:
    assert {resource.type for resource in created} == READERS.keys() | NOT_SIMULATED.keys()
    assert ADDED.keys() | COMPLETED.keys() <= READERS.keys()


def test_functions_log_to_the_log_group_that_the_template_names(stack: Stack) -> None:
    stack.run(event("run_query"))

    streams = stack.aws.client("logs").describe_log_streams(logGroupName="/aws/lambda/flowquery")["logStreams"]
    assert streams


def test_deleting_a_stack_leaves_nothing_of_it(deployed: Stack) -> None:
    client = deployed.aws.client
    before = client("lambda").list_functions()["Functions"]
    outputs = deployed.aws.deploy(PARAMETERS, "leaving")
    client("cloudformation").delete_stack(StackName="leaving")

    alarms = client("cloudwatch").describe_alarms(AlarmNamePrefix="leaving")["MetricAlarms"]
    schedules = client("scheduler").list_schedules(NamePrefix="leaving")["Schedules"]
    dashboards = client("cloudwatch").list_dashboards(DashboardNamePrefix="leaving")["DashboardEntries"]
    assert (alarms, schedules, dashboards) == ([], [], [])
    databases = [database["Name"] for database in client("glue").get_databases()["DatabaseList"]]
    groups = [group["Name"] for group in client("athena").list_work_groups()["WorkGroups"]]
    assert deployed.outputs["SqlDatabaseName"] in databases
    assert outputs["SqlDatabaseName"] not in databases
    assert "leaving" not in groups
    assert not [role for role in client("iam").list_roles()["Roles"] if role["RoleName"].startswith("leaving")]
    assert len(client("lambda").list_functions()["Functions"]) == len(before)


def test_with_a_key_of_ones_own_none_is_made(deployed: Stack) -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/1c5c9516-8eaa-4255-bfb0-82d9d794fb1c"
    outputs = deployed.aws.deploy({"ScopeId": SCOPE_ID, "AlarmTopicKeyArn": key}, "ownkey")

    client = deployed.aws.client("sns")
    attributes = client.get_topic_attributes(TopicArn=outputs["AlarmTopicArn"])["Attributes"]
    backend = cloudformation_backends[ACCOUNT_ID][REGION]
    stack = next(stack for stack in backend.stacks.values() if stack.name == "ownkey")
    assert attributes["KmsMasterKeyId"] == key
    assert "AWS::KMS::Key" not in {resource.type for resource in resources(stack)}
    deployed.aws.client("cloudformation").delete_stack(StackName="ownkey")
