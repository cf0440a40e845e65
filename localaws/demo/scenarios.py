"""What `make run SCENARIO=` can show: how queries go, and the stack's parameters that show it in seconds."""

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
        Those that it makes sense for.
    duplicates
        Whether the schedule's event is delivered more than once.
    of_many
        How they go in a sweep, where that is something else.
    """

    script: Script = field(default_factory=Script)
    parameters: Mapping[str, str] = field(default_factory=dict)
    workflows: tuple[str, ...] = ("query",)
    duplicates: bool = False
    of_many: Script | None = None

    def script_of(self, workflow: str) -> Script:
        return self.of_many if self.of_many and workflow == "sweep" else self.script


SCENARIOS: Mapping[str, Scenario] = {
    "succeeded": Scenario(workflows=ALL),
    "slow": Scenario(Script(("QUEUED", "QUEUED", *["RUNNING"] * 7, "SUCCEEDED")), {"HoldSeconds": "2"}),
    "failed": Scenario(Script(("QUEUED", "RUNNING", "FAILED")), workflows=ALL),
    "canceled": Scenario(Script(("QUEUED", "RUNNING", "CANCELED"))),
    # Two throttles outlast the SDK's two attempts: the hold absorbs them, the state machine retries the start.
    "throttled": Scenario(
        Script((*THROTTLED * 2, "QUEUED", *THROTTLED * 2, "RUNNING", "SUCCEEDED"), start_faults=THROTTLED),
        workflows=QUERY_OR_SWEEP,
        # Four throttles of each of 33 queries take minutes; a limit below the sweep's rate is what it meets.
        of_many=Script(seconds=(1.0, 3.0), requests_per_second=15),
    ),
    "unknown-status": Scenario(Script(("QUEUED", "RUNNING", "PAUSED"))),
    "finding": Scenario(
        parameters={"ScheduleAlarmAbove": "100", "SweepAlarmAbove": '{"RETRANSMISSIONS": 1000}'},
        workflows=QUERY_OR_SWEEP,
    ),
    "empty": Scenario(Script(series=0), workflows=ALL),
    # For a sweep: two queries end otherwise, one has no results, one cannot be started; and the service takes fewer
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
    # Three times at once, once while it runs, once after it has ended, then again by hand.
    "duplicate-delivery": Scenario(workflows=QUERY_OR_SWEEP, duplicates=True),
}
