"""What a run cost, counted from what happened."""

from __future__ import annotations

from flowquery.inputs import parse_count, parse_object, parse_poll

# ReceiveInput, ChooseQuery, ApplyDefaults, GetQueryResults, QuerySucceeded: entered once in every run that succeeds.
FIXED_TRANSITIONS = 5


def run_cost(event: object) -> dict[str, int]:
    """Return `{"checks", "transitions"}` of a run that succeeds; Step Functions counts each retry as a transition.

    Parameters
    ----------
    event
        The input of GetQueryResults: `poll`, `retryCount` of its own Task, and, where RunQuery started the query,
        `starts` (1) and `startRetryCount`.
    """
    fields = parse_object(event)
    poll = parse_poll(fields)
    more = sum(parse_count(fields, name, 0) for name in ("starts", "startRetryCount", "retryCount"))
    return {"checks": poll.checks, "transitions": FIXED_TRANSITIONS + poll.transitions + more}
