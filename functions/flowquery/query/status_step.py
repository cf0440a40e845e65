"""One invocation of the status step: check, hold, answer."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from flowquery.aws import clock
from flowquery.core import transitions
from flowquery.core.errors import InvalidRequest, Throttled, TransientFault
from flowquery.core.fields import parse_count, parse_object, parse_within
from flowquery.core.limits import HOLD_SECONDS, TIMEOUT_SECONDS
from flowquery.core.model import ENDED, Query
from flowquery.polling.policy import POLICY, Hold, charge_retries, decide
from flowquery.polling.state import Poll

if TYPE_CHECKING:
    from collections.abc import Callable

    GetStatus = Callable[[Query], str]
    Seconds = Callable[[], float]
    Measure = Callable[[str, float], object]


class StatusRequest(NamedTuple):
    """The input of the status step, checked. Other fields are ignored, since a caller may pass its whole state."""

    query: Query
    poll: Poll
    hold_seconds: float = 0.0
    timeout_seconds: float = TIMEOUT_SECONDS.default
    retry_count: int = 0

    @classmethod
    def parse(cls, event: object) -> StatusRequest:
        fields = parse_object(event)
        return cls(
            query=Query.parse(fields),
            poll=Poll.parse(fields),
            hold_seconds=parse_within(fields, "holdSeconds", HOLD_SECONDS, 0),
            timeout_seconds=parse_within(fields, "timeoutSeconds", TIMEOUT_SECONDS),
            retry_count=parse_count(fields, "retryCount", 0),
        )


def watch(
    request: StatusRequest,
    get_status: GetStatus,
    remaining: Seconds,
    memory_mb: str | int = 128,
    measure: Measure = lambda *_: None,
) -> dict[str, object]:
    """Check the query until it has ended, the hold is over, or the budget is spent.

    Throttled and TransientFault of `get_status` are absorbed and counted, and their time is charged. So is an unknown
    query id just after the start. They are raised only where the hold ends and no status was ever observed. Any other
    error is raised at once. `measure` gets the metrics of an answer.
    """
    began = clock.monotonic()
    if request.retry_count:  # the check that failed was just now, and the backoff before a retry may be next to nothing
        clock.sleep(POLICY.shortest_interval)
    longest_hold = max(min(request.hold_seconds, remaining() - POLICY.slowest_call), 0.0)
    poll = charge_retries(request.poll, request.retry_count, request.hold_seconds)
    status, faults, last_observed = poll.last_status, 0, began - _unwatched(request.poll, poll)
    while True:
        check_began = clock.monotonic()
        observed, fault = _check(get_status, request.query, poll.elapsed_seconds + check_began - began)
        now = clock.monotonic()
        status, faults = observed or status, faults + 1 if fault else 0
        poll = poll.with_check(observed or type(fault).__name__)
        spent = replace(poll, elapsed_seconds=poll.elapsed_seconds + now - began)
        hold = Hold(longest_hold, request.timeout_seconds, now - began, now - check_began, faults)
        decision = decide(status, spent, hold, random.random())  # noqa: S311 jitter is no secret
        if decision.check_after is not None:
            clock.sleep(decision.check_after)
            last_observed = last_observed if fault else check_began
        elif fault and status is None:
            raise fault
        else:
            lag = now - last_observed if observed in ENDED and poll.last_status else None
            _measure_checks(measure, request.poll, poll, lag)
            answer = _charged(decision.poll, request.retry_count, clock.gb_seconds(began, memory_mb))
            return {**request.query.to_json(), "status": status, "poll": answer.to_json()}


def _charged(poll: Poll, retry_count: int, gb_seconds: float) -> Poll:
    """Return the poll with what this answer, its retries and the wait that it advises take."""
    taken = transitions.STATUS_ANSWER + retry_count + (transitions.WAIT if poll.wait_seconds else 0)
    return poll.plus(taken, 1 + retry_count, gb_seconds)


def _unwatched(before: Poll, charged: Poll) -> float:
    """Return the seconds since the last answer: the wait that it advised, and what retries were charged."""
    return before.wait_seconds + charged.elapsed_seconds - before.elapsed_seconds


def _measure_checks(measure: Measure, before: Poll, after: Poll, lag: float | None) -> None:
    """Measure what this answer adds. The lag is how long the query had ended, at most, before that was observed."""
    measure("StatusChecks", after.checks - before.checks)
    measure("Throttles", after.observed.get("Throttled", 0) - before.observed.get("Throttled", 0))
    if lag is not None:
        measure("DetectionLag", round(lag, 3))


def _check(
    get_status: GetStatus, query: Query, elapsed_seconds: float
) -> tuple[str | None, Throttled | TransientFault | None]:
    try:
        return get_status(query), None
    except (Throttled, TransientFault) as fault:
        return None, fault
    except InvalidRequest as refusal:
        if not refusal.is_unknown_query or elapsed_seconds >= POLICY.unknown_query_seconds:
            raise
        return None, TransientFault(str(refusal))
