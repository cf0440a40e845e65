"""The alarms of RunQuery and Backfill: what happened, how long it took, the likely reason, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowquery.alarms.message import (
    Alarm,
    advice_lines,
    cause_of,
    contributor_lines,
    error_of,
    execution_lines,
    input_lines,
    labelled,
    number_text,
    ranking_failure_lines,
)
from flowquery.core.fields import object_field, objects_field
from flowquery.core.text import truncated

if TYPE_CHECKING:
    from collections.abc import Mapping

    Fields = Mapping[str, object]


def write_query_alarm(event: Fields) -> Alarm:
    """Write the alarm of an execution of RunQuery that did not succeed.

    What is missing in the event is left out: an alarm that says less is better than none.
    """
    failure, query, poll = (object_field(event, name) for name in ("failure", "query", "poll"))
    error = error_of(failure)
    observed = ", ".join(f"{count} x {name}" for name, count in object_field(poll, "observed").items())
    lines = [
        f"A Network Flow Monitor query did not succeed: {error}.",
        "",
        *labelled(
            {
                "Scope": query.get("scopeId"),
                "Query": query.get("queryId"),
                "Metric": query.get("metricName"),
                "Category": query.get("destinationCategory"),
                "Window": f"{query['startTime']} to {query.get('endTime')}" if query.get("startTime") else None,
                "Observed": observed,
                "Spent": _spent(poll),
            }
        ),
        *input_lines(event),
        f"Cause:      {cause_of(failure)}",
        f"Stopped:    {_stopped(object_field(event, 'stop'))}",
        "",
        *advice_lines(error),
        "",
        *execution_lines(event),
    ]
    selection = f"{query.get('metricName') or ''} {query.get('destinationCategory') or ''}"
    return Alarm.of(f"Flowquery: {error} {selection}", lines)


def write_query_finding(event: Fields) -> Alarm:
    """Write the finding of an output of RunQuery: a peak above `alarmAbove`, and who contributed most to it."""
    output = object_field(event, "finding")
    results = object_field(output, "results")
    peak, unit, above = object_field(results, "peak"), results.get("unit"), number_text(output.get("alarmAbove"))
    subject = f"{output.get('metricName')} {output.get('destinationCategory')}"
    lines = [
        f"A peak is above {above} {unit}.",
        "",
        f"Scope:      {truncated(output.get('scopeId'), 200)}",
        f"Metric:     {subject}",
        f"Window:     {output.get('startTime')} to {output.get('endTime')}",
        f"Peak:       {peak.get('value')} {unit} at {peak.get('timestamp')} on {truncated(peak.get('label'), 200)}",
        f"Results:    s3://{results.get('bucket')}/{results.get('key')}",
        "",
        *_ranking_lines(output),
        "",
        *execution_lines(event),
    ]
    return Alarm.of(f"Flowquery finding: {subject} peak {peak.get('value')} > {above}", lines, is_finding=True)


def write_backfill_alarm(event: Fields) -> Alarm:
    """Write the alarm of an execution of Backfill that did not succeed. Its sweeps have raised alarms of their own."""
    failure, plan = object_field(event, "failure"), object_field(event, "plan")
    error = error_of(failure)
    lines = [
        f"A backfill of Network Flow Monitor queries did not succeed: {error}.",
        "",
        *labelled(
            {
                "Scope": plan.get("scopeId"),
                "Windows": f"{plan['from']} to {plan.get('to')}" if plan.get("from") else None,
            }
        ),
        *input_lines(event),
        f"Cause:      {cause_of(failure)}",
        "",
        *advice_lines(error),
        "",
        *execution_lines(event),
    ]
    return Alarm.of(f"Flowquery: {error}", lines)


def _ranking_lines(output: Fields) -> list[str]:
    failure = object_field(output, "rankingFailure")
    if failure:
        return ranking_failure_lines(failure)
    return contributor_lines(objects_field(object_field(object_field(output, "ranking"), "results"), "topContributors"))


def _spent(poll: Fields) -> str | None:
    return f"{poll['elapsedSeconds']} s in {poll.get('checks')} status checks" if "elapsedSeconds" in poll else None


def _stopped(stop: Fields) -> str:
    if "Error" in stop:
        return f"no, stopping failed too ({error_of(stop)}). The query may be running until it ends by itself."
    if stop.get("stopped"):
        return "yes"
    if stop:
        return f"not needed, the query had ended as {stop.get('status')}"
    return "not needed, or no query id is known"
