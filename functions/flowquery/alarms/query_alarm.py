"""The text of an alarm: what happened, how long it took, why it is likely, and what to do next."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flowquery.core.inputs import parse_object
from flowquery.core.model import ascii_text

if TYPE_CHECKING:
    from collections.abc import Mapping

# What the alarm is about, by the workflow that says it.
_ABOUT = {"RunQuery": "A Network Flow Monitor query", "Backfill": "A backfill of Network Flow Monitor queries"}
_CONSOLES = {"aws-cn": "console.amazonaws.cn", "aws-us-gov": "console.amazonaws-us-gov.com"}

# For each error name, the likely cause and what to do next; "*" for every other.
ADVICE: Mapping[str, Mapping[str, str]] = json.loads(Path(__file__).with_name("advice.json").read_text("utf-8"))


@dataclass(frozen=True)
class Alarm:
    """A subject of at most 100 printable ASCII characters, as SNS takes it, and the text.

    `finding` is one that leaves the run green.
    """

    subject: str
    text: str
    finding: bool = False


def parse_run(event: object) -> tuple[Mapping[str, object], str]:
    """Return the state of RunQuery and the execution's ARN, of `{"run", "executionArn"}`."""
    fields = parse_object(event)
    return part(fields, "run"), str(fields.get("executionArn", ""))


def write_alarm(run: Mapping[str, object], arn: str, workflow: str = "RunQuery") -> Alarm:
    """Write the alarm of a run of RunQuery, or of Backfill, that did not succeed.

    Whatever is missing is left out, since an alarm that says less is better than none.
    """
    failure = part(run, "failure")
    error, cause = short(failure.get("Error", "UnknownError"), 200), cause_text(failure.get("Cause"))
    query = part(run, "query") or part(part(run, "start"), "query")
    advice = ADVICE.get(error, ADVICE["*"])
    lines = [
        f"{_ABOUT.get(workflow, workflow)} did not succeed: {error}.",
        "",
        *_about(query, part(part(run, "check"), "poll")),
        f"Cause:      {short(cause, 2000)}",
        *_stopped(part(run, "stop"), workflow),
        "",
        f"Likely:     {advice['likely']}",
        f"Do next:    {advice['next']}",
        "",
        f"Execution:  {arn}",
        f"            {console_link(arn)}",
    ]
    subject = f"Flowquery: {error} {query.get('metricName') or ''} {query.get('destinationCategory') or ''}"
    return Alarm(ascii_text(subject)[:100].strip(), "\n".join(lines))


def _about(query: Mapping[str, object], poll: Mapping[str, object]) -> list[str]:
    labels = {
        "Scope": query.get("scopeId"),
        "Query": query.get("queryId"),
        "Metric": query.get("metricName"),
        "Category": query.get("destinationCategory"),
        "Window": f"{query['startTime']} to {query.get('endTime')}" if query.get("startTime") else None,
        "Windows": f"{query['from']} to {query.get('to')}" if query.get("from") else None,
        "Observed": ", ".join(f"{count} x {name}" for name, count in part(poll, "observed").items()),
        "Spent": f"{poll['elapsedSeconds']} s in {poll.get('checks')} checks" if "elapsedSeconds" in poll else None,
    }
    return [f"{label + ':':<11} {short(value, 200)}" for label, value in labels.items() if value]


def cause_text(cause: object) -> str:
    """Return the message of a Lambda error, which Step Functions wraps in JSON; any other cause as it is."""
    try:
        return str(json.loads(str(cause))["errorMessage"])
    except (KeyError, TypeError, ValueError):
        return str(cause or "none given")


def _stopped(stop: Mapping[str, object], workflow: str) -> list[str]:
    if workflow == "Backfill":
        return []  # its sweeps stop their queries, and say so in their own alarms
    said = "yes" if stop.get("stopped") else f"not needed, the query had ended as {stop.get('status')}"
    if "Error" in stop:
        said = f"no, stopping failed too ({stop['Error']}); the query may go on until it ends by itself"
    elif not stop:
        said = "not needed, or there is no query id to stop"
    return [f"Stopped:    {said}"]


def console_link(arn: str) -> str:
    parts = arn.split(":")
    if len(parts) < 6:
        return ""
    console, region = _CONSOLES.get(parts[1], "console.aws.amazon.com"), parts[3]
    return f"https://{region}.{console}/states/home?region={region}#/v2/executions/details/{arn}"


def part(fields: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = fields.get(name)
    return value if isinstance(value, dict) else {}


def short(value: object, most: int) -> str:
    """Return the value as text that fits: SNS refuses a message of more than 256 KB, and then nobody would be told."""
    text = str(value)
    return text if len(text) <= most else f"{text[:most]}…"
