"""What `make run WORKFLOW=` can run."""

from __future__ import annotations

from collections.abc import Mapping

from localaws.run import UnusableInput, Workflow
from localaws.run_parent import run_parent
from localaws.run_query import run_query
from localaws.run_sweep import run_sweep

WORKFLOWS: Mapping[str, Workflow] = {"query": run_query, "sweep": run_sweep, "parent": run_parent}


def workflow(name: str) -> Workflow:
    if name not in WORKFLOWS:
        raise UnusableInput(f"WORKFLOW={name}: expected one of {', '.join(WORKFLOWS)}")
    return WORKFLOWS[name]
