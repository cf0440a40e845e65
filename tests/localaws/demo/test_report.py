"""The report: what is in it, and that nothing in it is more than text."""

from __future__ import annotations

import re
import sys
import webbrowser
from pathlib import Path

import pytest

from localaws.demo.closing import open_in_browser
from localaws.demo.report import CONTRIBUTOR_FIELDS, write_report
from tests.hostile import HOSTILE
from tests.loopback import output
from tests.markup import parsed

ROWS = [
    {"timestamp": f"2026-11-24T08:{minute:02}:00Z", "label": label, "value": value}
    for label, values in {"use1-az1": (3, 7.5), "use1-az2": (1, 2)}.items()
    for minute, value in zip((0, 5), values, strict=True)
]


def test_it_says_what_was_requested_what_was_found_and_what_it_cost() -> None:
    page = parsed(write_report(output(4), ROWS)).text

    for text in (
        "TCP retransmissions between Availability Zones",
        "2026-11-24 08:00 to 2026-11-24 09:00 UTC",
        "a1b2c3d4-5678-90ab-cdef-1234567890ab",
        "RETRANSMISSIONS",
        "INTER_AZ",
        "Count: TCP retransmissions",
        "s3://results/results/date=2026-11-24/rows.jsonl.gz",
        "$0.000200",
        "peak 7.5 at 08:05",
        "use1-az2",
    ):
        assert text in page, text


def test_it_sends_no_request_and_runs_nothing() -> None:
    page = write_report(output(4), ROWS)

    tags = parsed(page).tags
    assert {"script", "iframe", "link", "img", "object", "embed", "a", "form"}.isdisjoint(tag for tag, _ in tags)
    assert not {"src", "href", "action", "srcset"} & {name for _, attributes in tags for name in attributes}
    assert "url(" not in page
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_whatever_scrolls_has_a_name_and_is_reached_by_the_keyboard() -> None:
    page = write_report(output(4), ROWS, [{"value": 3, "localSubnetId": "subnet-0f1e2d3c"}])

    regions = [attributes for _, attributes in parsed(page).tags if attributes.get("class") == "scrolls"]
    assert len(regions) == 3
    assert all((of["role"], of["tabindex"]) == ("region", "0") and of["aria-label"] for of in regions)


def test_contributors_are_a_table_of_the_fields_that_they_have() -> None:
    ranked = [
        {"value": 30, "accountId": "123456789012", "localAz": "use1-az1"},
        {"value": 20, "remoteIdentifier": "10.0.0.1"},
    ]

    page = write_report(output(4), ROWS, ranked)

    text = parsed(page).text
    assert "The flows of the window with the highest values" in text
    assert re.search(r"rank.*value.*account.*zone.*remote identifier", text)
    assert "subnet" not in text
    assert "Top contributors" not in write_report(output(4), ROWS)


def test_no_data_is_called_a_valid_result() -> None:
    page = write_report(output(0), [])

    assert "No data." in page
    assert "<figure>" not in page


def test_a_query_that_was_handed_in_is_shown_without_what_nobody_knows() -> None:
    handed_in = output(4)
    for name in ("metricName", "destinationCategory", "startTime", "endTime"):
        del handed_in[name]
    del handed_in["cost"]["dollars"]

    text = parsed(write_report(handed_in, ROWS)).text

    assert "A query that was handed in" in text
    assert "not known in this Region" in text


def test_a_report_of_more_series_than_a_page_can_show_says_so() -> None:
    many = [{"timestamp": "2026-11-24T08:00:00Z", "label": f"s{number}", "value": number} for number in range(1000)]

    page = write_report(output(1000), many)

    assert "The 200 of 1,000 with the highest peaks." in page
    assert len(page) < 300_000


@pytest.mark.parametrize("label", HOSTILE)
def test_a_hostile_label_changes_no_tag(label: str) -> None:
    def tags(of: str) -> list[str]:
        rows = [{"timestamp": "2026-11-24T08:00:00Z", "label": of, "value": 1.0}]
        of_label = output(1)
        of_label["results"]["peak"]["label"] = of
        page = write_report(of_label, rows, [{"value": 1, **dict.fromkeys(CONTRIBUTOR_FIELDS, of)}])
        page.encode()
        return [f"{tag} {sorted(attributes)}" for tag, attributes in parsed(page).tags]

    assert tags(label) == tags("use1-az1") if label else tags(label)


@pytest.mark.parametrize(
    ("terminal", "variables", "opened"),
    [
        (True, {"DISPLAY": ":0"}, True),
        (True, {"WAYLAND_DISPLAY": "wayland-0"}, True),
        (True, {}, False),
        (False, {"DISPLAY": ":0"}, False),
        (True, {"DISPLAY": ":0", "CI": "true"}, False),
    ],
)
def test_a_browser_opens_where_somebody_sits_at_a_screen(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, variables: dict[str, str], opened: bool
) -> None:
    pages: list[str] = []
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "CI"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    monkeypatch.setattr(webbrowser, "open", pages.append)

    open_in_browser(Path("report.html"))

    assert pages == ([Path("report.html").absolute().as_uri()] if opened else [])
