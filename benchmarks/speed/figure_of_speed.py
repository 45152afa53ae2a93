"""The picture of `make bench`: growth of time and memory, with the line of the arithmetic, and the parts of a
step.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from benchmarks.speed.shares_of_a_step import BETWEEN, LIMIT, PARTS, REST

GROWING = ("velocities", "frames", "pixels", "batch")


def draw(table: pd.DataFrame, parts: pd.DataFrame, into: Path) -> None:
    """Speed-ups over the reference, growth of time and memory, and the parts of a step."""
    mpl.use("agg")
    fig = plt.figure(figsize=(10, 8.5), layout="constrained")
    grid = fig.add_gridspec(3, len(GROWING))
    axes: Any = grid[:2, :].subgridspec(2, len(GROWING)).subplots()
    draw_parts(fig.add_subplot(grid[2, :]), parts)
    for column, growing in enumerate(GROWING):
        chosen = table[table.measure == f"growth with {growing}"].sort_values(growing)
        x = chosen[growing] ** (2 if growing == "pixels" else 1)
        for row, (unit, name) in enumerate(
            (("seconds", "time of a step (s)"), ("peak_mb", "peak memory (MB)"))
        ):
            ax = axes[row, column]
            ax.loglog(x, chosen[unit], "o-", label="measured")
            ax.loglog(x, chosen[unit].iloc[-1] * x / x.iloc[-1], ":", color="grey", label="proportional")
            ax.set(
                xlabel="pixels of a frame" if growing == "pixels" else growing,
                ylabel=name if not column else None,
            )
            ax.set_xticks(x, [f"{value:g}" for value in x])
            ax.minorticks_off()
    axes[0, 0].legend(frameon=False)
    steps = table[table.measure.str.startswith("training step") & (table.implementation == "flowsim")]
    best = steps[steps.velocities == steps.velocities.max()].speedup
    fig.suptitle(
        f"One training step; against the published recurrence {np.min(best):.1f} to {np.max(best):.1f} times as fast"
    )
    fig.savefig(into, dpi=150)


def draw_parts(ax: Axes, parts: pd.DataFrame) -> None:
    """A bar for each size of a step, cut into its parts, with a mark where the limit of its convolutions is."""
    sizes = list(dict.fromkeys(zip(parts.velocities, parts.channels, strict=True)))
    names = [*PARTS, REST, BETWEEN]
    share = parts.set_index(["velocities", "channels", "part"]).share
    left = np.zeros(len(sizes))
    for name, colour in zip(names, sns.color_palette("colorblind", len(names)), strict=True):
        wide = np.array([share[(*size, name)] for size in sizes])
        ax.barh(range(len(sizes)), wide, 0.7, left, color=colour, label=name)
        left += wide
    ax.plot([share[(*size, LIMIT)] for size in sizes], range(len(sizes)), "k|", ms=22, mew=2, label=LIMIT)
    ax.set_yticks(
        range(len(sizes)), [f"V of {velocities}, {channels} channels" for velocities, channels in sizes]
    )
    ax.invert_yaxis()
    ax.set(xlabel="share of the time of a step", xlim=(0, None))
    ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.45, -0.25), ncols=3, markerscale=0.5)
    ax.spines[["top", "right"]].set_visible(False)
