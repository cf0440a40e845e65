"""A run of RunQuery as one HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flowquery.widget.chart import MOST_LINES, Series, draw, letter, series_of, swatch
from flowquery.widget.wording import moment, number, shown, subject, unit_in_words
from localaws.demo.page import cost_card, header, label, minute, page, request_section, section, span, table

MOST_SERIES = 200  # in the table
MOST_TIMES = 300  # in the table of points
CONTRIBUTOR_FIELDS = {
    "accountId": "account",
    "localRegion": "Region",
    "localVpcId": "VPC",
    "localSubnetId": "subnet",
    "localAz": "zone",
    "remoteIdentifier": "remote identifier",
}


def write_report(
    output: Mapping[str, Any], rows: Sequence[Mapping[str, object]], contributors: Sequence[Mapping[str, Any]] = ()
) -> str:
    """Return the page.

    Parameters
    ----------
    output
        Of RunQuery, `schemas/run_query.output.json`.
    rows
        As stored: `timestamp`, `label`, `value` and more.
    contributors
        Of a finding: the rows of its ranking, as stored, the highest first.
    """
    results, series = output["results"], series_of(rows)
    title = subject(output.get("metricName"), output.get("destinationCategory"))
    unit = unit_in_words(results["unit"], output.get("metricName"))
    body = [
        _header(output, title, unit),
        _chart(series, unit) if series else _nothing(),
        _series_table(series, unit) if series else "",
        _contributors_section(contributors, unit) if contributors else ranking_failure_section(output),
        _points(series, unit) if series else "",
        _request(output, unit),
    ]
    return page(title, body)


def _header(output: Mapping[str, Any], title: str, unit: str) -> str:
    results, cost, peak = output["results"], output["cost"], output["results"]["peak"]
    facts = []
    if peak:
        when = shown(f"{minute(peak['timestamp'])} UTC")
        facts.append(("Highest peak", number(peak["value"]), f"{shown(unit)}<br>{label(peak['label'])}<br>{when}"))
    facts.append(("Data", f"{results['rows']:,} points", f"in {results['series']:,} series"))
    facts.append(cost_card(cost))
    return header(title, _window(output), facts)


def _window(output: Mapping[str, Any]) -> str:
    first, last = output.get("startTime"), output.get("endTime")
    if not (first and last):
        first, last = output["results"]["firstTimestamp"], output["results"]["lastTimestamp"]
    if not (first and last):
        return "The window is not known: the query was handed in, and there is no data."
    return span(first, last)


def _nothing() -> str:
    return (
        '<p class="nothing"><strong>No data.</strong> No agent reported traffic of this kind in the window. '
        "That is a valid result.</p>"
    )


def _chart(series: Sequence[Series], unit: str) -> str:
    note = f"The {MOST_LINES} of {len(series):,} series with the highest peaks. " if len(series) > MOST_LINES else ""
    return (
        f'<figure><div class="wide">{draw(series, unit, "wide")}</div>'
        f'<div class="narrow">{draw(series, unit, "narrow", 358, 300)}</div>'
        f"<figcaption>{note}Each line has a letter, a dash pattern and a marker; a ring is its peak. Times are in UTC. "
        "The tables below have the same values.</figcaption></figure>"
    )


def _series_table(series: Sequence[Series], unit: str) -> str:
    rows = []
    for index, line in enumerate(series[:MOST_SERIES]):
        is_drawn = index < MOST_LINES
        key = f"{letter(index)} {swatch(index)}" if is_drawn else '<span class="quiet">not drawn</span>'
        rows.append(
            f'<tr><td class="key">{key}</td><th scope="row">{label(line.label)}</th>'
            f'<td class="number">{number(line.peak.value)}</td><td class="time">{moment(line.peak.at)}</td>'
            f'<td class="number">{number(line.mean)}</td><td class="number">{len(line.points):,}</td></tr>'
        )
    note = f"The {MOST_SERIES:,} of {len(series):,} with the highest peaks." if len(series) > MOST_SERIES else ""
    head = ("line", "label", "peak", "at (UTC)", "mean", "points")
    return section(
        "Series", f"In {shown(unit)}, the highest peak first. {note}", table("Series", head, rows, {2, 4, 5})
    )


def _contributors_section(contributors: Sequence[Mapping[str, Any]], unit: str) -> str:
    note = f"The flows of the window with the highest values, in {shown(unit)}."
    return section("Top contributors", note, contributors_table("Top contributors", contributors))


def contributors_table(name: str, contributors: Sequence[Mapping[str, Any]]) -> str:
    """Return ranked rows as a table of the fields that any of them has."""
    fields = [field for field in CONTRIBUTOR_FIELDS if any(row.get(field) for row in contributors)]
    rows = []
    for rank, row in enumerate(contributors[:MOST_SERIES], start=1):
        cells = "".join(f"<td>{label(str(row.get(field) or ''))}</td>" for field in fields)
        rows.append(
            f'<tr><th scope="row" class="number">{rank}</th><td class="number">{number(row["value"])}</td>{cells}</tr>'
        )
    head = ("rank", "value", *(CONTRIBUTOR_FIELDS[field] for field in fields))
    return table(name, head, rows, {0, 1})


def ranking_failure_section(output: Mapping[str, Any]) -> str:
    """Return why the contributors of a finding could not be ranked, or nothing."""
    failure = output.get("rankingFailure")
    if not failure:
        return ""
    text = f"<p>The ranking failed: {shown(failure['error'])}: {shown(failure['cause'])}</p>"
    return section("Top contributors", "", text)


def _points(series: Sequence[Series], unit: str) -> str:
    lines = series[:MOST_LINES]
    values_by_time = [{point.at: point.value for point in line.points} for line in lines]
    times = sorted({time for values in values_by_time for time in values})
    rows = []
    for time in times[:MOST_TIMES]:
        texts = (number(values[time]) if time in values else "–" for values in values_by_time)
        cells = "".join(f'<td class="number">{text}</td>' for text in texts)
        rows.append(f'<tr><th scope="row" class="time">{moment(time)}</th>{cells}</tr>')
    head = ("time (UTC)", *(f"{letter(index)} {label(line.label, 40)}" for index, line in enumerate(lines)))
    note = f"In {shown(unit)}."
    if len(times) > MOST_TIMES:
        note += f" The first {MOST_TIMES:,} of {len(times):,} times; the stored object has all."
    points = table("Points of the lines drawn", head, rows, set(range(1, len(head))))
    inner = f"<summary>All points of the lines drawn</summary><p>{note}</p>{points}"
    return f"<section><details>{inner}</details></section>"


def _request(output: Mapping[str, Any], unit: str) -> str:
    results = output["results"]
    facts = {
        "Scope": output["scopeId"],
        "Metric": output.get("metricName", "not known: the query was handed in"),
        "Destination category": output.get("destinationCategory", "not known: the query was handed in"),
        "Window": f"{output.get('startTime', 'not known')} to {output.get('endTime', 'not known')}",
        "Query": output["queryId"],
        "Unit": f"{results['unit']}: {unit}",
        "Stored as": f"s3://{results['bucket']}/{results['key']}",
        "SHA-256 of the rows": results["sha256"],
    }
    return request_section("The query and its cost", facts, output["cost"])
