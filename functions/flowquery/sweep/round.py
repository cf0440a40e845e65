"""One round of a sweep: start queries, check those that are running, all at one pace, and hold while that pays.

One request is under way at a time. So the rate is never higher than that of calls one after another.
"""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from flowquery.core import transitions
from flowquery.core.errors import (
    FlowqueryError,
    InvalidRequest,
    QuotaExceeded,
    Throttled,
    TransientFault,
    UnclearOutcome,
)
from flowquery.core.model import ENDED, IN_PROGRESS, Status
from flowquery.polling.policy import POLICY, Decision, Hold, charge_retries, decide
from flowquery.polling.state import Poll
from flowquery.sweep.invocation import Reply, SweepInvocation
from flowquery.sweep.state import WAITING, Sweep, SweepQuery

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowquery.core.model import Family, Query, QueryRequest

    Measure = Callable[[str, float], object]

LONGEST_HOLD_SECONDS = 840.0  # a Lambda function runs for 900 s at most
MARGIN_SECONDS = 60.0  # to stop a query whose budget is spent, in several attempts
MOST_FAULTS = 3  # of a start or a stop
SHORTEST_WAIT = POLICY.round_seconds / 3  # seconds; a Wait is one more transition, so holding a shorter one costs less
QUOTA_SECONDS, LONGEST_QUOTA_SECONDS = 5.0, 60.0  # until a start is tried again, unless a query ends before
REFUSED = "stopping was refused"
ERRORS = {Status.FAILED.value: "QueryFailed", Status.CANCELED.value: "QueryCanceled"}


class Operations(Protocol):
    """The operations of `NetworkFlowMonitor`, in one attempt each: the pace has to see each throttle."""

    def start_query(self, scope_id: str, request: QueryRequest, family: Family) -> Query: ...

    def get_query_status(self, query: Query) -> str: ...

    def stop_query(self, query: Query) -> object: ...


