"""The adapter of Network Flow Monitor: pages, attempts, and what the service model says."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowquery.aws import network_flow_monitor
from flowquery.aws.network_flow_monitor import all_pages, allowed_values
from flowquery.core.errors import MalformedReply
from flowquery.core.model import Family, Query
from flowquery.polling.policy import POLICY

QUERY = Query("scope", "query")


class Pages:
    """Answers a page for each token: `tokens` in their order, and from the last one on as `cycle` says."""

    def __init__(self, tokens: list[str], cycle_from: int | None = None) -> None:
        following = dict(pairwise([None, *tokens, None]))
        if cycle_from is not None:
            following[tokens[-1]] = tokens[cycle_from]
        self.following: dict[str | None, str | None] = following
        self.sent: list[str | None] = []

    def __call__(self, _: Query, token: str | None) -> dict[str, Any]:
        self.sent.append(token)
        return {"datapoints": [], "nextToken": self.following[token]}


tokens = st.lists(st.text(min_size=1, max_size=3), unique=True, max_size=40)


@given(tokens)
def test_every_page_is_read_once_and_in_order(tokens: list[str]) -> None:
    pages = Pages(tokens)

    read = list(all_pages(QUERY, pages))

    assert [page["nextToken"] for page in read] == [*tokens, None]
    assert pages.sent == [None, *tokens]


@given(tokens.filter(bool), st.data())
def test_tokens_that_repeat_alternate_or_cycle_end_in_an_error(tokens: list[str], data: st.DataObject) -> None:
    pages = Pages(tokens, data.draw(st.integers(0, len(tokens) - 1)))

    with pytest.raises(MalformedReply, match="the pages do not end"):
        list(all_pages(QUERY, pages))

    assert len(pages.sent) <= 4 * len(tokens) + 2  # the remembered token changes at each power of two


def test_pages_without_end_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_flow_monitor, "MOST_PAGES", 20)
    pages = Pages([str(number) for number in range(30)])

    with pytest.raises(MalformedReply, match=r"the pages do not end \(page 20\)"):
        list(all_pages(QUERY, pages))

    assert len(pages.sent) == 20


def test_a_page_is_not_asked_for_before_the_one_before_it_was_taken() -> None:
    pages = Pages(["a", "b"])

    next(iter(all_pages(QUERY, pages)))

    assert pages.sent == [None]


# --- The client ---


@pytest.mark.parametrize("attempts", [1, 2])
def test_timeouts_and_attempts_are_explicit(attempts: int) -> None:
    config: Any = network_flow_monitor.client(attempts).meta.config

    assert (config.connect_timeout, config.read_timeout) == (2, 5)
    assert config.retries == {"mode": "standard", "total_max_attempts": attempts}


def test_the_slowest_call_of_the_policy_is_that_of_the_client() -> None:
    config: Any = network_flow_monitor.client(2).meta.config

    slowest = 2 * (config.connect_timeout + config.read_timeout) + 1
    assert slowest == POLICY.slowest_call


# --- The service model ---


@pytest.mark.parametrize("family", Family)
def test_both_families_allow_the_same_metrics_and_categories(family: Family) -> None:
    allowed = allowed_values(family)

    assert set(allowed) == {"metricName", "destinationCategory"}
    assert set(allowed["metricName"]) == {"TIMEOUTS", "RETRANSMISSIONS", "DATA_TRANSFERRED"}
    assert len(allowed["destinationCategory"]) == 11
    assert allowed == allowed_values(Family.DATA)
