"""Calls of the workload insights' data family."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from tests.loopback import SCOPE_ID, SELECTION

FAMILY = "workload_insights_top_contributors_data"


def start_query(nfm: Any, **members: Any) -> Any:
    return getattr(nfm, f"start_query_{FAMILY}")(scopeId=SCOPE_ID, **{**SELECTION, **members})["queryId"]


def get_status(nfm: Any, query_id: str, scope_id: str = SCOPE_ID) -> str:
    return str(getattr(nfm, f"get_query_status_{FAMILY}")(scopeId=scope_id, queryId=query_id)["status"])


def get_results(nfm: Any, query_id: str) -> Any:
    return getattr(nfm, f"get_query_results_{FAMILY}")(scopeId=SCOPE_ID, queryId=query_id)


def stop_query(nfm: Any, query_id: str) -> None:
    getattr(nfm, f"stop_query_{FAMILY}")(scopeId=SCOPE_ID, queryId=query_id)


def code_of(call: Any, *arguments: Any) -> str:
    """Return OK, or the code of the error that the call gets."""
    try:
        call(*arguments)
    except ClientError as refused:
        return str(refused.response["Error"]["Code"])
    return "OK"
