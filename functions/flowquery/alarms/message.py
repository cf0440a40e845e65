"""What all alarms share: the subject, the advice, and the link to the execution."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flowquery.core.fields import object_field
from flowquery.core.text import ascii_text, truncated, visible

if TYPE_CHECKING:
    from collections.abc import Mapping

    Fields = Mapping[str, object]

SUBJECT_LENGTH = 100  # as SNS takes it
CAUSE_LENGTH, LINE_LENGTH = 2_000, 2_200
TEXT_LENGTH = 60_000  # characters: SNS refuses a message of more than 256 KB, and then nobody gets it
_CONSOLES = {"aws-cn": "console.amazonaws.cn", "aws-us-gov": "console.amazonaws-us-gov.com"}
# For each error name the likely reason and what to do next; "*" for every other.
ADVICE: Mapping[str, Mapping[str, str]] = json.loads(Path(__file__).with_name("advice.json").read_text("utf-8"))


@dataclass(frozen=True)
class Alarm:
    """A subject of printable ASCII characters, and the text. A finding leaves the execution green.

    What comes from elsewhere, such as a label, stays on its line and is visible: nobody can write lines of a mail.
    """

    subject: str
    text: str
    is_finding: bool = False

    @classmethod
    def of(cls, subject: str, lines: list[str], *, is_finding: bool = False) -> Alarm:
        text = "\n".join(truncated(visible(line), LINE_LENGTH) for line in lines)
        return cls(ascii_text(subject)[:SUBJECT_LENGTH].strip(), truncated(text, TEXT_LENGTH), is_finding)


def error_of(failure: Fields) -> str:
    return truncated(failure.get("Error") or "UnknownError", 200)


def cause_of(failure: Fields) -> str:
    return truncated(cause_text(failure.get("Cause")), CAUSE_LENGTH)


def cause_text(cause: object) -> str:
    """Return the cause of an error; of a function's error only the message, since Lambda wraps it in JSON."""
    try:
        return str(json.loads(str(cause))["errorMessage"])
    except (KeyError, TypeError, ValueError):
        return str(cause or "none given")


def advice_lines(error: str) -> list[str]:
    advice = ADVICE.get(error, ADVICE["*"])
    return [f"Likely:     {advice['likely']}", f"Do next:    {advice['next']}"]


def execution_lines(event: Fields) -> list[str]:
    """Return the execution's ARN and its page in the console."""
    arn = str(event.get("executionArn", ""))
    parts = arn.split(":")
    if len(parts) < 6:
        return [f"Execution:  {arn}"]
    console, region = _CONSOLES.get(parts[1], "console.aws.amazon.com"), parts[3]
    link = f"https://{region}.{console}/states/home?region={region}#/v2/executions/details/{arn}"
    return [f"Execution:  {arn}", f"            {link}"]


def input_lines(event: Fields) -> list[str]:
    """Return the execution's input as text, for an alarm that knows nothing else of it."""
    return [f"Input:      {truncated(event['input'], CAUSE_LENGTH)}"] if event.get("input") is not None else []


def labelled(values: Mapping[str, object]) -> list[str]:
    """Return a line for each value that is there, its label before it."""
    return [f"{label + ':':<11} {truncated(value, 200)}" for label, value in values.items() if value]


def contributor_lines(contributors: list[Fields]) -> list[str]:
    """Return the first rows of a ranking."""
    if not contributors:
        return ["Top contributors: the ranking has no rows."]
    lines = [f"  {rank}. {_contributor(row)}" for rank, row in enumerate(contributors, 1)]
    return ["Top contributors:", *lines]


def ranking_failure_lines(failure: Fields) -> list[str]:
    error, cause = truncated(failure.get("error"), 200), cause_of({"Cause": failure.get("cause")})
    return [f"Top contributors could not be ranked: {error}: {cause}"]


def number_text(number: object) -> str:
    return f"{number:g}" if isinstance(number, (int, float)) else str(number)


def peak_of(fields: Fields) -> Fields:
    return object_field(fields, "peak")


def _contributor(row: Fields) -> str:
    names = ("localSubnetId", "localVpcId", "localAz", "localRegion", "accountId")
    local = " ".join(truncated(row[name], 64) for name in names if row.get(name))
    remote = f" to {truncated(row['remoteIdentifier'], 128)}" if row.get("remoteIdentifier") else ""
    return f"{row.get('value')}: {local}{remote}"
