"""`make run`: one workflow on the loopback AWS, deployed, run, and shown while it happens."""

from __future__ import annotations

import json
import time
from pathlib import Path

from rich.console import Console

from flowquery.core.fields import is_id
from localaws.clock import SystemClock
from localaws.demo.scenarios import SCENARIOS, Scenario
from localaws.demo.stage import SCOPE_ID, Demo, Stage, UnusableInput
from localaws.lambda_runtimes.process import ProcessRuntime
from localaws.seams.cloudformation_resources import NOT_SIMULATED
from localaws.server import LocalAws


def run(
    demo: Demo, event: object, scenario_name: str, console: Console, report: Path, keep: Path | None = None
) -> bool:
    """Deploy, run and show; tell whether the workflow succeeded."""
    scenario = find_scenario(demo.workflow, scenario_name, event)
    began = time.monotonic()
    report.unlink(missing_ok=True)  # of an earlier run
    with LocalAws(ProcessRuntime(), SystemClock()) as aws:
        console.print(f"[bold]Deploying template.yaml[/] on {aws.endpoint_url} (scenario {scenario_name})")
        outputs = aws.deploy({"ScopeId": _scope_id(event), **demo.parameters, **scenario.parameters})
        aws.network_flow_monitor.script = scenario.script_of(demo.workflow)
        alarms = _subscribe(aws, outputs["AlarmTopicArn"])
        succeeded = demo.run(Stage(aws, console, outputs, event, alarms, report, keep, scenario))
    console.print(f"Took {time.monotonic() - began:.1f} s, all on this machine. Not simulated:")
    for resource_type, reason in NOT_SIMULATED.items():
        console.print(f"  {resource_type}: {reason}")
    return succeeded


def read_event(path: str | None) -> object:
    """Return the execution's input, or None where the schedule is to make one."""
    if not path:
        return None
    example = "expected a file such as events/run_query.json"
    try:
        return json.loads(Path(path).read_text("utf-8"), parse_constant=_refuse_constant)
    except OSError as error:
        raise UnusableInput(f"EVENT={path}: {error.strerror}; {example}") from error
    except (ValueError, RecursionError) as error:
        raise UnusableInput(f"EVENT={path}: not JSON ({error}); {example}") from error


def find_scenario(workflow: str, name: str, event: object = None) -> Scenario:
    """Return the scenario, or raise UnusableInput where the workflow has none of that name, or no use for the event."""
    allowed = [each for each, scenario in SCENARIOS.items() if workflow in scenario.workflows]
    if name not in allowed:
        raise UnusableInput(f"SCENARIO={name}: expected one that WORKFLOW={workflow} has: {', '.join(allowed)}")
    if SCENARIOS[name].duplicates and event is not None:
        raise UnusableInput(f"EVENT: SCENARIO={name} delivers the schedule's own event, so it takes none")
    return SCENARIOS[name]


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not a number")


def _scope_id(event: object) -> str:
    scope_id = event.get("scopeId") if isinstance(event, dict) else None
    return str(scope_id) if is_id(scope_id) else SCOPE_ID


def _subscribe(aws: LocalAws, topic_arn: str) -> str:
    """Return the URL of a new queue that gets the topic's messages."""
    sqs = aws.client("sqs")
    url: str = sqs.create_queue(QueueName="alarms")["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    aws.client("sns").subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=queue_arn)
    return url
