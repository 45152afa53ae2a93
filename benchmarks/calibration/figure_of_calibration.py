"""The picture of ``python -m benchmarks.calibration``: the rate of each claim, and that which is stated.

It is as wide as a telephone, and as long as there are claims.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from flowsim.figures import plot

WIDTH = 4.05
"""In inches: 389 pixels of a screen."""
LINE = 0.135
"""Height of a line of names, in inches."""
DOT = 0.075
"""Height that each simulated world takes, in inches."""
COLOURS = {0.05: "#0173b2", 0.01: "#de8f05", 0.95: "#029e73"}
"""By level, of what is as stated."""
MISLEADING, CAUTIOUS = "#c0202b", "black"
"""Of what is not: p that are small too often, intervals that miss too often; and the other way round."""
MISLEADS = {"p": "more often", "interval": "less often"}
ENDS = ("low", "interval", "sem")
"""What names of intervals begin or end with, besides that of what they are of."""


class Row(NamedTuple):
    """One quantity in the figure: where it stands, from the top, and its rates by world and level."""

    top: float
    height: float
    label: str
    rates: pd.DataFrame


def draw(table: pd.DataFrame, into: Path) -> None:
    """Rates of small p-values above, coverage of intervals below."""
    mpl.use("agg")
    chosen = [
        table[(table.claim == "p") & table.level.isin(COLOURS)],
        table[(table.claim == "interval") & table.level.isin(COLOURS)],
    ]
    laid_out = [layout(part) for part in chosen]
    heights = [height for _, _, height in laid_out]
    with mpl.rc_context({**plot.STYLE, "font.size": 7.0, "axes.titlesize": 8.0}):
        fig, axes = plt.subplots(2, 1, figsize=(WIDTH, sum(heights) + 1.5), height_ratios=heights)
        for ax, (rows, headings, height) in zip(axes, laid_out, strict=True):
            draw_panel(ax, rows, headings, height)
        axes[0].set_title("Where there is nothing: share of p ≤ .05, and ≤ .01", loc="right")
        axes[0].set_xlim(-0.004, right_end(chosen[0]))
        axes[0].set_xticks([0.01, 0.05, 0.1], [".01", ".05", ".1"])
        axes[1].set_title("Share of 95 % intervals that hold the truth", loc="right")
        axes[1].set_xlim(left_end(chosen[1]), 1.005)
        axes[1].set_xticks([0.9, 0.95, 1], [".9", ".95", "1"])
        plot.save(fig, into)
        plt.close(fig)


def right_end(rates: pd.DataFrame) -> float:
    """End of the axis of p: room for the largest rate and its interval."""
    return max(0.115, float(rates.high.max()) + 0.005) if len(rates) else 0.115


def left_end(rates: pd.DataFrame) -> float:
    """End of the axis of coverage: room for the lowest rate and its interval."""
    return min(0.87, float(rates.low.min()) - 0.005) if len(rates) else 0.87


def layout(table: pd.DataFrame) -> tuple[list[Row], list[tuple[float, str]], float]:
    """Rows from the top, headings with their places, and the height of all, in inches."""
    rows, headings, top = [], [], 0.0
    for analysis, of_analysis in table.groupby("analysis", sort=True):
        headings.append((top + LINE / 2, str(analysis)))
        top += LINE
        for (variable, part), rates in of_analysis.groupby(["variable", "part"], sort=True):
            height = max(LINE, DOT * rates.null.nunique() + 0.02)
            rows.append(Row(top, height, label(str(variable), str(part)), rates))
            top += height
        top += LINE / 3
    return rows, headings, max(top, LINE)


def label(variable: str, part: str) -> str:
    """What a row is called: an interval has the name of what it is of."""
    for end in ENDS:
        variable = variable.removesuffix(f"_{end}").removeprefix(f"{end}_")
    return ", ".join(text for text in (variable if variable not in ENDS else "", part) if text)


def draw_panel(ax: Axes, rows: list[Row], headings: list[tuple[float, str]], height: float) -> None:
    """Every rate with its interval, on the range in which it is if the claim is true."""
    for number, row in enumerate(rows):
        worlds = sorted(set(row.rates.null))
        if number % 2:
            ax.axhspan(row.top, row.top + row.height, color="0.96", lw=0, zorder=0)
        for rate in row.rates.to_dict("records"):
            y = row.top + row.height / 2 + DOT * (worlds.index(rate["null"]) - (len(worlds) - 1) / 2)
            colour = MISLEADING if rate["verdict"] == MISLEADS[rate["claim"]] else CAUTIOUS
            colour = COLOURS[rate["level"]] if rate["verdict"] == "as stated" else colour
            ax.barh(y, rate["most"] - rate["least"], DOT * 0.8, rate["least"], color="0.87", lw=0, zorder=1)
            ax.plot([rate["low"], rate["high"]], [y, y], color=colour, lw=0.6, alpha=0.7, zorder=2)
            ax.plot(rate["rate"], y, "o", ms=2.4, color=colour, mew=0, zorder=3, clip_on=False)
    for level in sorted({level for row in rows for level in row.rates.level}):
        ax.axvline(level, color=COLOURS[level], lw=0.8, zorder=1.5)
    ax.set_yticks([row.top + row.height / 2 for row in rows], [row.label for row in rows])
    ax.tick_params(axis="y", length=0)
    for y, text in headings:
        ax.text(0, y, f"{text}  ", transform=ax.get_yaxis_transform(), ha="right", va="center", weight="bold")
    ax.set_ylim(height, 0)
    ax.spines["left"].set_visible(False)
