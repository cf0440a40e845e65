"""`make gaps` and `make backfill` against the loopback, and what `make run WORKFLOW=backfill` shows."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from commands import windows
from localaws.demo.run import Stage
from localaws.demo.run_backfill import run_backfill
from localaws.demo.scenarios import SCENARIOS
from localaws.networkflowmonitor.models import Script
from tests.loopback import SCOPE_ID, Stack

DAY = ["--from", "2026-11-22T00:00:00Z", "--to", "2026-11-23T00:00:00Z"]


@pytest.fixture(autouse=True)
def quick(stack: Stack) -> None:
    stack.aws.network_flow_monitor.script = Script(("SUCCEEDED",))


def test_gaps_are_listed_until_a_backfill_has_filled_them(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert windows.main(["gaps", *DAY, "--window", "720"]) == 1
    before = capsys.readouterr().out
    status = windows.main(["backfill", *DAY, "--window", "720"])
    told, wrong = capsys.readouterr()
    assert (status, wrong) == (0, "")
    assert windows.main(["gaps", *DAY, "--window", "720"]) == 0

    assert "2026-11-22T12:00:00Z to 2026-11-23T00:00:00Z  not stored" in before
    assert "2 of 2 windows" in before
    assert "66 queries" in told
    assert "2 windows done, 0 left" in told
    assert "0 of 2 windows" in capsys.readouterr().out


def test_a_window_that_is_stored_in_part_says_what_is_missing(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    bucket = stack.outputs["ResultsBucketName"]
    key = f"results/date=2026-11-22/{SCOPE_ID}-sweep-20261122T000000Z-20261123T000000Z-01234567.jsonl.gz"
    categories = "AMAZON_DYNAMODB,AMAZON_S3,AWS_SERVICE,INTER_AZ,INTER_REGION,INTER_VPC,INTERNET,INTRA_AZ,LOCAL_ZONE"
    selection = f"RETRANSMISSIONS:{categories},TRANSIT_GATEWAY,UNCLASSIFIED;TIMEOUTS:{categories},UNCLASSIFIED"
    stack.aws.client("s3").put_object(Bucket=bucket, Key=key, Body=b"", Metadata={"selection": selection})

    assert windows.main(["gaps", *DAY, "--window", "1440"]) == 1

    said = capsys.readouterr().out
    assert "in part, without DATA_TRANSFERRED:" in said
    assert said.splitlines()[0].endswith(";TIMEOUTS:TRANSIT_GATEWAY")


def test_a_dry_run_says_what_it_takes_and_starts_nothing(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    month = ["--from", "2026-10-01T00:00:00Z", "--to", "2026-10-31T00:00:00Z", "--dry-run"]
    assert windows.main(["backfill", *month, "--window", "15"]) == 0
    quarters = capsys.readouterr().out
    assert windows.main(["backfill", *month]) == 0
    days = capsys.readouterr().out

    assert "95,040 queries, at least 15.84 hours at 5 requests a second" in quarters
    assert "990 queries" in days
    assert "$" in days
    assert stack.aws.network_flow_monitor.calls == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gaps", "--to", "2026-11-23T00:00:00Z"], "FROM: required"),
        (["gaps", *DAY, "--window", "soon"], "WINDOW: expected a whole number"),
        (["backfill", *DAY, "--to", "2026-11-21"], "TO: expected a time after"),
        (["gaps", *DAY, "--stack", "nosuch"], "nosuch"),
    ],
)
def test_what_cannot_be_used_is_named(
    stack: Stack, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert windows.main(arguments) == 2
    assert said in capsys.readouterr().err


def test_a_backfill_that_fails_says_why(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    stack.aws.network_flow_monitor.script = Script(("FAILED",))

    assert windows.main(["backfill", *DAY]) == 1
    assert "BackfillIncomplete" in capsys.readouterr().out


def shown(stack: Stack, folder: Path, event: object = None) -> tuple[bool, str]:
    text = io.StringIO()
    alarms = stack.aws.client("sqs").get_queue_url(QueueName="alarms")["QueueUrl"]
    console, scenario = Console(file=text, soft_wrap=True, highlight=False), SCENARIOS["succeeded"]
    stage = Stage(stack.aws, console, stack.outputs, event, alarms, folder / "report.html", folder, scenario)
    return run_backfill(stage), text.getvalue()


def test_two_days_are_shown_on_the_loopback(stack: Stack, tmp_path: Path) -> None:
    succeeded, said = shown(stack, tmp_path)

    assert succeeded
    assert "At most 5 requests a second here" in said
    assert "132 queries" in said
    assert "4 windows done, 0 left" in said
    assert said.count("│ 1       │ 33 of 33       │") == 4
    assert "sql/top_contributors.sql" in said


def test_windows_that_are_left_are_shown_with_their_alarms(stack: Stack, tmp_path: Path) -> None:
    stack.aws.network_flow_monitor.script = Script(("FAILED",))

    succeeded, said = shown(stack, tmp_path)

    assert not succeeded
    assert said.count("│ 0       │ 0 of 33        │") == 4
    assert "BackfillIncomplete" in said
    assert said.count("Alarm: ") == 2


@pytest.mark.parametrize("event", [{}, [], {"scopeId": SCOPE_ID, "from": "soon"}])
def test_an_input_that_the_backfill_refuses_is_shown_as_its_failure(
    stack: Stack, tmp_path: Path, event: object
) -> None:
    succeeded, said = shown(stack, tmp_path, event)

    assert not succeeded
    assert "FAILED InvalidInput" in said
    assert "Alarm: Flowquery: InvalidInput" in said
