"""What `make run SCENARIO=` can show: how queries go, and the parameters of the stack that show it in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from localaws.scripted_network_flow_monitor import Script

THROTTLED = ("ThrottlingException",)
ALL = ("query", "sweep", "parent", "backfill")
QUERY_OR_SWEEP = ("query", "sweep")


@dataclass(frozen=True)
class Scenario:
    """How queries go.

    Attributes
    ----------
    parameters
        Of the stack.
    workflows
        Those that have it.
    duplicates
        Whether the schedule's event is delivered more than one time.
    sweep_script
        How queries of a sweep go, where that differs.
    """

    script: Script = field(default_factory=Script)
    parameters: Mapping[str, str] = field(default_factory=dict)
    workflows: tuple[str, ...] = ("query",)
    duplicates: bool = False
    sweep_script: Script | None = None

    def script_of(self, workflow: str) -> Script:
        return self.sweep_script if self.sweep_script and workflow == "sweep" else self.script


SCENARIOS: Mapping[str, Scenario] = {
    "succeeded": Scenario(workflows=ALL),
    "slow": Scenario(Script(("QUEUED", "QUEUED", *["RUNNING"] * 7, "SUCCEEDED")), {"HoldSeconds": "2"}),
    "failed": Scenario(Script(("QUEUED", "RUNNING", "FAILED")), workflows=ALL),
    "canceled": Scenario(Script(("QUEUED", "RUNNING", "CANCELED"))),
    # Two throttles outlast the SDK's two attempts: the hold absorbs them, the state machine retries the start.
    "throttled": Scenario(
        Script((*THROTTLED * 2, "QUEUED", *THROTTLED * 2, "RUNNING", "SUCCEEDED"), start_faults=THROTTLED),
        workflows=QUERY_OR_SWEEP,
        # Four throttles of each of 33 queries take minutes, so a sweep meets a limit below its rate.
        sweep_script=Script(seconds=(1.0, 3.0), requests_per_second=15),
    ),
    "unknown-status": Scenario(Script(("QUEUED", "RUNNING", "PAUSED"))),
    "finding": Scenario(
        parameters={"ScheduleAlarmAbove": "100", "SweepAlarmAbove": '{"RETRANSMISSIONS": 1000}'},
        workflows=QUERY_OR_SWEEP,
    ),
    "empty": Scenario(Script(series=0), workflows=ALL),
    # In a sweep two queries do not succeed, one has no results, and one cannot be started. The service takes fewer
    # requests than the sweep sends at first.
    "mixed": Scenario(
        Script(
            seconds=(1.0, 3.0, 2.0, 5.0),
            ends={
                ("TIMEOUTS", "AMAZON_S3"): "FAILED",
                ("DATA_TRANSFERRED", "INTERNET"): "CANCELED",
                ("RETRANSMISSIONS", "TRANSIT_GATEWAY"): "ResourceNotFoundException",
            },
            refused=(("TIMEOUTS", "LOCAL_ZONE"),),
            requests_per_second=12,
        ),
        {"RequestsPerSecond": "20"},
        workflows=QUERY_OR_SWEEP,
    ),
    "quota": Scenario(
        Script(seconds=(1.0, 1.5, 2.0), concurrent_queries=5), {"RequestsPerSecond": "20"}, workflows=QUERY_OR_SWEEP
    ),
    "never-ends": Scenario(
        Script(("QUEUED", "RUNNING")), {"HoldSeconds": "2", "TimeoutSeconds": "6"}, workflows=QUERY_OR_SWEEP
    ),
    # Three at the same time, one while the execution is running, one after its end; then again by hand.
    "duplicate-delivery": Scenario(workflows=QUERY_OR_SWEEP, duplicates=True),
}
