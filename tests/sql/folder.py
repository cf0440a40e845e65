"""Stored rows in a folder, which DuckDB queries as Athena does those of the bucket."""

from __future__ import annotations

import io
from datetime import datetime
from pathlib import Path
from typing import Any

from flowquery.core.model import Query, QueryRequest, Selection, Window
from flowquery.results.objects import query_key
from flowquery.results.request import ResultsRequest
from flowquery.results.spool import Spool
from localaws.demo import sql
from tests.loopback import QUERY_ID, SCOPE_ID


def store(folder: Path, start: str, end: str, *series: tuple[str, list[tuple[str, float]]]) -> str:
    """Store series as the handler does, in one page, and return the key."""
    window = Window(datetime.fromisoformat(start), datetime.fromisoformat(end))
    query_request = QueryRequest(Selection("RETRANSMISSIONS", "INTER_AZ"), window)
    request = ResultsRequest(Query(SCOPE_ID, QUERY_ID), query_request)
    datapoints = [
        {
            "label": label,
            "timestamps": [datetime.fromisoformat(at) for at, _ in points],
            "values": [value for _, value in points],
        }
        for label, points in series
    ]
    body = io.BytesIO()
    spool = Spool(body, lambda: 900)
    summary = spool.add(request, [{"unit": "Count", "datapoints": datapoints}])
    spool.finish()
    key = query_key(request, summary)
    path = folder / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body.getvalue())
    return key


def rows(folder: Path, text: str, *parameters: str) -> list[tuple[Any, ...]]:
    return sql.connect(folder).execute(text, list(parameters)).fetchall()
