"""`make run`: one workflow on the loopback AWS, shown while it happens. What all workflows do and show alike."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import sys
import tempfile
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from samtranslator.yaml_helper import yaml_parse

from flowquery.alarms.message import cause_text
from flowquery.core.fields import is_id
from flowquery.core.text import visible
from flowquery.query.cost import PRICES, dollars
from localaws.clock import SystemClock
from localaws.demo import sql
from localaws.demo.scenarios import SCENARIOS, Scenario
from localaws.lambda_runtimes.process import ProcessRuntime
from localaws.scripted_network_flow_monitor import Call
from localaws.seams.cloudformation_resources import NOT_SIMULATED
from localaws.server import REGION, TEMPLATE, LocalAws

SCOPE_ID = "a1b2c3d4-5678-90ab-cdef-1234567890ab"
_SHOWN_EVENTS = re.compile(r"(\w+)StateEntered|TaskFailed|LambdaFunctionFailed")


class UnusableInput(Exception):
    """What the command was given cannot be used; the message says what is allowed."""


@dataclass(frozen=True)
class Stage:
    """What a workflow is given: the stack, deployed, and where to show what.

    Attributes
    ----------
    event
        The execution's input, or None where the workflow's own trigger is to make one.
    alarms
        The URL of a queue that the stack's alarms come to.
    report
        Where the report goes.
    keep
        A folder that is to hold the stored objects, for `make sql`.
    """

    aws: LocalAws
    console: Console
    outputs: Mapping[str, str]
    event: object
    alarms: str
    report: Path
    keep: Path | None
    scenario: Scenario


@dataclass(frozen=True)
class Workflow:
    """What `make run WORKFLOW=` runs.

    Attributes
    ----------
    run
        Shows it, and tells whether it succeeded.
    parameters
        The stack's, where the scenario has none of that name.
    """

    name: str
    run: Callable[[Stage], bool]
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    status: str
    output: Any
    error: str
    cause: str
    history: list[Mapping[str, Any]]

    @property
    def succeeded(self) -> bool:
        return self.status == "SUCCEEDED"


def read_event(path: str | None) -> object:
    """Return the execution's input, or None where the schedule is to make one."""
    if not path:
        return None
    try:
        return json.loads(Path(path).read_text("utf-8"), parse_constant=_refuse_constant)
    except OSError as error:
        raise UnusableInput(f"EVENT={path}: {error.strerror}; expected a file such as events/run_query.json") from error
    except (ValueError, RecursionError) as error:
        raise UnusableInput(f"EVENT={path}: not JSON ({error}); expected one like events/run_query.json") from error


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no number")


def run(
    workflow: Workflow, event: object, scenario_name: str, console: Console, report: Path, keep: Path | None = None
) -> bool:
    """Deploy, run and show; tell whether the workflow succeeded."""
    scenario = scenario_of(workflow.name, scenario_name, event)
    began = time.monotonic()
    report.unlink(missing_ok=True)  # of an earlier run
    with LocalAws(ProcessRuntime(), SystemClock()) as aws:
        console.print(f"[bold]Deploying template.yaml[/] on {aws.endpoint_url} (scenario {scenario_name})")
        outputs = aws.deploy({"ScopeId": _scope_id(event), **workflow.parameters, **scenario.parameters})
        aws.network_flow_monitor.script = scenario.script_of(workflow.name)
        alarms = _subscribe(aws, outputs["AlarmTopicArn"])
        succeeded = workflow.run(Stage(aws, console, outputs, event, alarms, report, keep, scenario))
    console.print(f"Took {time.monotonic() - began:.1f} s, all on this machine. Not simulated:")
    for kind, why in NOT_SIMULATED.items():
        console.print(f"  {kind}: {why}")
    return succeeded


