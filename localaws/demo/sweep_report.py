"""A run of SweepScope as one HTML file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flowquery.widget.wording import number, shown, subject
from localaws.demo import heatmap
from localaws.demo.page import (
    Fact,
    cost_card,
    fact_table,
    header,
    label,
    minute,
    page,
    request_section,
    section,
    span,
    table,
)
from localaws.demo.report import contributors_table, ranking_failure_section

MOST_QUERIES = 600  # in the table


def write_sweep_report(
    output: Mapping[str, Any], contributors: Sequence[Mapping[str, Any]] = (), seconds: float | None = None
) -> str:
    """Return the page.

    Parameters
    ----------
    output
        Of SweepScope, `schemas/sweep_scope.output.json`.
    contributors
        The rows of the rankings of the highest peaks, as stored.
    seconds
        How long the run took, where that is known.
    """
    queries = output["queries"]
    title = f"Sweep of {len(queries):,} queries"
    body = [
        header(title, _windows(output["windows"]), _facts(output, seconds)),
        _nothing() if output["empty"] else "",
        _heat_map(output),
        _queries(output),
        _rankings(contributors) if contributors else ranking_failure_section(output),
        _objects(output["windows"]),
        request_section(
            "The sweep and its cost", {"Scope": output["scopeId"], "Status": output["status"]}, output["cost"]
        ),
    ]
    return page(title, body)


def _windows(windows: Sequence[Mapping[str, Any]]) -> str:
    start, end = min(window["startTime"] for window in windows), max(window["endTime"] for window in windows)
    return span(start, end) if len(windows) == 1 else f"{len(windows)} windows, {span(start, end)}"


def _facts(output: Mapping[str, Any], seconds: float | None) -> Iterable[Fact]:
    queries, counts = output["queries"], output["counts"]
    succeeded = counts.get("SUCCEEDED", 0) + counts.get("STORED", 0)
    others = {name: f"{count:,} {shown(name)}" for name, count in counts.items() if name != "SUCCEEDED"}
    if "STORED" in others:
        others["STORED"] = f"{counts['STORED']:,} stored by an earlier run"
    yield "Succeeded", f"{succeeded:,} of {len(queries):,}", "<br>".join(others.values()) or "none failed"
    findings = [query for query in queries if query["finding"]]
    kinds = list(dict.fromkeys(subject(query["metricName"], query["destinationCategory"]) for query in findings))
    rest = [f"and {len(kinds) - 3:,} more kinds"] if len(kinds) > 3 else []
    yield "Findings", f"{len(findings):,}", "<br>".join([*map(shown, kinds[:3]), *rest]) or "no peak above a threshold"
    rows = sum(query["rows"] or 0 for query in queries)
    without = sum(query["status"] == "SUCCEEDED" and not query["rows"] for query in queries)
    yield "Data", f"{rows:,} points", f"queries without data: {without:,}"
    yield cost_card(output["cost"])
    if seconds is not None:
        yield "Time", f"{seconds:,.1f} s", f"{seconds / max(1, len(queries)):.2f} s for each query"


def _nothing() -> str:
    return (
        '<p class="nothing"><strong>No data.</strong> No agent reported traffic of any selected kind. '
        "That is a valid result.</p>"
    )


def _heat_map(output: Mapping[str, Any]) -> str:
    return section("Highest peaks", "", heatmap.write(heatmap.heat_map(output)))


def _queries(output: Mapping[str, Any]) -> str:
    """Return the table of all queries, with those first that somebody should check."""
    windows, queries = output["windows"], sorted(output["queries"], key=_urgency)
    has_windows = len(windows) > 1
    head = ["metric", "category", "status", "peak", "unit", "label", "at (UTC)", "rows"]
    rows = [_query(query, windows[query["window"]] if has_windows else None) for query in queries[:MOST_QUERIES]]
    note = "Failures first, then findings, then the rest."
    if len(queries) > MOST_QUERIES:
        note += f" The first {MOST_QUERIES:,} of {len(queries):,}; the execution's output has all."
    return section("Queries", note, table("Queries", [*head, "window (UTC)"] if has_windows else head, rows, {3, 7}))


def _urgency(query: Mapping[str, Any]) -> int:
    return 0 if query["status"] not in ("SUCCEEDED", "STORED") else 1 if query["finding"] else 2


def _query(query: Mapping[str, Any], window: Mapping[str, Any] | None) -> str:
    peak, rows = query["peak"], query["rows"]
    status = f"{shown(query['status'])}{', finding' if query['finding'] else ''}"
    cause = f'<span class="cause">{label(query["cause"], 1000)}</span>' if query.get("cause") else ""
    cells = [
        f'<th scope="row" class="key">{shown(query["metricName"])}</th>',
        f"<td>{shown(query['destinationCategory'])}</td>",
        f"<td>{f'<strong>{status}</strong>' if _urgency(query) < 2 else status}{cause}</td>",
        f'<td class="number">{number(peak["value"]) if peak else "–"}</td>',
        f"<td>{shown(query['unit'] or '')}</td>",
        f"<td>{label(peak['label']) if peak else ''}</td>",
        f'<td class="time">{shown(minute(peak["timestamp"])) if peak else ""}</td>',
        f'<td class="number">{"–" if rows is None else f"{rows:,}"}</td>',
    ]
    if window:
        cells.append(f'<td class="time">{shown(span(window["startTime"], window["endTime"]))}</td>')
    return f"<tr>{''.join(cells)}</tr>"


def _rankings(contributors: Sequence[Mapping[str, Any]]) -> str:
    ranked: dict[tuple[Any, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for row in contributors:
        ranked[row.get("metricName"), row.get("destinationCategory"), row.get("startTime")].append(row)
    content = []
    for count, ((metric, category, start), rows) in enumerate(ranked.items(), start=1):
        window = f", window from {minute(start)} UTC" if start else ""
        content.append(f"<h3>{shown(subject(metric, category))}{shown(window)}</h3>")
        content.append(contributors_table(f"Top contributors {count}", rows))
    return section("Top contributors of the highest peaks", "", "".join(content))


def _objects(windows: Sequence[Mapping[str, Any]]) -> str:
    title = "What this run stored"
    facts = [
        (
            shown(span(window["startTime"], window["endTime"])),
            f"{stored['rows']:,} rows in {shown('s3://{bucket}/{key}'.format_map(stored), 1000)}",
        )
        for window in windows
        for stored in window["objects"]
    ]
    note = "" if facts else "Nothing: earlier runs had stored it, or nothing succeeded."
    return section(title, note, fact_table(facts))
