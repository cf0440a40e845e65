"""CloudFormation on the loopback: what it refuses, change sets, definitions on S3.

`tests/template/test_resources.py` reads each resource of the template back.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from tests.loopback import Stack

DEFINITION = """
StartAt: Only
States:
  Only:
    Type: Pass
    Parameters:
      execution.$: $$.Execution.Id
      bucket: ${Bucket}
    End: true
"""


@pytest.fixture
def stacks(deployed: Stack) -> Any:
    return deployed.aws.client("cloudformation")


@pytest.fixture
def name(stacks: Any) -> Iterator[str]:
    """Name a stack, which is deleted at the end."""
    unused = f"stack-{uuid4().hex}"
    yield unused
    stacks.delete_stack(StackName=unused)


def body(**resource: Any) -> str:
    return json.dumps({"Resources": {"Only": resource}})


def test_a_type_that_is_neither_created_nor_listed_fails_the_stack(stacks: Any) -> None:
    with pytest.raises(ClientError, match="AWS::CloudTrail::Dashboard"):
        stacks.create_stack(StackName="x", TemplateBody=body(Type="AWS::CloudTrail::Dashboard", Properties={}))


def test_a_property_that_a_service_refuses_fails_the_stack(stacks: Any) -> None:
    schedule = body(Type="AWS::Scheduler::Schedule", Properties={"ScheduleExpression": "cron(0 0 * * ? *)"})

    with pytest.raises(ClientError, match=r"Only \(AWS::Scheduler::Schedule\)"):
        stacks.create_stack(StackName="y", TemplateBody=schedule)


def test_updating_a_stack_is_refused_and_says_what_to_do(stacks: Any) -> None:
    with pytest.raises(ClientError, match="sam delete --stack-name flowquery"):
        stacks.update_stack(StackName="flowquery", TemplateBody='{"Resources": {}}')
    with pytest.raises(ClientError, match="sam delete --stack-name flowquery"):
        stacks.create_change_set(
            StackName="flowquery", ChangeSetName="change", ChangeSetType="UPDATE", TemplateBody='{"Resources": {}}'
        )


def test_a_change_set_completes_its_resources_and_has_outputs(deployed: Stack, stacks: Any, name: str) -> None:
    template = {
        "Resources": {"Database": {"Type": "AWS::Glue::Database", "Properties": {"DatabaseInput": {"Name": name}}}},
        "Outputs": {"Name": {"Value": {"Ref": "AWS::StackName"}}},
    }
    stacks.create_change_set(
        StackName=name, ChangeSetName="change", ChangeSetType="CREATE", TemplateBody=json.dumps(template)
    )

    stacks.execute_change_set(StackName=name, ChangeSetName="change")

    [stack] = stacks.describe_stacks(StackName=name)["Stacks"]
    assert [output["OutputValue"] for output in stack["Outputs"]] == [name]
    assert deployed.aws.client("glue").get_database(Name=name)["Database"]["Name"] == name


def test_a_definition_on_s3_gets_its_substitutions_and_keeps_the_context_object(
    stack: Stack, stacks: Any, name: str
) -> None:
    bucket, key = stack.outputs["ResultsBucketName"], "definition.asl.yaml"
    stack.aws.client("s3").put_object(Bucket=bucket, Key=key, Body=DEFINITION.encode())
    role = stack.aws.client("iam").list_roles()["Roles"][0]["Arn"]
    properties = {
        "DefinitionUri": {"Bucket": bucket, "Key": key},
        "DefinitionSubstitutions": {"Bucket": bucket},
        "Role": role,
        "Logging": {"Level": "OFF", "IncludeExecutionData": False, "Destinations": []},
        "Tracing": {"Enabled": False},
    }
    template = {
        "Transform": "AWS::Serverless-2016-10-31",
        "Resources": {"Machine": {"Type": "AWS::Serverless::StateMachine", "Properties": properties}},
        "Outputs": {"Arn": {"Value": {"Ref": "Machine"}}},
    }

    stacks.create_stack(StackName=name, TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_AUTO_EXPAND"])

    [created] = stacks.describe_stacks(StackName=name)["Stacks"]
    step_functions = stack.aws.client("stepfunctions")
    arn = created["Outputs"][0]["OutputValue"]
    execution = step_functions.start_execution(stateMachineArn=arn, input="{}")["executionArn"]
    assert stack.ended(execution).output == {"execution": execution, "bucket": bucket}
