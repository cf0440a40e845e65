"""One round of a sweep: start what may be started, look at what runs, all under one pace, and hold while that pays.

One request is under way at a time, so a rate is not reached that is higher than calls a second one after another.
"""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from flowquery.core.errors import FlowqueryError, InvalidRequest, QuotaExceeded, Throttled, TransientFault
from flowquery.core.model import ENDED, IN_PROGRESS, Poll, Status
from flowquery.polling.policy import POLICY, Decision, Limits, charge_retries, count_check, decide
from flowquery.sweep.invocation import Answer, Invocation
from flowquery.sweep.state import WAITING, Sweep, SweepQuery

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowquery.core.model import Family, Query, QueryRequest

    Measure = Callable[[str, float], object]

MOST_HOLD_SECONDS = 840.0  # a Lambda function runs for 900 s at most
MARGIN_SECONDS = 60.0  # a query that is given up is told to stop, in several attempts
MOST_FAULTS = 3  # of a start or a stop
SHORTEST_WAIT = POLICY.round_seconds / 3  # seconds; a Wait is one more transition, so a shorter one costs less held
QUOTA_SECONDS, LONGEST_QUOTA_SECONDS = 5.0, 60.0  # until a start is tried again, unless a query ends before
REFUSED = "stopping was refused"
ERRORS = {Status.FAILED.value: "QueryFailed", Status.CANCELED.value: "QueryCanceled"}


class Calls(NamedTuple):
    """The calls of `flowquery.aws.network_flow_monitor`, each sent once: that one was throttled has to be seen here."""

    start: Callable[[str, QueryRequest, Family], Query]
    look: Callable[[Query], str]
    stop: Callable[[Query], object]


