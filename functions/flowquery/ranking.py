"""Ranked rows of the family WorkloadInsightsTopContributors: who is behind a peak."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, cast

from flowquery.errors import MalformedReply, ResultsTooLarge
from flowquery.results import SELECTION_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import BinaryIO

    from flowquery.results import Fetch

MOST_ROWS = 10_000  # a query takes a limit of 500 at most
NAMED = 5
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


def spool_ranking(fetch: Fetch, pages: Iterable[object], file: BinaryIO) -> dict[str, object]:
    """Write the rows to `file` as gzipped JSON lines, as `schemas/contributors.row.json` says.

    Returns `{"rows", "empty", "topContributors"}`, the first of them.

    Raises
    ------
    MalformedReply
        A row without a value, or with half a surrogate pair, which no reader of UTF-8 takes.
    ResultsTooLarge
        More rows than any limit allows.
    """
    known = fetch.to_json()
    about = {name: known.get(name) for name in ("scopeId", *SELECTION_FIELDS)}
    ranked: list[dict[str, object]] = []
    for page in pages:
        for row in cast("Mapping[str, list[Mapping[str, object]]]", page)["topContributors"]:
            if row.get("value") is None:
                raise MalformedReply(f"row {len(ranked) + 1} of the ranking has no value")
            ranked.append({name: row.get(name) for name in MEMBERS})
        if len(ranked) > MOST_ROWS:
            raise ResultsTooLarge(f"the ranking has more than {MOST_ROWS} rows; ask for a smaller limit")
    lines = [_line({"rank": rank, **contributor, **about}) for rank, contributor in enumerate(ranked, 1)]
    try:
        file.write(gzip.compress("".join(lines).encode(), mtime=0))
    except UnicodeEncodeError as error:
        raise MalformedReply("the ranking has a name that is not text") from error
    return {"rows": len(ranked), "empty": not ranked, "topContributors": ranked[:NAMED]}


def ranking_key(fetch: Fetch) -> str:
    """Return where the rows belong: by selection and limit, else by query."""
    chosen, scope_id = fetch.selection, fetch.query.scope_id
    if chosen is None:
        return f"contributors/date=1970-01-01/{scope_id}-query-{fetch.query.query_id}.jsonl.gz"
    start, end = chosen.start_time, chosen.end_time
    return (
        f"contributors/date={start:%Y-%m-%d}/{scope_id}-{chosen.metric_name}-{chosen.destination_category}-"
        f"{start:%Y%m%dT%H%M%SZ}-{end:%Y%m%dT%H%M%SZ}-top{chosen.limit or ''}.jsonl.gz"
    )


def _line(row: Mapping[str, object]) -> str:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n"
