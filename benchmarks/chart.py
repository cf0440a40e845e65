"""The frontier as a picture that reads on a light page and on a dark one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

# Its cache of fonts stays in this folder, as everything does.
os.environ.setdefault("MPLCONFIGDIR", str(Path(__file__).parent.parent / ".matplotlib"))

import matplotlib as mpl
import numpy as np

mpl.use("svg")
from matplotlib import pyplot as plt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

    from benchmarks.plans import Outcome

INK = "#7d8590"  # readable on white and on black
COLORS = {"Wait": "#4c8eda", "Express": "#d2861a", "durable": "#2f9e63", "best": "#a371f7", "ours": "#e5484d"}
WAITS = [f"Wait {seconds} s" for seconds in (1, 5, 10, 30, 60)]
# Who is drawn, its label, its colour, its marker, and where its name stands (points from the mark).
POINTS = [
    ("doubling Waits (1 to 60 s)", "doubling", "Wait", "v", (0, 9)),
    ("Express child, Wait 1 s", "Express child", "Express", "s", (9, -12)),
    ("durable function, 1 s", "durable, 1 s", "durable", "D", (9, 3)),
    ("durable function, SDK default", "durable, default", "durable", "D", (0, -15)),
    ("best Wait-only loop (2)", "best Wait loop", "best", "P", (-40, -5)),
    ("best hold-and-wait plan (2)", "best plan", "best", "P", (-14, 10)),
    ("Flowquery", "Flowquery", "ours", "*", (-26, -17)),
]


def draw(outcomes: Mapping[int, Mapping[str, Outcome]], path: Path) -> None:
    """Draw a panel for each median: lag across, dollars for 1,000 queries up, logarithmic; lower left is better."""
    plt.rcParams.update(
        {"svg.hashsalt": "flowquery", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10}
    )
    for name in ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"):
        plt.rcParams[name] = INK
    figure, panels = plt.subplots(1, len(outcomes), figsize=(12, 4.2), sharey=True, layout="constrained")
    for panel, (median, of) in zip(np.atleast_1d(panels), outcomes.items(), strict=True):
        _panel(panel, of)
        panel.set_title(f"queries of {median} s (median)", fontsize=11)
        panel.set_xlabel("seconds from a query's end to its observation")
    np.atleast_1d(panels)[0].set_ylabel("dollars for 1,000 queries (polling)")
    figure.savefig(path, transparent=True, metadata={"Date": None})
    plt.close(figure)


def _panel(panel: Axes, of: Mapping[str, Outcome]) -> None:
    panel.set(xscale="log", yscale="log", xlim=(0.11, 110), ylim=(0.017, 12))
    panel.set_xticks([0.5, 1, 5, 10, 60], ["0.5", "1", "5", "10", "60"])
    panel.set_yticks([0.03, 0.1, 0.3, 1, 3, 10], ["$0.03", "$0.10", "$0.30", "$1", "$3", "$10"])
    panel.minorticks_off()
    panel.grid(color=INK, alpha=0.2, linewidth=0.6)
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)
    loop = [_point(of[name]) for name in WAITS]
    panel.plot(*zip(*loop, strict=True), color=COLORS["Wait"], marker="o", markersize=5, linewidth=1.2)
    for (lag, dollars), name in zip(loop, WAITS, strict=True):
        _label(panel, name.removeprefix("Wait ") if name != WAITS[0] else name, (lag, dollars), COLORS["Wait"], (6, 6))
    for name, label, color, marker, offset in POINTS:
        at = _point(of[name])
        size = 230 if color == "ours" else 42
        panel.scatter(*at, color=COLORS[color], marker=marker, s=size, zorder=4 if color == "ours" else 3, linewidths=0)
        _label(panel, label, at, COLORS[color], offset, bold=color == "ours")


def _point(outcome: Outcome) -> tuple[float, float]:
    return float(np.mean(outcome.lag)), float(np.mean(outcome.dollars)) * 1000


def _label(
    panel: Axes, text: str, at: tuple[float, float], color: str, offset: tuple[int, int], *, bold: bool = False
) -> None:
    panel.annotate(
        text,
        at,
        xytext=offset,
        textcoords="offset points",
        color=color,
        fontsize=10 if bold else 8.5,
        fontweight="bold" if bold else "normal",
        ha="left" if offset[0] > 0 else "center",
    )
