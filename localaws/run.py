"""`make run`: one query on the loopback AWS, shown while it happens."""

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
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import plotext
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flowquery.alarm import cause_text
from flowquery.cost import PRICES, dollars
from flowquery.inputs import is_id
from localaws import sql
from localaws.clock import SystemClock
from localaws.cloudformation import NOT_SIMULATED
from localaws.lambda_runtime import ProcessRuntime
from localaws.networkflowmonitor.models import Call
from localaws.report import write_report
from localaws.scenarios import SCENARIOS
from localaws.server import REGION, LocalAws

SCOPE_ID = "a1b2c3d4-5678-90ab-cdef-1234567890ab"
_SHOWN_EVENTS = re.compile(r"(\w+)StateEntered|TaskFailed|LambdaFunctionFailed")


class UnusableInput(Exception):
    """What the command was given cannot be used; the message says what is allowed."""


@dataclass(frozen=True)
class Outcome:
    status: str
    output: Mapping[str, Any]
    error: str
    cause: str
    history: list[Mapping[str, Any]]


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


def run(event: object, scenario_name: str, console: Console, report: Path, keep: Path | None = None) -> bool:
    """Deploy, run, show, and write the report of a run that succeeds; tell whether the workflow did.

    What is stored is copied to `keep`.
    """
    if scenario_name not in SCENARIOS:
        raise UnusableInput(f"SCENARIO={scenario_name}: expected one of {', '.join(SCENARIOS)}")
    scenario = SCENARIOS[scenario_name]
    began = time.monotonic()
    report.unlink(missing_ok=True)  # of an earlier run
    with LocalAws(ProcessRuntime(), SystemClock()) as aws:
        console.print(f"[bold]Deploying template.yaml[/] on {aws.endpoint_url} (scenario {scenario_name})")
        outputs = aws.deploy({"ScopeId": _scope_id(event), **scenario.parameters})
        aws.network_flow_monitor.script = scenario.script
        _adopt(aws, event)
        alarms = _subscribe(aws, outputs["AlarmTopicArn"])
        display = Display(aws, console, time.monotonic())
        arn = _start(aws, outputs, event, console)
        outcome = display.follow(arn)
        _show_outcome(aws, console, outcome)
        if outcome.status != "SUCCEEDED" or outcome.output["finding"]:
            _show_alarm(aws, console, alarms)
        _show_cost(aws, console, outcome)
        if outcome.status == "SUCCEEDED" and "series" in outcome.output["results"]:
            _report(aws, console, outcome, report)
            _show_sql(aws, console, outcome.output, keep)
    console.print(f"Took {time.monotonic() - began:.1f} s, all on this machine. Not simulated:")
    for kind, why in NOT_SIMULATED.items():
        console.print(f"  {kind}: {why}")
    return outcome.status == "SUCCEEDED"


def _scope_id(event: object) -> str:
    scope_id = event.get("scopeId") if isinstance(event, dict) else None
    return str(scope_id) if is_id(scope_id) else SCOPE_ID


def _adopt(aws: LocalAws, event: object) -> None:
    """Let a query that is handed in as running be one."""
    if isinstance(event, dict) and isinstance(event.get("queryId"), str):
        aws.network_flow_monitor.add_query(str(event.get("scopeId")), event["queryId"])


def _subscribe(aws: LocalAws, topic_arn: str) -> str:
    sqs = aws.client("sqs")
    url: str = sqs.create_queue(QueueName="alarms")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    aws.client("sns").subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=arn)
    return url


