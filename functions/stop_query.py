"""Lambda function StopQuery."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowquery.aws import network_flow_monitor
from flowquery.aws.observability import LOGGER
from flowquery.core.errors import InvalidRequest
from flowquery.core.inputs import parse_query
from flowquery.core.model import ENDED

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

network_flow_monitor.client()


@LOGGER.inject_lambda_context
def handler(event: object, context: LambdaContext) -> dict[str, object]:  # noqa: ARG001
    """Stop the query of `{"scopeId", "queryId"}`; one that has ended already is no error.

    Answers `{"scopeId", "queryId", "stopped", "status"}`, the status being that of a query that had ended already.
    Raises InvalidInput and the errors of StopQueryWorkloadInsightsTopContributorsData by `flowquery.core.errors`.
    """
    query = parse_query(event)
    answer: dict[str, object] = {**query.to_json(), "stopped": True, "status": None}
    try:
        network_flow_monitor.stop_query(query)
    except InvalidRequest:
        # What the service answers for a query that has ended is not documented, so its status decides.
        status = network_flow_monitor.get_query_status(query)
        if status not in ENDED:
            raise
        answer |= {"stopped": False, "status": status}
    LOGGER.info("stop", extra=answer)
    return answer