def scenario_of(workflow: str, name: str, event: object = None) -> Scenario:
    """Return the scenario, or raise UnusableInput where the workflow has none of that name, or no use for the event."""
    known = [known for known, scenario in SCENARIOS.items() if workflow in scenario.workflows]
    if name not in known:
        raise UnusableInput(f"SCENARIO={name}: expected one that WORKFLOW={workflow} has: {', '.join(known)}")
    if SCENARIOS[name].duplicates and event is not None:
        raise UnusableInput(f"EVENT: SCENARIO={name} delivers the schedule's own event, so it takes none")
    return SCENARIOS[name]


def _scope_id(event: object) -> str:
    scope_id = event.get("scopeId") if isinstance(event, dict) else None
    return str(scope_id) if is_id(scope_id) else SCOPE_ID


def _subscribe(aws: LocalAws, topic_arn: str) -> str:
    sqs = aws.client("sqs")
    url: str = sqs.create_queue(QueueName="alarms")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    aws.client("sns").subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=arn)
    return url


# --- starting ---


def show_rate(stage: Stage) -> None:
    """Say at which rate sweeps run here, and which one a stack has that sets none."""
    if isinstance(stage.event, dict) and "requestsPerSecond" in stage.event:
        return  # its own
    [stack] = stage.aws.client("cloudformation").describe_stacks(StackName="flowquery")["Stacks"]
    here = {given["ParameterKey"]: given["ParameterValue"] for given in stack["Parameters"]}
    default = yaml_parse(TEMPLATE.read_text("utf-8"))["Parameters"]["RequestsPerSecond"]["Default"]
    stage.console.print(
        f"At most {here['RequestsPerSecond']} requests a second here, so that it takes seconds; "
        f"RequestsPerSecond is {default} by default"
    )


def start(stage: Stage, machine: str, event: object) -> str:
    """Start the state machine with an input, and return the execution's ARN."""
    sfn = stage.aws.client("stepfunctions")
    return str(sfn.start_execution(stateMachineArn=machine, input=json.dumps(event))["executionArn"])


@dataclass(frozen=True)
class Firing:
    """What a schedule delivers: its target, and the event of one scheduled time."""

    target: str
    payload: str


def fire_schedule(stage: Stage, machine: str, *, sweeps: bool = False) -> str:
    """Start the state machine as its schedule does, by the target with the input of it."""
    deliver(stage, firing(stage, sweeps=sweeps))
    return first_execution(stage, machine)


def firing(stage: Stage, *, sweeps: bool) -> Firing:
    """Return what the schedule delivers as if it were due now."""
    scheduler = stage.aws.client("scheduler")
    names = [schedule["Name"] for schedule in scheduler.list_schedules()["Schedules"]]
    [name] = [name for name in names if ("Sweep" in name) == sweeps]
    schedule = scheduler.get_schedule(Name=name)
    due = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:00Z")
    stage.console.print(f"Firing the schedule {schedule['ScheduleExpression']} as if it were due at {due}")
    payload = schedule["Target"]["Input"].replace("<aws.scheduler.scheduled-time>", due)
    return Firing(schedule["Target"]["Arn"], payload)


def deliver(stage: Stage, event: Firing) -> None:
    """Deliver the event as EventBridge Scheduler does, without waiting for what comes of it."""
    stage.aws.client("lambda").invoke(FunctionName=event.target, InvocationType="Event", Payload=event.payload)


def first_execution(stage: Stage, machine: str) -> str:
    sfn = stage.aws.client("stepfunctions")
    while not (executions := sfn.list_executions(stateMachineArn=machine)["executions"]):
        failed = [invocation for invocation in stage.aws.lambda_backend.invocations if invocation.error]
        if failed:
            raise RuntimeError(f"the schedule's target failed: {failed[0].payload.decode()}")
        time.sleep(0.05)
    return str(executions[0]["executionArn"])


# --- while it runs ---


