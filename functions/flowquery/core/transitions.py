"""How many state transitions each step of a workflow takes. Step Functions charges them; a test counts the histories.

A retry is one transition more. Nothing else in the code counts states.
"""

from __future__ import annotations

# RunQuery
START_QUERY = 1
STATUS_ANSWER = 2  # GetQueryStatus, ChooseByStatus
WAIT = 1  # WaitBeforeNextCheck, or WaitBeforeNextRound
QUERY_RESULTS = 3  # GetQueryResults, ChooseFinding, QuerySucceeded
QUERY_FINDING = 2  # RankContributors, ReportFinding

# SweepScope
PLAN_SWEEP = 1
ROUND = 2  # AdvanceQueries, ChooseByProgress; also StopQueries, ChooseByProgress
STORE_SWEEP = 2  # StoreSweep, ChooseOutcome
SWEEP_END = 1  # SweepSucceeded or SweepNotSucceeded
SWEEP_RANKING = 2  # RankContributors, ChooseOutcome
SWEEP_ALARM = 1  # ReportFinding or RaiseAlarm

# One window of Backfill: the child of the Map and its state, and a sweep of two rounds.
BACKFILL_WINDOW = 2 + PLAN_SWEEP + 2 * ROUND + STORE_SWEEP + SWEEP_END
