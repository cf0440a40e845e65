"""The loopback AWS for tests: the template deployed, the state machine run in turned time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from moto.stepfunctions.models import stepfunctions_backends

from localaws.clock import TurnedClock
from localaws.lambda_runtimes.deployed_function import DeployedFunction, InvocationResult
from localaws.lambda_runtimes.in_process import InProcessRuntime
from localaws.scripted_network_flow_monitor import Call, Script
from localaws.seams import execution_ends, task_timeouts
from localaws.seams.limits import bytes_of
from localaws.server import ACCOUNT_ID, REGION, LocalAws

ROOT = Path(__file__).parent.parent
SCOPE_ID = "a1b2c3d4-5678-90ab-cdef-1234567890ab"
QUERY_ID = "cc4f4ab3-3103-33b8-80ff-d6597a0c6cea"
SELECTION = {
    "metricName": "RETRANSMISSIONS",
    "destinationCategory": "INTER_AZ",
    "startTime": "2026-11-24T08:00:00Z",
    "endTime": "2026-11-24T09:00:00Z",
}
# What the template gives functions by name.
ENVIRONMENT = {
    "RESULTS_BUCKET": "results",
    "ALARM_TOPIC_ARN": "arn:aws:sns:us-east-1:123456789012:alarms",
    "STATE_MACHINE_ARN": "arn:aws:states:us-east-1:123456789012:stateMachine:RunQuery",
    "SWEEP_STATE_MACHINE_ARN": "arn:aws:states:us-east-1:123456789012:stateMachine:SweepScope",
    "HOLD_SECONDS": "600",
    "TIMEOUT_SECONDS": "1800",
    "REQUESTS_PER_SECOND": "5",
    "RANKED_PEAKS": "3",
    "RANKING_LIMIT": "10",
}
# https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html and the best practices for Lambda.
LAMBDA_FAULTS = [
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
    "Lambda.Unknown",
    "Sandbox.Timedout",
]


def event(name: str) -> Any:
    return json.loads((ROOT / "events" / f"{name}.json").read_text("utf-8"))


def execution(name: str = "a-run", status: str = "SUCCEEDED", **more: object) -> dict[str, object]:
    """An execution as Step Functions answers it."""
    machine = "arn:aws:states:us-east-1:123456789012:stateMachine:RunQuery"
    arn = f"{machine.replace('stateMachine', 'execution')}:{name}"
    times = {"startDate": 1795510800, "stopDate": 1795510812.5}
    return {"executionArn": arn, "stateMachineArn": machine, "name": name, "status": status, **times, **more}


def output(rows: int = 1, unit: str = "Count", **more: object) -> dict[str, Any]:
    """Return an output of RunQuery."""
    results = {
        "bucket": "results",
        "key": "results/date=2026-11-24/rows.jsonl.gz",
        "unit": unit,
        "rows": rows,
        "series": 1,
        "empty": rows == 0,
        "peak": {"value": 7.5, "label": "use1-az1", "timestamp": SELECTION["startTime"]} if rows else None,
        "firstTimestamp": SELECTION["startTime"] if rows else None,
        "lastTimestamp": SELECTION["endTime"] if rows else None,
        "sha256": "ab" * 32,
    }
    cost = {"checks": 3, "transitions": 6, "requests": 3, "gbSeconds": 0.4, "dollars": 0.0002}
    request = {"status": "SUCCEEDED", "scopeId": SCOPE_ID, "queryId": QUERY_ID, **SELECTION}
    return {**request, "results": results, "finding": False, "alarmAbove": None, "cost": cost, **more}


class FaultyRuntime(InProcessRuntime):
    """Answers the first invocations of a function with Lambda's own errors, where a test says so."""

    def __init__(self, turned: TurnedClock) -> None:
        super().__init__(turned)
        self.faults: dict[str, list[str]] = {}
        # Errors in the place of an answer: the function has done its work, and nobody gets to know.
        self.lost_answers: dict[str, list[str]] = {}
        self.after_lost_answer: Callable[[], None] = lambda: None

    def invoke(self, function: DeployedFunction, payload: bytes, request_id: str) -> InvocationResult:
        for name, faults in self.faults.items():
            if name in function.name and faults and (fault := faults.pop(0)):  # an empty one is none
                body = json.dumps({"errorType": fault, "errorMessage": "said Lambda"}).encode()
                return InvocationResult(function, body, "Unhandled")
        invocation = super().invoke(function, payload, request_id)
        for name, errors in self.lost_answers.items():
            if name in function.name and errors:
                body = json.dumps({"errorType": errors.pop(0), "errorMessage": "said Lambda"}).encode()
                self.after_lost_answer()
                return InvocationResult(function, body, "Unhandled")
        return invocation