class Display:
    """Says each state and each call as it happens."""

    def __init__(self, stage: Stage) -> None:
        self._aws, self._console, self._began = stage.aws, stage.console, time.monotonic()
        self._lock = threading.RLock()
        self._arn: str | None = None
        self._history: list[Mapping[str, Any]] = []
        self.observe(self.say_call)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def observe(self, on_call: Callable[[Call], None]) -> None:
        """Let `on_call` take the calls that Network Flow Monitor gets, rather than say each."""
        self._aws.network_flow_monitor.observer = on_call

    def follow(
        self,
        arn: str,
        showing: AbstractContextManager[object],
        ended: Callable[[Outcome], None] | None = None,
    ) -> Outcome:
        """Say what happens until the execution has ended; `showing` moves meanwhile, and until `ended` is told."""
        sfn, self._arn, status = self._aws.client("stepfunctions"), arn, "RUNNING"
        self._history = []
        with showing:
            while status == "RUNNING":
                time.sleep(0.05)
                described = sfn.describe_execution(executionArn=arn)
                status = described["status"]
                self._say_events()
            output = json.loads(described.get("output", "{}"))
            outcome = Outcome(status, output, described.get("error", ""), described.get("cause", ""), self._history)
            if ended:
                ended(outcome)
        return outcome

    def _say_events(self) -> None:
        with self._lock:
            history = self._aws.client("stepfunctions").get_execution_history(executionArn=self._arn)["events"]
            seen, self._history = len(self._history), history
            for event in history[seen:]:
                self._say_event(event)

    def _say_event(self, event: Mapping[str, Any]) -> None:
        if not _SHOWN_EVENTS.fullmatch(event["type"]):
            return
        if "stateEnteredEventDetails" in event:
            details = event["stateEnteredEventDetails"]
            self.say(f"[bold cyan]{details['name']}[/]{_note(details)}")
        else:
            error, cause = _failure(event.get("taskFailedEventDetails", {}))
            self.say(f"  [red]{escape(error)}[/] {escape(visible(cause, 100))}")

    def say_call(self, call: Call, about: str = "") -> None:
        if self._arn:
            self._say_events()  # a call is shown below the state that made it
        self.say(f"  [dim]{call.operation}{about}[/] -> {escape(call.outcome)}")

    def say(self, text: str) -> None:
        with self._lock:
            self._console.print(f"{self.seconds:6.1f} s  {text}")


def _failure(details: Mapping[str, str]) -> tuple[str, str]:
    """Return error and cause, of a nested execution its own, which come as the text of the execution."""
    error, cause = details.get("error", ""), details.get("cause", "")
    if error == "States.TaskFailed":
        with suppress(ValueError, KeyError, TypeError):
            child = json.loads(cause)
            return child["Error"], child["Cause"]
    return error, cause_text(cause)


def _note(details: Mapping[str, Any]) -> str:
    """Return how long a Wait state waits, which its input says somewhere."""
    if not details["name"].startswith("Wait"):
        return ""
    found = re.search(r'"waitSeconds": *([\d.]+)', details["input"])
    return f" {found[1]} s" if found else ""


# --- what came of it ---


def show_failure(console: Console, outcome: Outcome) -> None:
    cause = escape(visible(cause_text(outcome.cause), 2000))
    console.print(f"\n[bold red]{outcome.status}[/] {escape(outcome.error)}\n  Cause: {cause}")


def stored_rows(aws: LocalAws, bucket: str, key: str) -> Iterator[Mapping[str, Any]]:
    body = aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return map(json.loads, gzip.decompress(body).splitlines())


def publish(stage: Stage, page: str) -> None:
    """Write the report, and open it where somebody can see it."""
    stage.report.parent.mkdir(parents=True, exist_ok=True)
    stage.report.write_text(page, "utf-8")
    stage.console.print(f"Report: {stage.report}")
    open_in_browser(stage.report)


