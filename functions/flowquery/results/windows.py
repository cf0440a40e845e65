"""Windows of sweeps: how a stretch of time is cut, and which object holds what of a window.

One object holds what succeeded of a window. Its name says the window and the digest of its selection, its metadata the
selection itself, so a window that was stored in part is completed by another object with the rest.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from flowquery.core.model import Family, timestamp_text
from flowquery.results.rows import TABLES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_FORM = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(r"(\d{8}T\d{6}Z)-(\d{8}T\d{6}Z)-([0-9a-f]{8})\.jsonl\.gz", re.ASCII)


class Selection(NamedTuple):
    """What one query of a sweep asks for, its window aside."""

    metric_name: str
    destination_category: str


class Window(NamedTuple):
    """From a moment up to another, in UTC, whole seconds."""

    start_time: datetime
    end_time: datetime

    def to_json(self) -> dict[str, str]:
        return {"startTime": timestamp_text(self.start_time), "endTime": timestamp_text(self.end_time)}


class Part(NamedTuple):
    """What the name of an object says: the window, and the digest of the selection that it holds of it."""

    window: Window
    digest: str


def cut(start: datetime, end: datetime, minutes: int) -> list[Window]:
    """Cut a stretch of time into windows of so many minutes; the last one may be shorter."""
    starts = [start]
    while (following := starts[-1] + timedelta(minutes=minutes)) < end:
        starts.append(following)
    return [Window(*ends) for ends in zip(starts, [*starts[1:], end], strict=True)]


def selection_text(selections: Collection[Selection]) -> str:
    """Return the selection as an object's metadata says it, such as `TIMEOUTS:INTER_AZ,INTRA_AZ`."""
    by_metric = groupby(sorted(selections), lambda selection: selection.metric_name)
    return ";".join(
        f"{name}:{','.join(selection.destination_category for selection in group)}" for name, group in by_metric
    )


def read_selection(text: str) -> frozenset[Selection]:
    """Read `selection_text` back; raises ValueError on what it did not write."""
    selections = set[Selection]()
    for group in text.split(";"):
        metric_name, categories = group.split(":")
        selections |= {Selection(metric_name, category) for category in categories.split(",")}
    return frozenset(selections)


def compact(moment: datetime) -> str:
    """Return the moment for a name, which may hold no `:`."""
    return moment.strftime(_FORM)


def short_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def digest(selections: Collection[Selection]) -> str:
    return short_digest(selection_text(selections))


def prefix(scope_id: str, window: Window, family: Family = Family.DATA) -> str:
    """Return how the keys begin of all objects that hold windows of a sweep of that day."""
    return f"{TABLES[family].prefix}/date={window.start_time:%Y-%m-%d}/{scope_id}-sweep-"


def key(
    scope_id: str,
    window: Window,
    selections: Collection[Selection],
    family: Family = Family.DATA,
    limit: int | None = None,
) -> str:
    """Return where the rows of these selections belong; a ranking's limit is part of what was asked."""
    top = "" if family is Family.DATA else f"-top{limit or ''}"
    start, end = map(compact, window)
    return f"{prefix(scope_id, window, family)}{start}-{end}-{digest(selections)}{top}.jsonl.gz"


def read_key(scope_id: str, window: Window, name: str) -> Part | None:
    """Return what a key of `prefix` says, or None of a key that is no sweep's."""
    found = _NAME.fullmatch(name.removeprefix(prefix(scope_id, window)))
    if found is None:
        return None
    start, end = (datetime.strptime(text, _FORM).replace(tzinfo=UTC) for text in found.groups()[:2])
    return Part(Window(start, end), found[3])


def days(windows: Iterable[Window]) -> list[Window]:
    """Return the first window of each day, for one listing a day."""
    return list({window.start_time.date(): window for window in windows}.values())
