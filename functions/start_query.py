"""Lambda function StartQuery."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flowquery.aws import clock
from flowquery.aws.logger import LOGGER
from flowquery.aws.network_flow_monitor import NetworkFlowMonitor, allowed_values
from flowquery.query.request import QueryDefaults, QueryInput

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

DEFAULTS = QueryDefaults.from_environment(os.environ)
SERVICE = NetworkFlowMonitor(attempts=1)  # StartQuery takes no client token, so a second attempt may be a second query


@LOGGER.inject_lambda_context
def handler(event: object, context: LambdaContext) -> dict[str, object]:
    """Check the input of RunQuery, fill in its defaults, and start the query unless `queryId` says that it is running.

    Takes `schemas/run_query.input.json`. Answers each field of it, null where there is none, times in UTC, and
    `queryId`, `started` (false for a query that was handed in) and `gbSeconds`, what this took.
    After an unclear outcome (TransientFault) a query may be running whose id nobody knows. It ends by itself.
    Raises InvalidInput before any call, and the errors of the family's StartQuery by `flowquery.core.errors`.
    """
    began = clock.monotonic()
    given = QueryInput.parse(event, allowed_values, DEFAULTS)
    query = given.handed_in or SERVICE.start_query(given.scope_id, given.required_request, given.family)
    started = given.handed_in is None
    answer = given.to_json(query)
    LOGGER.info("started" if started else "handed in", extra={"query": answer})
    gb_seconds = round(clock.gb_seconds(began, context.memory_limit_in_mb), 3)
    return {**answer, "started": started, "gbSeconds": gb_seconds}
