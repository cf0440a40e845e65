"""The widget against what CloudWatch documents: what it removes, how it calls a function again, and no more than that.

Source: "Details about custom widgets", "Interactivity in the custom widget" and "Security and JavaScript" in the
CloudWatch user guide.
"""

from __future__ import annotations

import gzip
import json
import re
from typing import Any

import pytest

from flowquery.core import errors
from flowquery.widget import query_widget
from tests.hostile import HOSTILE
from tests.loopback import event, execution, output
from tests.markup import parsed
from tests.scripted import LambdaContext, ScriptedServer, call, http, ok, stored

SVG = {"svg", "title", "desc", "path", "text", "g", "circle"}
HTML = {"div", "h3", "p", "strong", "a", "table", "thead", "tbody", "tr", "th", "td", "bdi", "cwdb-action"}
ROW = {"timestamp": "2026-11-24T08:00:00Z", "label": "use1-az1", "value": 7.5}


def show(server: ScriptedServer, *replies: bytes, **parameters: Any) -> str:
    server.other_replies = list(replies)
    answer = call("query_widget", parameters)
    assert isinstance(answer, str)
    return answer


def shown(server: ScriptedServer, rows: list[dict[str, Any]], of: dict[str, Any] | None = None) -> str:
    text = json.dumps(of or output(len(rows)))
    return show(server, ok(executions=[execution()]), ok(**execution(output=text)), stored(*rows))


def test_it_shows_recent_executions_and_the_chart_of_the_newest_that_succeeded(
    server: ScriptedServer,
) -> None:
    listed = [execution("c", "RUNNING"), execution("b", "FAILED"), execution("a")]

    page = show(server, ok(executions=listed), ok(**execution("a", output=json.dumps(output()))), stored(ROW))

    text = parsed(page).text
    for words in ("RUNNING", "FAILED", "SUCCEEDED (shown)", "took 12.5 s", "peak 7.5", "TCP retransmissions between"):
        assert words in text, words
    assert json.loads(server.requests[1].body)["executionArn"].endswith(":execution:RunQuery:a")


def test_each_execution_is_a_link_that_calls_this_function_for_it(server: ScriptedServer) -> None:
    page = shown(server, [ROW])

    [(before, (_, action))] = [
        (one, two)
        for one, two in zip(parsed(page).tags, parsed(page).tags[1:], strict=False)
        if two[0] == "cwdb-action"
    ]
    assert before[0] == "a"
    assert action == {"action": "call", "display": "widget", "endpoint": LambdaContext.invoked_function_arn}
    [parameters] = re.findall(r"<cwdb-action[^>]*>(.*?)</cwdb-action>", page)
    assert json.loads(parameters) == {"execution": "a-run"}


def test_an_execution_that_was_chosen_is_shown(server: ScriptedServer) -> None:
    failed = execution("b", "FAILED", error="QueryFailed", cause="<b>observed</b>")

    page = show(server, ok(executions=[execution()]), ok(**failed), execution="b")

    assert "<strong>QueryFailed</strong> &lt;b&gt;observed&lt;/b&gt;" in page
    assert "<svg" not in page
    assert len(server.requests) == 2


def test_nothing_in_it_is_what_cloudwatch_removes(server: ScriptedServer) -> None:
    page = shown(server, [{**ROW, "label": label} for label in HOSTILE])

    tags = parsed(page).tags
    assert {tag for tag, _ in tags} <= SVG | HTML
    names = {name for _, attributes in tags for name in attributes}
    assert not [name for name in names if name.startswith("on") or name in ("src", "href", "xlink:href", "style")]
    assert page.count("<cwdb-action") == 1


@pytest.mark.parametrize("label", HOSTILE)
def test_a_hostile_label_changes_no_tag(server: ScriptedServer, label: str) -> None:
    def tags(of: str) -> list[str]:
        found = parsed(shown(server, [{**ROW, "label": of}])).tags
        return [f"{tag} {sorted(attributes)}" for tag, attributes in found]

    assert tags(label) == tags("use1-az1")


def test_its_description_is_markdown_and_calls_nothing(server: ScriptedServer) -> None:
    answer = call("query_widget", {"describe": True})

    assert answer.startswith("## ")
    assert "**execution**" in answer
    assert server.requests == []


