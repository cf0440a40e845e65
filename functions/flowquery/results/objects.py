"""Stored objects: their keys and their metadata, written and read here alone.

An object of RunQuery holds the rows of one query. An object of SweepScope holds what succeeded of a window: its key has
the window and the digest of its selections, its metadata the selections themselves. So a window that was stored in part
is completed by another object with the rest.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from flowquery import VERSION
from flowquery.core.model import Family, Peak, Selection, Window
from flowquery.core.text import COMPACT_TIME, compact_time, short_digest
from flowquery.results.spool import Summary

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from flowquery.results.request import ResultsRequest

SCHEMA_VERSION = "1"
TABLES = {Family.DATA: "results", Family.RANKING: "contributors"}
_SWEEP_NAME = re.compile(
    r"(?P<start>\d{8}T\d{6}Z)-(?P<end>\d{8}T\d{6}Z)-(?P<digest>[0-9a-f]{8})(?P<limit>-top\d*)?\.jsonl\.gz", re.ASCII
)


class SweepObject(NamedTuple):
    """What the key of a sweep's object says: the window, and the digest of the selections that it holds of it."""

    window: Window
    digest: str


def query_key(request: ResultsRequest, summary: Summary) -> str:
    """Return the key of one query's rows: by its request, so that a window is stored once, else by its id.

    A query that was handed in without its request is dated by its first row, which is the same however often it is
    fetched. A ranking has no times.
    """
    table, scope_id, query_request = TABLES[request.query.family], request.query.scope_id, request.query_request
    if query_request is None:
        day = summary.first_timestamp[:10] or date(1970, 1, 1).isoformat()
        return f"{table}/date={day}/{scope_id}-query-{request.query.query_id}.jsonl.gz"
    name = "-".join([scope_id, *query_request.selection, *map(compact_time, query_request.window)])
    name += _limit(request.query.family, query_request.limit)
    return f"{_day_prefix(request.query.family, query_request.window)}{name}.jsonl.gz"


def query_metadata(request: ResultsRequest, summary: Summary) -> dict[str, str]:
    """Return the metadata of one query's rows, which `read_summary` reads; S3 keeps the names in lower case."""
    metadata = {name.lower(): str(value) for name, value in request.to_json().items()}
    metadata |= {"rows": str(summary.rows), "series": str(summary.series)}
    metadata |= {"unit": summary.unit} if summary.unit else {}
    metadata |= {"sha256": summary.sha256, **_versions(), **_time_span([summary])}
    return metadata if summary.peak is None else {**metadata, "peak": json.dumps(summary.peak.to_json())}


def read_summary(metadata: Mapping[str, str]) -> Summary:
    """Read `query_metadata`, which has no contributors.

    Raises KeyError, TypeError or ValueError on metadata that it did not write.
    """
    return Summary(
        unit=metadata.get("unit"),
        rows=int(metadata["rows"]),
        series=int(metadata["series"]),
        peak=Peak(**json.loads(metadata["peak"])) if "peak" in metadata else None,
        first_timestamp=metadata.get("firsttimestamp", ""),
        last_timestamp=metadata.get("lasttimestamp", ""),
        sha256=metadata["sha256"],
    )


def sweep_prefix(scope_id: str, window: Window, family: Family = Family.DATA) -> str:
    """Return how the keys of all objects of sweeps begin that hold windows of that day."""
    return f"{_day_prefix(family, window)}{scope_id}-sweep-"


def sweep_key(
    scope_id: str,
    window: Window,
    selections: Collection[Selection],
    family: Family = Family.DATA,
    limit: int | None = None,
) -> str:
    """Return the key of the rows of these selections. The limit of a ranking is part of it."""
    start, end = map(compact_time, window)
    name = f"{start}-{end}-{selections_digest(selections)}{_limit(family, limit)}.jsonl.gz"
    return f"{sweep_prefix(scope_id, window, family)}{name}"


def read_sweep_key(
    scope_id: str, window: Window, key: str, family: Family = Family.DATA, limit: int | None = None
) -> SweepObject | None:
    """Return what a key of `sweep_prefix` says; None of a key that is no sweep's, or is of another limit."""
    found = _SWEEP_NAME.fullmatch(key.removeprefix(sweep_prefix(scope_id, window, family)))
    if found is None or (found["limit"] or "") != _limit(family, limit):
        return None
    start, end = (datetime.strptime(found[name], COMPACT_TIME).replace(tzinfo=UTC) for name in ("start", "end"))
    return SweepObject(Window(start, end), found["digest"])


def sweep_metadata(
    scope_id: str, window: Window, summaries: Mapping[Selection, Summary], sha256: str
) -> dict[str, str]:
    return {
        **{name.lower(): text for name, text in window.to_json().items()},
        "scopeid": scope_id,
        "selection": selections_text(summaries),
        "queries": str(len(summaries)),
        "rows": str(sum(summary.rows for summary in summaries.values())),
        "sha256": sha256,
        **_time_span(summaries.values()),
        **_versions(),
    }


def read_sweep_selections(metadata: Mapping[str, str]) -> frozenset[Selection]:
    """Return the selections that an object of a sweep holds; raises KeyError or ValueError on other metadata."""
    return read_selections(metadata["selection"])


def selections_text(selections: Collection[Selection]) -> str:
    """Return the selections as an object's metadata says them, such as `TIMEOUTS:INTER_AZ,INTRA_AZ`."""
    by_metric = groupby(sorted(selections), lambda selection: selection.metric_name)
    return ";".join(f"{name}:{','.join(one.destination_category for one in group)}" for name, group in by_metric)


def read_selections(text: str) -> frozenset[Selection]:
    """Read `selections_text`; raises ValueError on what it did not write."""
    selections = set[Selection]()
    for group in text.split(";"):
        metric_name, categories = group.split(":")
        selections |= {Selection(metric_name, category) for category in categories.split(",")}
    return frozenset(selections)


def selections_digest(selections: Collection[Selection]) -> str:
    return short_digest(selections_text(selections))


def _day_prefix(family: Family, window: Window) -> str:
    return f"{TABLES[family]}/date={window.start_time:%Y-%m-%d}/"


def _limit(family: Family, limit: int | None) -> str:
    return f"-top{limit or ''}" if family is Family.RANKING else ""


def _versions() -> dict[str, str]:
    return {"schemaversion": SCHEMA_VERSION, "softwareversion": VERSION}


def _time_span(summaries: Iterable[Summary]) -> dict[str, str]:
    spans = [(summary.first_timestamp, summary.last_timestamp) for summary in summaries if summary.first_timestamp]
    if not spans:
        return {}
    return {"firsttimestamp": min(first for first, _ in spans), "lasttimestamp": max(last for _, last in spans)}
