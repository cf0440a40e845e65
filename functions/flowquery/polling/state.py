"""The state of watching a query. Each answer hands it to the caller, and the next call takes it: no store is needed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from flowquery.core.errors import InvalidInput
from flowquery.core.fields import is_status, parse_amount, parse_count, parse_flag, parse_object, required
from flowquery.core.limits import POLL_STATUSES
from flowquery.core.model import Status

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Poll:
    """What the watching of a query has taken so far, and what to do next.

    Attributes
    ----------
    wait_seconds
        How long to wait before the next status check, whole seconds. Already counted in `elapsed_seconds`.
    exhausted
        The query goes on but the budget is spent.
    elapsed_seconds
        Budget spent so far: time held, waits granted, retries charged.
    checks
        Status checks that were made, failed ones included.
    observed
        How often each status, and each transient fault, was observed.
    transitions
        State transitions so far, as `flowquery.core.transitions` counts them.
    requests, gb_seconds
        Invocations so far, failed attempts included, and what those that answered took of memory and time.
    """

    wait_seconds: int = 0
    exhausted: bool = False
    elapsed_seconds: float = 0.0
    checks: int = 0
    observed: Mapping[str, int] = field(default_factory=dict)
    transitions: int = 0
    requests: int = 0
    gb_seconds: float = 0.0

    @classmethod
    def parse(cls, fields: Mapping[str, object]) -> Poll:
        """Read the field `poll`, or begin anew. Fields that a newer version has added to it are ignored."""
        if fields.get("poll") is None:
            return cls()
        poll = {f"poll.{name}": value for name, value in parse_object(fields["poll"], "poll").items()}
        required(poll, "poll.exhausted")
        return cls(
            wait_seconds=parse_count(poll, "poll.waitSeconds"),
            exhausted=parse_flag(poll, "poll.exhausted"),
            elapsed_seconds=parse_amount(poll, "poll.elapsedSeconds"),
            checks=parse_count(poll, "poll.checks"),
            observed=_parse_observed(poll),
            transitions=parse_count(poll, "poll.transitions", 0),
            requests=parse_count(poll, "poll.requests", 0),
            gb_seconds=parse_amount(poll, "poll.gbSeconds", 0),
        )

    @property
    def last_status(self) -> str | None:
        """The status to assume while checks fail: QUEUED or RUNNING, since after any other there is no next check."""
        return next((status for status in (Status.RUNNING, Status.QUEUED) if status in self.observed), None)

    def plus(self, transitions: int, requests: int, gb_seconds: float) -> Poll:
        """Return it with what a step took."""
        return replace(
            self,
            transitions=self.transitions + transitions,
            requests=self.requests + requests,
            gb_seconds=self.gb_seconds + gb_seconds,
        )

    def observing(self, outcome: str) -> Poll:
        """Return it with a status, or the name of a fault, that was observed."""
        return replace(self, observed={**self.observed, outcome: self.observed.get(outcome, 0) + 1})

    def with_check(self, outcome: str) -> Poll:
        """Return it with a status check that had this outcome."""
        return replace(self.observing(outcome), checks=self.checks + 1)

    def to_json(self) -> dict[str, object]:
        return {
            "waitSeconds": self.wait_seconds,
            "exhausted": self.exhausted,
            "elapsedSeconds": round(self.elapsed_seconds, 3),
            "checks": self.checks,
            "observed": dict(self.observed),
            "transitions": self.transitions,
            "requests": self.requests,
            "gbSeconds": round(self.gb_seconds, 3),
        }


def _parse_observed(poll: Mapping[str, object]) -> dict[str, int]:
    observed = parse_object(required(poll, "poll.observed"), "poll.observed")
    if len(observed) > POLL_STATUSES or not all(map(is_status, observed)):
        raise InvalidInput(
            f"poll.observed: expected at most {POLL_STATUSES} names of statuses, got {len(observed)} names; "
            "hand back what the previous call answered"
        )
    return {name: parse_count({"poll.observed": count}, "poll.observed") for name, count in observed.items()}
