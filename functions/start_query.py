"""Lambda function StartQuery."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowquery.aws import clock, network_flow_monitor
from flowquery.aws.observability import LOGGER
from flowquery.core.inputs import parse_alarm_above, parse_family, parse_id, parse_object, parse_query_request
from flowquery.query.status_step import parse_knobs

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

network_flow_monitor.client()


@LOGGER.inject_lambda_context
def handler(event: object, context: LambdaContext) -> dict[str, object]:
    """Start a query over one metric, one destination category and one window.

    Takes `{"scopeId", "metricName", "destinationCategory", "startTime", "endTime"}`, for ranked rows `family` and
    `limit`, and RunQuery's knobs; answers the same with `queryId`, times in UTC and `gbSeconds`, what this took.
    There is no client token, so each attempt is sent once; when its outcome is unclear (TransientFault) and the caller
    retries, a second query may run, which nobody watches and which ends itself.
    Raises InvalidInput and the errors of the family's StartQuery by `flowquery.core.errors`.
    """
    began, fields = clock.monotonic(), parse_object(event)
    scope_id, family = parse_id(fields, "scopeId"), parse_family(fields)
    request = parse_query_request(fields, network_flow_monitor.allowed_values(family))
    parse_knobs(fields)
    parse_alarm_above(fields, family)
    query = network_flow_monitor.start_query(scope_id, request, family)
    LOGGER.info("started", extra={**query.to_json(), **request.to_json()})
    spent = round(clock.gb_seconds(began, context.memory_limit_in_mb), 3)
    return {**fields, **query.to_json(), **request.to_json(), "gbSeconds": spent}
