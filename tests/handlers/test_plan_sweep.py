"""PlanSweep: the input is checked before any call, and queries whose rows are stored are left out."""

from __future__ import annotations

from typing import Any

import pytest

from flowquery.core import errors
from flowquery.core.model import Selection, Window
from flowquery.results.objects import selections_text, sweep_key
from flowquery.sweep.state import Progress, Sweep
from tests.loopback import SCOPE_ID, SELECTION, event
from tests.scripted import ScriptedServer, call, http, listed

WINDOW = {"startTime": SELECTION["startTime"], "endTime": SELECTION["endTime"]}
INPUT = {"scopeId": SCOPE_ID, **WINDOW, "metricNames": ["TIMEOUTS"], "destinationCategories": ["INTER_AZ", "INTERNET"]}
SINGLE_QUERY = {"scopeId": SCOPE_ID, **SELECTION}


def plan(given: object, **more: object) -> Any:
    return call("plan_sweep", {"input": given, "retryCount": 0, **more})


def test_it_answers_the_state_that_every_later_step_takes_and_what_a_ranking_takes(server: ScriptedServer) -> None:
    server.other_replies = [listed()]

    answer = plan({**INPUT, "rankedPeaks": 1, "limit": 7, "timeoutSeconds": 60, "requestsPerSecond": 2})

    assert set(answer) == {"sweep", "ranking"}
    sweep = Sweep.parse(answer["sweep"])
    assert sweep.progress is Progress.GOES_ON
    assert [query.selection for query in sweep.queries] == [
        Selection("TIMEOUTS", "INTER_AZ"),
        Selection("TIMEOUTS", "INTERNET"),
    ]
    assert answer["ranking"] == {"rankedPeaks": 1, "limit": 7, "timeoutSeconds": 60, "requestsPerSecond": 2}


def test_queries_whose_rows_are_stored_are_left_out(server: ScriptedServer) -> None:
    held = [Selection("TIMEOUTS", "INTERNET")]
    server.other_replies = [
        listed(sweep_key(SCOPE_ID, Window.parse(WINDOW), held)),
        http(200, headers=f"x-amz-meta-selection: {selections_text(held)}\r\n"),
    ]

    queries = plan(INPUT)["sweep"]["queries"]

    assert [(query["destinationCategory"], query["status"]) for query in queries] == [
        ("INTER_AZ", "WAITING"),
        ("INTERNET", "STORED"),
    ]


def test_a_window_that_is_stored_whole_leaves_nothing_to_do(server: ScriptedServer) -> None:
    held = [Selection("TIMEOUTS", "INTER_AZ"), Selection("TIMEOUTS", "INTERNET")]
    server.other_replies = [listed(sweep_key(SCOPE_ID, Window.parse(WINDOW), held))]

    assert plan(INPUT)["sweep"]["progress"] == Progress.COMPLETE


def test_retries_are_transitions_and_invocations(server: ScriptedServer) -> None:
    server.other_replies = [listed()]

    first, third = (plan(INPUT, retryCount=retries)["sweep"]["poll"] for retries in (0, 2))

    assert (first["transitions"], first["requests"]) == (1, 1)
    assert (third["transitions"], third["requests"]) == (3, 3)


@pytest.mark.parametrize("name", ["sweep_scope", "sweep_scope_findings", "sweep_scope_windows"])
def test_sample_inputs_are_planned(server: ScriptedServer, name: str) -> None:
    server.other_replies = [listed()]

    assert plan(event(name))["sweep"]["progress"] == Progress.GOES_ON


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (SINGLE_QUERY, '^"metricName" is not a field of this input. Did you mean "metricNames"'),
        ({**INPUT, "alarmabove": 100}, '^"alarmabove" is not a field of this input. Did you mean "alarmAbove"'),
        ({**INPUT, "rankedPeaks": 21}, "^rankedPeaks: expected a whole number from 0 to 20"),
        ({"scopeId": SCOPE_ID}, "^startTime is missing"),
        ([], "^the input: expected an object"),
    ],
)
def test_an_input_that_cannot_be_meant_is_refused_before_any_call(
    server: ScriptedServer, given: object, message: str
) -> None:
    with pytest.raises(errors.InvalidInput, match=message):
        plan(given)

    assert server.requests == []


@pytest.mark.parametrize(("reply", "name"), [(http(403), "AccessDenied"), (http(503), "TransientFault")])
def test_a_bucket_that_cannot_be_listed_is_a_named_error(server: ScriptedServer, reply: bytes, name: str) -> None:
    server.other_replies = [reply]

    with pytest.raises(errors.FlowqueryError) as raised:
        plan(INPUT)

    assert type(raised.value).__name__ == name
