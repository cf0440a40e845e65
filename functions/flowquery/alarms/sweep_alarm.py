"""The one alarm of a sweep: what failed and what was found, and who is behind the highest peaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowquery.alarms.finding import contributor_lines
from flowquery.alarms.query_alarm import ADVICE, Alarm, cause_text, console_link, part, short
from flowquery.core.model import ascii_text
from flowquery.query.cost import total_cost

if TYPE_CHECKING:
    from collections.abc import Mapping

    Output = Mapping[str, object]

MOST_NAMED = 10


def write_sweep_alarm(run: Mapping[str, object], arn: str) -> Alarm:
    """Write the alarm of a state of SweepScope; `found` is the output of a sweep whose queries have all ended."""
    found, failure = part(run, "found"), part(run, "failure")
    failed = [query for query in _queries(found) if "cause" in query]
    starts = [str(window.get("startTime")) for window in _dicts(found.get("windows"))]
    peaks = sorted((query for query in _queries(found) if query.get("finding")), key=_peak, reverse=True)
    error = "" if found else short(failure.get("Error", "UnknownError"), 200)
    subjects = [f"the sweep broke: {error}"] if error else []
    subjects += [f"{len(failed)} of {len(_queries(found))} queries failed"] if failed else []
    subjects += [f"{len(peaks)} findings, the highest {_name(peaks[0], starts)}"] if peaks else []
    lines = [
        f"Of a sweep of Network Flow Monitor queries: {'; '.join(subjects)}.",
        "",
        *_about(found or part(part(run, "start"), "input")),
        *_broken(failure),
        *_failed(failed, starts),
        *_found(peaks, run, starts),
        f"Execution:  {arn}",
        f"            {console_link(arn)}",
    ]
    green = not (error or found.get("status") == "INCOMPLETE")
    subject = f"Flowquery{' finding' * green}: {'; '.join(subjects)}"
    return Alarm(ascii_text(subject)[:100].strip(), "\n".join(lines), finding=green)


def sweep_finding_output(run: Mapping[str, object], own_cost: Mapping[str, object], region: str) -> dict[str, object]:
    """Return the execution's output: that of the sweep, with `rankings` of its highest peaks, and the cost of all."""
    found, ranked = part(run, "found"), part(part(run, "step"), "output")
    before = ranked if _is_ranked(run) else found  # a ranking's cost takes in the sweep's
    costs = [part(before, "cost"), own_cost, {"transitions": 2}]  # RaiseAlarm, ChooseEnd
    rankings = _queries(ranked) if _is_ranked(run) else []
    failure = part(run, "failure")
    told = {"error": short(failure["Error"], 200), "cause": _cause(failure)} if failure else None
    return {**found, "rankings": rankings, "rankingFailure": told, "cost": total_cost(costs, region)}


def _is_ranked(run: Mapping[str, object]) -> bool:
    return "family" in part(part(run, "step"), "output")


def _about(known: Output) -> list[str]:
    """Say the scope, the window and the objects of an output, or of an input, in which anything may be anything."""
    windows = _dicts(known.get("windows")) or [known]
    first = windows[0]
    more = f" and {len(windows) - 1} more windows" if len(windows) > 1 else ""
    lines = [f"Scope:      {short(known.get('scopeId'), 200)}"]
    if "startTime" in first:
        lines.append(f"Window:     {short(first['startTime'], 40)} to {short(first.get('endTime'), 40)}{more}")
    objects = [place for window in windows for place in _dicts(window.get("objects"))]
    lines += [
        f"Stored:     s3://{place.get('bucket')}/{short(place.get('key'), 300)}" for place in objects[:MOST_NAMED]
    ]
    return [*lines, ""]


def _broken(failure: Mapping[str, object]) -> list[str]:
    if not failure:
        return []
    error = short(failure.get("Error", "UnknownError"), 200)
    advice = ADVICE.get(error, ADVICE["*"])
    return [
        f"A step broke: {error}: {_cause(failure)}",
        f"Likely:     {advice['likely']}",
        f"Do next:    {advice['next']}",
        "",
    ]


def _failed(failed: list[Output], starts: list[str]) -> list[str]:
    if not failed:
        return []
    lines = ["Not succeeded:"]
    lines += [f"  {_name(query, starts)}: {query['status']}: {query['cause']}" for query in failed[:MOST_NAMED]]
    lines += [f"  and {len(failed) - MOST_NAMED} more, in the execution's history"] if len(failed) > MOST_NAMED else []
    for error in dict.fromkeys(str(query["status"]) for query in failed):
        advice = ADVICE.get(error, ADVICE["*"])
        lines += [f"{error}: {advice['likely']} {advice['next']}"]
    unclear = [_name(query, starts) for query in failed if query.get("unclear")]
    more = f" and {len(unclear) - MOST_NAMED} more" if len(unclear) > MOST_NAMED else ""
    of_these = f"{', '.join(unclear[:MOST_NAMED])}{more}"
    lines += [f"Of these a query may run whose id nobody knows; it ends by itself: {of_these}"] if unclear else []
    return [*lines, ""]


def _found(peaks: list[Output], run: Mapping[str, object], starts: list[str]) -> list[str]:
    if not peaks:
        return []
    lines = ["Peaks above alarmAbove:"]
    for query in peaks[:MOST_NAMED]:
        peak = part(query, "peak")
        lines.append(f"  {_name(query, starts)}: {peak.get('value')} {query.get('unit')} at {peak.get('timestamp')}")
    if not _is_ranked(run):
        return [*lines, "Top contributors could not be ranked.", ""]
    for ranking in _queries(part(part(run, "step"), "output")):
        lines += [f"{_name(ranking, starts)}:", *contributor_lines(ranking)]
    return [*lines, ""]


def _queries(output: Output) -> list[Output]:
    return _dicts(output.get("queries"))


def _dicts(values: object) -> list[Output]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _name(query: Output, starts: list[str]) -> str:
    """Say what was asked for, and of several windows which."""
    window = query.get("window")
    which = f" {starts[window]}" if isinstance(window, int) and 1 < len(starts) > window else ""
    return f"{query.get('metricName')} {query.get('destinationCategory')}{which}"


def _peak(query: Output) -> float:
    value = part(query, "peak").get("value")
    return value if isinstance(value, (int, float)) else 0.0


def _cause(failure: Mapping[str, object]) -> str:
    return short(cause_text(failure.get("Cause")), 2000)