def open_in_browser(path: Path) -> None:
    """Open the page where somebody sits at a screen; a browser for the terminal would take that over."""
    has_screen = sys.platform in ("darwin", "win32") or {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys()
    if has_screen and sys.stdout.isatty() and "CI" not in os.environ:
        webbrowser.open(path.absolute().as_uri())


def show_sql(stage: Stage, days: Sequence[str], window: Sequence[str]) -> None:
    """Answer a saved query over the bucket, as Athena would, from the first day to the last and within the window."""
    console = stage.console
    console.print("\n[bold]SQL[/] over the bucket: sql/top_contributors.sql, in DuckDB")
    with tempfile.TemporaryDirectory() as temporary:
        folder = stage.keep or Path(temporary)
        for table in sql.TABLES:
            shutil.rmtree(folder / table, ignore_errors=True)
        sql.download(stage.aws.client("s3"), stage.outputs["ResultsBucketName"], folder)
        sql.answer(console, sql.connect(folder), sql.saved("top_contributors"), [min(days), max(days), *window], 10)
    if stage.keep:
        console.print('The objects stay for `make sql` and for make sql SQL="SELECT …".', markup=False)


def show_alarms(stage: Stage, expected: bool) -> None:
    """Show the alarms that were sent; none is a fault where one is expected."""
    console, sqs = stage.console, stage.aws.client("sqs")
    shown = 0
    while messages := sqs.receive_message(QueueUrl=stage.alarms, MaxNumberOfMessages=10).get("Messages", []):
        shown += len(messages)
        for sent in messages:
            notification = json.loads(sent["Body"])
            console.print(f"\n[bold]Alarm:[/] {escape(notification['Subject'])}")
            console.print("\n".join(f"  {line}" for line in notification["Message"].splitlines()), markup=False)
            sqs.delete_message(QueueUrl=stage.alarms, ReceiptHandle=sent["ReceiptHandle"])
    if expected and not shown:
        console.print("\n[bold red]No alarm was sent.[/]")


def show_cost(stage: Stage) -> None:
    """Show what all executions of all state machines took together."""
    console, invocations = stage.console, stage.aws.lambda_backend.invocations
    transitions = sum(map(_transitions, _histories(stage.aws))) + sum(_children(stage.aws))
    checks = sum(call.operation.startswith("GetQueryStatus") for call in stage.aws.network_flow_monitor.calls)
    gb_seconds = sum(invocation.billed_gb_seconds for invocation in invocations)
    price = dollars(REGION, transitions, len(invocations), gb_seconds)
    priced = (
        f"no price known in {REGION}"
        if price is None
        else f"${price:.6f} at the prices of {PRICES['date']} in {REGION}"
    )
    console.print(
        f"Cost: {checks} checks, {transitions} state transitions, {len(invocations)} invocations, "
        f"{gb_seconds:.3f} Lambda GB-seconds, {priced}"
    )
    # On Linux alone does the system tell a process's peak.
    peaks = {call.function.handler.split(".")[0]: call for call in invocations if call.max_memory_mb}
    told = (f"{name} {call.max_memory_mb} of {call.function.memory_mb} MB" for name, call in peaks.items())
    console.print(f"Peak memory: {', '.join(told) or 'not told by this system'}")


def _histories(aws: LocalAws) -> Iterator[list[str]]:
    """Return the types of the events of each execution."""
    sfn = aws.client("stepfunctions")
    for machine in sfn.list_state_machines()["stateMachines"]:
        for execution in sfn.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]:
            history = sfn.get_execution_history(executionArn=execution["executionArn"])["events"]
            yield [event["type"] for event in history]


def _children(aws: LocalAws) -> Iterator[int]:
    """Return of each Distributed Map how many children it ran; each enters a state, and moto keeps no history of it."""
    sfn = aws.client("stepfunctions")
    for machine in sfn.list_state_machines()["stateMachines"]:
        for execution in sfn.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]:
            for run in sfn.list_map_runs(executionArn=execution["executionArn"])["mapRuns"]:
                counts = sfn.describe_map_run(mapRunArn=run["mapRunArn"])["itemCounts"]
                yield counts["total"] - counts["pending"]


def _transitions(types: Sequence[str]) -> int:
    """Return the transitions that Step Functions bills: states entered, and retries."""
    retries = types.count("TaskScheduled") - types.count("TaskStateEntered")
    return sum(name.endswith("StateEntered") for name in types) + retries
