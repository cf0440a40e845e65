"""The text of a finding: a peak above what the caller set, and who is behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowquery.alarms.query_alarm import Alarm, cause_text, console_link, part, short
from flowquery.core.model import ascii_text
from flowquery.query.cost import total_cost

if TYPE_CHECKING:
    from collections.abc import Mapping


def is_finding(results: Mapping[str, object], alarm_above: float | None) -> bool:
    """Tell whether the results have a peak above what the caller set."""
    peak = part(results, "peak").get("value")
    return alarm_above is not None and isinstance(peak, (int, float)) and peak > alarm_above


def write_finding(run: Mapping[str, object], arn: str) -> Alarm:
    """Write the finding of a state of RunQuery that has `found`, the output of the query with the peak."""
    found = part(run, "found")
    results = part(found, "results")
    peak, unit, above = part(results, "peak"), results.get("unit"), _shown(found.get("alarmAbove"))
    lines = [
        f"A peak is above {above} {unit}.",
        "",
        f"Scope:      {short(found.get('scopeId'), 200)}",
        f"Metric:     {found.get('metricName')} {found.get('destinationCategory')}",
        f"Window:     {found.get('startTime')} to {found.get('endTime')}",
        f"Peak:       {peak.get('value')} {unit} at {peak.get('timestamp')} on {short(peak.get('label'), 200)}",
        f"Results:    s3://{results.get('bucket')}/{results.get('key')}",
        "",
        *_ranking_lines(run),
        "",
        f"Execution:  {arn}",
        f"            {console_link(arn)}",
    ]
    about = f"{found.get('metricName')} {found.get('destinationCategory')}"
    subject = f"Flowquery finding: {about} peak {peak.get('value')} > {above}"
    return Alarm(ascii_text(subject)[:100].strip(), "\n".join(lines), finding=True)


def finding_output(run: Mapping[str, object], own_cost: Mapping[str, object], region: str) -> dict[str, object]:
    """Return the execution's output: that of the query, with its `ranking` or `rankingFailure`, and the cost of all."""
    found, ranked = part(run, "found"), part(part(run, "got"), "output")
    cost = total_cost([part(found, "cost"), part(ranked, "cost"), own_cost], region)
    failure = _ranking_failure(run)
    ranking = None if failure else {name: ranked.get(name) for name in ("queryId", "results")}
    return {**found, "ranking": ranking, "rankingFailure": failure, "cost": cost}


def _ranking_failure(run: Mapping[str, object]) -> dict[str, str] | None:
    failure = part(run, "failure")
    if not failure and part(run, "got"):
        return None
    return {"error": short(failure.get("Error"), 200), "cause": short(cause_text(failure.get("Cause")), 2000)}


def _ranking_lines(run: Mapping[str, object]) -> list[str]:
    failure = _ranking_failure(run)
    if failure:
        return [f"Top contributors could not be ranked: {failure['error']}: {failure['cause']}"]
    return contributor_lines(part(part(part(run, "got"), "output"), "results"))


def contributor_lines(ranking: Mapping[str, object]) -> list[str]:
    """Return the first rows of a ranking, or why there are none."""
    if "cause" in ranking:
        return [f"Top contributors could not be ranked: {ranking.get('status')}: {ranking['cause']}"]
    rows = ranking.get("topContributors")
    contributors = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    lines = [f"  {rank}. {_contributor(row)}" for rank, row in enumerate(contributors, 1)]
    return ["Top contributors:", *lines] if lines else ["Top contributors: the ranking has no rows."]


def _contributor(row: Mapping[str, object]) -> str:
    names = ("localSubnetId", "localVpcId", "localAz", "localRegion", "accountId")
    local = " ".join(short(row[name], 64) for name in names if row.get(name))
    remote = f" to {short(row['remoteIdentifier'], 128)}" if row.get("remoteIdentifier") else ""
    return f"{row.get('value')}: {local}{remote}"


def _shown(number: object) -> str:
    return f"{number:g}" if isinstance(number, (int, float)) else str(number)
