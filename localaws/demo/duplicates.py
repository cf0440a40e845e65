"""`make run SCENARIO=duplicate-delivery`: one scheduled time delivered five times, and how many runs that makes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any, NamedTuple

from rich.markup import escape
from rich.table import Table

from flowquery.core.text import visible
from localaws.demo.closing import show_alarms, show_failure
from localaws.demo.cost import show_cost
from localaws.demo.display import Display
from localaws.demo.stage import Outcome, Stage
from localaws.demo.starting import Delivery, deliver, first_execution, scheduled_delivery, start_execution
from localaws.lambda_runtimes.deployed_function import InvocationResult

SIMULTANEOUS = 3
REPLY_TIMEOUT_SECONDS = 60


class Tally(NamedTuple):
    """What was counted, and what it has to be."""

    subject: str
    counted: int
    expected: int


def run_duplicates(stage: Stage, display: Display, follow: Callable[[str], Outcome], *, sweeps: bool = False) -> bool:
    """Deliver the schedule's event five times, then start the same by hand; tell whether it made one run."""
    state_machine_arn = stage.outputs["SweepScopeArn" if sweeps else "RunQueryArn"]
    delivery, replies = scheduled_delivery(stage, sweeps=sweeps), _Replies(stage)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda _: deliver(stage, delivery), range(SIMULTANEOUS)))
        for number, reply in enumerate(replies.next(SIMULTANEOUS), 1):
            display.print(
                f"[bold]Delivery {number}[/], at the same time as {SIMULTANEOUS - 1} others: {describe_reply(reply)}"
            )
        execution_arn = first_execution(stage, state_machine_arn)
        meanwhile = pool.submit(_deliver_meanwhile, stage, display, execution_arn, delivery, replies)
        outcome = follow(execution_arn)
        meanwhile.result()
    deliver(stage, delivery)
    display.print(f"[bold]Delivery 5[/], after it has ended: {describe_reply(*replies.next())}")
    starts = _start_query_calls(stage)
    start_by_hand = _sweep_by_hand if sweeps else _query_by_hand
    text = start_by_hand(stage, display, execution_arn, delivery)
    display.print(f"[bold]By hand[/], {text}; {_start_query_calls(stage) - starts} StartQuery calls")
    if not outcome.succeeded:
        show_failure(stage.console, outcome)
    tallies = _tallies(stage, state_machine_arn, execution_arn, outcome, sweeps=sweeps)
    tallies.insert(0, Tally("deliveries that failed", replies.failed, 0))
    show_tallies(stage, tallies)
    show_alarms(stage, expected=False)
    show_cost(stage)
    return all(tally.counted == tally.expected for tally in tallies)


def describe_reply(result: InvocationResult, *, is_running: bool = False) -> str:
    """Say what a delivery did.

    While the execution of a name `is_running`, Step Functions answers as if this delivery had started it.
    """
    if result.error:
        return f"[red]failed[/] {escape(visible(result.payload.decode(), 300))}"
    reply = json.loads(result.payload)
    if not reply["started"]:
        return f"already ended as {reply['name']}"
    return f"{'already running' if is_running else 'started'} as {reply['name']}"


def show_tallies(stage: Stage, tallies: list[Tally]) -> None:
    table = Table("", "counted", "expected", title="All deliveries together", title_justify="left")
    for tally in tallies:
        colour = "green" if tally.counted == tally.expected else "bold red"
        table.add_row(tally.subject, f"[{colour}]{tally.counted}[/]", str(tally.expected))
    stage.console.print()
    stage.console.print(table)


class _Replies:
    """What the schedule's target replied, in the order of the ends."""

    def __init__(self, stage: Stage) -> None:
        self._invocations = stage.aws.lambda_backend.invocations
        self._taken = 0

    def next(self, count: int = 1) -> list[InvocationResult]:
        """Wait for so many more."""
        deadline = time.monotonic() + REPLY_TIMEOUT_SECONDS
        while len(replies := self._all()) < self._taken + count:
            if time.monotonic() > deadline:
                raise RuntimeError(f"no reply to a delivery within {REPLY_TIMEOUT_SECONDS} s")
            time.sleep(0.02)
        self._taken += count
        return replies[self._taken - count : self._taken]

    @property
    def failed(self) -> int:
        return sum(bool(result.error) for result in self._all())

    def _all(self) -> list[InvocationResult]:
        return [result for result in self._invocations if result.function.handler == "start_execution.handler"]


def _deliver_meanwhile(
    stage: Stage, display: Display, execution_arn: str, delivery: Delivery, replies: _Replies
) -> None:
    while not _start_query_calls(stage) and _describe(stage, execution_arn)["status"] == "RUNNING":
        time.sleep(0.02)
    deliver(stage, delivery)
    [reply] = replies.next()
    status = _describe(stage, execution_arn)["status"]
    display.print(f"[bold]Delivery 4[/], while it is {status}: {describe_reply(reply, is_running=True)}")


def _query_by_hand(stage: Stage, _display: Display, _execution_arn: str, delivery: Delivery) -> str:
    """Invoke the schedule's target with the same event, which is how a window is run by hand."""
    name = stage.outputs["StartExecutionFunctionName"]
    reply = stage.aws.client("lambda").invoke(FunctionName=name, Payload=delivery.payload)
    payload = reply["Payload"].read()
    result = "already ended" if json.loads(payload).get("started") is False else payload.decode()
    return f"by the schedule's target: {result}"


def _sweep_by_hand(stage: Stage, display: Display, execution_arn: str, _delivery: Delivery) -> str:
    """Start the same sweep under a name of its own."""
    event = json.loads(_describe(stage, execution_arn)["input"])
    outcome = display.follow(start_execution(stage, stage.outputs["SweepScopeArn"], event), nullcontext())
    counts = ", ".join(f"{count} {name}" for name, count in outcome.output.get("counts", {}).items())
    return f"as an execution of its own: {outcome.status} {counts}"


def _tallies(
    stage: Stage, state_machine_arn: str, execution_arn: str, outcome: Outcome, *, sweeps: bool
) -> list[Tally]:
    step_functions = stage.aws.client("stepfunctions")
    executions = step_functions.list_executions(stateMachineArn=state_machine_arn)["executions"]
    name = execution_arn.rpartition(":")[2]
    scheduled = sum(execution["name"] == name for execution in executions)
    failed = sum(execution["status"] != "SUCCEEDED" for execution in executions)
    objects = stage.aws.client("s3").list_objects_v2(Bucket=stage.outputs["ResultsBucketName"])
    queries = len(outcome.output.get("queries", [])) if sweeps else 1
    return [
        Tally("executions that the deliveries made", scheduled, 1),
        Tally("executions made by hand", len(executions) - scheduled, 1 if sweeps else 0),
        Tally("executions that did not succeed", failed, 0),
        Tally("StartQuery calls", _start_query_calls(stage), queries),
        Tally("objects stored", len(objects.get("Contents", [])), 1),
        Tally("alarms", _count_messages(stage, stage.alarms), 0),
        Tally("messages in the dead-letter queue", _count_messages(stage, stage.outputs["DeadLetterQueueUrl"]), 0),
    ]


def _start_query_calls(stage: Stage) -> int:
    return sum(call.operation == "StartQuery" for call in stage.aws.network_flow_monitor.calls)


def _count_messages(stage: Stage, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = stage.aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(attributes[name]) for name in names)


def _describe(stage: Stage, execution_arn: str) -> Mapping[str, Any]:
    execution: Mapping[str, Any] = stage.aws.client("stepfunctions").describe_execution(executionArn=execution_arn)
    return execution
