"""`make gaps` and `make backfill` against the loopback."""

from __future__ import annotations

import pytest

from commands import windows
from localaws.scripted_network_flow_monitor import Script
from tests.loopback import SCOPE_ID, Stack

DAY = ["--from", "2026-11-22T00:00:00Z", "--to", "2026-11-23T00:00:00Z"]


@pytest.fixture(autouse=True)
def quick(stack: Stack) -> None:
    stack.aws.network_flow_monitor.script = Script(("SUCCEEDED",))


def test_gaps_are_listed_until_a_backfill_has_filled_them(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert windows.main(["gaps", *DAY, "--window", "720"]) == 1
    before = capsys.readouterr().out
    status = windows.main(["backfill", *DAY, "--window", "720"])
    output, errors = capsys.readouterr()
    assert (status, errors) == (0, "")
    assert windows.main(["gaps", *DAY, "--window", "720"]) == 0

    assert "2026-11-22T12:00:00Z to 2026-11-23T00:00:00Z  not stored" in before
    assert "2 of 2 windows" in before
    assert "66 queries" in output
    assert "2 windows done, 0 left" in output
    assert "0 of 2 windows" in capsys.readouterr().out


def test_a_window_that_is_stored_in_part_says_what_is_missing(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    bucket = stack.outputs["ResultsBucketName"]
    key = f"results/date=2026-11-22/{SCOPE_ID}-sweep-20261122T000000Z-20261123T000000Z-01234567.jsonl.gz"
    categories = "AMAZON_DYNAMODB,AMAZON_S3,AWS_SERVICE,INTER_AZ,INTER_REGION,INTER_VPC,INTERNET,INTRA_AZ,LOCAL_ZONE"
    selection = f"RETRANSMISSIONS:{categories},TRANSIT_GATEWAY,UNCLASSIFIED;TIMEOUTS:{categories},UNCLASSIFIED"
    stack.aws.client("s3").put_object(Bucket=bucket, Key=key, Body=b"", Metadata={"selection": selection})

    assert windows.main(["gaps", *DAY, "--window", "1440"]) == 1

    listed = capsys.readouterr().out
    assert "stored in part, without DATA_TRANSFERRED:" in listed
    assert listed.splitlines()[0].endswith(";TIMEOUTS:TRANSIT_GATEWAY")


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
    ("arguments", "message"),
    [
        (["gaps", "--to", "2026-11-23T00:00:00Z"], "FROM is missing."),
        (["gaps", *DAY, "--window", "soon"], "WINDOW: expected a whole number"),
        (["backfill", *DAY, "--to", "2026-11-21"], "TO: expected a time after"),
        (["gaps", *DAY, "--stack", "nosuch"], "nosuch"),
    ],
)
def test_an_input_that_cannot_be_used_is_named(
    stack: Stack, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert windows.main(arguments) == 2
    assert message in capsys.readouterr().err


def test_a_backfill_that_fails_says_why(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    stack.aws.network_flow_monitor.script = Script(("FAILED",))

    assert windows.main(["backfill", *DAY]) == 1
    assert "BackfillIncomplete" in capsys.readouterr().out
