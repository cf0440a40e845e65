"""Rows on disk to one object on S3, whole or not at all: the conditional put is the commit."""

from __future__ import annotations

import gzip
import json
import tempfile
import zlib
from contextlib import closing
from dataclasses import replace
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, cast

import boto3
from botocore.config import Config

from flowquery import VERSION
from flowquery.aws import network_flow_monitor
from flowquery.aws.session import CONFIG, http_status, named_errors
from flowquery.core.errors import InvalidRequest, MalformedReply, TransientFault
from flowquery.results.rows import MEMBERS
from flowquery.results.spool import NAMED, Spool, Summary
from flowquery.results.windows import days, digest, prefix, read_key, read_selection

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from typing import BinaryIO

    from mypy_boto3_s3 import S3Client

    from flowquery.results.spool import ResultsRequest
    from flowquery.results.windows import Selection, Window

SCHEMA_VERSION = "1"
PUT_ATTEMPTS = 3
MOST_NAMED_BYTES = 1024 * 1024
PIECE_BYTES = 64 * 1024  # S3 takes no chunk of less than 8 KiB
PUT_CONFIG = CONFIG.merge(Config(read_timeout=20))


@cache
def client() -> S3Client:
    return boto3.client("s3", config=PUT_CONFIG)


def fetch_and_store(fetch: ResultsRequest, bucket: str, remaining_seconds: Callable[[], float]) -> dict[str, object]:
    """Spool the results and store them unless their object is there; return where, and what it holds.

    Raises
    ------
    AccessDenied, Throttled, TransientFault, InvalidRequest
        As S3 answers; nothing was stored. Also whatever fetching raises.
    """
    with temporary_file() as file:
        spool = Spool(file, remaining_seconds)
        summary = replace(spool.add(fetch, network_flow_monitor.results_pages(fetch.query)), sha256=spool.finish())
        key = fetch.key(summary)
        stored = put_once(bucket, key, file, {**_about(fetch), **summary.to_metadata()})
    return {"bucket": bucket, "key": key, **(summary if stored else _stored_summary(fetch, bucket, key)).to_json()}


def temporary_file() -> BinaryIO:
    """Return a file for a Spool.

    It has no name, so a process that is killed leaves nothing on the disk, and no buffer, so what a full disk did not
    take is not waiting in one.
    """
    return tempfile.TemporaryFile(buffering=0)


def stored_selections(
    bucket: str, scope_id: str, windows: Collection[Window], asked: frozenset[Selection]
) -> dict[Window, frozenset[Selection]]:
    """Return what of the selections asked for is stored of each window, by sweeps (ListObjectsV2, HeadObject).

    An object of exactly these selections is known by its name; of any other its metadata has to be read.
    """
    stored: dict[Window, frozenset[Selection]] = dict.fromkeys(windows, frozenset())
    whole = digest(asked)
    for day in days(windows):
        for key in _keys(bucket, prefix(scope_id, day)):
            part = read_key(scope_id, day, key)
            if part and part.window in stored:
                held = asked if part.digest == whole else _selection(bucket, key) & asked
                stored[part.window] |= held
    return stored


def put_json(bucket: str, key: str, value: object) -> None:
    """Store a value as JSON (PutObject), whatever was there."""
    body = json.dumps(value, separators=(",", ":")).encode()
    with named_errors():
        client().put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json")


def read_rows(bucket: str, key: str, most_bytes: int) -> Iterator[Mapping[str, object]]:
    """Yield the rows of a stored object (GetObject) in their order, as many as fit `most_bytes` uncompressed.

    Raises
    ------
    MalformedReply
        The object is not one of rows.
    """
    with named_errors(), closing(client().get_object(Bucket=bucket, Key=key)["Body"]) as body:
        try:
            lines = gzip.GzipFile(fileobj=body)
            while (line := lines.readline(most_bytes)) and (most_bytes := most_bytes - len(line)) > 0:
                yield json.loads(line)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise MalformedReply(f"s3://{bucket}/{key}: {error}") from error


def _keys(bucket: str, key_prefix: str) -> Iterator[str]:
    with named_errors():
        for page in client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key_prefix):
            yield from (found["Key"] for found in page.get("Contents", []))


def _selection(bucket: str, key: str) -> frozenset[Selection]:
    metadata = _stored_metadata(bucket, key)
    try:
        return read_selection(metadata["selection"])
    except (KeyError, ValueError) as error:
        raise MalformedReply(f"s3://{bucket}/{key} was not stored by this application") from error


def put_once(bucket: str, key: str, file: BinaryIO, metadata: Mapping[str, str]) -> bool:
    """Tell whether this put stored the object: S3 answers 412 where it is there, 409 where another put is under way."""
    for _ in range(PUT_ATTEMPTS):
        file.seek(0)
        try:
            with named_errors():
                client().put_object(
                    Bucket=bucket, Key=key, Body=cast("BinaryIO", _Pieces(file)), IfNoneMatch="*", Metadata=metadata
                )
        except InvalidRequest as error:
            status = http_status(error.__cause__)
            if status == 412:
                return False
            if status != 409:
                raise
        else:
            return True
    raise TransientFault(f"PutObject: another put of s3://{bucket}/{key} is under way")


def about_software() -> dict[str, str]:
    return {"schemaversion": SCHEMA_VERSION, "softwareversion": VERSION}


def stored_digest(bucket: str, key: str) -> str | None:
    """Return the sha256 that an object's metadata says (HeadObject)."""
    return _stored_metadata(bucket, key).get("sha256")


def _stored_metadata(bucket: str, key: str) -> Mapping[str, str]:
    with named_errors():
        return client().head_object(Bucket=bucket, Key=key)["Metadata"]


class _Pieces:
    """A file whose reader gets a piece at a time: the SDK asks for a megabyte, and holds it more than once."""

    def __init__(self, file: BinaryIO) -> None:
        self.seek, self.tell, self._read = file.seek, file.tell, file.read

    def read(self, size: int = -1) -> bytes:
        return self._read(min(size, PIECE_BYTES))


def _about(fetch: ResultsRequest) -> dict[str, str]:
    return {**{name.lower(): str(value) for name, value in fetch.to_json().items()}, **about_software()}


def _stored_summary(fetch: ResultsRequest, bucket: str, key: str) -> Summary:
    metadata = _stored_metadata(bucket, key)
    try:
        summary = Summary.from_metadata(metadata)
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedReply(f"s3://{bucket}/{key} was not stored by this application") from error
    if not fetch.table.ranked:
        return summary
    first = islice(read_rows(bucket, key, MOST_NAMED_BYTES), NAMED)
    return replace(summary, contributors=tuple({name: row.get(name) for name in MEMBERS} for row in first))
