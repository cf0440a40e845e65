"""What a page of results becomes: rows of one of the two tables, a line of JSON each."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, cast

from flowquery.core.errors import MalformedReply, ResultsTooLarge
from flowquery.core.model import SELECTION_FIELDS, Family, timestamp_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mypy_boto3_networkflowmonitor.type_defs import (
        GetQueryResultsWorkloadInsightsTopContributorsDataOutputTypeDef as ResultsPage,
    )
    from mypy_boto3_networkflowmonitor.type_defs import WorkloadInsightsTopContributorsDataPointTypeDef as Series

    from flowquery.results.spool import ResultsRequest

    Page = Mapping[str, object]
    Contributor = Mapping[str, object]

MOST_RANKED = 10_000  # a query takes a limit of 500 at most
# The members of a row, from the botocore service model (`WorkloadInsightsTopContributorsRow`); none is required there.
MEMBERS = (
    "accountId",
    "localRegion",
    "localAz",
    "localVpcId",
    "localVpcArn",
    "localSubnetId",
    "localSubnetArn",
    "remoteIdentifier",
    "value",
)


@dataclass(frozen=True)
class Batch:
    """Rows of a page that have one label: their lines, and what the summary takes from them.

    Rows of a family without a time series have no `timestamps`; a ranked row is a `contributor`.
    """

    label: str
    values: Sequence[float]
    timestamps: Sequence[str]
    lines: str
    contributor: Contributor | None = None


@dataclass(frozen=True)
class Table:
    """Where the rows of a family of results go, and how a page becomes rows, which knows how many came before it.

    What a table holds that is `ranked` depends on the limit of the query.
    """

    prefix: str
    batches: Callable[[ResultsRequest, Page, int], Iterator[Batch]]
    ranked: bool = False


def series_batches(fetch: ResultsRequest, page: Page, _: int) -> Iterator[Batch]:
    """Yield the rows of each series of WorkloadInsightsTopContributorsData, as `schemas/results.row.json` says.

    Labels are verbatim and values as `repr` writes them, which reads back as the same number.
    """
    data = cast("ResultsPage", page)
    chosen = fetch.request.to_json() if fetch.request else {}
    same = {
        "scopeId": fetch.query.scope_id,
        "metricName": chosen.get("metricName"),
        "destinationCategory": chosen.get("destinationCategory"),
        "unit": data["unit"],
    }
    end = f",{_json(same)[1:]}\n"
    for series in data["datapoints"]:
        timestamps, values = _points(series)
        middle = f'","label":{_json(series["label"])},"value":'
        points = zip(timestamps, values, strict=True)
        lines = "".join([f'{{"timestamp":"{timestamp}{middle}{value!r}{end}' for timestamp, value in points])
        yield Batch(series["label"], values, timestamps, lines)


def ranked_batches(fetch: ResultsRequest, page: Page, before: int) -> Iterator[Batch]:
    """Yield the rows of WorkloadInsightsTopContributors, as `schemas/contributors.row.json` says: who is behind a peak.

    Raises
    ------
    MalformedReply
        A row without a value.
    ResultsTooLarge
        More rows than any limit allows.
    """
    known = fetch.to_json()
    about = {name: known.get(name) for name in ("scopeId", *SELECTION_FIELDS)}
    for rank, row in enumerate(cast("Sequence[Contributor]", page["topContributors"]), before + 1):
        if row.get("value") is None:
            raise MalformedReply(f"row {rank} of the ranking has no value")
        if rank > MOST_RANKED:
            raise ResultsTooLarge(f"the ranking has more than {MOST_RANKED} rows; ask for a smaller limit")
        contributor = {name: row.get(name) for name in MEMBERS}
        line = _json({"rank": rank, **contributor, **about}) + "\n"
        yield Batch(str(row.get("remoteIdentifier")), [cast("int", row["value"])], (), line, contributor)


TABLES: Mapping[Family, Table] = {
    Family.DATA: Table("results", series_batches),
    Family.RANKING: Table("contributors", ranked_batches, ranked=True),
}


def _points(series: Series) -> tuple[list[str], list[float]]:
    timestamps, values = series["timestamps"], series["values"]
    if len(timestamps) != len(values):
        raise MalformedReply(f"a series has {len(timestamps)} timestamps and {len(values)} values")
    if not all(map(math.isfinite, values)):
        raise MalformedReply("a series has a value that is not finite")
    return [timestamp_text(timestamp.astimezone(UTC)) for timestamp in timestamps], values


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
