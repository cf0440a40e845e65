"""Results to one stored object, whole or not at all: the conditional put is the commit."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from flowquery.aws import s3
from flowquery.core.errors import MalformedReply
from flowquery.core.model import Family
from flowquery.results.objects import (
    query_key,
    query_metadata,
    read_summary,
    read_sweep_key,
    read_sweep_selections,
    selections_digest,
    sweep_prefix,
)
from flowquery.results.rows import CONTRIBUTOR_MEMBERS
from flowquery.results.spool import TOP_CONTRIBUTORS, Spool, Summary, temporary_file

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from flowquery.core.model import Selection, Window
    from flowquery.results.request import ResultsRequest
    from flowquery.results.rows import Page

MOST_CONTRIBUTOR_BYTES = 1024 * 1024  # of an object's first rows


def store_query(
    request: ResultsRequest, pages: Iterable[Page], bucket: str, remaining_seconds: Callable[[], float]
) -> tuple[str, Summary]:
    """Spool the results and store them unless their object is there; return its key, and what it holds.

    Raises
    ------
    AccessDenied, Throttled, TransientFault, InvalidRequest
        As S3 answers; nothing was stored. Also whatever fetching raises.
    """
    with temporary_file() as file:
        spool = Spool(file, remaining_seconds)
        summary = replace(spool.add(request, pages), sha256=spool.finish())
        key = query_key(request, summary)
        stored = s3.put_once(bucket, key, file, query_metadata(request, summary))
    return key, summary if stored else _stored_summary(request, bucket, key)


class WindowObject(NamedTuple):
    """An object of a sweep, the selections that it holds of its window, and how many rows."""

    key: str
    selections: frozenset[Selection]
    rows: int


def window_objects(bucket: str, scope_id: str, window: Window, family: Family, limit: int | None) -> list[WindowObject]:
    """Return the objects that sweeps have stored of a window (ListObjectsV2, HeadObject)."""
    objects = []
    for key in s3.list_keys(bucket, sweep_prefix(scope_id, window, family)):
        name = read_sweep_key(scope_id, window, key, family, limit)
        if name and name.window == window:
            metadata = s3.object_metadata(bucket, key)
            with _read_metadata(bucket, key):
                objects.append(WindowObject(key, read_sweep_selections(metadata), int(metadata["rows"])))
    return objects


def stored_selections(
    bucket: str,
    scope_id: str,
    windows: Collection[Window],
    selections: frozenset[Selection],
    family: Family = Family.DATA,
    limit: int | None = None,
) -> dict[Window, frozenset[Selection]]:
    """Return for each window which of the selections sweeps have stored (ListObjectsV2, HeadObject).

    An object of exactly these selections is known by its key; of any other the metadata has to be read.
    """
    stored: dict[Window, frozenset[Selection]] = dict.fromkeys(windows, frozenset())
    whole = selections_digest(selections)
    for day in {window.start_time.date(): window for window in windows}.values():
        for key in s3.list_keys(bucket, sweep_prefix(scope_id, day, family)):
            found = read_sweep_key(scope_id, day, key, family, limit)
            if found and found.window in stored:
                held = selections if found.digest == whole else _selections_of(bucket, key) & selections
                stored[found.window] |= held
    return stored


def _selections_of(bucket: str, key: str) -> frozenset[Selection]:
    metadata = s3.object_metadata(bucket, key)
    with _read_metadata(bucket, key):
        return read_sweep_selections(metadata)


def _stored_summary(request: ResultsRequest, bucket: str, key: str) -> Summary:
    metadata = s3.object_metadata(bucket, key)
    with _read_metadata(bucket, key):
        summary = read_summary(metadata)
    if request.query.family is Family.DATA:
        return summary
    rows = islice(s3.read_json_lines(bucket, key, MOST_CONTRIBUTOR_BYTES), TOP_CONTRIBUTORS)
    return replace(summary, contributors=tuple({name: row.get(name) for name in CONTRIBUTOR_MEMBERS} for row in rows))


@contextmanager
def _read_metadata(bucket: str, key: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedReply(f"s3://{bucket}/{key} was not stored by this application") from error
