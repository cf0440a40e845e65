"""From a page of results to rows: a line of JSON each, of the table of its family."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, cast

from flowquery.core.errors import MalformedReply, ResultsTooLarge
from flowquery.core.model import REQUEST_FIELDS, Family
from flowquery.core.text import timestamp_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mypy_boto3_networkflowmonitor.type_defs import (
        GetQueryResultsWorkloadInsightsTopContributorsDataOutputTypeDef as DataPage,
    )
    from mypy_boto3_networkflowmonitor.type_defs import WorkloadInsightsTopContributorsDataPointTypeDef as DataPoint

    from flowquery.results.request import ResultsRequest

    Page = Mapping[str, object]
    Contributor = Mapping[str, object]
    ToBatches = Callable[[ResultsRequest, Page, int], Iterator["Batch"]]

MOST_CONTRIBUTORS = 10_000  # a query takes a limit of 500 at most
# The members of a row, from the botocore service model (`WorkloadInsightsTopContributorsRow`); none is required there.
CONTRIBUTOR_MEMBERS = (
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

    Rows of a ranking have no `timestamps`, and each is a batch of its own, with its `contributor`.
    """

    label: str
    values: Sequence[float]
    timestamps: Sequence[str]
    lines: str
    contributor: Contributor | None = None


def data_batches(request: ResultsRequest, page: Page, _: int) -> Iterator[Batch]:
    """Yield the rows of each series of WorkloadInsightsTopContributorsData, as `schemas/results.row.json` says.

    Labels are verbatim. Values are as `repr` writes them, which reads back as the same number.
    """
    data = cast("DataPage", page)
    requested = request.query_request.to_json() if request.query_request else {}
    shared = {
        "scopeId": request.query.scope_id,
        "metricName": requested.get("metricName"),
        "destinationCategory": requested.get("destinationCategory"),
        "unit": data.get("unit") or None,
    }
    end = f",{_json(shared)[1:]}\n"
    for series in data["datapoints"]:
        timestamps, values = _points(series)
        middle = f'","label":{_json(series["label"])},"value":'
        points = zip(timestamps, values, strict=True)
        lines = "".join([f'{{"timestamp":"{timestamp}{middle}{value!r}{end}' for timestamp, value in points])
        yield Batch(series["label"], values, timestamps, lines)


def contributor_batches(request: ResultsRequest, page: Page, rows_before: int) -> Iterator[Batch]:
    """Yield the rows of WorkloadInsightsTopContributors, as `schemas/contributors.row.json` says.

    Raises
    ------
    MalformedReply
        A row without a value.
    ResultsTooLarge
        More rows than any limit allows.
    """
    requested = request.to_json()
    shared = {name: requested.get(name) for name in ("scopeId", *REQUEST_FIELDS)}
    for rank, row in enumerate(cast("Sequence[Contributor]", page["topContributors"]), rows_before + 1):
        if row.get("value") is None:
            raise MalformedReply(f"row {rank} of the ranking has no value")
        if rank > MOST_CONTRIBUTORS:
            raise ResultsTooLarge(f"the ranking has more than {MOST_CONTRIBUTORS} rows; use a smaller limit")
        contributor = {name: row.get(name) for name in CONTRIBUTOR_MEMBERS}
        line = _json({"rank": rank, **contributor, **shared}) + "\n"
        yield Batch(str(row.get("remoteIdentifier")), [cast("int", row["value"])], (), line, contributor)


BATCHES: Mapping[Family, ToBatches] = {Family.DATA: data_batches, Family.RANKING: contributor_batches}


def _points(series: DataPoint) -> tuple[list[str], list[float]]:
    timestamps, values = series["timestamps"], series["values"]
    if len(timestamps) != len(values):
        raise MalformedReply(f"a series has {len(timestamps)} timestamps and {len(values)} values")
    if not all(map(math.isfinite, values)):
        raise MalformedReply("a series has a value that is not finite")
    return [timestamp_text(timestamp.astimezone(UTC)) for timestamp in timestamps], values


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
