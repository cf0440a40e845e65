"""One invocation of the status step: look, hold, answer."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from flowquery.aws import clock
from flowquery.core.errors import Throttled, TransientFault
from flowquery.core.inputs import parse_count, parse_object, parse_poll, parse_query, parse_seconds
from flowquery.core.model import ENDED
from flowquery.polling.policy import POLICY, Limits, charge_retries, count_check, decide

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowquery.core.model import Poll, Query

    Look = Callable[[Query], str]
    Seconds = Callable[[], float]
    Measure = Callable[[str, float], object]


class Watch(NamedTuple):
    """The input of the status step, checked."""

    query: Query
    poll: Poll
    hold_seconds: float
    timeout_seconds: float
    retry_count: int = 0

    @classmethod
    def parse(cls, event: object) -> Watch:
        query, fields = parse_query(event), parse_object(event)
        return cls(query, parse_poll(fields), *parse_knobs(fields), parse_count(fields, "retryCount", 0))


def parse_knobs(fields: Mapping[str, object]) -> tuple[float, float]:
    """Return holdSeconds (0: look once) and timeoutSeconds, the budget for the whole query."""
    # A Lambda function runs for 900 s at most.
    hold_seconds = parse_seconds(fields, "holdSeconds", 0, at_least=0, at_most=840)
    return hold_seconds, parse_seconds(fields, "timeoutSeconds", 1800, at_least=1, at_most=86_400)


def watch(
    request: Watch, look: Look, remaining: Seconds, memory_mb: str | int = 128, measure: Measure = lambda *_: None
) -> dict[str, object]:
    """Look at the query until it has ended, the hold is over, or the budget is spent.

    Throttled and TransientFault of `look` are absorbed, counted and spent; raised only where the hold ends and no
    status was ever seen. Whatever else it raises is raised at once. `measure` is told what an answer took.
    """
    started = clock.monotonic()
    if request.retry_count:  # the look that failed was just now, and the backoff before a retry may be next to nothing
        clock.sleep(POLICY.shortest_interval)
    hold = max(min(request.hold_seconds, remaining() - POLICY.slowest_call), 0.0)
    poll = charge_retries(request.poll, request.retry_count, request.hold_seconds)
    status, faults, last_seen = poll.last_status, 0, started - _unwatched(request.poll, poll)
    while True:
        began, (seen, fault) = clock.monotonic(), _look(look, request.query)
        status, faults, now = seen or status, faults + 1 if fault else 0, clock.monotonic()
        poll = count_check(poll, seen or type(fault).__name__)
        spent = replace(poll, elapsed_seconds=poll.elapsed_seconds + now - started)
        limits = Limits(hold, request.timeout_seconds, now - started, now - began, faults)
        decision = decide(status, spent, limits, random.random())  # noqa: S311 jitter is no secret
        if decision.look_after is not None:
            clock.sleep(decision.look_after)
            last_seen = last_seen if fault else began
        elif fault and status is None:
            raise fault
        else:
            _tell(measure, request.poll, poll, now - last_seen if seen in ENDED and poll.last_status else None)
            answer = _answer(request, decision.poll, clock.gb_seconds(started, memory_mb))
            return {**request.query.to_json(), "status": status, "poll": answer.to_json()}


def _answer(request: Watch, poll: Poll, used: float) -> Poll:
    return replace(poll, requests=poll.requests + 1 + request.retry_count, gb_seconds=poll.gb_seconds + used)


def _unwatched(before: Poll, charged: Poll) -> float:
    """Return the seconds since the last answer: the wait that it asked for, and what retries were charged."""
    return before.wait_seconds + charged.elapsed_seconds - before.elapsed_seconds


def _tell(measure: Measure, before: Poll, after: Poll, lag: float | None) -> None:
    """Tell what this answer adds; the lag is how long the query had ended, at most, before that was seen."""
    measure("StatusChecks", after.checks - before.checks)
    measure("Throttles", after.observed.get("Throttled", 0) - before.observed.get("Throttled", 0))
    if lag is not None:
        measure("DetectionLag", round(lag, 3))


def _look(look: Look, query: Query) -> tuple[str | None, Throttled | TransientFault | None]:
    try:
        return look(query), None
    except (Throttled, TransientFault) as fault:
        return None, fault
