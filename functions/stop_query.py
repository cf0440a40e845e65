"""Lambda function StopQuery."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowquery import nfm
from flowquery.errors import InvalidRequest
from flowquery.inputs import parse_query
from flowquery.model import ENDED
from flowquery.observability import LOGGER

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

nfm.client()


@LOGGER.inject_lambda_context
def handler(event: object, context: LambdaContext) -> dict[str, object]:  # noqa: ARG001
    """Stop the query of `{"scopeId", "queryId"}`; one that has ended already is no error.

    Answers `{"scopeId", "queryId", "stopped", "status"}`, the status being that of a query that had ended already.
    Raises InvalidInput and the errors of StopQueryWorkloadInsightsTopContributorsData by `flowquery.errors`.
    """
    query = parse_query(event)
    answer: dict[str, object] = {**query.to_json(), "stopped": True, "status": None}
    try:
        nfm.stop_query(query)
    except InvalidRequest:
        # What the service answers for a query that has ended is not documented, so its status decides.
        status = nfm.get_query_status(query)
        if status not in ENDED:
            raise
        answer |= {"stopped": False, "status": status}
    LOGGER.info("stop", extra=answer)
    return answer