@dataclass(frozen=True)
class Attempt:
    """An attempt of a Task: what its function was given, and what it answered or by which error it failed."""

    state: str
    payload: Any
    answer: Any = None
    error: str | None = None


@dataclass(frozen=True)
class Run:
    """An execution that has ended, and what came of it."""

    status: str
    output: dict[str, Any]
    error: str | None
    cause: str | None
    history: list[dict[str, Any]]
    calls: list[Call]
    alarms: list[dict[str, Any]]

    @property
    def path(self) -> list[str]:
        entered = (event.get("stateEnteredEventDetails") for event in self.history)
        return [details["name"] for details in entered if details]

    @property
    def steps(self) -> list[str]:
        """The states in order, each one that a Catch left with a "!" behind its name."""
        steps: list[str] = []
        for event in self.history:
            if details := event.get("stateEnteredEventDetails"):
                steps.append(details["name"])
                failed = False
            elif event["type"] in ("TaskScheduled", "TaskSucceeded"):
                failed = False
            elif event["type"] in ("TaskFailed", "TaskTimedOut", "MapRunFailed"):
                failed = True
            elif "stateExitedEventDetails" in event and failed:
                steps[-1] += "!"
        return steps

    @property
    def retries(self) -> int:
        names = [event["type"] for event in self.history]
        return names.count("TaskScheduled") - names.count("TaskStateEntered")

    @property
    def attempts(self) -> list[Attempt]:
        """All attempts of Tasks that invoke a function, in order."""
        attempts: list[Attempt] = []
        state = ""
        for event in self.history:
            state = event.get("stateEnteredEventDetails", {"name": state})["name"]
            if (given := event.get("taskScheduledEventDetails")) and given["resource"] == "invoke":
                attempts.append(Attempt(state, json.loads(given["parameters"])["Payload"]))
            elif given := event.get("taskSucceededEventDetails"):
                attempts[-1:] = [replace(last, answer=json.loads(given["output"])["Payload"]) for last in attempts[-1:]]
            elif given := event.get("taskFailedEventDetails") or event.get("taskTimedOutEventDetails"):
                attempts[-1:] = [replace(last, error=given["error"]) for last in attempts[-1:]]
        return attempts

    def answers(self, state: str) -> list[Any]:
        return [attempt.answer for attempt in self.attempts if attempt.state == state and attempt.error is None]

    def operations(self) -> list[str]:
        return [call.operation for call in self.calls]

    def sizes(self) -> dict[str, int]:
        """Return the most bytes of each kind of data, and of each variable, as Step Functions counts them."""
        largest: dict[str, int] = {}
        for event in self.history:
            for name, size in _sizes(event).items():
                largest[name] = max(size, largest.get(name, 0))
        return largest


def _sizes(event: dict[str, Any]) -> dict[str, int]:
    [details] = [value for name, value in event.items() if name.endswith("EventDetails")] or [{}]
    variables = {f"${name}": bytes_of(json.loads(text)) for name, text in details.get("assignedVariables", {}).items()}
    texts = {kind: details[kind] for kind in ("input", "parameters", "output") if kind in details}
    data = {kind: bytes_of(json.loads(text)) for kind, text in texts.items()}
    return {**data, **variables, "assign": sum(variables.values())}


