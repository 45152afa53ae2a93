"""One look for all figures: colour-blind safe, one colour per network, readable at column width."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import pandas as pd
import seaborn as sns
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

STYLE = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.constrained_layout.use": True,
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "legend.frameon": False,
    "savefig.dpi": 200,
    "svg.hashsalt": "flowsim",
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
}
COLUMN, PAGE = 3.5, 7.0
"""Widths of a figure, in inches."""


def networks(results: xr.Dataset) -> list[str]:
    """Names of the networks in results (run), in the order in which they come."""
    return list(dict.fromkeys(results["network"].values.tolist()))


def palette(results: xr.Dataset) -> dict[str, tuple[float, float, float]]:
    """Colour of each network."""
    names = networks(results)
    return dict(zip(names, sns.color_palette("colorblind", len(names)), strict=True))


def seeds(results: xr.Dataset) -> str:
    """How many runs of each network there are, as words for a figure."""
    counts = sorted(set(pd.Series(results["network"].values).value_counts()))
    return f"{'-'.join(map(str, counts))} seed{'s' if counts != [1] else ''} per network"


def lines(results: xr.Dataset, variable: str, x: str, ax: Axes, legend: bool = True) -> None:
    """Mean over seeds of ``variable`` (run, x) against ``x``, one line per network, with every seed drawn thin."""
    table = results[variable].to_dataframe().reset_index().dropna(subset=variable)
    colours = palette(results)
    sns.lineplot(table, x=x, y=variable, hue="network", palette=colours, errorbar=None, legend=legend, ax=ax)
    for run in results["run"].values:
        one = table[table["run"] == run]
        ax.plot(one[x], one[variable], color=colours[one["network"].iloc[0]], lw=0.6, alpha=0.6) if len(one) else None
    if legend and ax.get_legend():
        ax.legend(title=None)


def save(figure: Figure, path: Path) -> None:
    """Write one figure; the same figure always gives the same bytes."""
    with mpl.rc_context(STYLE):
        figure.savefig(path, format=path.suffix.lstrip("."), metadata={"Date": None} if path.suffix == ".svg" else None)
