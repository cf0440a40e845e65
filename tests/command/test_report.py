"""The reports in a real browser: silent, self-contained, inert, reachable by the keyboard, light, dark and narrow."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localaws.demo.report import CONTRIBUTOR_FIELDS, write_report
from localaws.demo.sweep_report import write_sweep_report
from tests.browser import INSTALL, Page, browsing, chromium
from tests.hostile import HOSTILE
from tests.loopback import output
from tests.sweeps import failed, swept

pytestmark = pytest.mark.slow

SIZES = [(1100, 900), (390, 844)]
SCHEMES = {"light": "rgb(246, 248, 250)", "dark": "rgb(13, 17, 23)"}
FOCUSED = """(() => {
  const at = document.activeElement;
  return at === document.body ? null : at.tagName === 'SUMMARY' ? 'SUMMARY' : at.getAttribute('aria-label');
})()"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if not chromium():
        told = pytest.fail if "CI" in os.environ else pytest.skip
        told(f"THE REPORT IS NOT TESTED, since no browser was found: {INSTALL}")
    with browsing(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture(scope="module", params=["query_report", "sweep_report"])
def report(request: pytest.FixtureRequest) -> Path:
    found: Path = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def query_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report whose every text is hostile, with more points than a screen has."""
    rows = [
        {"timestamp": f"2026-11-24T{hour:02}:{minute:02}:00Z", "label": label, "value": rank + hour / 10}
        for rank, label in enumerate(HOSTILE)
        for hour in range(24)
        for minute in range(0, 60, 15)
    ]
    known = output(len(rows))
    known["results"]["peak"]["label"] = HOSTILE[1]
    known["results"]["key"] = f"results/{HOSTILE[0]}"
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(
        write_report(known, rows, [{"value": 1, **dict.fromkeys(CONTRIBUTOR_FIELDS, label)} for label in HOSTILE]),
        "utf-8",
    )
    return path


@pytest.fixture(scope="module")
def sweep_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of four windows whose every text is hostile."""
    known = swept(windows=4)
    for one, text in zip((of for of in known["queries"] if of["peak"]), HOSTILE, strict=False):
        one["peak"]["label"] = text
    known["queries"] += [failed("TIMEOUTS", text, text, cause=text) for text in HOSTILE]
    known["windows"][0]["objects"][0]["key"] = f"results/{HOSTILE[0]}"
    ranked = [{"value": 1, "metricName": "TIMEOUTS", **dict.fromkeys(CONTRIBUTOR_FIELDS, text)} for text in HOSTILE]
    path = tmp_path_factory.mktemp("report") / "sweep.html"
    path.write_text(write_sweep_report(known, ranked, 18.4), "utf-8")
    return path


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_opens_without_an_error_a_request_or_a_dialog(
    page: Page, report: Path, scheme: str, width: int, height: int
) -> None:
    page.open(report, width, height, scheme)

    said = page.seen("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
    dialogs = page.seen("Page.javascriptDialogOpening")
    requests = [event["request"]["url"] for event in page.seen("Network.requestWillBeSent")]
    assert (said, dialogs) == ([], [])
    assert requests == [report.as_uri()]


def test_hostile_labels_are_inert(page: Page, report: Path) -> None:
    page.open(report)

    found = page.evaluate("[...new Set([...document.querySelectorAll('*')].map(of => of.localName))]")
    handlers = page.evaluate(
        "[...document.querySelectorAll('*')].flatMap(of => of.getAttributeNames()).filter(name => /^on/.test(name))"
    )
    assert {"script", "img", "a", "b", "iframe", "cwdb-action"}.isdisjoint(found)
    assert handlers == []
    assert "<script>alert(1)</script>" in page.evaluate("document.body.innerText")


def test_scripts_would_be_refused_even_if_one_got_in(page: Page, report: Path, tmp_path: Path) -> None:
    text = report.read_text("utf-8")
    broken = tmp_path / "broken.html"
    broken.write_text(text.replace("</main>", "<script>document.title='ran'</script><img src='x.png'></main>"), "utf-8")

    page.open(broken)

    assert page.evaluate("document.title") != "ran"
    assert len(page.seen("Log.entryAdded")) == 2  # the browser says that it refused both


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_page_never_scrolls_sideways(page: Page, report: Path, width: int, height: int) -> None:
    page.open(report, width, height)
    page.evaluate("document.querySelectorAll('details').forEach(of => { of.open = true; })")

    assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize(("width", "shown"), [(1100, "wide"), (390, "narrow")])
def test_one_chart_is_shown_and_its_letters_are_large_enough(
    page: Page, query_report: Path, width: int, shown: str
) -> None:
    page.open(query_report, width)

    charts = page.evaluate("[...document.querySelectorAll('figure div')].map(of => [of.className, of.offsetWidth > 0])")
    assert [name for name, visible in charts if visible] == [shown]
    smallest = page.evaluate(
        f"Math.min(...[...document.querySelectorAll('.{shown} text')].map("
        "of => of.getScreenCTM().a * parseFloat(getComputedStyle(of).fontSize)))"
    )
    assert smallest >= 11


@pytest.mark.parametrize(("scheme", "ground"), SCHEMES.items())
def test_it_is_light_or_dark_as_its_reader_is(page: Page, report: Path, scheme: str, ground: str) -> None:
    page.open(report, scheme=scheme)

    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == ground


def test_tab_reaches_whatever_scrolls_or_opens(page: Page, query_report: Path) -> None:
    page.open(query_report)

    reached: list[Any] = []
    for _ in range(12):
        page.press("Tab", 9)
        reached.append(page.evaluate(FOCUSED))
        if reached[-1] == "SUMMARY":
            page.press(" ", 32)
    scrolling = page.evaluate(
        "[...document.querySelectorAll('*')].filter(of => /auto|scroll/.test(getComputedStyle(of).overflowX)"
        " && of.tagName !== 'HTML').every(of => of.tabIndex === 0)"
    )
    assert scrolling
    assert [name for name in reached if name][:4] == [
        "Series",
        "Top contributors",
        "SUMMARY",
        "Points of the lines drawn",
    ]


def test_who_cannot_see_the_chart_is_told_what_it_shows(page: Page, query_report: Path) -> None:
    page.open(query_report)

    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    told = {
        (node["role"]["value"], node.get("name", {}).get("value"))
        for node in nodes
        if not node["ignored"] and "role" in node
    }
    names = {role: name for role, name in told if role in ("image", "img")}
    assert any("over time" in str(name) and "peak" in str(name) for name in names.values()), json.dumps(list(names))
    assert {("region", "Series"), ("region", "Top contributors")} <= told


@pytest.mark.parametrize("scheme", SCHEMES)
def test_each_number_of_the_heat_map_stands_out_from_its_shade(page: Page, sweep_report: Path, scheme: str) -> None:
    page.open(sweep_report, scheme=scheme)

    shades = page.evaluate(
        "[...document.querySelectorAll('.heat td[class^=l]:not(.failed)')].map(of => getComputedStyle(of))"
        ".map(of => [of.color, of.backgroundColor])"
    )
    assert len({ground for _, ground in shades}) == 6
    card = page.evaluate("getComputedStyle(document.querySelector('section')).backgroundColor")
    assert min(contrast(ink, card if "rgba" in ground else ground) for ink, ground in shades) >= 4.5


def contrast(*colors: str) -> float:
    """Return the ratio of WCAG 2."""

    def luminance(color: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted(map(luminance, colors))
    return (high + 0.05) / (low + 0.05)


def test_a_heat_map_of_one_window_fits_a_phone(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "sweep.html"
    path.write_text(write_sweep_report(swept()), "utf-8")

    page.open(path, 390)

    assert page.evaluate("(of => of.scrollWidth - of.clientWidth)(document.querySelector('.scrolls:has(.heat)'))") == 0


def test_categories_stay_where_they_are_when_a_heat_map_is_scrolled(page: Page, sweep_report: Path) -> None:
    page.open(sweep_report, 390)
    place = "document.querySelector('.heat tbody th').getBoundingClientRect().left"
    before = page.evaluate(place)

    page.evaluate("document.querySelector('.scrolls:has(.heat)').scrollLeft = 200")

    assert page.evaluate(place) == before


def test_who_cannot_see_the_heat_map_hears_its_marks(page: Page, sweep_report: Path) -> None:
    page.open(sweep_report)

    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    told = {
        (node["role"]["value"], node.get("name", {}).get("value"))
        for node in nodes
        if not node["ignored"] and "role" in node
    }
    assert ("region", "Heat map of the highest peaks") in told
    assert ("StaticText", "finding, above its threshold") in told
    assert any(role in ("columnheader", "rowheader") and name == "INTRA_AZ" for role, name in told)
