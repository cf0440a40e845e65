"""Distributed Maps on the loopback: what AWS documents and moto leaves out."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from tests.loopback import Run, Stack

PROCESSOR = {
    "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
    "StartAt": "Choose",
    "States": {
        "Choose": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.bad", "BooleanEquals": True, "Next": "Refuse"}],
            "Default": "Take",
        },
        "Take": {"Type": "Pass", "Parameters": {"taken.$": "$.number"}, "End": True},
        "Refuse": {"Type": "Fail", "Error": "Refused", "Cause": "it is bad"},
    },
}


def map_over(stack: Stack, items: list[dict[str, Any]], percentage: float = 0) -> tuple[Run, dict[str, Any]]:
    """Run a Distributed Map over an object on S3; return the execution and what ResultWriter wrote, by file."""
    bucket, s3 = stack.outputs["ResultsBucketName"], stack.aws.client("s3")
    s3.put_object(Bucket=bucket, Key="in/items.json", Body=json.dumps(items).encode())
    state = {
        "Type": "Map",
        "Label": "Each",
        "ItemReader": {
            "Resource": "arn:aws:states:::s3:getObject",
            "ReaderConfig": {"InputType": "JSON"},
            "Parameters": {"Bucket.$": "$.bucket", "Key.$": "$.key"},
        },
        "ItemSelector": {
            "number.$": "$$.Map.Item.Value.number",
            "bad.$": "$$.Map.Item.Value.bad",
            "of.$": "States.Format('{} of {}', $$.Map.Item.Value.number, $.key)",
            "both.$": "States.JsonMerge($.common, $$.Map.Item.Value, false)",
        },
        "MaxConcurrencyPath": "$.most",
        "ToleratedFailurePercentagePath": "$.percentage",
        "ItemProcessor": PROCESSOR,
        "ResultWriter": {
            "Resource": "arn:aws:states:::s3:putObject",
            "Parameters": {"Bucket.$": "$.bucket", "Prefix": "out"},
        },
        "ResultPath": "$.map",
        "End": True,
    }
    client = stack.aws.client("stepfunctions")
    role = client.describe_state_machine(stateMachineArn=stack.outputs["RunQueryArn"])["roleArn"]
    definition = json.dumps({"StartAt": "Each", "States": {"Each": state}})
    machine = client.create_state_machine(name=f"map-{uuid4().hex}", definition=definition, roleArn=role)
    event = {"bucket": bucket, "key": "in/items.json", "most": 2, "percentage": percentage, "common": {"a": 1}}
    started = client.start_execution(stateMachineArn=machine["stateMachineArn"], input=json.dumps(event))
    run = stack.ended(started["executionArn"])
    written = {key: json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in stack.stored()}
    return run, {key.rsplit("/", 1)[1]: body for key, body in written.items() if key.startswith("out/")}


def numbered(count: int, *bad: int) -> list[dict[str, Any]]:
    return [{"number": number, "bad": number in bad} for number in range(count)]


def test_the_items_are_read_from_s3_and_the_answer_says_where_the_results_are(stack: Stack) -> None:
    run, written = map_over(stack, numbered(3))

    assert run.status == "SUCCEEDED", run.cause
    details = run.output["map"]["ResultWriterDetails"]
    assert set(run.output["map"]) == {"MapRunArn", "ResultWriterDetails"}
    assert details["Bucket"] == stack.outputs["ResultsBucketName"]
    assert details["Key"] == f"out/{run.output['map']['MapRunArn'].split(':')[-1]}/manifest.json"
    assert set(written) == {"manifest.json", "SUCCEEDED_0.json"}


def test_the_manifest_names_the_files_and_a_file_tells_each_execution(stack: Stack) -> None:
    run, written = map_over(stack, numbered(4, 1), percentage=25)

    assert run.status == "SUCCEEDED", run.cause
    manifest, [failed] = written["manifest.json"], written["FAILED_0.json"]
    assert set(manifest) == {"DestinationBucket", "MapRunArn", "ResultFiles"}
    assert {name: len(files) for name, files in manifest["ResultFiles"].items()} == {
        "FAILED": 1,
        "PENDING": 0,
        "SUCCEEDED": 1,
    }
    assert (failed["Status"], failed["Error"], failed["Cause"]) == ("FAILED", "Refused", "it is bad")
    assert json.loads(failed["Input"]) == {
        "number": 1,
        "bad": True,
        "of": "1 of in/items.json",
        "both": {"a": 1, "number": 1, "bad": True},
    }
    assert sorted(json.loads(child["Output"])["taken"] for child in written["SUCCEEDED_0.json"]) == [0, 2, 3]
    assert all("/Each:" in child["ExecutionArn"] for child in written["SUCCEEDED_0.json"])


@pytest.mark.parametrize(("percentage", "status"), [(0, "FAILED"), (20, "FAILED"), (40, "SUCCEEDED")])
def test_more_failures_than_tolerated_fail_the_map(stack: Stack, percentage: float, status: str) -> None:
    run, written = map_over(stack, numbered(5, 0, 1), percentage)

    assert run.status == status
    assert run.error == (None if status == "SUCCEEDED" else "States.ExceedToleratedFailureThreshold")
    assert written["FAILED_0.json"]


def test_a_map_run_tells_how_far_it_is(stack: Stack) -> None:
    run, _ = map_over(stack, numbered(4, 1), percentage=50)

    counts = stack.aws.client("stepfunctions").describe_map_run(mapRunArn=run.output["map"]["MapRunArn"])["itemCounts"]
    assert (counts["total"], counts["succeeded"], counts["failed"]) == (4, 3, 1)


def test_many_items_are_no_deep_stack(stack: Stack) -> None:
    run, written = map_over(stack, numbered(1500))

    assert run.status == "SUCCEEDED", run.cause
    assert len(written["SUCCEEDED_0.json"]) == 1500
