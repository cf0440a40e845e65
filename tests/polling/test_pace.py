"""The pace: what it never exceeds, how it yields to throttles and recovers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowquery.polling.pace import Pace

ceilings = st.floats(0.1, 100)
steps = st.lists(st.tuples(st.floats(0, 30), st.booleans()), max_size=200)


@given(ceilings, steps)
def test_never_more_than_the_ceiling_and_a_seconds_burst(ceiling: float, waits: list[tuple[float, bool]]) -> None:
    pace, now = Pace(ceiling, ceiling), 0.0
    times: list[float] = []
    for wait, throttled in waits:
        now = max(now + wait / ceiling, pace.ready_at)
        times.append(now)
        pace = pace.sent(now)
        pace = pace.throttled(now) if throttled else pace
        assert ceiling * pace.LEAST <= pace.rate <= ceiling
    for first, begin in enumerate(times):
        for last in range(first, len(times)):
            assert last - first <= ceiling * (times[last] - begin + pace.BURST_SECONDS) + 1 + 1e-6


@given(ceilings)
def test_a_throttle_slows_by_a_tenth_and_ends_the_burst(ceiling: float) -> None:
    pace = Pace(ceiling, ceiling).sent(10.0).throttled(10.0)

    assert pace.rate == ceiling * 0.9
    assert pace.ready_at > 10.0


@given(ceilings)
def test_the_rate_recovers_evenly_up_to_its_ceiling(ceiling: float) -> None:
    pace, now, rates = Pace(ceiling, ceiling / 2), 0.0, [ceiling / 2]
    while pace.rate < ceiling:
        now = max(now, pace.ready_at)
        pace = pace.sent(now)
        rates.append(pace.rate)

    assert rates == sorted(rates)
    assert 40 <= now + pace.BURST_SECONDS + 1 / ceiling + 1 <= 60  # half of the ceiling at a hundredth a second
    assert pace.sent(now).rate == ceiling


@given(ceilings, st.integers(0, 500))
def test_however_often_it_is_throttled_some_rate_is_left(ceiling: float, times: int) -> None:
    pace = Pace(ceiling, ceiling)
    for _ in range(times):
        pace = pace.throttled(0.0)

    assert pace.rate >= ceiling * pace.LEAST


@given(ceilings, st.floats(0, 1_000), st.floats(0, 1_000))
def test_after_requests_that_nobody_counted_there_is_no_burst(ceiling: float, due: float, now: float) -> None:
    pace = Pace(ceiling, ceiling, due).without_burst(now)

    assert pace.ready_at >= now + 1 / ceiling - 1e-9
    assert pace.next_at >= due
