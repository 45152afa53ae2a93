"""Pictures of a quantity by velocity: a map of the velocity plane, or a line over the velocities on an axis."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from flowsim.figures import plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

UNITS = {"vy": "px/frame", "vx": "px/frame", "omega": "deg/frame", "expansion": "1/frame"}
"""Of the components of velocities."""


def by_velocity(results: xr.Dataset, variable: str, *, label: str, percent: bool = False) -> Figure:
    """``variable`` by velocity: a heat map over (run, vy, vx) per network, or lines over (run, omega) or the
    like.

    A white line goes round the velocities of training, ``trained`` of the results, or a grey ground lies
    behind them. The scale is logarithmic and cells show thousandths, or with ``percent`` it goes from 0 to 1
    and they show percent. Below heat maps, the means over trained and other velocities of each seed,
    ``<variable>_trained`` and ``_novel``. Results with a ``chance`` have it as a dashed line.
    """
    inside = results.trained.isel(run=0) if "run" in results.trained.dims else results.trained
    if {"vy", "vx"} <= set(results[variable].dims):
        return _planes(results, variable, inside, label, percent)
    component = next(str(d) for d in results[variable].dims if d != "run")
    fig, ax = plot.subplots(figsize=(plot.COLUMN, 2.8))
    known = results[component].values[inside.values == 1]
    if known.size:
        ax.axvspan(known.min(), known.max(), color="0.92", label="trained")
    plot.lines(results, variable, component, ax)
    ax.set(xlabel=f"{component} ({UNITS[component]})", ylabel=label)
    ax.set(ylim=(0, 1)) if percent else ax.set(yscale="log")
    if "chance" in results:
        ax.axhline(float(results.chance.mean()), color="0.3", ls="--", lw=0.8, label="chance")
    plot.legend_below(results, ax)
    return fig


def _planes(results: xr.Dataset, variable: str, inside: xr.DataArray, label: str, percent: bool) -> Figure:
    import seaborn as sns
    from matplotlib.colors import LogNorm, Normalize
    from matplotlib.ticker import LogLocator

    names = plot.networks(results)
    mean = results[variable].groupby("network").mean()
    norm = Normalize(0, 1) if percent else LogNorm(float(mean.min()), float(mean.max()))
    across = min(len(names), 3)
    down = math.ceil(len(names) / across)
    told = inside.sizes["vx"] <= 5
    heights = [*[3.0 / across] * down, 0.35 + 0.17 * len(names)]
    fig, axes = plot.subplots(
        down + 1, across, figsize=(plot.COLUMN, sum(heights) + 1.2), height_ratios=heights, squeeze=False
    )
    below = fig.add_subplot(axes[0, 0].get_gridspec()[-1, :])
    for ax in [*axes[-1], *axes[:-1].flat[len(names) :]]:
        ax.remove()
    for i, (ax, name) in enumerate(zip(axes.flat, names, strict=False)):
        cells = mean.sel(network=name).transpose("vy", "vx")
        rows, columns = ([f"{v:g}" for v in cells[axis].values] for axis in ("vy", "vx"))
        table = pd.DataFrame(cells.values, rows, columns)
        sns.heatmap(
            table, ax=ax, norm=norm, cmap="viridis", square=True, cbar=False,
            annot_kws={"size": 6 if down == 1 else 4.5},
            xticklabels=1 if told else "auto", yticklabels=1 if told else "auto",
            annot=table * (100 if percent else 1e3) if told else None, fmt=".0f",
        )  # fmt: skip
        ax.hlines(*_edges(inside.transpose("vy", "vx").values), color="white", lw=2)
        ax.vlines(*_edges(inside.transpose("vx", "vy").values), color="white", lw=2)
        ax.set(xlabel="", ylabel="")
        ax.set_title(name, fontsize=8 if down == 1 else 6.5)
        ax.tick_params(
            labelsize=7 if told else 8,
            length=0,
            labelleft=i % across == 0,
            labelbottom=i + across >= len(names),
        )
        ax.tick_params(axis="y", rotation=0)
    if not told:
        fig.colorbar(axes[0, 0].collections[0], ax=list(axes[:-1].flat), label=label)
    axes[0, 0].set_ylabel(f"vy ({UNITS['vy']})", fontsize=8)
    axes[down - 1, 0].set_xlabel(f"vx ({UNITS['vx']})", fontsize=8)
    _by_training(results, variable, below)
    below.set(xlabel=label, **({"xlim": (0, 1)} if percent else {"xscale": "log"}))
    if not percent:
        low, high = below.get_xlim()
        below.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7) if high < 15 * low else (1,)))
        below.xaxis.set_major_formatter("{x:g}")
        below.xaxis.set_minor_formatter("")
    return fig


def _by_training(results: xr.Dataset, variable: str, ax: Axes) -> None:
    """One dot per seed: filled, mean over the velocities of training; open, over the others."""
    colours, names = plot.palette(results), plot.networks(results)
    for where, face, off in (("trained", 1.0, -0.15), ("novel", 0.0, 0.15)):
        for value, name in zip(results[f"{variable}_{where}"].values, results["network"].values, strict=True):
            ax.plot(
                value, names.index(name) + off, "o", ms=4.5, mec=colours[name], mfc=(*colours[name], face)
            )
        ax.plot([], [], "o", ms=5, mec="0.3", mfc=("0.3", face), label=where)
    if "chance" in results:
        ax.axvline(float(results.chance.mean()), color="0.3", ls="--", lw=0.8, label="chance")
    ax.set_yticks(range(len(names)), names, fontsize=8)
    ax.set_ylim(len(names) - 0.5, -0.5)
    figure: Any = ax.figure
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)


def _edges(inside: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the first axis of a map leaves what is inside: at which position, from where to where on the
    second.
    """
    padded = np.pad(inside.astype(bool), ((1, 1), (0, 0)))
    at, along = np.nonzero(padded[1:] != padded[:-1])
    return at, along, along + 1
