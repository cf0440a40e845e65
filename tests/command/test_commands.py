"""The commands, as a user runs them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from localaws.demo.scenarios import SCENARIOS
from tests.loopback import ROOT, SCOPE_ID

pytestmark = pytest.mark.slow
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "PYTHONPATH": f"{ROOT}:{ROOT / 'functions'}",
    "PYTHONUNBUFFERED": "1",
    # Of a user with an account: nothing of this may be used.
    "AWS_PROFILE": "production",
    "AWS_ENDPOINT_URL": "https://example.com",
}
ERRORS = {
    "failed": "QueryFailed",
    "canceled": "QueryCanceled",
    "unknown-status": "UnknownStatus",
    "never-ends": "QueryTimedOut",
}


def localaws(*arguments: str, home: Path, report: Path | None = None) -> subprocess.CompletedProcess[str]:
    report_option = ["--report", str(report or home.parent / "report.html")] if arguments[0] == "run" else []
    command = [sys.executable, "-m", "localaws", *arguments, *report_option]
    environment = {**ENVIRONMENT, "HOME": str(home)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("scenario", sorted(SCENARIOS.keys() - ERRORS.keys() - {"duplicate-delivery"}))
def test_a_run_that_succeeds_shows_states_table_chart_objects_and_cost(scenario: str, tmp_path: Path) -> None:
    home, report = tmp_path / "home", tmp_path / "new" / "report.html"
    home.mkdir()

    ran = localaws("run", "--scenario", scenario, home=home, report=report)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"Report: {report}" in ran.stdout
    assert ("<figure>" in report.read_text("utf-8")) == (scenario != "empty")
    for state in (
        "StartQuery",
        "GetQueryStatus",
        "ChooseByStatus",
        "GetQueryResults",
        "ChooseFinding",
        "QuerySucceeded",
    ):
        assert state in ran.stdout
    assert re.search(
        r"Cost: \d+ status checks, \d+ state transitions, \d+ invocations, [\d.]+ Lambda GB-seconds", ran.stdout
    )
    assert "Stored: s3://" in ran.stdout
    assert "sql/top_contributors.sql" in ran.stdout
    assert "AWS::S3::BucketPolicy" in ran.stdout
    assert ("No data" in ran.stdout) == (scenario == "empty")
    assert ("Top contributors" in ran.stdout) == (scenario != "empty")
    assert list(home.iterdir()) == []


def test_sql_queries_what_a_run_has_kept_until_the_next_run(tmp_path: Path) -> None:
    kept, home = tmp_path / "kept", tmp_path / "home"
    home.mkdir()
    query = "SELECT count(DISTINCT label) AS labels, count(*) AS points FROM results WHERE label LIKE 'use1%'"

    for _ in range(2):
        assert localaws("run", "--keep", str(kept), home=home).returncode == 0
    answered = localaws("sql", "--folder", str(kept), query, home=home)

    assert answered.returncode == 0, answered.stderr
    assert re.search(r"3 +│ 9 ", answered.stdout)
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("scenario", ERRORS)
def test_a_run_that_does_not_succeed_says_the_error_its_cause_and_the_alarm(scenario: str, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    report.write_text("of an earlier run", "utf-8")

    ran = localaws("run", "--scenario", scenario, home=tmp_path, report=report)

    assert ran.returncode == 1
    assert not report.exists()
    for text in (f"FAILED {ERRORS[scenario]}", "Cause: Query ", f"Alarm: Flowquery: {ERRORS[scenario]}", "Do next:"):
        assert text in ran.stdout
    assert "(1)" in ran.stderr


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "events").glob("run_query*.json")))
def test_an_event_is_the_executions_input(name: str, tmp_path: Path) -> None:
    ran = localaws("run", "--event", f"events/{name}", home=tmp_path)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert SCOPE_ID in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scenario", "nonsense"], "succeeded, slow, failed"),
        (["--workflow", "nonsense"], "query, sweep, parent, backfill"),
        (["--workflow", "backfill", "--scenario", "mixed"], "WORKFLOW=backfill has: succeeded, failed, empty"),
        (["--scenario", "duplicate-delivery", "--event", "events/run_query.json"], "the schedule's own event"),
        (["--event", "missing.json"], "events/run_query.json"),
        (["--event", "events"], "events/run_query.json"),
        (["--event", "README.md"], "not JSON"),
        (["--event", "pyproject.toml"], "not JSON"),
    ],
)
def test_an_input_that_cannot_be_used_is_2_and_says_what_is_allowed(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    ran = localaws("run", *arguments, home=tmp_path)

    assert (ran.returncode, ran.stdout) == (2, "")
    assert message in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("content", ["[]", '"x"', "{}", '{"scopeId": "..", "queryId": "q"}', '{"scopeId": 5}'])
def test_an_input_that_the_workflow_refuses_is_1(content: str, tmp_path: Path) -> None:
    event, home = tmp_path / "event.json", tmp_path / "home"
    event.write_text(content, "utf-8")
    home.mkdir()

    ran = localaws("run", "--event", str(event), home=home)

    assert ran.returncode == 1
    assert "FAILED InvalidInput" in ran.stdout
    assert "Alarm: Flowquery: InvalidInput" in ran.stdout


@pytest.mark.parametrize(
    ("scenario", "status", "texts"),
    [
        ("succeeded", 0, ["SUCCEEDED 4 queries: 4 SUCCEEDED"]),
        ("mixed", 1, ["FAILED SweepIncomplete", "AMAZON_S3 2026-11-24T08:00:00Z: FAILED", "x failed", "Alarm: "]),
    ],
)
def test_a_sweep_shows_each_query_that_ends_then_the_heat_map(
    scenario: str, status: int, texts: list[str], tmp_path: Path
) -> None:
    event, report = tmp_path / "event.json", tmp_path / "report.html"
    categories = ["INTER_AZ", "AMAZON_S3", "LOCAL_ZONE", "INTERNET"]
    window = {"startTime": "2026-11-24T08:00:00Z", "endTime": "2026-11-24T08:15:00Z"}
    sweep_input = {"scopeId": SCOPE_ID, **window, "metricNames": ["TIMEOUTS"], "destinationCategories": categories}
    event.write_text(json.dumps(sweep_input), "utf-8")

    ran = localaws(
        "run", "--workflow", "sweep", "--scenario", scenario, "--event", str(event), home=tmp_path, report=report
    )

    assert ran.returncode == status, ran.stdout + ran.stderr
    for text in ("TIMEOUTS INTER_AZ 2026-11-24T08:00:00Z: done (", "A stronger shade", "Stored: ", "Cost: ", *texts):
        assert text in ran.stdout
    assert "sql/top_contributors.sql" in ran.stdout
    page = report.read_text("utf-8")
    assert 'class="heat"' in page
    assert "Sweep of 4 queries" in page


def test_a_sweep_that_refuses_its_input_is_1_and_leaves_no_report(tmp_path: Path) -> None:
    event, report = tmp_path / "event.json", tmp_path / "report.html"
    event.write_text('{"scopeId": 5, "windows": 5}', "utf-8")

    ran = localaws("run", "--workflow", "sweep", "--event", str(event), home=tmp_path, report=report)

    assert ran.returncode == 1, ran.stderr
    assert "InvalidInput" in ran.stdout
    assert not report.exists()


@pytest.mark.parametrize(("scenario", "verdict"), [("succeeded", "LOUD"), ("failed", "ASK_AGAIN")])
def test_the_parent_workflow_shows_the_verdict_of_each_scope(scenario: str, verdict: str, tmp_path: Path) -> None:
    ran = localaws("run", "--workflow", "parent", "--scenario", scenario, home=tmp_path)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(re.findall(rf"│ {verdict} +│", ran.stdout)) == 2
    assert ("sql/top_contributors.sql" in ran.stdout) == (scenario == "succeeded")
    assert ran.stdout.count("Alarm: Flowquery: QueryFailed") == (2 if scenario == "failed" else 0)
    assert ran.stderr == ""


def test_a_parent_workflow_that_fails_is_1(tmp_path: Path) -> None:
    sample = json.loads((ROOT / "examples/parent_workflow/event.json").read_text("utf-8"))
    event = tmp_path / "event.json"
    event.write_text(json.dumps({**sample, "quietUpTo": "loud"}), "utf-8")

    ran = localaws("run", "--workflow", "parent", "--event", str(event), home=tmp_path)

    assert ran.returncode == 1
    assert "FAILED States." in ran.stdout


@pytest.mark.parametrize("workflow", ["query", "sweep"])
def test_repeated_deliveries_make_one_run(workflow: str, tmp_path: Path) -> None:
    ran = localaws("run", "--workflow", workflow, "--scenario", "duplicate-delivery", home=tmp_path)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    replies = re.findall(r"Delivery (\d).*: (started|already running|already ended) as ", ran.stdout)
    started = [(number, "started") for number in "123"]
    assert replies == [*started, ("4", "already running"), ("5", "already ended")]
    assert "0 StartQuery calls" in ran.stdout
    counted = dict(re.findall(r"│ ([a-zA-Z -]+?) +│ (\d+) +│ \d+ +│", ran.stdout))
    queries = "33" if workflow == "sweep" else "1"
    assert counted == {
        "deliveries that failed": "0",
        "executions that the deliveries made": "1",
        "executions made by hand": "1" if workflow == "sweep" else "0",
        "executions that did not succeed": "0",
        "StartQuery calls": queries,
        "objects stored": "1",
        "alarms": "0",
        "messages in the dead-letter queue": "0",
    }


@pytest.mark.parametrize(
    ("scenario", "status", "texts"),
    [
        ("succeeded", 0, ["SUCCEEDED 2 windows done, 0 left", "│ 1       │ 2 of 2", "sql/top_contributors.sql"]),
        ("failed", 1, ["FAILED BackfillIncomplete", "│ 0       │ 0 of 2", "Alarm: Flowquery: BackfillIncomplete"]),
    ],
)
def test_a_backfill_shows_what_is_stored_of_each_window(
    scenario: str, status: int, texts: list[str], tmp_path: Path
) -> None:
    event = tmp_path / "event.json"
    stretch = {"from": "2026-11-23T00:00:00Z", "to": "2026-11-24T00:00:00Z", "windowMinutes": 720}
    categories = ["INTER_AZ", "INTERNET"]
    sweep_input = {"scopeId": SCOPE_ID, **stretch, "metricNames": ["TIMEOUTS"], "destinationCategories": categories}
    event.write_text(json.dumps(sweep_input), "utf-8")

    arguments = ["run", "--workflow", "backfill", "--scenario", scenario, "--event", str(event)]
    ran = localaws(*arguments, home=tmp_path)

    assert ran.returncode == status, ran.stdout + ran.stderr
    for text in ("4 queries", "2026-11-23T12:00:00Z to 2026-11-24T00:00:00Z", "Cost: ", *texts):
        assert text in ran.stdout
    assert "Traceback" not in ran.stderr


def test_make_alone_lists_the_commands() -> None:
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    for command in ("run", "sql", "serve", "test", "verify", "check", "deploy", "lock", "clean"):
        assert f"make {command} " in listed


def test_make_run_sets_up_nothing_twice_and_passes_its_variables_on() -> None:
    ran = subprocess.run(
        ["make", "run", "SCENARIO=canceled"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=make_environment(),
    )

    assert ran.returncode == 2  # make's own, for any recipe that fails
    assert "setup:" not in ran.stdout
    assert "QueryCanceled" in ran.stdout
    assert "(1)" in ran.stderr


def make_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "localaws", "serve"],
        cwd=ROOT,
        env={**ENVIRONMENT, "HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    lines: list[str] = []
    while not (lines and lines[-1].startswith("Ctrl-C")):
        lines.append(process.stdout.readline())
        assert lines[-1], "".join(lines)
    exports = [line.removeprefix("export ").strip() for line in lines if "=" in line]
    yield process, dict(line.split("=", 1) for line in exports)
    process.kill()
    process.wait()


def test_what_serve_prints_is_enough_for_boto3_and_ctrl_c_leaves_nothing(
    served: tuple[subprocess.Popen[str], dict[str, str]],
) -> None:
    process, variables = served
    described = execute(variables["AWS_ENDPOINT_URL"], variables["RunQueryArn"])
    functions = children(process.pid)

    process.send_signal(signal.SIGINT)

    assert described["status"] == "SUCCEEDED"
    assert json.loads(described["output"])["results"]["rows"] > 0
    assert functions
    assert process.wait() == 0
    assert not any(Path(f"/proc/{child}").exists() for child in functions)


def execute(endpoint_url: str, machine: str) -> Any:
    client = boto3.client("stepfunctions", endpoint_url=endpoint_url)
    event = (ROOT / "events/run_query.json").read_text("utf-8")
    arn = client.start_execution(stateMachineArn=machine, input=event)["executionArn"]
    while (described := client.describe_execution(executionArn=arn))["status"] == "RUNNING":
        threading.Event().wait(0.1)
    return described


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text("ascii").split()]


def sam(*arguments: str, environment: dict[str, str] | None = None) -> str:
    binaries = ROOT / ".venv-sam/bin"
    variables = {
        "HOME": str(ROOT / ".home"),
        "PATH": f"{binaries}:{os.environ['PATH']}",
        "SAM_CLI_TELEMETRY": "0",
        **(environment or {}),
    }
    command = [str(binaries / "sam"), *arguments]
    ran = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def build() -> Path:
    """What `sam build` makes as a user runs it."""
    if sys.version_info[:2] != (3, 13) and not os.environ.get("CI"):
        pytest.skip("sam build needs Python 3.13, the deployed version")
    sam("build")
    return ROOT / ".aws-sam/build"


def test_sam_deploys_to_what_serve_serves_and_deletes_it_again(
    build: Path, served: tuple[subprocess.Popen[str], dict[str, str]]
) -> None:
    _, variables = served
    environment = {name: value for name, value in variables.items() if name.startswith("AWS_")}
    parameters = ["--parameter-overrides", f"ScopeId={SCOPE_ID}"]

    sam("deploy", "--stack-name", "mine", "--no-confirm-changeset", *parameters, environment=environment)
    stacks = boto3.client("cloudformation", endpoint_url=variables["AWS_ENDPOINT_URL"])
    [stack] = stacks.describe_stacks(StackName="mine")["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    described = execute(variables["AWS_ENDPOINT_URL"], outputs["RunQueryArn"])
    sam("delete", "--stack-name", "mine", "--no-prompts", environment=environment)

    assert described["status"] == "SUCCEEDED"
    client = boto3.client("stepfunctions", endpoint_url=variables["AWS_ENDPOINT_URL"])
    assert outputs["RunQueryArn"] not in str(client.list_state_machines()["stateMachines"])
