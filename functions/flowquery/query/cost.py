"""What an execution costs, counted from what happened."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flowquery.core import transitions
from flowquery.core.fields import parse_amount, parse_count
from flowquery.polling.state import Poll

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# US dollars by Region, as data that can be replaced; in a Region that it lacks, an execution has no dollars.
PRICES: Mapping[str, Mapping[str, Mapping[str, float]]] = json.loads(
    Path(__file__).with_name("prices.json").read_text("utf-8")
)
COUNTED = ("checks", "transitions", "requests", "gbSeconds")


def dollars(region: str, state_transitions: int, requests: int, gb_seconds: float) -> float | None:
    """Return US dollars at the prices of the Region, or None where they are not known."""
    prices = PRICES["regions"].get(region)
    if prices is None:
        return None
    counted = state_transitions * prices["standardTransition"] + requests * prices["lambdaRequest"]
    return round(counted + gb_seconds * prices["lambdaGbSecondArm64"], 7)


@dataclass(frozen=True)
class Usage:
    """What an execution of RunQuery took before the invocation of GetQueryResults.

    Attributes
    ----------
    poll
        What watching took.
    start_retries, start_gb_seconds
        Of StartQuery.
    retries
        Of GetQueryResults itself.
    """

    poll: Poll
    start_retries: int
    start_gb_seconds: float
    retries: int

    @classmethod
    def parse(cls, fields: Mapping[str, object]) -> Usage:
        """Read the input of GetQueryResults."""
        return cls(
            poll=Poll.parse(fields),
            start_retries=parse_count(fields, "startRetryCount", 0),
            start_gb_seconds=parse_amount(fields, "gbSeconds", 0),
            retries=parse_count(fields, "retryCount", 0),
        )


def query_cost(usage: Usage, own_gb_seconds: float, region: str, *, finding: bool) -> dict[str, object]:
    """Return `{"checks", "transitions", "requests", "gbSeconds", "dollars"}` of an execution that succeeds.

    Step Functions counts each retry as a transition. `gbSeconds` are those of invocations that answered: Lambda alone
    reports its initialisation and the time of attempts that failed. A finding adds the states and the invocation that
    report it; RankContributors adds what its own attempts took.
    """
    poll, retries = usage.poll, usage.start_retries + usage.retries
    steps = transitions.START_QUERY + transitions.QUERY_RESULTS + (transitions.QUERY_FINDING if finding else 0)
    counted = {
        "checks": poll.checks,
        "transitions": retries + poll.transitions + steps,
        "requests": retries + poll.requests + (3 if finding else 2),  # StartQuery, GetQueryResults, ReportFinding
        "gbSeconds": poll.gb_seconds + usage.start_gb_seconds + own_gb_seconds,
    }
    return priced(counted, region)


def total_cost(costs: Iterable[Mapping[str, object]], region: str) -> dict[str, object]:
    """Return the sum of costs, priced anew. A member that one of them lacks counts as nothing."""
    total = dict.fromkeys(COUNTED, 0.0)
    for cost in costs:
        total |= {name: total[name] + value for name in COUNTED if isinstance(value := cost.get(name), (int, float))}
    return priced(total, region)


def priced(counted: Mapping[str, float], region: str) -> dict[str, object]:
    cost: dict[str, object] = {name: int(counted[name]) for name in ("checks", "transitions", "requests")}
    cost["gbSeconds"] = round(counted["gbSeconds"], 3)
    price = dollars(region, int(counted["transitions"]), int(counted["requests"]), counted["gbSeconds"])
    return cost if price is None else {**cost, "dollars": price}
