"""Network Flow Monitor as a script says: statuses, faults, rates, quotas and latencies."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.scripted_network_flow_monitor import Script
from tests.localaws.insights import code_of, get_results, get_status, start_query, stop_query
from tests.loopback import Stack


def test_status_checks_move_a_query_on(stack: Stack, nfm: Any) -> None:
    stack.aws.network_flow_monitor.script = Script(("QUEUED", "RUNNING", "ThrottlingException", "SUCCEEDED"))
    query_id, answers = start_query(nfm), []
    for _ in range(5):
        try:
            answers.append(get_status(nfm, query_id))
        except nfm.exceptions.ThrottlingException as throttled:
            answers.append(throttled.response["ResponseMetadata"]["HTTPStatusCode"])

    assert answers == ["QUEUED", "RUNNING", 429, "SUCCEEDED", "SUCCEEDED"]


@pytest.mark.parametrize("code", ["AccessDeniedException", "InternalServerException", "ServiceQuotaExceededException"])
def test_errors_have_the_models_http_codes(stack: Stack, nfm: Any, code: str) -> None:
    stack.aws.network_flow_monitor.script = Script((code,))
    query_id = start_query(nfm)

    with pytest.raises(ClientError) as refused:
        get_status(nfm, query_id)

    expected = nfm.meta.service_model.shape_for(code).metadata["error"]["httpStatusCode"]
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == expected


def test_results_are_the_same_for_the_same_seed(stack: Stack, nfm: Any) -> None:
    results = []
    for seed in (1, 1, 2):
        stack.aws.network_flow_monitor.script = Script(("SUCCEEDED",), seed=seed)
        query_id = start_query(nfm)
        get_status(nfm, query_id)
        results.append(get_results(nfm, query_id)["datapoints"])

    assert results[0] == results[1] != results[2]


def test_a_query_with_a_duration_moves_on_by_time_however_often_it_is_checked(stack: Stack, nfm: Any) -> None:
    stack.aws.network_flow_monitor.script = Script(seconds=(10.0, 20.0))
    first, second = start_query(nfm), start_query(nfm)
    answers = []
    for seconds in (0, 1, 1, 7, 1, 9, 1):
        stack.clock.sleep(seconds)
        answers.append((get_status(nfm, first), get_status(nfm, second)))

    assert [mine for mine, _ in answers] == ["QUEUED", "QUEUED", *["RUNNING"] * 2, *["SUCCEEDED"] * 3]
    assert [theirs for _, theirs in answers] == [*["QUEUED"] * 3, *["RUNNING"] * 3, "SUCCEEDED"]


def test_a_query_with_a_duration_has_results_after_its_time_and_can_be_stopped_before(stack: Stack, nfm: Any) -> None:
    stack.aws.network_flow_monitor.script = Script(seconds=(10.0,))
    kept, stopped = start_query(nfm), start_query(nfm)
    stop_query(nfm, stopped)

    early = code_of(get_results, nfm, kept)
    stack.clock.sleep(10)

    assert (early, code_of(get_results, nfm, kept)) == ("ValidationException", "OK")
    assert get_status(nfm, stopped) == "CANCELED"


@pytest.mark.parametrize("seconds", [(), (5.0,)], ids=["by checks", "by time"])
def test_single_queries_end_as_the_script_says(stack: Stack, nfm: Any, seconds: tuple[float, ...]) -> None:
    stack.aws.network_flow_monitor.script = Script(
        ("QUEUED", "SUCCEEDED"),
        seconds=seconds,
        ends={
            ("TIMEOUTS", "INTRA_AZ"): "FAILED",
            ("TIMEOUTS", "INTERNET"): "CANCELED",
            ("TIMEOUTS", "AMAZON_S3"): "InternalServerException",
        },
    )
    ended = {}
    for category in ("INTRA_AZ", "INTERNET", "AMAZON_S3", "INTER_AZ"):
        query_id = start_query(nfm, metricName="TIMEOUTS", destinationCategory=category)
        get_status(nfm, query_id)
        stack.clock.sleep(5)
        ended[category] = (get_status(nfm, query_id), code_of(get_results, nfm, query_id))

    assert ended == {
        "INTRA_AZ": ("FAILED", "ValidationException"),
        "INTERNET": ("CANCELED", "ValidationException"),
        "AMAZON_S3": ("SUCCEEDED", "InternalServerException"),
        "INTER_AZ": ("SUCCEEDED", "OK"),
    }


def test_a_refused_metric_and_category_cannot_be_started(stack: Stack, nfm: Any) -> None:
    stack.aws.network_flow_monitor.script = Script(refused=(("TIMEOUTS", "INTER_AZ"),))

    with pytest.raises(nfm.exceptions.ValidationException):
        start_query(nfm, metricName="TIMEOUTS")

    assert start_query(nfm, metricName="RETRANSMISSIONS")


def test_requests_beyond_the_rate_are_throttled_and_take_nothing_from_later_ones(stack: Stack, nfm: Any) -> None:
    stack.aws.network_flow_monitor.script = Script(requests_per_second=2, burst=3)
    query_id = start_query(nfm)

    burst = [code_of(get_status, nfm, query_id) for _ in range(10)]
    stack.clock.sleep(0.5)
    half_a_second_on = [code_of(get_status, nfm, query_id) for _ in range(3)]
    stack.clock.sleep(60)
    a_minute_on = [code_of(get_status, nfm, query_id) for _ in range(4)]

    throttled = "ThrottlingException"
    assert burst == ["OK"] * 2 + [throttled] * 8
    assert half_a_second_on == ["OK", throttled, throttled]
    assert a_minute_on == ["OK"] * 3 + [throttled]
    # The rate counts every operation: nothing else gets through either.
    assert code_of(start_query, nfm) == throttled
    assert len(stack.aws.network_flow_monitor.queries) == 1


def test_a_query_beyond_the_quota_is_refused_until_another_has_ended(stack: Stack, nfm: Any) -> None:
    stack.aws.network_flow_monitor.script = Script(seconds=(10.0, 20.0), concurrent_queries=2)
    start_query(nfm), start_query(nfm)

    with pytest.raises(nfm.exceptions.ServiceQuotaExceededException):
        start_query(nfm)
    stack.clock.sleep(10)

    assert start_query(nfm)


def test_a_call_takes_its_latency_and_answers_what_was_true_when_it_began(stack: Stack, nfm: Any) -> None:
    stack.aws.network_flow_monitor.script = Script(seconds=(0.2,), latency=0.15)
    began = stack.clock.monotonic()
    query_id = start_query(nfm)

    assert get_status(nfm, query_id) == "RUNNING"
    assert get_status(nfm, query_id) == "SUCCEEDED"
    times = [call.at - began for call in stack.aws.network_flow_monitor.calls]
    assert times == pytest.approx([0, 0.15, 0.3])
    assert stack.clock.monotonic() - began == pytest.approx(0.45)
