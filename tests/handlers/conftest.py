"""What the tests of handlers share."""

from __future__ import annotations

import pytest

from flowquery.aws import clock
from localaws.clock import TurnedClock


@pytest.fixture
def turned_clock(monkeypatch: pytest.MonkeyPatch) -> TurnedClock:
    """Let holds take no time."""
    turned = TurnedClock()
    monkeypatch.setattr(clock, "monotonic", turned.monotonic)
    monkeypatch.setattr(clock, "sleep", turned.sleep)
    return turned
