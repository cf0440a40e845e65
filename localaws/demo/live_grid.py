"""A sweep while it runs: what each of its queries is at, as the calls that the service got say.

On a terminal a grid of metric x category above a bar; into a pipe a line for each query that ends.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from flowquery.core.text import visible
from flowquery.widget.wording import CATEGORIES, METRICS
from localaws.demo.heatmap import in_order
from localaws.networkflowmonitor.models import DATA, TopContributorsQuery
from localaws.scripted_network_flow_monitor import Call


class State(NamedTuple):
    """A word for a grid of one window, a letter for more, whether a query has ended by it, and how it is drawn."""

    word: str
    letter: str
    ended: bool = False
    style: str = ""


WAITING = State("waiting", ".", style="dim")
STARTED = State("started", "s", style="cyan")
FETCHED = State("fetched", "D", ended=True, style="bold green")
STOPPED = State("STOPPED", "X", ended=True, style="bold red")
BY_STATUS = {
    "QUEUED": State("queued", "q", style="yellow"),
    "RUNNING": State("running", "r", style="blue"),
    "SUCCEEDED": State("done", "d", ended=True, style="green"),
    "FAILED": State("FAILED", "F", ended=True, style="bold red"),
    "CANCELED": State("CANCELED", "C", ended=True, style="bold red"),
}
STORED = State("stored before", "-", ended=True, style="green")
BY_OUTCOME = {"SUCCEEDED": FETCHED, "STORED": STORED}
UNKNOWN = State("unknown", "?", style="bold yellow")
GOOD = (BY_STATUS["SUCCEEDED"], FETCHED, STORED)
LEGEND = (WAITING, STARTED, *BY_STATUS.values(), FETCHED, STOPPED, STORED)


class Asked(NamedTuple):
    """Which query: its window's start as in the contract, its metric and its category."""

    start: str
    metric: str
    category: str


@dataclass(frozen=True)
class Ended:
    asked: Asked
    word: str
    count: int
    of: int


class Grid:
    """The state of each query; it grows by what was not planned."""

    def __init__(self, planned: Iterable[Asked] = ()) -> None:
        self.states: dict[Asked, State] = dict.fromkeys(planned, WAITING)

    def plan(self, planned: Iterable[Asked]) -> None:
        self.states = {**dict.fromkeys(planned, WAITING), **self.states}

    @property
    def ended(self) -> int:
        return sum(state.ended for state in self.states.values())

    def see(self, call: Call, query: TopContributorsQuery | None) -> Ended | None:
        """Take what a call says of its query, and return that query where it has just ended."""
        state = _state(call)
        if query is None or query.family != DATA or state is None:
            return None
        asked = Asked(f"{query.start_time:%Y-%m-%dT%H:%M:%SZ}", query.metric_name, query.destination_category)
        before = self.states.get(asked, WAITING)
        self.states[asked] = state
        news = state.ended and not before.ended
        return Ended(asked, state.word, self.ended, len(self.states)) if news else None

    def end(self, output: Mapping[str, Any]) -> list[Ended]:
        """Take what a sweep's output says, and return the queries that no call has told the end of.

        One that was done, and whose results could not be had, has failed.
        """
        news = []
        for query in output.get("queries", []):
            start = output["windows"][query["window"]]["startTime"]
            asked = Asked(start, query["metricName"], query["destinationCategory"])
            before = self.states.get(asked, WAITING)
            state = BY_OUTCOME.get(query["status"], State(query["status"], "!", ended=True, style="bold red"))
            if not before.ended or (before in GOOD and state not in GOOD):
                self.states[asked] = state
            if not before.ended:
                news.append(Ended(asked, state.word, self.ended, len(self.states)))
        return news


def _state(call: Call) -> State | None:
    """Return what the call says of the query; a fault says nothing."""
    if call.operation.startswith("StartQuery"):
        return STARTED if call.outcome == "OK" else None
    if call.operation.startswith("StopQuery"):
        return STOPPED if call.outcome == "OK" else None
    if call.operation.startswith("GetQueryResults"):
        return FETCHED if call.outcome == "OK" else None
    if not call.operation.startswith("GetQueryStatus") or call.outcome.endswith(("Exception", "Error")):
        return None
    return BY_STATUS.get(call.outcome, UNKNOWN)


def draw(grid: Grid) -> RenderableType:
    """Return a table with a word a cell, or, of several windows, a letter for each in their order."""
    metrics = in_order((asked.metric for asked in grid.states), METRICS)
    categories = in_order((asked.category for asked in grid.states), CATEGORIES)
    starts = sorted({asked.start for asked in grid.states})
    table = Table("category", *(escape(visible(metric, 40)) for metric in metrics))
    for category in categories:
        cells = ([grid.states.get(Asked(start, metric, category)) for start in starts] for metric in metrics)
        table.add_row(escape(visible(category, 40)), *(_cell(states) for states in cells))
    if len(starts) == 1:
        return table
    legend = ", ".join(f"{state.letter} {state.word}" for state in LEGEND)
    return Group(
        table, Text(f"A letter for each of {len(starts)} windows, in the order of time:\n{legend}", style="dim")
    )


def _cell(states: list[State | None]) -> Text:
    if len(states) == 1:
        return Text(states[0].word, states[0].style) if states[0] else Text("")
    return Text.assemble(*((state.letter, state.style) if state else (" ", "") for state in states))


def bar(of: str) -> Progress:
    """Return a bar whose tasks have a field `faults`, which is shown behind it."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.fields[faults]}"))
    return Progress(TextColumn(of), *columns)


class LiveGrid:
    """Shows a grid while `with` lasts."""

    def __init__(self, console: Console, say: Callable[[str], None]) -> None:
        self._console, self._say = console, say
        self.grid = Grid()
        self._lock = threading.Lock()
        self._faults: Counter[str] = Counter()
        self._progress = bar("queries")
        self._task = self._progress.add_task("queries", total=None, faults="")
        self._live = Live(console=console, get_renderable=self._draw, refresh_per_second=8, transient=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def plan(self, planned: Iterable[Asked]) -> None:
        with self._lock:
            self.grid.plan(planned)

    def see(self, call: Call, query: TopContributorsQuery | None) -> None:
        with self._lock:
            ended = self.grid.see(call, query)
            if call.outcome.endswith(("Exception", "Error")):
                self._faults[call.outcome] += 1
        if ended:
            self._tell(ended)

    def end(self, output: Mapping[str, Any]) -> None:
        with self._lock:
            news = self.grid.end(output)
        for ended in news:
            self._tell(ended)

    def _tell(self, ended: Ended) -> None:
        if not self._console.is_terminal:
            about = f"{ended.asked.metric} {ended.asked.category} {ended.asked.start}"
            self._say(f"  {escape(visible(about))}: {ended.word} ({ended.count} of {ended.of})")

    def _draw(self) -> RenderableType:
        with self._lock:
            faults = ", ".join(f"{count} {name}" for name, count in self._faults.items())
            total = len(self.grid.states) or None
            self._progress.update(self._task, completed=self.grid.ended, total=total, faults=faults)
            return Group(draw(self.grid), self._progress.get_renderable())
