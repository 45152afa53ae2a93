"""The picture of `make bench`: how time and memory grow, with the line of the arithmetic beside them."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

GROWING = ("velocities", "frames", "pixels", "batch")


def draw(table: pd.DataFrame, into: Path) -> None:
    """Speed-ups over the reference, and growth of time and memory."""
    mpl.use("agg")
    fig, axes = plt.subplots(2, len(GROWING), figsize=(10, 6), layout="constrained")
    for column, growing in enumerate(GROWING):
        chosen = table[table.measure == f"growth with {growing}"].sort_values(growing)
        x = chosen[growing] ** (2 if growing == "pixels" else 1)
        for row, (unit, name) in enumerate((("seconds", "time of a step (s)"), ("peak_mb", "peak memory (MB)"))):
            ax = axes[row, column]
            ax.loglog(x, chosen[unit], "o-", label="measured")
            ax.loglog(x, chosen[unit].iloc[-1] * x / x.iloc[-1], ":", color="grey", label="proportional")
            ax.set(xlabel="pixels of a frame" if growing == "pixels" else growing, ylabel=name if not column else None)
            ax.set_xticks(x, [f"{value:g}" for value in x])
            ax.minorticks_off()
    axes[0, 0].legend(frameon=False)
    steps = table[table.measure.str.startswith("training step") & (table.implementation == "flowsim")]
    best = steps[steps.velocities == steps.velocities.max()].speedup
    fig.suptitle(
        f"One training step; against the published recurrence {np.min(best):.1f} to {np.max(best):.1f} times as fast"
    )
    fig.savefig(into, dpi=150)
