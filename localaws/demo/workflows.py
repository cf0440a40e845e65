"""What `make run WORKFLOW=` can run."""

from __future__ import annotations

from collections.abc import Mapping

from localaws.demo.run_backfill import run_backfill
from localaws.demo.run_parent import run_parent
from localaws.demo.run_query import run_query
from localaws.demo.run_sweep import run_sweep
from localaws.demo.stage import Demo, UnusableInput

# The service's limit is undocumented, and the loopback has none unless a scenario sets one.
DEMOS: Mapping[str, Demo] = {
    demo.workflow: demo
    for demo in (
        Demo("query", run_query),
        Demo("sweep", run_sweep, {"RequestsPerSecond": "40"}),
        Demo("parent", run_parent),
        Demo("backfill", run_backfill, {"RequestsPerSecond": "100"}),
    )
}


def find_demo(workflow: str) -> Demo:
    if workflow not in DEMOS:
        raise UnusableInput(f"WORKFLOW={workflow}: expected one of {', '.join(DEMOS)}")
    return DEMOS[workflow]