def _start(aws: LocalAws, outputs: Mapping[str, str], event: object, console: Console) -> str:
    """Start RunQuery as its real trigger does: the schedule's target with the schedule's input, or with `event`."""
    machine, sfn = outputs["RunQueryArn"], aws.client("stepfunctions")
    if event is not None:
        return str(sfn.start_execution(stateMachineArn=machine, input=json.dumps(event))["executionArn"])
    scheduler = aws.client("scheduler")
    schedule = scheduler.get_schedule(Name=scheduler.list_schedules()["Schedules"][0]["Name"])
    due = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:00Z")
    console.print(f"Firing the schedule {schedule['ScheduleExpression']} as if it were due at {due}")
    payload = schedule["Target"]["Input"].replace("<aws.scheduler.scheduled-time>", due)
    aws.client("lambda").invoke(FunctionName=schedule["Target"]["Arn"], InvocationType="Event", Payload=payload)
    while not (executions := sfn.list_executions(stateMachineArn=machine)["executions"]):
        failed = [invocation for invocation in aws.lambda_backend.invocations if invocation.error]
        if failed:
            raise RuntimeError(f"the schedule's target failed: {failed[0].payload.decode()}")
        time.sleep(0.05)
    return str(executions[0]["executionArn"])


class Display:
    """Says each state and each call as it happens."""

    def __init__(self, aws: LocalAws, console: Console, began: float) -> None:
        self._aws, self._console, self._began = aws, console, began
        self._lock = threading.RLock()
        self._arn: str | None = None
        self._history: list[Mapping[str, Any]] = []
        aws.network_flow_monitor.observer = self._say_call

    def follow(self, arn: str) -> Outcome:
        sfn, self._arn, status = self._aws.client("stepfunctions"), arn, "RUNNING"
        with self._console.status("RunQuery is running"):
            while status == "RUNNING":
                time.sleep(0.05)
                described = sfn.describe_execution(executionArn=arn)
                status = described["status"]
                self._say_events()
        output = json.loads(described.get("output", "{}"))
        return Outcome(status, output, described.get("error", ""), described.get("cause", ""), self._history)

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
            self._say(f"[bold cyan]{details['name']}[/]{_note(details)}")
        else:
            failed = event.get("taskFailedEventDetails", {})
            self._say(f"  [red]{failed.get('error')}[/] {escape(cause_text(failed.get('cause', '')))[:100]}")

    def _say_call(self, call: Call) -> None:
        if self._arn:
            self._say_events()  # a call is shown below the state that made it
        self._say(f"  [dim]{call.operation}[/] -> {escape(call.outcome)}")

    def _say(self, text: str) -> None:
        with self._lock:
            self._console.print(f"{time.monotonic() - self._began:6.1f} s  {text}")


def _note(details: Mapping[str, Any]) -> str:
    if details["name"] != "WaitBeforeNextCheck":
        return ""
    return f" {json.loads(details['input'])['check']['poll']['waitSeconds']} s"


def _show_outcome(aws: LocalAws, console: Console, outcome: Outcome) -> None:
    if outcome.status != "SUCCEEDED":
        console.print(f"\n[bold red]{outcome.status}[/] {outcome.error}\n  Cause: {escape(cause_text(outcome.cause))}")
        return
    results = outcome.output["results"]
    of_series = f" in {results['series']} series, in {results['unit']}" if "series" in results else ""
    console.print(f"\n[bold green]SUCCEEDED[/] {results['rows']} rows{of_series}")
    if results["empty"]:
        console.print("No data: no agent reported traffic of this kind in the window. That is a valid result.")
    elif not of_series:
        show_ranking(console, _rows(aws, results))
    else:
        show_rows(console, _rows(aws, results), results["unit"])
    console.print(f"Stored: s3://{results['bucket']}/{results['key']}")


