"""Amazon S3: objects that are put once, and what is read back of them."""

from __future__ import annotations

import gzip
import json
import zlib
from contextlib import closing
from functools import cache
from typing import TYPE_CHECKING, cast

import boto3
from botocore.config import Config

from flowquery.aws.session import CONFIG, http_status, named_errors
from flowquery.core.errors import InvalidRequest, MalformedReply, TransientFault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO

    from mypy_boto3_s3 import S3Client

PUT_ATTEMPTS = 3
PIECE_BYTES = 64 * 1024  # S3 takes no chunk of less than 8 KiB
PUT_CONFIG = CONFIG.merge(Config(read_timeout=20))


@cache
def client() -> S3Client:
    return boto3.client("s3", config=PUT_CONFIG)


def put_once(bucket: str, key: str, file: BinaryIO, metadata: Mapping[str, str]) -> bool:
    """Put the object unless its key is taken (PutObject, `If-None-Match: *`); return whether this put stored it.

    S3 answers 412 where the object is there, and 409 where another put is under way.
    """
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


def put_json(bucket: str, key: str, value: object) -> None:
    """Put a value as JSON (PutObject) in the place of whatever was there."""
    body = json.dumps(value, separators=(",", ":")).encode()
    with named_errors():
        client().put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json")


def list_keys(bucket: str, prefix: str) -> Iterator[str]:
    """Yield the keys that begin so (ListObjectsV2)."""
    with named_errors():
        for page in client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            yield from (listed["Key"] for listed in page.get("Contents", []))


def object_metadata(bucket: str, key: str) -> Mapping[str, str]:
    """Return an object's metadata (HeadObject); S3 keeps the names in lower case."""
    with named_errors():
        return client().head_object(Bucket=bucket, Key=key)["Metadata"]


def read_json_lines(bucket: str, key: str, most_bytes: int) -> Iterator[Mapping[str, object]]:
    """Yield the lines of gzipped JSON (GetObject) in their order, as many as fit `most_bytes` uncompressed.

    Raises
    ------
    MalformedReply
        The object is not one of gzipped JSON lines.
    """
    with named_errors(), closing(client().get_object(Bucket=bucket, Key=key)["Body"]) as body:
        try:
            lines = gzip.GzipFile(fileobj=body)
            while (line := lines.readline(most_bytes)) and (most_bytes := most_bytes - len(line)) > 0:
                yield json.loads(line)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise MalformedReply(f"s3://{bucket}/{key}: {error}") from error


class _Pieces:
    """A file whose reader gets a piece at a time: the SDK asks for a megabyte, and holds it more than once."""

    def __init__(self, file: BinaryIO) -> None:
        self.seek, self.tell, self._read = file.seek, file.tell, file.read

    def read(self, size: int = -1) -> bytes:
        return self._read(min(size, PIECE_BYTES))
