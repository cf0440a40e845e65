"""Lambda function StopQuery."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowquery.aws.logger import LOGGER
from flowquery.aws.network_flow_monitor import NetworkFlowMonitor
from flowquery.core.errors import InvalidRequest
from flowquery.core.fields import parse_object
from flowquery.core.model import ENDED, Query

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

SERVICE = NetworkFlowMonitor()


@LOGGER.inject_lambda_context
def handler(event: object, context: LambdaContext) -> dict[str, object]:  # noqa: ARG001
    """Stop the query of `{"scopeId", "queryId"}`. One that has ended already is no error.

    Answers `{"scopeId", "queryId", "stopped", "status"}`; the status is that of a query that had ended already.
    Raises InvalidInput and the errors of the family's StopQuery by `flowquery.core.errors`.
    """
    query = Query.parse(parse_object(event))
    answer: dict[str, object] = {**query.to_json(), "stopped": True, "status": None}
    try:
        SERVICE.stop_query(query)
    except InvalidRequest:
        # What the service answers for a query that has ended is not documented, so its status decides.
        status = SERVICE.get_query_status(query)
        if status not in ENDED:
            raise
        answer |= {"stopped": False, "status": status}
    LOGGER.info("stop", extra=answer)
    return answer
