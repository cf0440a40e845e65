"""Which results to fetch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowquery.core.model import Query, QueryRequest


@dataclass(frozen=True)
class ResultsRequest:
    """A query whose results to fetch, and its request where the caller knows it."""

    query: Query
    query_request: QueryRequest | None

    def to_json(self) -> dict[str, str]:
        return {**self.query.to_json(), **(self.query_request.to_json() if self.query_request else {})}
