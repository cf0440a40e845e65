"""`make run SCENARIO=duplicate-delivery`: one scheduled time delivered over and over, and what came of all that."""

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
from localaws.demo.run import (
    Display,
    Firing,
    Outcome,
    Stage,
    deliver,
    firing,
    first_execution,
    show_alarms,
    show_cost,
    show_failure,
    start,
)
from localaws.lambda_runtimes.deployed_function import InvocationResult

AT_ONCE = 3
PATIENCE_SECONDS = 60


class Count(NamedTuple):
    """What was counted, and what it has to be."""

    what: str
    found: int
    expected: int


def run_duplicates(stage: Stage, display: Display, follow: Callable[[str], Outcome], *, sweeps: bool = False) -> bool:
    """Deliver the schedule's event five times, then start the same by hand; tell whether it came to one run."""
    machine = stage.outputs["SweepScopeArn" if sweeps else "RunQueryArn"]
    event, answers = firing(stage, sweeps=sweeps), _Answers(stage)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda _: deliver(stage, event), range(AT_ONCE)))
        for number, answer in enumerate(answers.next(AT_ONCE), 1):
            display.say(f"[bold]Delivery {number}[/], with {AT_ONCE - 1} others at once: {came(answer)}")
        arn = first_execution(stage, machine)
        meanwhile = pool.submit(_deliver_meanwhile, stage, display, arn, event, answers)
        outcome = follow(arn)
        meanwhile.result()
    deliver(stage, event)
    display.say(f"[bold]Delivery 5[/], after it has ended: {came(*answers.next())}")
    starts = _starts(stage)
    by_hand = _sweep_by_hand if sweeps else _query_by_hand
    display.say(f"[bold]By hand[/], {by_hand(stage, display, arn, event)}; {_starts(stage) - starts} StartQuery calls")
    if not outcome.succeeded:
        show_failure(stage.console, outcome)
    counts = [Count("deliveries that failed", answers.failed, 0), *_counts(stage, machine, arn, outcome, sweeps=sweeps)]
    show_counts(stage, counts)
    show_alarms(stage, expected=False)
    show_cost(stage)
    return all(count.found == count.expected for count in counts)


class _Answers:
    """What the schedule's target answers, in the order of its ends."""

    def __init__(self, stage: Stage) -> None:
        self._invocations, self._seen = stage.aws.lambda_backend.invocations, 0

    def next(self, count: int = 1) -> list[InvocationResult]:
        """Wait for so many more."""
        given_up = time.monotonic() + PATIENCE_SECONDS
        while len(answers := self._all()) < self._seen + count:
            if time.monotonic() > given_up:
                raise RuntimeError(f"no answer of a delivery within {PATIENCE_SECONDS} s")
            time.sleep(0.02)
        self._seen += count
        return answers[self._seen - count : self._seen]

    @property
    def failed(self) -> int:
        return sum(bool(invocation.error) for invocation in self._all())

    def _all(self) -> list[InvocationResult]:
        return [done for done in self._invocations if done.function.handler == "start_execution.handler"]


def came(invocation: InvocationResult, *, runs: bool = False) -> str:
    """Say what came of a delivery; of a name that `runs` Step Functions answers as if this one had started it."""
    if invocation.error:
        return f"[red]failed[/] {escape(visible(invocation.payload.decode(), 300))}"
    answer = json.loads(invocation.payload)
    if not answer["started"]:
        return f"ran already as {answer['name']}"
    return f"{'runs already' if runs else 'started'} as {answer['name']}"


def _deliver_meanwhile(stage: Stage, display: Display, arn: str, event: Firing, answers: _Answers) -> None:
    while not _starts(stage) and _describe(stage, arn)["status"] == "RUNNING":
        time.sleep(0.02)
    deliver(stage, event)
    [answer] = answers.next()
    display.say(f"[bold]Delivery 4[/], while it is {_describe(stage, arn)['status']}: {came(answer, runs=True)}")


def _query_by_hand(stage: Stage, _display: Display, _arn: str, event: Firing) -> str:
    """Invoke the schedule's target with the same event, which is how a window is run by hand."""
    name = stage.outputs["StartExecutionFunctionName"]
    answered = stage.aws.client("lambda").invoke(FunctionName=name, Payload=event.payload)
    payload = answered["Payload"].read()
    return f"by the schedule's target: {'ran already' if json.loads(payload).get('started') is False else payload}"


def _sweep_by_hand(stage: Stage, display: Display, arn: str, _event: Firing) -> str:
    """Start the same sweep under a name of its own."""
    again = start(stage, stage.outputs["SweepScopeArn"], json.loads(_describe(stage, arn)["input"]))
    outcome = display.follow(again, nullcontext())
    counts = ", ".join(f"{count} {name}" for name, count in outcome.output.get("counts", {}).items())
    return f"as an execution of its own: {outcome.status} {counts}"


def _counts(stage: Stage, machine: str, arn: str, outcome: Outcome, *, sweeps: bool) -> list[Count]:
    executions = stage.aws.client("stepfunctions").list_executions(stateMachineArn=machine)["executions"]
    name = arn.rpartition(":")[2]
    scheduled = sum(execution["name"] == name for execution in executions)
    failed = sum(execution["status"] != "SUCCEEDED" for execution in executions)
    listed = stage.aws.client("s3").list_objects_v2(Bucket=stage.outputs["ResultsBucketName"])
    return [
        Count("executions that the deliveries made", scheduled, 1),
        Count("executions made by hand", len(executions) - scheduled, 1 if sweeps else 0),
        Count("executions that did not succeed", failed, 0),
        Count("StartQuery calls", _starts(stage), len(outcome.output.get("queries", [])) if sweeps else 1),
        Count("objects stored", len(listed.get("Contents", [])), 1),
        Count("alarms", _messages(stage, stage.alarms), 0),
        Count("messages in the dead-letter queue", _messages(stage, stage.outputs["DeadLetterQueueUrl"]), 0),
    ]


def show_counts(stage: Stage, counts: list[Count]) -> None:
    table = Table("", "counted", "expected", title="What came of it", title_justify="left")
    for count in counts:
        colour = "green" if count.found == count.expected else "bold red"
        table.add_row(count.what, f"[{colour}]{count.found}[/]", str(count.expected))
    stage.console.print()
    stage.console.print(table)


def _starts(stage: Stage) -> int:
    return sum(call.operation == "StartQuery" for call in stage.aws.network_flow_monitor.calls)


def _messages(stage: Stage, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = stage.aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(attributes[name]) for name in names)


def _describe(stage: Stage, arn: str) -> Mapping[str, Any]:
    described: Mapping[str, Any] = stage.aws.client("stepfunctions").describe_execution(executionArn=arn)
    return described
