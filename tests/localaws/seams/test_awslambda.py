"""Lambda on the loopback: the API in front of the deployed function's own code."""

from __future__ import annotations

import json
import threading
import zipfile
from io import BytesIO

import pytest

from tests.loopback import Stack

pytestmark = pytest.mark.usefixtures("over_http")

HANDLERS = """
class Refused(Exception): pass
def refuse(event, context):
    raise Refused("not today")
"""


def test_an_event_that_its_function_refuses_is_tried_again_and_sent_to_the_dead_letter_queue(stack: Stack) -> None:
    sqs, queue = stack.aws.client("sqs"), stack.outputs["DeadLetterQueueUrl"]
    function = stack.outputs["StartExecutionFunctionName"]

    stack.aws.client("lambda").invoke(FunctionName=function, InvocationType="Event", Payload='{"scopeId": 5}')
    while not (messages := sqs.receive_message(QueueUrl=queue).get("Messages", [])):
        threading.Event().wait(0.01)
    sqs.purge_queue(QueueUrl=queue)

    record = json.loads(messages[0]["Body"])
    assert record["requestPayload"] == {"scopeId": 5}
    assert record["responsePayload"]["errorType"] == "InvalidInput"
    assert len(stack.aws.lambda_backend.invocations) == 3


def test_lambdas_api_runs_the_code_that_was_uploaded(stack: Stack) -> None:
    client, archive = stack.aws.client("lambda"), BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("handlers.py", HANDLERS)
    role = stack.aws.client("iam").list_roles()["Roles"][0]["Arn"]
    code = {"ZipFile": archive.getvalue()}
    client.create_function(FunctionName="mine", Runtime="python3.13", Role=role, Handler="handlers.refuse", Code=code)

    reply = client.invoke(FunctionName="mine", Payload="{}")

    assert reply["FunctionError"] == "Unhandled"
    assert json.loads(reply["Payload"].read())["errorType"] == "Refused"
    client.delete_function(FunctionName="mine")
