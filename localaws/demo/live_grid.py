"""A sweep while it runs: the state of each of its queries, by the calls that the service got.

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
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressDisplay
from rich.table import Table
from rich.text import Text

from flowquery.core.text import visible
from flowquery.widget.wording import CATEGORIES, METRICS
from localaws.demo.heatmap import in_order
from localaws.networkflowmonitor.models import DATA, TopContributorsQuery
from localaws.scripted_network_flow_monitor import Call


class QueryState(NamedTuple):
    """A word for a grid of one window, a letter for more, whether a query has ended by it, and how it is drawn."""

    word: str
    letter: str
    ended: bool = False
    style: str = ""


WAITING = QueryState("waiting", ".", style="dim")
STARTED = QueryState("started", "s", style="cyan")
FETCHED = QueryState("fetched", "D", ended=True, style="bold green")
STOPPED = QueryState("STOPPED", "X", ended=True, style="bold red")
STATE_OF_STATUS = {
    "QUEUED": QueryState("queued", "q", style="yellow"),
    "RUNNING": QueryState("running", "r", style="blue"),
    "SUCCEEDED": QueryState("done", "d", ended=True, style="green"),
    "FAILED": QueryState("FAILED", "F", ended=True, style="bold red"),
    "CANCELED": QueryState("CANCELED", "C", ended=True, style="bold red"),
}
STORED_BEFORE = QueryState("stored before", "-", ended=True, style="green")
UNKNOWN = QueryState("unknown", "?", style="bold yellow")
STATE_OF_CALL = {"StartQuery": STARTED, "StopQuery": STOPPED, "GetQueryResults": FETCHED}
# Of the statuses in a sweep's output; any other is the name of an error.
STATE_OF_OUTPUT = {"SUCCEEDED": FETCHED, "STORED": STORED_BEFORE}
GOOD = (STATE_OF_STATUS["SUCCEEDED"], FETCHED, STORED_BEFORE)
LEGEND = (WAITING, STARTED, *STATE_OF_STATUS.values(), FETCHED, STOPPED, STORED_BEFORE)


class GridKey(NamedTuple):
    """Which query: its window's start as in the contract, its metric and its category."""

    start: str
    metric: str
    category: str


@dataclass(frozen=True)
class EndedQuery:
    """A query that has just ended, and how many of the sweep's queries have."""

    key: GridKey
    word: str
    ended: int
    total: int


class Grid:
    """The state of each query; it grows by what was not planned."""

    def __init__(self, planned: Iterable[GridKey] = ()) -> None:
        self.states: dict[GridKey, QueryState] = dict.fromkeys(planned, WAITING)

    def plan(self, planned: Iterable[GridKey]) -> None:
        self.states = {**dict.fromkeys(planned, WAITING), **self.states}

    @property
    def ended(self) -> int:
        return sum(state.ended for state in self.states.values())

    def take_call(self, call: Call, query: TopContributorsQuery | None) -> EndedQuery | None:
        """Note what a call says of its query, and return that query where it has just ended."""
        state = _state_of(call)
        if query is None or query.family != DATA or state is None:
            return None
        key = GridKey(f"{query.start_time:%Y-%m-%dT%H:%M:%SZ}", query.metric_name, query.destination_category)
        before = self.states.get(key, WAITING)
        self.states[key] = state
        return self._ended_query(key) if state.ended and not before.ended else None

    def take_output(self, output: Mapping[str, Any]) -> list[EndedQuery]:
        """Note what a sweep's output says, and return the queries whose end no call has shown.

        A query that was done, and whose results could not be fetched, has failed.
        """
        ended = []
        for query in output.get("queries", []):
            start = output["windows"][query["window"]]["startTime"]
            key = GridKey(start, query["metricName"], query["destinationCategory"])
            failure = QueryState(query["status"], "!", ended=True, style="bold red")
            before, state = self.states.get(key, WAITING), STATE_OF_OUTPUT.get(query["status"], failure)
            if not before.ended or (before in GOOD and state not in GOOD):
                self.states[key] = state
            if not before.ended:
                ended.append(self._ended_query(key))
        return ended

    def _ended_query(self, key: GridKey) -> EndedQuery:
        return EndedQuery(key, self.states[key].word, self.ended, len(self.states))


def draw(grid: Grid) -> RenderableType:
    """Return a table with a word a cell, or, of several windows, a letter for each in their order."""
    metrics = in_order((key.metric for key in grid.states), METRICS)
    categories = in_order((key.category for key in grid.states), CATEGORIES)
    starts = sorted({key.start for key in grid.states})
    table = Table("category", *(escape(visible(metric, 40)) for metric in metrics))
    for category in categories:
        cells = ([grid.states.get(GridKey(start, metric, category)) for start in starts] for metric in metrics)
        table.add_row(escape(visible(category, 40)), *(_cell(states) for states in cells))
    if len(starts) == 1:
        return table
    legend = ", ".join(f"{state.letter} {state.word}" for state in LEGEND)
    note = f"A letter for each of {len(starts)} windows, in the order of time:\n{legend}"
    return Group(table, Text(note, style="dim"))


class LiveGrid:
    """Shows a grid while `with` lasts."""

    def __init__(self, console: Console, print_line: Callable[[str], None]) -> None:
        self._console = console
        self._print_line = print_line
        self.grid = Grid()
        self._lock = threading.Lock()
        self._faults: Counter[str] = Counter()
        columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.fields[faults]}"))
        self._bar = ProgressDisplay(TextColumn("queries"), *columns)
        self._task = self._bar.add_task("queries", total=None, faults="")
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

    def plan(self, planned: Iterable[GridKey]) -> None:
        with self._lock:
            self.grid.plan(planned)

    def take_call(self, call: Call, query: TopContributorsQuery | None) -> None:
        with self._lock:
            ended = self.grid.take_call(call, query)
            if _is_error(call.outcome):
                self._faults[call.outcome] += 1
        if ended:
            self._print_ended(ended)

    def take_output(self, output: Mapping[str, Any]) -> None:
        with self._lock:
            ended_queries = self.grid.take_output(output)
        for ended in ended_queries:
            self._print_ended(ended)

    def _print_ended(self, ended: EndedQuery) -> None:
        if not self._console.is_terminal:
            name = f"{ended.key.metric} {ended.key.category} {ended.key.start}"
            self._print_line(f"  {escape(visible(name))}: {ended.word} ({ended.ended} of {ended.total})")

    def _draw(self) -> RenderableType:
        with self._lock:
            faults = ", ".join(f"{count} {name}" for name, count in self._faults.items())
            total = len(self.grid.states) or None
            self._bar.update(self._task, completed=self.grid.ended, total=total, faults=faults)
            return Group(draw(self.grid), self._bar.get_renderable())


def _state_of(call: Call) -> QueryState | None:
    """Return the state that a call shows its query to be in; an error shows none."""
    if _is_error(call.outcome):
        return None
    if call.operation == "GetQueryStatus":
        return STATE_OF_STATUS.get(call.outcome, UNKNOWN)
    return STATE_OF_CALL.get(call.operation)


def _is_error(outcome: str) -> bool:
    return outcome.endswith(("Exception", "Error"))


def _cell(states: list[QueryState | None]) -> Text:
    if len(states) == 1:
        return Text(states[0].word, states[0].style) if states[0] else Text("")
    return Text.assemble(*((state.letter, state.style) if state else (" ", "") for state in states))