def _rows(aws: LocalAws, results: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    body = aws.client("s3").get_object(Bucket=results["bucket"], Key=results["key"])["Body"].read()
    return map(json.loads, gzip.decompress(body).splitlines())


def show_ranking(console: Console, rows: Iterator[Mapping[str, Any]]) -> None:
    names = ("rank", "value", "localSubnetId", "localAz", "localVpcId", "accountId", "remoteIdentifier")
    table = Table(*names, title="Top contributors")
    for row in rows:
        table.add_row(*(escape(str(row[name])) for name in names))
    console.print(table)


def _report(aws: LocalAws, console: Console, outcome: Outcome, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    ranking = outcome.output.get("ranking")
    contributors = list(_rows(aws, ranking["results"])) if ranking else []
    path.write_text(write_report(outcome.output, list(_rows(aws, outcome.output["results"])), contributors), "utf-8")
    console.print(f"Report: {path}")
    open_in_browser(path)


def open_in_browser(path: Path) -> None:
    """Open the page where somebody sits at a screen; a browser for the terminal would take that over."""
    has_screen = sys.platform in ("darwin", "win32") or {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys()
    if has_screen and sys.stdout.isatty() and "CI" not in os.environ:
        webbrowser.open(path.absolute().as_uri())


def show_rows(console: Console, rows: Iterator[Mapping[str, Any]], unit: str) -> None:
    series: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for row in rows:
        series[row["label"]].append((row["timestamp"], row["value"]))
    table = Table("label", "points", "mean", "peak", "at", title=f"Top contributors, in {unit}")
    for label, points in series.items():
        at, peak = max(points, key=lambda point: point[1])
        mean = sum(value for _, value in points) / len(points)
        table.add_row(escape(label), str(len(points)), f"{mean:,.1f}", f"{peak:,.1f}", at)
    console.print(table)
    plotext.clear_figure()
    for (label, points), marker in zip(series.items(), "abcdefghijklmnopqrstuvwxyz", strict=False):
        xs = [datetime.fromisoformat(at).timestamp() for at, _ in points]
        plotext.plot(
            xs, [value for _, value in points], label=label, marker="braille" if console.is_terminal else marker
        )
    ticks = sorted({at for points in series.values() for at, _ in points})
    ticks = ticks[:: max(1, len(ticks) // 6)]
    plotext.xticks([datetime.fromisoformat(at).timestamp() for at in ticks], [at[11:16] for at in ticks])
    plotext.plotsize(min(console.width, 100), 16)
    plotext.theme("clear" if not console.is_terminal else "default")
    chart = plotext.build()
    print(chart if console.is_terminal else plotext.uncolorize(chart))


def _show_sql(aws: LocalAws, console: Console, output: Mapping[str, Any], keep: Path | None) -> None:
    """Answer a saved query over the bucket, as Athena would."""
    day = output["results"]["key"].split("date=")[1][:10]
    window = [output.get("startTime", "2000-01-01T00:00:00Z"), output.get("endTime", "2100-01-01T00:00:00Z")]
    console.print("\n[bold]SQL[/] over the bucket: sql/top_contributors.sql, in DuckDB")
    with tempfile.TemporaryDirectory() as temporary:
        folder = keep or Path(temporary)
        for table in sql.TABLES:
            shutil.rmtree(folder / table, ignore_errors=True)
        sql.download(aws.client("s3"), output["results"]["bucket"], folder)
        sql.answer(console, sql.connect(folder), sql.saved("top_contributors"), [day, day, *window])
    if keep:
        console.print('The objects stay for `make sql` and for make sql SQL="SELECT …".', markup=False)


def _show_alarm(aws: LocalAws, console: Console, queue_url: str) -> None:
    messages = aws.client("sqs").receive_message(QueueUrl=queue_url).get("Messages", [])
    for sent in messages:
        notification = json.loads(sent["Body"])
        console.print(f"\n[bold]Alarm:[/] {escape(notification['Subject'])}")
        console.print("\n".join(f"  {line}" for line in notification["Message"].splitlines()), markup=False)
    if not messages:
        console.print("\n[bold red]No alarm was sent.[/]")


def _show_cost(aws: LocalAws, console: Console, outcome: Outcome) -> None:
    names = [event["type"] for event in outcome.history]
    retries = names.count("TaskScheduled") - sum(name == "TaskStateEntered" for name in names)
    transitions = sum(name.endswith("StateEntered") for name in names) + retries
    invocations = aws.lambda_backend.invocations
    checks = sum(call.operation.startswith("GetQueryStatus") for call in aws.network_flow_monitor.calls)
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
