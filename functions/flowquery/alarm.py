"""The text of an alarm: what happened, how long it took, why it is likely, and what to do next."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flowquery.inputs import parse_object

if TYPE_CHECKING:
    from collections.abc import Mapping

_CONSOLES = {"aws-cn": "console.amazonaws.cn", "aws-us-gov": "console.amazonaws-us-gov.com"}

# For each error name, the likely cause and what to do next; "*" for every other.
ADVICE: Mapping[str, Mapping[str, str]] = json.loads(Path(__file__).with_name("advice.json").read_text("utf-8"))


@dataclass(frozen=True)
class Alarm:
    """A subject of at most 100 printable ASCII characters, as SNS takes it, and the text."""

    subject: str
    text: str


def write_alarm(event: object) -> Alarm:
    """Write the alarm of `{"run": the state of RunQuery, "executionArn": …}`.

    Whatever is missing is left out, since an alarm that says less is better than none.
    """
    fields = parse_object(event)
    run, arn = _part(fields, "run"), str(fields.get("executionArn", ""))
    failure = _part(run, "failure")
    error, cause = _short(failure.get("Error", "UnknownError"), 200), _cause(failure.get("Cause"))
    query = _part(run, "query") or _part(_part(run, "start"), "query")
    advice = ADVICE.get(error, ADVICE["*"])
    lines = [
        f"A Network Flow Monitor query did not succeed: {error}.",
        "",
        *_about(query, _part(_part(run, "check"), "poll")),
        f"Cause:      {_short(cause, 2000)}",
        f"Stopped:    {_stopped(_part(run, 'stop'))}",
        "",
        f"Likely:     {advice['likely']}",
        f"Do next:    {advice['next']}",
        "",
        f"Execution:  {arn}",
        f"            {_console_link(arn)}",
    ]
    subject = f"Flowquery: {error} {query.get('metricName') or ''} {query.get('destinationCategory') or ''}"
    return Alarm(_ascii(subject)[:100].strip(), "\n".join(lines))


def _about(query: Mapping[str, object], poll: Mapping[str, object]) -> list[str]:
    labels = {
        "Scope": query.get("scopeId"),
        "Query": query.get("queryId"),
        "Metric": query.get("metricName"),
        "Category": query.get("destinationCategory"),
        "Window": f"{query['startTime']} to {query.get('endTime')}" if query.get("startTime") else None,
        "Observed": ", ".join(f"{count} x {name}" for name, count in _part(poll, "observed").items()),
        "Spent": f"{poll['elapsedSeconds']} s in {poll.get('checks')} checks" if "elapsedSeconds" in poll else None,
    }
    return [f"{label + ':':<11} {_short(value, 200)}" for label, value in labels.items() if value]


def _cause(cause: object) -> str:
    """Return the message of a Lambda error, which Step Functions wraps in JSON; any other cause as it is."""
    try:
        return str(json.loads(str(cause))["errorMessage"])
    except (KeyError, TypeError, ValueError):
        return str(cause or "none given")


def _stopped(stop: Mapping[str, object]) -> str:
    if "Error" in stop:
        return f"no, stopping failed too ({stop['Error']}); the query may go on until it ends by itself"
    if not stop:
        return "not needed, or there is no query id to stop"
    return "yes" if stop.get("stopped") else f"not needed, the query had ended as {stop.get('status')}"


def _console_link(arn: str) -> str:
    parts = arn.split(":")
    if len(parts) < 6:
        return ""
    console, region = _CONSOLES.get(parts[1], "console.aws.amazon.com"), parts[3]
    return f"https://{region}.{console}/states/home?region={region}#/v2/executions/details/{arn}"


def _part(fields: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = fields.get(name)
    return value if isinstance(value, dict) else {}


def _short(value: object, most: int) -> str:
    """Return the value as text that fits: SNS refuses a message of more than 256 KB, and then nobody would be told."""
    text = str(value)
    return text if len(text) <= most else f"{text[:most]}…"


def _ascii(text: str) -> str:
    return "".join(character if character.isascii() and character.isprintable() else "?" for character in text)
