"""The picture of ``python -m benchmarks.speed``: growth of time and memory, with the line of the arithmetic,
and the parts of a step.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from benchmarks.speed.shares_of_a_step import BETWEEN, DIRECTLY, PARTS, REST

GROWING = ("velocities", "frames", "pixels", "batch")
UNITS = {"seconds": "time of a step (s)", "peak_mb": "peak memory (MB)"}


def draw(table: pd.DataFrame, parts: pd.DataFrame, into: Path) -> None:
    """Growth of time and memory, the parts of a step, and above them the speed-up over the reference."""
    mpl.use("agg")
    fig = plt.figure(figsize=(10, 8.5), layout="constrained")
    grid = fig.add_gridspec(3, len(GROWING))
    for column, growing in enumerate(GROWING):
        for row, unit in enumerate(UNITS):
            ax = fig.add_subplot(grid[row, column])
            draw_growth(ax, table, growing, unit)
            if column == 0:
                ax.set_ylabel(UNITS[unit])
            if row == column == 0:
                ax.legend(frameon=False)
    draw_parts(fig.add_subplot(grid[2, :]), parts)
    steps = table[table.measure.str.startswith("training step") & (table.implementation == "flowsim")]
    best = steps[steps.velocities == steps.velocities.max()].speedup
    fig.suptitle(
        "One training step; against the published recurrence "
        f"{np.min(best):.1f} to {np.max(best):.1f} times as fast"
    )
    fig.savefig(into, dpi=150)


def draw_growth(ax: Axes, table: pd.DataFrame, growing: str, unit: str) -> None:
    """Time or memory against one size of a step, and what it would be in proportion to the largest."""
    chosen = table[table.measure == f"growth with {growing}"].sort_values(growing)
    x = chosen[growing] ** 2 if growing == "pixels" else chosen[growing]
    proportional = chosen[unit].iloc[-1] * x / x.iloc[-1]
    ax.loglog(x, chosen[unit], "o-", label="measured")
    ax.loglog(x, proportional, ":", color="grey", label="proportional")
    ax.set_xlabel("pixels of a frame" if growing == "pixels" else growing)
    ax.set_xticks(x, [f"{value:g}" for value in x])
    ax.minorticks_off()


def draw_parts(ax: Axes, parts: pd.DataFrame) -> None:
    """A bar for each size of a step, cut into its parts, with a mark for its convolutions done directly."""
    sizes = list(dict.fromkeys(zip(parts.velocities, parts.channels, strict=True)))
    names = [*PARTS, REST, BETWEEN]
    share = parts.set_index(["velocities", "channels", "part"]).share
    rows = range(len(sizes))
    left = np.zeros(len(sizes))
    for name, colour in zip(names, sns.color_palette("colorblind", len(names)), strict=True):
        width = np.array([share[(*size, name)] for size in sizes])
        ax.barh(rows, width, 0.7, left, color=colour, label=name)
        left += width
    ax.plot([share[(*size, DIRECTLY)] for size in sizes], rows, "k|", ms=22, mew=2, label=DIRECTLY)
    ax.set_yticks(rows, [f"V of {velocities}, {channels} channels" for velocities, channels in sizes])
    ax.invert_yaxis()
    ax.set(xlabel="share of the time of a step", xlim=(0, None))
    ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.45, -0.25), ncols=3, markerscale=0.5)
    ax.spines[["top", "right"]].set_visible(False)