def test_the_most_that_it_can_show_is_bounded(server: ScriptedServer) -> None:
    times = [f"2026-11-24T{hour:02}:{minute:02}:00Z" for hour in range(24) for minute in range(0, 60, 5)]
    long = [{**ROW, "timestamp": at, "label": f"{label}{'<' * 300}"} for label in range(8) for at in times]
    executions = [execution(f"{number:03}{'n' * 77}") for number in range(40)]

    page = show(server, ok(executions=executions), ok(**execution(output=json.dumps(output(len(long))))), stored(*long))

    assert len(json.dumps(page)) < 200_000
    assert page.count("<cwdb-action") == query_widget.MOST_EXECUTIONS
    assert f"The newest {query_widget.MOST_EXECUTIONS} executions" in page
    assert "The 6 series with the highest peaks, of 8." in page


def test_of_an_object_that_is_too_large_the_widget_shows_the_beginning_and_says_so(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("query_widget.MOST_ROW_BYTES", 3 * len(json.dumps(ROW)) + 10)

    assert "The chart shows the first 3 of 9 rows." in shown(server, [ROW] * 9)


def test_a_line_without_end_is_not_read_to_its_end(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("query_widget.MOST_ROW_BYTES", 1000)

    assert "No data" not in shown(server, [ROW, {**ROW, "label": "x" * 100_000}])


@pytest.mark.parametrize("place", [{"bucket": "another"}, {"key": "private/rows.gz"}])
def test_what_is_not_this_stacks_is_not_read(server: ScriptedServer, place: dict[str, str]) -> None:
    elsewhere = output(1)
    elsewhere["results"] |= place

    page = shown(server, [ROW], elsewhere)

    assert len(server.requests) == 2
    assert "Its rows are no longer stored" in page


def test_without_an_execution_the_widget_says_so(server: ScriptedServer) -> None:
    assert "No execution yet." in show(server, ok(executions=[]))


@pytest.mark.parametrize("more", [{"execution": ""}, {"execution": None}, {"widgetContext": {"width": None}}])
def test_a_field_that_was_emptied_is_as_one_that_is_absent(server: ScriptedServer, more: dict[str, object]) -> None:
    replies = ok(executions=[execution()]), ok(**execution(output=json.dumps(output(1)))), stored(ROW)

    server.other_replies = list(replies)
    emptied = call("query_widget", more)
    server.other_replies = list(replies)
    assert emptied == call("query_widget", {})


def test_without_data_the_widget_says_so(server: ScriptedServer) -> None:
    assert "No data" in shown(server, [], output(0))
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"execution": "a:b"}, "execution"),
        ({"execution": "../x"}, "execution"),
        ({"execution": "x" * 81}, "execution"),
        ({"execution": 5}, "execution"),
        ({"widgetContext": []}, "widgetContext"),
        ({"widgetContext": {"width": "wide"}}, "widgetContext.width"),
        ([], "the event"),
    ],
)
def test_an_input_that_cannot_be_used_is_named_and_nothing_is_called(
    server: ScriptedServer, parameters: Any, field: str
) -> None:
    with pytest.raises(errors.InvalidInput, match=f"^{re.escape(field)}: "):
        call("query_widget", parameters)

    assert server.requests == []


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (http(200, b"no gzip"), errors.MalformedReply),
        (http(200, gzip.compress(b"{}" * 500, mtime=0)[:-9]), errors.MalformedReply),
        (http(403), errors.AccessDenied),
        (http(200, b""), None),
        (http(404), None),
    ],
    ids=["no gzip", "cut", "refused", "nothing", "expired"],
)
def test_an_object_that_cannot_be_read_is_an_error(
    server: ScriptedServer, reply: bytes, error: type[Exception] | None
) -> None:
    replies = ok(executions=[execution()]), ok(**execution(output=json.dumps(output()))), reply
    if error is None:
        assert "no longer stored" in show(server, *replies)
        return
    with pytest.raises(error):
        show(server, *replies)


def test_it_fits_the_width_that_cloudwatch_sends(server: ScriptedServer) -> None:
    server.other_replies = [ok(executions=[execution()]), ok(**execution(output=json.dumps(output()))), stored(ROW)]

    assert 'viewBox="0 0 1156 300"' in call("query_widget", event("query_widget"))