class Round(SweepInvocation):
    """The work of one invocation of AdvanceQueries, StopQueries, or RankContributors."""

    def __init__(
        self,
        sweep: Sweep,
        operations: Operations,
        remaining: Callable[[], float],
        lost_attempts: int = 0,
        measure: Measure = lambda *_: None,
        *,
        until_end: bool = False,
    ) -> None:
        """Begin.

        `lost_attempts` is how many invocations before this one were lost with what they had started. With `until_end`
        no other invocation follows, so this one holds as long as it can.
        """
        super().__init__(replace(sweep, poll=charge_retries(sweep.poll, lost_attempts)))
        self._operations, self._measure, self._until_end = operations, measure, until_end
        time_left = remaining()
        self._hold = max(min(LONGEST_HOLD_SECONDS, time_left - MARGIN_SECONDS), 0.0)
        self._last_call_at = self._spent_before + time_left - POLICY.slowest_call
        self._unsaved_since: float | None = None
        self._refused_starts = 0
        self._has_worked = self._start_was_throttled = False
        if lost_attempts:
            self._resume()

    def _resume(self) -> None:
        """Go on after lost attempts: each may have started what waits, and sent requests just now."""
        now = self._spent_before
        next_check = now + POLICY.shortest_interval
        queries = (
            replace(query, due_at=max(query.due_at, next_check))
            if query.is_running
            else replace(query, unclear=query.unclear or query.status == WAITING)
            for query in self.sweep.queries
        )
        self.sweep = replace(self.sweep, queries=tuple(queries), pace=self.sweep.pace.without_burst(now))

    def run(self) -> float:
        """Work until all have ended or the round is over; return the seconds to wait before the next round."""
        while (ready_at := self._ready_at()) is not None:
            if self._is_over(ready_at):
                return ready_at - self.now
            self._sleep_until(ready_at)
            self._act()
            self._give_up_waiting()
        return 0.0

    def stop_all(self, error: str = "QueryStopped", when: str = "when the sweep broke") -> None:
        """Fail the queries that wait, and stop those that are running; the next invocation, if any, stops the rest."""
        for index, query in enumerate(self.sweep.queries):
            if query.status == WAITING:
                self._end(index, query.fail("NotStarted", f"not started {when}"))
        for index, query in enumerate(self.sweep.queries):
            if query.is_running:
                self._end(index, self._give_up(query, error, f"{query.status} {when}"))
                if self.now > self._spent_before + self._hold and not self._until_end:
                    return

    def answer(self, wait_seconds: float, memory_mb: str | int, retry_count: int = 0, lost_attempts: int = 0) -> Sweep:
        """Return the sweep with what the round took, and the wait in whole seconds."""
        # A shorter one costs less when the next invocation holds it, if that has the time.
        held = min(SHORTEST_WAIT, 0.9 * self._hold)  # with room for rounding
        wait = max(round(wait_seconds), 1) if wait_seconds > held else 0
        taken = transitions.ROUND + (transitions.WAIT if wait else 0) + retry_count + lost_attempts
        return self._charged(memory_mb, taken, 1 + retry_count + lost_attempts, wait)

    def _ready_at(self) -> float | None:
        """Return when there is something to do that the pace allows; None once all have ended."""
        checks = [query.due_at for query in self.sweep.queries if query.is_running]
        first = min([self.sweep.starts_at, *checks] if self._any_waiting() else checks, default=None)
        return None if first is None else max(first, self.sweep.pace.ready_at)

    def _is_over(self, ready_at: float) -> bool:
        """Tell whether to answer: the hold is over, or only waits are ahead during which holding costs more.

        Also once all are started, or a minute after the first start: the ids that only this invocation knows would be
        lost with it.
        """
        now = self.now
        next_action = max(ready_at, now)
        if next_action > self._spent_before + self._hold and (self._has_worked or ready_at > now):
            return True
        if self._until_end:
            return False
        if self._unsaved_since is not None:
            return not self._any_waiting() or next_action >= self._unsaved_since + POLICY.longest_blind_hold
        youngest = min((now - query.started_at for query in self.sweep.queries if query.is_running), default=0.0)
        long_wait = next_action - now >= POLICY.round_seconds
        return long_wait and not self._any_waiting() and not POLICY.holding_pays(youngest)

    def _act(self) -> None:
        """Start a query if that is allowed, else check the one that is likeliest to have ended.

        A query that has run for t seconds, and was observed running w seconds ago, has ended with a probability of
        about w / t, as in PollPolicy. A query whose budget is spent is checked first. A check also comes first after a
        start that was throttled, since starts may have a limit of their own.
        """
        now, sweep, self._has_worked = self.now, self.sweep, True
        due = [index for index, query in enumerate(sweep.queries) if query.is_running and query.due_at <= now]
        out_of_budget = [index for index in due if now - sweep.queries[index].started_at >= sweep.timeout_seconds]
        check_first = out_of_budget or (due and self._start_was_throttled)
        if self._any_waiting() and sweep.starts_at <= now and not check_first:
            self._start(next(index for index, query in enumerate(sweep.queries) if query.status == WAITING))
        elif due:
            self._check(max(out_of_budget or due, key=lambda index: _end_probability(sweep.queries[index], now)))

    def _start(self, index: int) -> None:
        sweep, query = self.sweep, self.sweep.queries[index]
        request = sweep.query_request(query)
        try:
            started = self._call(lambda: self._operations.start_query(sweep.scope_id, request, sweep.family))
        except (Throttled, QuotaExceeded, TransientFault, UnclearOutcome) as refusal:
            self._postpone_starts(index, refusal)
        except FlowqueryError as error:
            self._end(index, query.fail(type(error).__name__, str(error)))
        else:
            now, self._refused_starts = self.now, 0
            self._unsaved_since = now if self._unsaved_since is None else self._unsaved_since
            due_at = now + POLICY.shortest_interval * (1 + random.random())  # noqa: S311 jitter is no secret
            running = replace(query, query_id=started.query_id, status=Status.QUEUED.value, faults=0)
            running = replace(running, started_at=now, checked_at=now, due_at=due_at)
            self.sweep = replace(self.sweep.with_query(index, running), progressed_at=now)

    def _postpone_starts(self, index: int, refusal: FlowqueryError) -> None:
        """Retry the start later. Retry rarely after an unclear outcome, because a second query may be running."""
        self.sweep = replace(self.sweep, start_error=type(refusal).__name__)
        if isinstance(refusal, Throttled):
            self._start_was_throttled = True
            return
        self._refused_starts += 1
        pause = min(QUOTA_SECONDS * 2 ** (self._refused_starts - 1), LONGEST_QUOTA_SECONDS)
        self.sweep = replace(self.sweep, starts_at=self.now + pause)
        if isinstance(refusal, (TransientFault, UnclearOutcome)):
            query = self.sweep.queries[index]
            unclear = query.unclear or isinstance(refusal, UnclearOutcome)
            query = replace(query, faults=query.faults + 1, unclear=unclear)
            if query.faults == MOST_FAULTS:
                self._end(index, query.fail(type(refusal).__name__, str(refusal)))
            else:
                self.sweep = self.sweep.with_query(index, query)

    def _check(self, index: int) -> None:
        query, began, self._start_was_throttled = self.sweep.queries[index], self.now, False
        query = replace(query, checks=query.checks + 1)
        try:
            status = self._get_status(query)
        except (Throttled, QuotaExceeded, TransientFault) as fault:
            faults = 0 if isinstance(fault, Throttled) else query.faults + 1  # the pace yields to throttles
            self._go_on(index, replace(query, faults=faults), self.now - began)
        except FlowqueryError as error:
            if getattr(error, "is_unknown_query", False) and began - query.started_at < POLICY.unknown_query_seconds:
                self._go_on(index, replace(query, faults=query.faults + 1), self.now - began)
            else:
                self._end(index, self._give_up(query, type(error).__name__, str(error)))
        else:
            if status in IN_PROGRESS:
                running = replace(query, status=status, checked_at=began, faults=0)
                self._go_on(index, running, self.now - began)
                return
            self._measure("DetectionLag", round(self.now - query.checked_at, 3))
            self._end(index, self._ended(replace(query, status=status)))

    def _go_on(self, index: int, query: SweepQuery, call_seconds: float) -> None:
        """Postpone the next check as the status step would, or stop the query once its budget is spent."""
        decision = self._decide(query, call_seconds)
        if decision.poll.exhausted:
            self._end(index, self._give_up(query, "QueryTimedOut", f"{query.status} after {self._spent(query)}"))
        else:
            after = decision.poll.wait_seconds if decision.check_after is None else decision.check_after
            self.sweep = self.sweep.with_query(index, replace(query, due_at=self.now + after))

    def _decide(self, query: SweepQuery, call_seconds: float) -> Decision:
        poll = Poll(elapsed_seconds=self.now - query.started_at, checks=query.checks)
        held = self.now - self._spent_before
        hold = Hold(self._hold, self.sweep.timeout_seconds, held, call_seconds, query.faults)
        return decide(query.status, poll, hold, random.random())  # noqa: S311 jitter is no secret

    def _ended(self, query: SweepQuery) -> SweepQuery:
        if query.status == Status.SUCCEEDED:
            return query
        cause = f"Network Flow Monitor said {query.status} after {self._spent(query)}"
        if query.status in ENDED:
            return query.fail(ERRORS[query.status], cause)
        return self._give_up(query, "UnknownStatus", cause)

    def _give_up(self, query: SweepQuery, error: str, cause: str) -> SweepQuery:
        """Stop the query, and say whether that was possible. One that has just succeeded has not failed."""
        outcome = self._stop(query)
        check_at = max(self.sweep.pace.ready_at, self.now + POLICY.shortest_interval)
        if outcome == REFUSED and self._is_in_time(check_at):
            with suppress(FlowqueryError):
                if self._get_status(query) == Status.SUCCEEDED:
                    return replace(query, status=Status.SUCCEEDED.value)
        return query.fail(error, f"{outcome}; {cause}")

    def _stop(self, query: SweepQuery) -> str:
        error: FlowqueryError | None = None
        for _ in range(MOST_FAULTS):
            if not self._is_in_time(self.sweep.pace.ready_at):
                return "not stopped (no time left)"
            try:
                self._call(lambda: self._operations.stop_query(self.sweep.started_query(query)))
            except (Throttled, TransientFault) as fault:
                error = fault
            except InvalidRequest:  # for example because it has just ended
                return REFUSED
            except FlowqueryError as refusal:
                return f"not stopped ({type(refusal).__name__})"
            else:
                return "stopped"
        return f"not stopped ({type(error).__name__})"

    def _give_up_waiting(self) -> None:
        """Fail the queries that wait where nothing was started and nothing ended for as long as one query may take."""
        sweep = self.sweep
        if self._any_waiting() and self.now - sweep.progressed_at >= sweep.timeout_seconds:
            cause = f"could not be started for {sweep.timeout_seconds:g} s"
            for index, query in enumerate(sweep.queries):
                if query.status == WAITING:
                    self._end(index, query.fail(sweep.start_error or "Throttled", cause))

    def _end(self, index: int, query: SweepQuery) -> None:
        """Note that a query has ended. A quota may have waited for that, so starts are allowed at once."""
        now, sweep = self.now, self.sweep.with_query(index, query)
        self.sweep = replace(sweep, progressed_at=now, starts_at=min(sweep.starts_at, now))

    def _any_waiting(self) -> bool:
        return any(query.status == WAITING for query in self.sweep.queries)

    def _spent(self, query: SweepQuery) -> str:
        return f"{self.now - query.started_at:.1f} s and {query.checks} checks"

    def _get_status(self, query: SweepQuery) -> str:
        """Check the status at the pace, and count the check."""
        self.sweep = replace(self.sweep, poll=replace(self.sweep.poll, checks=self.sweep.poll.checks + 1))
        self._measure("StatusChecks", 1)
        status = self._call(lambda: self._operations.get_query_status(self.sweep.started_query(query)))
        self._observe(status if status in frozenset(Status) else "UnknownStatus")
        return status

    def _call(self, call: Callable[[], Reply]) -> Reply:
        """Send a request at the pace, and count its fault, if it has one."""
        try:
            return self._paced(call)
        except (Throttled, QuotaExceeded, TransientFault, UnclearOutcome) as fault:
            self._observe(type(fault).__name__)
            if isinstance(fault, Throttled):
                self._measure("Throttles", 1)
            raise

    def _observe(self, outcome: str) -> None:
        self.sweep = replace(self.sweep, poll=self.sweep.poll.observing(outcome))

    def _is_in_time(self, moment: float) -> bool:
        """Sleep until then, unless that would leave no time for a call."""
        if moment > max(self._last_call_at, self.now):
            return False
        self._sleep_until(moment)
        return True


def _end_probability(query: SweepQuery, now: float) -> float:
    return (now - query.checked_at) / (now - query.started_at)
