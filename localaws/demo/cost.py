"""What a run cost: the transitions of all executions, and all invocations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flowquery.query.cost import PRICES, dollars
from localaws.demo.stage import Stage
from localaws.server import REGION, LocalAws


def show_cost(stage: Stage) -> None:
    """Show what the executions of all state machines took together."""
    invocations = stage.aws.lambda_backend.invocations
    transitions = sum(_transitions(stage.aws, arn) for arn in _execution_arns(stage.aws))
    checks = sum(call.operation.startswith("GetQueryStatus") for call in stage.aws.network_flow_monitor.calls)
    gb_seconds = sum(result.billed_gb_seconds for result in invocations)
    price = dollars(REGION, transitions, len(invocations), gb_seconds)
    in_dollars = f"no price is known for {REGION}"
    if price is not None:
        in_dollars = f"${price:.6f} at the prices of {PRICES['date']} in {REGION}"
    stage.console.print(
        f"Cost: {checks} status checks, {transitions} state transitions, {len(invocations)} invocations, "
        f"{gb_seconds:.3f} Lambda GB-seconds, {in_dollars}"
    )
    # Only Linux tells the peak of a process.
    peaks = {result.function.handler.split(".")[0]: result for result in invocations if result.max_memory_mb}
    texts = (f"{name} {result.max_memory_mb} of {result.function.memory_mb} MB" for name, result in peaks.items())
    stage.console.print(f"Peak memory: {', '.join(texts) or 'not known on this system'}")


def billed_transitions(event_types: Sequence[str]) -> int:
    """Return the transitions that Step Functions bills: states entered, and retries."""
    retries = event_types.count("TaskScheduled") - event_types.count("TaskStateEntered")
    return sum(name.endswith("StateEntered") for name in event_types) + retries


def _execution_arns(aws: LocalAws) -> Iterator[str]:
    step_functions = aws.client("stepfunctions")
    for machine in step_functions.list_state_machines()["stateMachines"]:
        for execution in step_functions.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]:
            yield execution["executionArn"]


def _transitions(aws: LocalAws, execution_arn: str) -> int:
    """Return the transitions of an execution, and of the children of its Distributed Maps.

    A child enters one state, and moto keeps no history of it.
    """
    step_functions = aws.client("stepfunctions")
    history = step_functions.get_execution_history(executionArn=execution_arn)["events"]
    transitions = billed_transitions([event["type"] for event in history])
    for map_run in step_functions.list_map_runs(executionArn=execution_arn)["mapRuns"]:
        counts = step_functions.describe_map_run(mapRunArn=map_run["mapRunArn"])["itemCounts"]
        transitions += counts["total"] - counts["pending"]
    return transitions
