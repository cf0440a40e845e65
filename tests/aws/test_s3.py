"""Objects are put once, in pieces, and what is read of them is bounded."""

from __future__ import annotations

import gzip
import io
import json
import os

import pytest

from flowquery.aws import s3
from flowquery.core import errors
from tests.scripted import ScriptedServer, http, stored

ROWS = [{"label": "use1-az1", "value": number} for number in range(9)]
LINE = len(json.dumps(ROWS[0])) + 1


def put(content: bytes = b"rows") -> bool:
    return s3.put_once("results", "key", io.BytesIO(content), {"rows": "1"})


def test_an_object_is_put_by_one_conditional_request(server: ScriptedServer) -> None:
    assert put()

    [request] = server.other_requests
    assert (request.method, request.path) == ("PUT", "/results/key")
    assert (request.headers["if-none-match"], request.headers["x-amz-meta-rows"]) == ("*", "1")


def test_an_object_that_is_there_is_left_as_it_is(server: ScriptedServer) -> None:
    server.other_replies = [http(412)]

    assert not put()
    assert len(server.other_requests) == 1


def test_a_put_under_way_elsewhere_is_tried_again_with_the_whole_content(server: ScriptedServer) -> None:
    server.other_replies = [http(409), http(409), http(200)]

    assert put(b"x" * 100_000)
    assert [request.body for request in server.other_requests] == [b"x" * 100_000] * 3


def test_a_put_that_stays_under_way_elsewhere_is_a_transient_fault(server: ScriptedServer) -> None:
    server.other_replies = [http(409)]

    with pytest.raises(errors.TransientFault, match="another put of s3://results/key is under way"):
        put()

    assert len(server.other_requests) == s3.PUT_ATTEMPTS


def test_a_large_object_is_read_in_pieces(server: ScriptedServer) -> None:
    """The SDK's own are of a megabyte, and it holds each more than once."""
    sizes: list[int | None] = []

    class File(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            sizes.append(size)
            return super().read(size)

    content = os.urandom(3_000_000)

    assert s3.put_once("results", "key", File(content), {})
    assert server.other_requests[0].body == content
    assert all(size and 0 < size <= s3.PIECE_BYTES for size in sizes)


# --- Reading ---


@pytest.mark.parametrize(("most", "count"), [(9 * LINE + 1, 9), (3 * LINE + 1, 3), (1, 0)])
def test_lines_are_read_as_far_as_the_bytes_go(server: ScriptedServer, most: int, count: int) -> None:
    server.other_replies = [stored(*ROWS)]

    assert list(s3.read_json_lines("results", "key", most)) == ROWS[:count]


def test_a_line_without_end_is_not_read_to_its_end(server: ScriptedServer) -> None:
    server.other_replies = [stored(ROWS[0], {"label": "x" * 100_000})]

    assert list(s3.read_json_lines("results", "key", 1_000)) == ROWS[:1]


@pytest.mark.parametrize("body", [b"no gzip", gzip.compress(b"{}\n" * 500, mtime=0)[:-9]], ids=["no gzip", "cut"])
def test_an_object_that_is_not_gzipped_lines_is_an_error(server: ScriptedServer, body: bytes) -> None:
    server.other_replies = [http(200, body)]

    with pytest.raises(errors.MalformedReply, match=r"^s3://results/key: "):
        list(s3.read_json_lines("results", "key", 10_000))
