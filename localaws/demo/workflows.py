"""What `make run WORKFLOW=` can run."""

from __future__ import annotations

from collections.abc import Mapping

from localaws.demo.run import UnusableInput, Workflow
from localaws.demo.run_backfill import run_backfill
from localaws.demo.run_parent import run_parent
from localaws.demo.run_query import run_query
from localaws.demo.run_sweep import run_sweep

# The service's limit is undocumented, and the loopback has none unless a scenario sets one.
WORKFLOWS: Mapping[str, Workflow] = {
    workflow.name: workflow
    for workflow in (
        Workflow("query", run_query),
        Workflow("sweep", run_sweep, {"RequestsPerSecond": "40"}),
        Workflow("parent", run_parent),
        Workflow("backfill", run_backfill, {"RequestsPerSecond": "100"}),
    )
}


def workflow(name: str) -> Workflow:
    if name not in WORKFLOWS:
        raise UnusableInput(f"WORKFLOW={name}: expected one of {', '.join(WORKFLOWS)}")
    return WORKFLOWS[name]