class Round(Invocation):
    """The work of one invocation of AdvanceQueries, or of StopQueries."""

    def __init__(
        self,
        sweep: Sweep,
        calls: Calls,
        remaining: Callable[[], float],
        retry_count: int = 0,
        measure: Measure = lambda *_: None,
    ) -> None:
        super().__init__(replace(sweep, poll=charge_retries(sweep.poll, retry_count)))
        self._calls, self._measure = calls, measure
        left = remaining()
        self._hold = max(min(MOST_HOLD_SECONDS, left - MARGIN_SECONDS), 0.0)
        self._unsaved_since: float | None = None
        self._refusals = 0
        self._worked = self._throttled = False
        self._last_call_at = self._spent_before + left - POLICY.slowest_call
        if retry_count:
            self._take_up()

    def _take_up(self) -> None:
        """Go on after attempts that were lost: each may have started what waits, and sent requests just now."""
        now = self._spent_before
        looks_at = now + POLICY.shortest_interval
        queries = (
            replace(asked, due_at=max(asked.due_at, looks_at))
            if asked.runs
            else replace(asked, unclear=asked.unclear or asked.status == WAITING)
            for asked in self.sweep.queries
        )
        self.sweep = replace(self.sweep, queries=tuple(queries), pace=self.sweep.pace.without_burst(now))

    def run(self) -> float:
        """Work until all have ended or it is time to hand over; return the seconds to wait before the next round."""
        while (ready_at := self._ready_at()) is not None:
            if self._hands_over(ready_at):
                return ready_at - self.now
            self._sleep_until(ready_at)
            self._act()
            self._give_up_waiting()
        return 0.0

    def _ready_at(self) -> float | None:
        """Return when there is something to do that the pace allows; None once all have ended."""
        looks = [asked.due_at for asked in self.sweep.queries if asked.runs]
        first = min([self.sweep.starts_at, *looks] if self._waiting() else looks, default=None)
        return None if first is None else max(first, self.sweep.pace.ready_at)

    def _hands_over(self, ready_at: float) -> bool:
        """Tell whether the round is over: at the end of the hold, or where only waits are left that holding costs more.

        Also once all are started, or a minute after the first start: ids that no other step knows would be lost with
        this invocation.
        """
        now = self.now
        then = max(ready_at, now)
        if then > self._spent_before + self._hold and (self._worked or ready_at > now):
            return True
        if self._unsaved_since is not None:
            return not self._waiting() or then >= self._unsaved_since + POLICY.longest_blind_hold
        youngest = min((now - asked.started_at for asked in self.sweep.queries if asked.runs), default=0.0)
        return then - now >= POLICY.round_seconds and not self._waiting() and not POLICY.holding_pays(youngest)

    def _act(self) -> None:
        """Start one if one may be started, else look at the one that is likeliest to have ended.

        Of a query that has gone on for t seconds and was seen to run w seconds ago, that is w / t, as in PollPolicy.
        A look goes first at a query whose budget is spent, and after a start that was throttled: starts may have a
        limit of their own.
        """
        now, sweep, self._worked = self.now, self.sweep, True
        due = [(index, asked) for index, asked in enumerate(sweep.queries) if asked.runs and asked.due_at <= now]
        spent = [pair for pair in due if now - pair[1].started_at >= sweep.timeout_seconds]
        looks_first = spent or (due and self._throttled)
        if self._waiting() and sweep.starts_at <= now and not looks_first:
            self._start(next(index for index, asked in enumerate(sweep.queries) if asked.status == WAITING))
        elif due:
            likeliest = max(spent or due, key=lambda pair: (now - pair[1].looked_at) / (now - pair[1].started_at))
            self._look(likeliest[0])

    def _start(self, index: int) -> None:
        sweep, asked = self.sweep, self.sweep.queries[index]
        try:
            query = self._call(lambda: self._calls.start(sweep.scope_id, sweep.query_request(asked), sweep.family))
        except (Throttled, QuotaExceeded, TransientFault) as refusal:
            self._put_off(index, refusal)
        except FlowqueryError as error:
            self._end(index, asked.fail(type(error).__name__, str(error)))
        else:
            now, self._refusals = self.now, 0
            self._unsaved_since = now if self._unsaved_since is None else self._unsaved_since
            due_at = now + POLICY.shortest_interval * (1 + random.random())  # noqa: S311 jitter is no secret
            started = replace(asked, query_id=query.query_id, status=Status.QUEUED.value, faults=0)
            started = replace(started, started_at=now, looked_at=now, due_at=due_at)
            self.sweep = replace(self.sweep.put(index, started), progressed_at=now)

    def _put_off(self, index: int, refusal: Throttled | QuotaExceeded | TransientFault) -> None:
        """Try the start again later; after an unclear outcome a second query may run, so that seldom."""
        self.sweep = replace(self.sweep, refused=type(refusal).__name__)
        if isinstance(refusal, Throttled):
            self._throttled = True
            return
        self._refusals += 1
        pause = min(QUOTA_SECONDS * 2 ** (self._refusals - 1), LONGEST_QUOTA_SECONDS)
        self.sweep = replace(self.sweep, starts_at=self.now + pause)
        if isinstance(refusal, TransientFault):
            asked = self.sweep.queries[index]
            asked = replace(asked, faults=asked.faults + 1, unclear=True)
            if asked.faults == MOST_FAULTS:
                self._end(index, asked.fail("TransientFault", str(refusal)))
            else:
                self.sweep = self.sweep.put(index, asked)

    def _look(self, index: int) -> None:
        asked, began, self._throttled = self.sweep.queries[index], self.now, False
        asked = replace(asked, checks=asked.checks + 1)
        try:
            status = self._call(lambda: self._calls.look(self.sweep.query(asked)), counts=True)
        except (Throttled, QuotaExceeded, TransientFault) as fault:
            faults = 0 if isinstance(fault, Throttled) else asked.faults + 1  # the pace yields to throttles
            self._go_on(index, replace(asked, faults=faults), self.now - began)
        except FlowqueryError as error:
            self._end(index, self._give_up(asked, type(error).__name__, str(error)))
        else:
            if status in IN_PROGRESS:
                self._go_on(index, replace(asked, status=status, looked_at=began, faults=0), self.now - began)
                return
            self._measure("DetectionLag", round(self.now - asked.looked_at, 3))
            self._end(index, self._ended(replace(asked, status=status)))

    def _go_on(self, index: int, asked: SweepQuery, call: float) -> None:
        """Put the next look off as the status step would, or give the query up once its budget is spent."""
        decision = self._decide(asked, call)
        if decision.poll.exhausted:
            self._end(index, self._give_up(asked, "QueryTimedOut", f"{asked.status} after {self._spent(asked)}"))
        else:
            after = decision.poll.wait_seconds if decision.look_after is None else decision.look_after
            self.sweep = self.sweep.put(index, replace(asked, due_at=self.now + after))

    def _decide(self, asked: SweepQuery, call: float) -> Decision:
        poll = Poll(elapsed_seconds=self.now - asked.started_at, checks=asked.checks)
        held = self.now - self._spent_before
        limits = Limits(self._hold, self.sweep.timeout_seconds, held, call, asked.faults)
        return decide(asked.status, poll, limits, random.random())  # noqa: S311 jitter is no secret

    def _ended(self, asked: SweepQuery) -> SweepQuery:
        if asked.status == Status.SUCCEEDED:
            return asked
        cause = f"Network Flow Monitor said {asked.status} after {self._spent(asked)}"
        if asked.status in ENDED:
            return asked.fail(ERRORS[asked.status], cause)
        return self._give_up(asked, "UnknownStatus", cause)

    def _give_up(self, asked: SweepQuery, error: str, cause: str) -> SweepQuery:
        """Tell the query to stop, and say whether that could be done; one that has just succeeded is no failure."""
        told = self._stop(asked)
        looks_at = max(self.sweep.pace.ready_at, self.now + POLICY.shortest_interval)
        if told == REFUSED and self._in_time(looks_at):
            with suppress(FlowqueryError):
                if self._call(lambda: self._calls.look(self.sweep.query(asked)), counts=True) == Status.SUCCEEDED:
                    return replace(asked, status=Status.SUCCEEDED.value)
        return asked.fail(error, f"{told}; {cause}")

    def _stop(self, asked: SweepQuery) -> str:
        error: FlowqueryError | None = None
        for _ in range(MOST_FAULTS):
            if not self._in_time(self.sweep.pace.ready_at):
                return "not stopped (no time left)"
            try:
                self._call(lambda: self._calls.stop(self.sweep.query(asked)))
            except (Throttled, TransientFault) as fault:
                error = fault
            except InvalidRequest:  # as of one that has just ended
                return REFUSED
            except FlowqueryError as refusal:
                return f"not stopped ({type(refusal).__name__})"
            else:
                return "told to stop"
        return f"not stopped ({type(error).__name__})"

    def stop_all(self) -> None:
        """Call off what waits, and stop what runs; what there is no time for is left to the next invocation."""
        for index, asked in enumerate(self.sweep.queries):
            if asked.status == WAITING:
                self._end(index, asked.fail("NotStarted", "the sweep broke before"))
        for index, asked in enumerate(self.sweep.queries):
            if asked.runs:
                self._end(index, self._give_up(asked, "QueryStopped", f"{asked.status} when the sweep broke"))
                if self.now > self._spent_before + self._hold:
                    return

    def _give_up_waiting(self) -> None:
        """Call off what waits where nothing was started and nothing ended for as long as one query may take."""
        sweep = self.sweep
        if self._waiting() and self.now - sweep.progressed_at >= sweep.timeout_seconds:
            cause = f"could not be started for {sweep.timeout_seconds:g} s"
            for index, asked in enumerate(sweep.queries):
                if asked.status == WAITING:
                    self._end(index, asked.fail(sweep.refused or "Throttled", cause))

    def _end(self, index: int, asked: SweepQuery) -> None:
        """Note that one has ended, which may be what a quota waits for."""
        now = self.now
        self.sweep = replace(self.sweep.put(index, asked), progressed_at=now, starts_at=min(self.sweep.starts_at, now))

    def _waiting(self) -> bool:
        return any(asked.status == WAITING for asked in self.sweep.queries)

    def _spent(self, asked: SweepQuery) -> str:
        return f"{self.now - asked.started_at:.1f} s and {asked.checks} checks"

    def _call(self, call: Callable[[], Answer], *, counts: bool = False) -> Answer:
        """Send a request under the pace; `counts` those that are looks at a status."""
        try:
            answer = self._paced(call)
        except (Throttled, QuotaExceeded, TransientFault) as fault:
            if isinstance(fault, Throttled):
                self._measure("Throttles", 1)
            self._count(type(fault).__name__, counts)
            raise
        if counts:
            self._count(str(answer) if answer in frozenset(Status) else "UnknownStatus", counts)
        return answer

    def _count(self, outcome: str, counts: bool) -> None:
        poll = count_check(self.sweep.poll, outcome)
        self.sweep = replace(self.sweep, poll=poll if counts else replace(poll, checks=poll.checks - 1))
        if counts:
            self._measure("StatusChecks", 1)

    def answer(self, wait_seconds: float, memory_mb: str | int, retry_count: int = 0) -> Sweep:
        """Return the sweep with what the round took, and the wait in whole seconds: a short one costs less held."""
        # What is shorter is held by the next invocation, if it has the time.
        held = min(SHORTEST_WAIT, 0.9 * self._hold)  # with room for what numbers lose on their way
        wait = max(round(wait_seconds), 1) if wait_seconds > held else 0
        return self._charged(memory_mb, 2 + bool(wait), 1 + retry_count, wait)

    def _in_time(self, moment: float) -> bool:
        """Sleep until then, unless that would leave no time for a call."""
        if moment > max(self._last_call_at, self.now):
            return False
        self._sleep_until(moment)
        return True
