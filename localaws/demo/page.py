"""What every report is made of: one HTML file that opens offline, sends no request, runs no script, and reads on a
phone.

Every text in it goes through `flowquery.widget.wording.shown`, and the page's own policy forbids scripts and requests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from flowquery.widget.wording import shown

STYLE = Path(__file__).with_name("report.css").read_text("utf-8")

Fact = tuple[str, str, str]  # a name, its value, and a note; all are HTML already


def page(title: str, body: Iterable[str]) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{shown(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def header(title: str, window: str, facts: Iterable[Fact]) -> str:
    """Return the title, the window in words, and a card for each fact."""
    cards = "".join(
        f'<div class="card"><dt>{name}</dt><dd><strong>{value}</strong><span>{note}</span></dd></div>'
        for name, value, note in facts
    )
    return (
        f'<header><h1>{shown(title)}</h1><p class="window">{shown(window)}</p></header><dl class="cards">{cards}</dl>'
    )


def cost_card(cost: Mapping[str, Any]) -> Fact:
    price = f"${cost['dollars']:.6f}" if "dollars" in cost else "not known"
    return (
        "Cost of the run",
        price,
        f"{cost['checks']:,} status checks<br>{cost['transitions']:,} state transitions",
    )


def request_section(title: str, facts: Mapping[str, object], cost: Mapping[str, Any]) -> str:
    """Return the section that says what was requested, by `facts`, and what it cost."""
    all_facts = {
        **facts,
        "Status checks": f"{cost['checks']:,}",
        "State transitions": f"{cost['transitions']:,}",
        "Lambda invocations": f"{cost['requests']:,}",
        "Lambda GB-seconds": f"{cost['gbSeconds']:,.3f}",
        "US dollars": f"{cost['dollars']:.6f}" if "dollars" in cost else "not known in this Region",
    }
    return section(title, "", fact_table((name, shown(value, 1000)) for name, value in all_facts.items()))


def fact_table(facts: Iterable[tuple[str, str]]) -> str:
    """Return names and their values, which are HTML already; on a phone they are below each other."""
    rows = "".join(f'<tr><th scope="row">{name}</th><td>{value}</td></tr>' for name, value in facts)
    return f'<table class="about"><tbody>{rows}</tbody></table>'


def section(title: str, note: str, content: str) -> str:
    return f"<section><h2>{title}</h2>{f'<p>{note.strip()}</p>' if note.strip() else ''}{content}</section>"


def table(name: str, head: Sequence[str], rows: Sequence[str], numbers: set[int]) -> str:
    cells = (
        f'<th scope="col"{" class=number" if index in numbers else ""}>{text}</th>' for index, text in enumerate(head)
    )
    return scrolling(name, f"<table><thead><tr>{''.join(cells)}</tr></thead><tbody>{''.join(rows)}</tbody></table>")


def scrolling(name: str, content: str) -> str:
    """Return content that scrolls by itself: the keyboard reaches it, and it has a name for a screen reader."""
    return f'<div class="scrolls" role="region" aria-label="{name}" tabindex="0">{content}</div>'


def label(text: str, longest: int = 200) -> str:
    """Return a label that keeps its own direction of writing to itself."""
    return f"<bdi>{shown(text, longest)}</bdi>"


def minute(at: str) -> str:
    """Return a time of the contract, to the minute."""
    return at[:16].replace("T", " ")


def span(first: str, last: str) -> str:
    return f"{minute(first)} to {minute(last)} UTC"
