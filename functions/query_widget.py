"""Lambda function QueryWidget: a CloudWatch custom widget."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flowquery.aws import s3, step_functions
from flowquery.aws.logger import LOGGER
from flowquery.core.errors import InvalidRequest
from flowquery.widget.query_widget import DOCUMENTATION, MOST_EXECUTIONS, MOST_ROW_BYTES, View, rows_key, write_widget

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from flowquery.aws.step_functions import Execution

BUCKET, STATE_MACHINE_ARN = os.environ["RESULTS_BUCKET"], os.environ["STATE_MACHINE_ARN"]
step_functions.client()
s3.client()


@LOGGER.inject_lambda_context
def handler(event: object, context: LambdaContext) -> str:
    """Answer the widget's HTML: recent executions with their states, and the chart of one.

    Takes what CloudWatch sends, and `execution`, the name of the one to show (default: the newest that succeeded);
    `describe` is answered with Markdown. Reads only, and of rows no more than the chart of a widget takes.
    Raises InvalidInput and the errors of ListExecutions, DescribeExecution and GetObject by `flowquery.core.errors`.
    """
    view = View.parse(event)
    if view.describe:
        return DOCUMENTATION
    recent = step_functions.recent_executions(STATE_MACHINE_ARN, MOST_EXECUTIONS)
    name = view.choose(recent)
    execution = step_functions.describe_execution(STATE_MACHINE_ARN, name) if name else None
    return write_widget(view, context.invoked_function_arn, recent, execution, _rows(execution))


def _rows(execution: Execution | None) -> list[Mapping[str, object]]:
    """Return the rows of an execution; none where their object has expired, so that the rest is shown all the same."""
    key = rows_key(execution, BUCKET) if execution else None
    try:
        return list(s3.read_json_lines(BUCKET, key, MOST_ROW_BYTES)) if key else []
    except InvalidRequest as error:
        LOGGER.info("no rows", extra={"key": key, "reason": str(error)})
        return []
