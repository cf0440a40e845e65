"""What a run cost, counted from what happened."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flowquery.core.inputs import parse_amount, parse_count, parse_object, parse_poll

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from flowquery.core.model import Poll

# US dollars by Region, as data that can be replaced; in a Region that is not in it a run tells no dollars.
PRICES: Mapping[str, Mapping[str, Mapping[str, float]]] = json.loads(
    Path(__file__).with_name("prices.json").read_text("utf-8")
)
# ReceiveInput, ChooseQuery, ApplyDefaults, GetQueryResults, ChooseFinding, QuerySucceeded: once in every run that
# succeeds. A ranking takes as many: RankContributors, ApplyDefaults, GetQueryResults, ChooseFinding, RaiseAlarm,
# ChooseFailure; and FindingReported stands for QuerySucceeded.
FIXED_TRANSITIONS = 6


def dollars(region: str, transitions: int, requests: int, spent_gb_seconds: float) -> float | None:
    """Return US dollars at the prices of the Region, or None where they are not known."""
    prices = PRICES["regions"].get(region)
    if prices is None:
        return None
    standing = transitions * prices["standardTransition"] + requests * prices["lambdaRequest"]
    return round(standing + spent_gb_seconds * prices["lambdaGbSecondArm64"], 7)


@dataclass(frozen=True)
class Usage:
    """What a run took before the invocation that ends it.

    Attributes
    ----------
    poll
        Of the watching.
    starts
        Invocations that started the query, failed attempts included: none where it was handed in.
    retries
        Of the last state's own Task.
    start_gb_seconds
        Of the invocation that started the query.
    """

    poll: Poll
    starts: int
    retries: int
    start_gb_seconds: float

    @classmethod
    def parse(cls, event: object) -> Usage:
        """Read the input of GetQueryResults; `starts`, and what comes with it, is there where RunQuery started it."""
        fields = parse_object(event)
        return cls(
            poll=parse_poll(fields),
            starts=sum(parse_count(fields, name, 0) for name in ("starts", "startRetryCount")),
            retries=parse_count(fields, "retryCount", 0),
            start_gb_seconds=parse_amount(fields, "startGbSeconds", 0),
        )


def run_cost(spent: Usage, own_gb_seconds: float, region: str) -> dict[str, object]:
    """Return `{"checks", "transitions", "requests", "gbSeconds", "dollars"}` of a run that succeeds.

    Step Functions counts each retry as a transition. Lambda's initialisation, and the time of attempts that failed, are
    told by its own reports alone, so they are not in `gbSeconds`.
    """
    poll, tries = spent.poll, spent.starts + spent.retries
    counted = {
        "checks": poll.checks,
        "transitions": FIXED_TRANSITIONS + poll.transitions + tries,
        "requests": poll.requests + tries + 1,
        "gbSeconds": round(poll.gb_seconds + spent.start_gb_seconds + own_gb_seconds, 3),
    }
    return priced(counted, region)


def invocation_cost(event: object, spent_gb_seconds: float) -> dict[str, object]:
    """Return the cost of the invocation that answers this, and of the attempts before it (`retryCount`)."""
    retries = parse_count(parse_object(event), "retryCount", 0)
    return {"transitions": retries, "requests": 1 + retries, "gbSeconds": spent_gb_seconds}


def total_cost(costs: Iterable[Mapping[str, object]], region: str) -> dict[str, object]:
    """Return the sum of costs, priced anew; what one of them lacks counts as nothing."""
    total = dict.fromkeys(("checks", "transitions", "requests", "gbSeconds"), 0.0)
    for cost in costs:
        total |= {name: total[name] + value for name in total if isinstance(value := cost.get(name), (int, float))}
    counts = {name: int(total[name]) for name in ("checks", "transitions", "requests")}
    return priced({**counts, "gbSeconds": round(total["gbSeconds"], 3)}, region)


def priced(counted: Mapping[str, float], region: str) -> dict[str, object]:
    price = dollars(region, int(counted["transitions"]), int(counted["requests"]), counted["gbSeconds"])
    return dict(counted) if price is None else {**counted, "dollars": price}


def measure_run(spent: Usage, cost: Mapping[str, object], measure: Callable[[str, float], object]) -> None:
    """Tell what a run took: the seconds until its query's end was seen, and its dollars, where they are known."""
    measure("QuerySeconds", spent.poll.elapsed_seconds)
    if isinstance(price := cost.get("dollars"), float):
        measure("RunDollars", price)