class Stack:
    def __init__(self, aws: LocalAws, runtime: FaultyRuntime, turned: TurnedClock) -> None:
        self.aws, self.runtime, self.clock = aws, runtime, turned
        self.outputs = aws.deploy({"ScopeId": SCOPE_ID})
        sqs = aws.client("sqs")
        self._alarms: str = sqs.create_queue(QueueName="alarms")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=self._alarms, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        aws.client("sns").subscribe(TopicArn=self.outputs["AlarmTopicArn"], Protocol="sqs", Endpoint=arn)

    def forget(self) -> None:
        """Begin anew: no query, no call, no alarm, no fault, no stored object, no execution."""
        self.aws.network_flow_monitor.reset()
        for machine in stepfunctions_backends[ACCOUNT_ID][REGION].state_machines:
            machine.executions.clear()
        self.runtime.faults, self.runtime.lost_answers = {}, {}
        self.runtime.after_lost_answer = lambda: None
        task_timeouts.expiring.clear()
        self.clock.sleeps.clear()
        self.aws.lambda_backend.invocations.clear()
        self._received_alarms()
        bucket = self.outputs["ResultsBucketName"]
        for stored in self.stored():
            self.aws.client("s3").delete_object(Bucket=bucket, Key=stored)

    def stored(self) -> list[str]:
        contents = self.aws.client("s3").list_objects_v2(Bucket=self.outputs["ResultsBucketName"])
        return [stored["Key"] for stored in contents.get("Contents", [])]

    def sweep(self, event: object, script: Script | None = None) -> Run:
        return self.run(event, script, "SweepScopeArn")

    def run(self, event: object, script: Script | None = None, machine: str = "RunQueryArn") -> Run:
        self.aws.network_flow_monitor.script = script or Script()
        if isinstance(event, dict) and "queryId" in event:
            self.aws.network_flow_monitor.add_query(SCOPE_ID, event["queryId"])
        sfn = self.aws.client("stepfunctions")
        arn = sfn.start_execution(stateMachineArn=self.outputs[machine], input=json.dumps(event))["executionArn"]
        return self.ended(arn)

    def ended(self, arn: str) -> Run:
        execution_ends.wait_for(arn)
        sfn = self.aws.client("stepfunctions")
        described = sfn.describe_execution(executionArn=arn)
        return Run(
            status=described["status"],
            output=json.loads(described.get("output", "{}")),
            error=described.get("error"),
            cause=described.get("cause"),
            history=sfn.get_execution_history(executionArn=arn)["events"],
            calls=list(self.aws.network_flow_monitor.calls),
            alarms=self._received_alarms(),
        )

    @contextmanager
    def without_topic(self) -> Iterator[None]:
        """Let RaiseAlarm publish to a topic that does not exist."""
        environment = self.environment("RaiseAlarmFunction")
        gone = {**environment, "ALARM_TOPIC_ARN": "arn:aws:sns:us-east-1:123456789012:gone"}
        self.configure("RaiseAlarmFunction", Environment={"Variables": gone})
        try:
            yield
        finally:
            self.configure("RaiseAlarmFunction", Environment={"Variables": environment})

    @contextmanager
    def with_timeout(self, function: str, seconds: int) -> Iterator[None]:
        client = self.aws.client("lambda")
        name = self.function_name(function)
        before = client.get_function_configuration(FunctionName=name)["Timeout"]
        self.configure(function, Timeout=seconds)
        try:
            yield
        finally:
            self.configure(function, Timeout=before)

    def definition(self) -> str:
        client = self.aws.client("stepfunctions")
        return str(client.describe_state_machine(stateMachineArn=self.outputs["RunQueryArn"])["definition"])

    def configure(self, function: str, **configuration: Any) -> None:
        client = self.aws.client("lambda")
        client.update_function_configuration(FunctionName=self.function_name(function), **configuration)

    def environment(self, function: str) -> Mapping[str, str]:
        described = self.aws.client("lambda").get_function_configuration(FunctionName=self.function_name(function))
        environment: Mapping[str, str] = described["Environment"]["Variables"]
        return environment

    def function_name(self, part: str) -> str:
        functions = self.aws.client("lambda").list_functions()["Functions"]
        return next(str(function["FunctionName"]) for function in functions if part in function["FunctionName"])

    def _received_alarms(self) -> list[dict[str, Any]]:
        received: list[dict[str, Any]] = []
        sqs = self.aws.client("sqs")
        while messages := sqs.receive_message(QueueUrl=self._alarms, MaxNumberOfMessages=10).get("Messages", []):
            for message in messages:
                received.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=self._alarms, ReceiptHandle=message["ReceiptHandle"])
        return received
