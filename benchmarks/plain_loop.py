"""The functions of the loop that a user would write, plain_loop.asl.yaml: each makes its call and no more."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import boto3

if TYPE_CHECKING:
    from collections.abc import Mapping

nfm = boto3.client("networkflowmonitor")
s3 = boto3.client("s3")


def start(event: Mapping[str, str], _context: object) -> dict[str, str]:
    reply = nfm.start_query_workload_insights_top_contributors_data(**event)  # type: ignore[arg-type]
    return {"scopeId": event["scopeId"], "queryId": reply["queryId"]}


def check(event: Mapping[str, str], _context: object) -> dict[str, str]:
    ids = {"scopeId": event["scopeId"], "queryId": event["queryId"]}
    reply = nfm.get_query_status_workload_insights_top_contributors_data(**ids)
    return {**ids, "status": reply["status"]}


def fetch(event: Mapping[str, str], _context: object) -> dict[str, str]:
    paginator = nfm.get_paginator("get_query_results_workload_insights_top_contributors_data")
    pages = paginator.paginate(scopeId=event["scopeId"], queryId=event["queryId"])
    rows = [series for page in pages for series in page["datapoints"]]
    key = f"plain/{event['queryId']}.json"
    s3.put_object(Bucket=os.environ["RESULTS_BUCKET"], Key=key, Body=json.dumps(rows, default=str).encode())
    return {"key": key}
