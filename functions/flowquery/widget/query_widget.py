"""The HTML of the CloudWatch custom widget.

CloudWatch removes scripts, `<iframe>` and `<use>`, brings its own style for tables, links and the class `btn`, and
makes an element that is followed by `<cwdb-action>` call a function. It names no limit for the answer but Lambda's
6 MB; this one stays below 200 kB. Source: "Details about custom widgets", "Interactivity in the custom widget" and
"Security and JavaScript" in the CloudWatch user guide.
"""

from __future__ import annotations

import json
import re
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from flowquery.core.errors import InvalidInput
from flowquery.core.fields import parse_object, parse_within
from flowquery.core.limits import Bounds
from flowquery.widget.chart import MOST_LINES, Series, draw, letter, series_of, swatch
from flowquery.widget.wording import moment, number, shown, subject, unit_in_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowquery.aws.step_functions import Execution

MOST_EXECUTIONS = 15
WIDTH = Bounds(0, 100_000, 800)
PADDING = 24  # pixels of the widget's width that CloudWatch keeps
MOST_ROW_BYTES = 8 * 1024 * 1024  # of rows, uncompressed
# What Step Functions allows in a name; it goes into an ARN.
_NAME = re.compile(r"[^\s\x00-\x1f\x7f-\x9f<>{}\[\]?*\"#%\\^|~`$&,;:/]{1,80}")
DOCUMENTATION = """\
## Flowquery: recent executions of RunQuery, and the chart of one

Reads Step Functions and the results bucket of its stack, and changes nothing.

### Widget parameters
Param | Description
---|---
**execution** | The name of the execution to show. Default: the newest that succeeded

### Example parameters
``` yaml
execution: RETRANSMISSIONS-INTER_AZ-20261124T080000Z-20261124T081500Z-1a2b3c4d
```
"""


class View(NamedTuple):
    """What the widget is to show."""

    describe: bool
    execution: str | None
    width: int

    @classmethod
    def parse(cls, event: object) -> View:
        fields = parse_object(event)
        name, context = fields.get("execution") or None, fields.get("widgetContext")
        widget = parse_object({} if context is None else context, "widgetContext")
        if name is not None and not (type(name) is str and _NAME.fullmatch(name)):
            raise InvalidInput("execution: expected the name of an execution, 1 to 80 characters")
        width = parse_within({"widgetContext.width": widget.get("width")}, "widgetContext.width", WIDTH)
        describe = fields.get("describe", False) is not False  # AWS's samples take any value for a yes
        return cls(describe, name, min(max(int(width) - PADDING, 320), 1400))

    def choose(self, executions: Sequence[Execution]) -> str | None:
        """Return the name in the parameter `execution`, else that of the newest that succeeded, else of the newest."""
        if self.execution or not executions:
            return self.execution
        return next((one.name for one in executions if one.status == "SUCCEEDED"), executions[0].name)


def rows_key(execution: Execution, bucket: str) -> str | None:
    """Return the key of the execution's rows; None where there are none, or where they are not this application's."""
    results = execution.output.get("results")
    if not isinstance(results, dict) or results.get("bucket") != bucket or results.get("empty"):
        return None
    key = str(results.get("key"))
    return key if key.startswith("results/") else None


def write_widget(
    view: View,
    function_arn: str,
    executions: Sequence[Execution],
    execution: Execution | None,
    rows: Sequence[Mapping[str, object]],
) -> str:
    """Return the widget: the chosen execution above, the recent ones below, each a link that shows it."""
    chosen = _chosen(view, execution, rows) if execution else "<p>No execution yet.</p>"
    return f"<div>{chosen}{_executions_table(function_arn, executions, execution.name if execution else None)}</div>"


def _chosen(view: View, execution: Execution, rows: Sequence[Mapping[str, object]]) -> str:
    output = execution.output
    title = subject(output.get("metricName"), output.get("destinationCategory")) if output else "Execution"
    status = f"<strong>{shown(execution.status)}</strong>, {_when(execution)}"
    head = f"<h3>{shown(title)}</h3><p>{shown(execution.name)}: {status}</p>"
    if execution.status != "SUCCEEDED":
        reason = f"<p><strong>{shown(execution.error, 100)}</strong> {shown(execution.cause, 600)}</p>"
        return head + reason if execution.error else head
    results = parse_object(output.get("results"), "results")
    if not rows:
        empty = "No data: no agent reported traffic of this kind in the window."
        gone = "Its rows are no longer stored, or are not those of this stack."
        return f"{head}<p>{empty if results.get('empty') else gone}</p>"
    unit = unit_in_words(str(results.get("unit")), output.get("metricName"))
    series, total = series_of(rows), results.get("rows")
    less = f"<p>The chart shows the first {len(rows):,} of {shown(total)} rows.</p>" if len(rows) != total else ""
    if len(series) > MOST_LINES:
        less += f"<p>The {MOST_LINES} series with the highest peaks, of {len(series):,}.</p>"
    return f"{head}{draw(series, unit, 'flowquery', view.width, 300)}{less}{_series_table(series, unit)}"


def _series_table(series: Sequence[Series], unit: str) -> str:
    rows = "".join(
        f"<tr><td>{letter(index)} {swatch(index)}</td><td><bdi>{shown(one.label)}</bdi></td>"
        f"<td>{number(one.peak.value)}</td><td>{moment(one.peak.at)}</td></tr>"
        for index, one in enumerate(series[:MOST_LINES])
    )
    head = f"<th>line</th><th>label</th><th>peak, {shown(unit, 60)}</th><th>at (UTC)</th>"
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _executions_table(function_arn: str, executions: Sequence[Execution], chosen: str | None) -> str:
    """Return the table of executions. `<cwdb-action>` makes the element before it call this function for one."""
    rows = "".join(
        f"<tr><td>{shown(one.status)}{' (shown)' if one.name == chosen else ''}</td><td>{_when(one)}</td>"
        f'<td><a class="btn btn-link">{shown(one.name)}</a>'
        f'<cwdb-action action="call" display="widget" endpoint="{shown(function_arn)}">'
        f"{escape(json.dumps({'execution': one.name}), quote=False)}</cwdb-action></td></tr>"
        for one in executions
    )
    more = f"<p>The newest {MOST_EXECUTIONS} executions. Step Functions lists the others.</p>"
    head = "<th>state</th><th>started (UTC)</th><th>execution</th>"
    table = f"<h3>Recent executions</h3><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return table + more if len(executions) == MOST_EXECUTIONS else table


def _when(execution: Execution) -> str:
    took = f", took {number(round(execution.seconds, 1))} s" if execution.seconds is not None else ""
    return f"{execution.started:%Y-%m-%d %H:%M:%S}{took}"
