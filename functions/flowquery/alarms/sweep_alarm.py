"""The one alarm of a sweep: what failed, what was found, and who contributed most to the highest peaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowquery.alarms.message import (
    ADVICE,
    Alarm,
    advice_lines,
    cause_of,
    contributor_lines,
    error_of,
    execution_lines,
    input_lines,
    peak_of,
    ranking_failure_lines,
)
from flowquery.core.fields import object_field, objects_field
from flowquery.core.text import truncated

if TYPE_CHECKING:
    from collections.abc import Mapping

    Fields = Mapping[str, object]

MOST_NAMED = 10


def write_sweep_alarm(event: Fields) -> Alarm:
    """Write the alarm of an execution of SweepScope: of its output, and of the step that broke.

    The event has the output as `finding` where the execution stays green, else as `output`, where there is one.
    """
    output = object_field(event, "finding") or object_field(event, "output")
    queries = objects_field(output, "queries")
    starts = [str(window.get("startTime")) for window in objects_field(output, "windows")]
    failed = [query for query in queries if "cause" in query]
    peaks = sorted((query for query in queries if query.get("finding")), key=_peak_value, reverse=True)
    step_failure = object_field(event, "stepFailure") or ({} if output else object_field(event, "failure"))
    subjects = [] if output else [f"the sweep broke: {error_of(step_failure)}"]
    subjects += [f"{len(failed)} of {len(queries)} queries failed"] if failed else []
    subjects += [f"{len(peaks)} findings, the highest {_query_name(peaks[0], starts)}"] if peaks else []
    lines = [
        f"Of a sweep of Network Flow Monitor queries: {'; '.join(subjects)}.",
        "",
        *_output_lines(output),
        *(input_lines(event) if not output else []),
        "",
        *_step_failure_lines(step_failure, object_field(event, "stop")),
        *_failed_lines(failed, starts),
        *_finding_lines(output, peaks, starts),
        *execution_lines(event),
    ]
    is_finding = bool(object_field(event, "finding"))
    return Alarm.of(f"Flowquery{' finding' * is_finding}: {'; '.join(subjects)}", lines, is_finding=is_finding)


def _output_lines(output: Fields) -> list[str]:
    if not output:
        return []
    windows = objects_field(output, "windows")
    lines = [f"Scope:      {truncated(output.get('scopeId'), 200)}"]
    if windows:
        more = f" and {len(windows) - 1} more windows" if len(windows) > 1 else ""
        times = f"{truncated(windows[0].get('startTime'), 40)} to {truncated(windows[0].get('endTime'), 40)}"
        lines.append(f"Window:     {times}{more}")
    objects = [stored for window in windows for stored in objects_field(window, "objects")][:MOST_NAMED]
    return [*lines, *(f"Stored:     s3://{one.get('bucket')}/{truncated(one.get('key'), 300)}" for one in objects)]


def _step_failure_lines(failure: Fields, stop: Fields) -> list[str]:
    if not failure:
        return []
    error = error_of(failure)
    lines = [f"A step broke: {error}: {cause_of(failure)}"]
    if "Error" in stop:
        lines.append(f"Stopped:    no, stopping failed too ({error_of(stop)}).")
        lines.append("            Queries may be running until they end by themselves.")
    return [*lines, *advice_lines(error), ""]


def _failed_lines(failed: list[Fields], starts: list[str]) -> list[str]:
    if not failed:
        return []
    lines = ["Not succeeded:"]
    lines += [
        f"  {_query_name(query, starts)}: {query.get('status')}: {query['cause']}" for query in failed[:MOST_NAMED]
    ]
    lines += [f"  and {len(failed) - MOST_NAMED} more, in the execution's history"] if len(failed) > MOST_NAMED else []
    for error in list(dict.fromkeys(str(query.get("status")) for query in failed))[:MOST_NAMED]:
        advice = ADVICE.get(error, ADVICE["*"])
        lines.append(f"{error}: {advice['likely']} {advice['next']}")
    unclear = [_query_name(query, starts) for query in failed if query.get("unclear")]
    if unclear:
        more = f" and {len(unclear) - MOST_NAMED} more" if len(unclear) > MOST_NAMED else ""
        lines.append(
            "The start of these had an unclear outcome. A query may be running whose id nobody knows; it ends by "
            f"itself: {', '.join(unclear[:MOST_NAMED])}{more}"
        )
    return [*lines, ""]


def _finding_lines(output: Fields, peaks: list[Fields], starts: list[str]) -> list[str]:
    if not peaks:
        return []
    lines = ["Peaks above alarmAbove:"]
    for query in peaks[:MOST_NAMED]:
        peak = peak_of(query)
        lines.append(
            f"  {_query_name(query, starts)}: {peak.get('value')} {query.get('unit')} at {peak.get('timestamp')}"
        )
    failure = object_field(output, "rankingFailure")
    lines += ranking_failure_lines(failure) if failure else []
    for ranking in objects_field(output, "rankings"):
        lines.append(f"{_query_name(ranking, starts)}:")
        lines += (
            ranking_failure_lines({"error": ranking.get("status"), "cause": ranking["cause"]})
            if "cause" in ranking
            else contributor_lines(objects_field(ranking, "topContributors"))
        )
    return [*lines, ""]


def _query_name(query: Fields, starts: list[str]) -> str:
    """Name the query's selection, and of several windows which."""
    window = query.get("window")
    of_window = f" {starts[window]}" if isinstance(window, int) and 1 < len(starts) > window >= 0 else ""
    return f"{query.get('metricName')} {query.get('destinationCategory')}{of_window}"


def _peak_value(query: Fields) -> float:
    value = peak_of(query).get("value")
    return value if isinstance(value, (int, float)) else 0.0
