"""Lambda function QueryWidget: a CloudWatch custom widget."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flowquery.aws import step_functions
from flowquery.aws.observability import LOGGER
from flowquery.results import store
from flowquery.widget.query_widget import DOCUMENTATION, MOST_BYTES, MOST_RUNS, View, place_of, write_widget

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

BUCKET, STATE_MACHINE_ARN = os.environ["RESULTS_BUCKET"], os.environ["STATE_MACHINE_ARN"]
step_functions.client()
store.client()


@LOGGER.inject_lambda_context
def handler(event: object, context: LambdaContext) -> str:
    """Answer the widget's HTML: recent runs with their states, and the chart of one.

    Takes what CloudWatch sends, and `execution`, the name of the run to show (default: the newest that succeeded);
    `describe` is answered with Markdown. Reads only, and of rows no more than the chart of a widget takes.
    Raises InvalidInput and the errors of ListExecutions, DescribeExecution and GetObject by `flowquery.core.errors`.
    """
    view = View.parse(event)
    if view.describe:
        return DOCUMENTATION
    runs = step_functions.recent_executions(STATE_MACHINE_ARN, MOST_RUNS)
    name = view.choose(runs)
    run = step_functions.describe_execution(STATE_MACHINE_ARN, name) if name else None
    key = place_of(run, BUCKET) if run else None
    rows = list(store.read_rows(BUCKET, key, MOST_BYTES)) if key else []
    return write_widget(view, context.invoked_function_arn, runs, run, rows)
