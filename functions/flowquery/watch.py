"""One invocation of the status step: look, hold, answer."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flowquery import clock
from flowquery.errors import Throttled, TransientFault
from flowquery.inputs import LONGEST_TIMEOUT_SECONDS, parse_count, parse_object, parse_poll, parse_query, parse_seconds
from flowquery.polling import POLICY, Limits, charge_retries, count_check, decide

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowquery.model import Poll, Query

LONGEST_HOLD_SECONDS = 840  # a Lambda function runs for 900 s at most


@dataclass(frozen=True)
class Watch:
    """The input of the status step, checked."""

    query: Query
    poll: Poll
    hold_seconds: float
    timeout_seconds: float

    @classmethod
    def parse(cls, event: object) -> Watch:
        query = parse_query(event)
        fields = parse_object(event)
        hold_seconds, timeout_seconds = parse_knobs(fields)
        retry_count = parse_count(fields, "retryCount", 0)
        return cls(query, charge_retries(parse_poll(fields), retry_count), hold_seconds, timeout_seconds)


def parse_knobs(fields: object) -> tuple[float, float]:
    """Return holdSeconds (0: look once) and timeoutSeconds, the budget for the whole query."""
    knobs = parse_object(fields)
    hold_seconds = parse_seconds(knobs, "holdSeconds", 0, at_least=0, at_most=LONGEST_HOLD_SECONDS)
    timeout_seconds = parse_seconds(knobs, "timeoutSeconds", 1800, at_least=1, at_most=LONGEST_TIMEOUT_SECONDS)
    return hold_seconds, timeout_seconds


def watch(request: Watch, look: Callable[[Query], str], remaining_seconds: Callable[[], float]) -> dict[str, object]:
    """Look at the query until it has ended, the hold is over, or the budget is spent.

    A throttle or a transient fault after a good look is absorbed: it spends budget like any look. Before the first
    good look it is raised, for the state machine to retry.
    """
    started = clock.monotonic()
    hold_ends = started + min(request.hold_seconds, remaining_seconds() - POLICY.slowest_call)
    poll, status = request.poll, None
    while True:
        status, outcome = _look(look, request.query, status)
        now = clock.monotonic()
        poll = count_check(poll, outcome)
        spent = replace(poll, elapsed_seconds=poll.elapsed_seconds + now - started)
        decision = decide(status, spent, Limits(hold_ends - now, request.timeout_seconds), random.random)
        if decision.look_after is None:
            return {**request.query.to_json(), "status": status, "poll": decision.poll.to_json()}
        clock.sleep(decision.look_after)


def _look(look: Callable[[Query], str], query: Query, last_status: str | None) -> tuple[str, str]:
    """Return the last status known and what this look gave: a status, or the name of a fault."""
    try:
        status = look(query)
    except (Throttled, TransientFault) as fault:
        if last_status is None:
            raise
        return last_status, type(fault).__name__
    return status, status
