"""The widget over the stack as it is deployed: a run, and the widget that finds it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from localaws.demo.scenarios import SCENARIOS
from tests.loopback import event
from tests.markup import parsed

if TYPE_CHECKING:
    from tests.loopback import Stack


def widget(stack: Stack, **fields: object) -> str:
    client = stack.aws.client("lambda")
    arn = stack.outputs["QueryWidgetFunctionArn"]
    answered = client.invoke(FunctionName=arn, Payload=json.dumps(fields))
    page = json.loads(answered["Payload"].read())
    assert "FunctionError" not in answered, page
    return str(page)


def test_it_finds_a_run_and_its_chart(stack: Stack) -> None:
    run = stack.run(event("run_query"))

    page = widget(stack)

    text = parsed(page).text
    assert "TCP retransmissions between Availability Zones" in text
    assert f"{run.output['results']['peak']['label']}" in text
    assert "<svg" in page
    assert f'endpoint="{stack.outputs["QueryWidgetFunctionArn"]}"' in page


def test_a_link_leads_to_the_run_that_it_names(stack: Stack) -> None:
    stack.run(event("run_query"))
    stack.run({**event("run_query"), "metricName": "TIMEOUTS"}, SCENARIOS["failed"].script)

    [failed] = re.findall(r"<td>FAILED</td>.*?<a [^>]*>([^<]+)<", widget(stack))[:1]
    page = widget(stack, execution=failed)

    assert "QueryFailed" in page
    assert "FAILED (shown)" in page
