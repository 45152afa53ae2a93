"""Pictures of a quantity by velocity: a map of the plane of velocities, or a line over a single component."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from flowsim.figures import plot
from flowsim.files import coordinates

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

FEW = 5
"""Up to this many columns there is room to write numbers into the cells of a heat map."""


def components_of(results: xr.Dataset, variable: str) -> list[str]:
    """The components of velocities that a variable is over, in order: ["vy", "vx"], or ["omega"]."""
    return [str(dim) for dim in results[variable].dims if dim != "run"]


def by_velocity(results: xr.Dataset, variable: str, *, label: str, percent: bool = False) -> Figure:
    """``variable`` by velocity: a heat map per network over two components, or lines over one.

    Velocities of training, ``trained`` of the results, have a white line around them, a grey ground behind
    them, or, where velocities of two components are on no grid and are drawn as discs, a black edge.
    The scale is logarithmic and cells show thousandths, or with ``percent`` it goes from 0 to 1 and they show
    percent. Below heat maps stand the means over trained and other velocities of each seed,
    ``<variable>_trained`` and ``_novel``. A ``chance`` in the results is drawn as a dashed line. Means over
    seeds are geometric on the logarithmic scale, and arithmetic on the other.
    """
    inside = results.trained.isel(run=0) if "run" in results.trained.dims else results.trained
    if len(components_of(results, variable)) == 2:
        return _planes(results, variable, inside, label, percent)
    return _lines(results, variable, inside, label, percent)


def _lines(results: xr.Dataset, variable: str, inside: xr.DataArray, label: str, percent: bool) -> Figure:
    """One line per network over the only component of velocities.

    The ground behind a velocity of training reaches half-way to its neighbours, so that none that lies
    between others, and was not trained, looks as if it was.
    """
    (component,) = components_of(results, variable)
    fig, ax = plot.subplots(figsize=(plot.COLUMN, 2.8))
    for number, (low, high) in enumerate(_ranges(results[component].values, inside.values == 1)):
        ax.axvspan(low, high, color="0.92", lw=0, label="" if number else "trained")
    plot.lines(results, variable, component, ax, geometric=not percent)
    ax.set(xlabel=_axis_label(results, component), ylabel=label)
    if "chance" in results:
        ax.axhline(float(results.chance.mean()), color="0.3", ls="--", lw=0.8, label="chance")
    if percent:
        ax.set(ylim=(0, 1))
    else:
        plot.logarithmic(ax.yaxis)
    plot.legend_below(results, ax)
    return fig


def _ranges(velocities: np.ndarray, inside: np.ndarray) -> list[tuple[float, float]]:
    """Where neighbouring velocities (velocity) are all inside, with half of the way to the next ones."""
    order = np.argsort(velocities)
    sorted_velocities, sorted_inside = velocities[order], inside[order].astype(int)
    between = (sorted_velocities[1:] + sorted_velocities[:-1]) / 2
    edges = np.concatenate([sorted_velocities[:1], between, sorted_velocities[-1:]])
    changes = np.diff(sorted_inside, prepend=0, append=0)
    return list(zip(edges[changes == 1].tolist(), edges[changes == -1].tolist(), strict=True))


def _axis_label(results: xr.Dataset, component: str) -> str:
    return f"{component} ({coordinates.component_unit(results, component)})"


def _planes(results: xr.Dataset, variable: str, inside: xr.DataArray, label: str, percent: bool) -> Figure:
    """One heat map per network, and below them the means of each seed over trained and novel velocities."""
    from matplotlib.colors import LogNorm, Normalize

    vertical, horizontal = components_of(results, variable)
    names = plot.networks(results)
    mean = plot.mean_over_seeds(results[variable], geometric=not percent)
    above_0 = mean.where(mean > 0)
    logarithmic = not percent and bool(above_0.notnull().any())
    norm = LogNorm(float(above_0.min()), float(above_0.max())) if logarithmic else Normalize(0, 1)
    across = min(len(names), 3)
    down = math.ceil(len(names) / across)
    heights = [*[3.0 / across] * down, 0.35 + 0.17 * len(names)]
    fig, axes = plot.subplots(
        down + 1, across, figsize=(plot.COLUMN, sum(heights) + 1.2), height_ratios=heights, squeeze=False
    )
    below = fig.add_subplot(axes[0, 0].get_gridspec()[-1, :])
    for ax in [*axes[-1], *axes[:-1].flat[len(names) :]]:
        ax.remove()
    on_grid = bool(mean.notnull().any("network").all())
    few = inside.sizes[horizontal] <= FEW and on_grid
    for i, (ax, name) in enumerate(zip(axes.flat, names, strict=False)):
        cells = mean.sel(network=name).transpose(vertical, horizontal)
        within = inside.transpose(vertical, horizontal).values
        if on_grid:
            _heat_map(cells, within, norm, ax, percent, few, down)
        else:
            _discs(cells, within, norm, ax, down)
        ax.set_title(name, fontsize=8 if down == 1 else 6.5)
        ax.tick_params(
            labelsize=7 if few else 8,
            length=0,
            labelleft=i % across == 0,
            labelbottom=i + across >= len(names),
        )
        ax.tick_params(axis="y", rotation=0)
    if not few:
        fig.colorbar(axes[0, 0].collections[0], ax=list(axes[:-1].flat), label=label)
    axes[0, 0].set_ylabel(_axis_label(results, vertical), fontsize=8)
    axes[down - 1, 0].set_xlabel(_axis_label(results, horizontal), fontsize=8)
    _by_training(results, variable, below)
    _scale_of_means(below, label, percent)
    return fig


def _heat_map(
    cells: xr.DataArray, inside: np.ndarray, norm: Normalize, ax: Axes, percent: bool, few: bool, down: int
) -> None:
    """The cells of one network, with a white line around the velocities of training.

    ``few`` cells show their values, in letters that depend on how many maps are one below the other.
    """
    import seaborn as sns

    rows, columns = ([f"{velocity:g}" for velocity in cells[str(dim)].values] for dim in cells.dims)
    table = pd.DataFrame(cells.values, rows, columns)
    ticks: int | str = 1 if few else "auto"
    sns.heatmap(
        table,
        ax=ax,
        norm=norm,
        cmap="viridis",
        square=True,
        cbar=False,
        annot=table * (100 if percent else 1e3) if few else None,
        annot_kws={"size": 6 if down == 1 else 4.5},
        fmt=".0f",
        xticklabels=ticks,
        yticklabels=ticks,
    )
    ax.hlines(*_edges(inside), color="white", lw=2)
    ax.vlines(*_edges(inside.T), color="white", lw=2)
    ax.set(xlabel="", ylabel="")


def _discs(cells: xr.DataArray, inside: np.ndarray, norm: Normalize, ax: Axes, down: int) -> None:
    """A disc at each velocity of one network, where velocities are on no grid, such as eight directions;
    positive is down, as in heat maps. Those of training have a black edge.
    """
    rows, columns = np.nonzero(cells.notnull().values)
    vertical, horizontal = (cells[str(dim)].values for dim in cells.dims)
    ax.scatter(
        horizontal[columns],
        vertical[rows],
        c=cells.values[rows, columns],
        s=90 if down == 1 else 40,
        norm=norm,
        cmap="viridis",
        edgecolor=["black" if inside[at] == 1 else "none" for at in zip(rows, columns, strict=True)],
    )
    ax.set_aspect("equal")
    ax.margins(0.2)
    ax.invert_yaxis()


def _scale_of_means(ax: Axes, label: str, percent: bool) -> None:
    """Label and scale of the axis that the means of each seed are on."""
    ax.set(xlabel=label)
    if percent:
        ax.set(xlim=(0, 1))
    else:
        plot.logarithmic(ax.xaxis)


def _by_training(results: xr.Dataset, variable: str, ax: Axes) -> None:
    """One dot per seed: filled, mean over the velocities of training; open, over the others."""
    colours = plot.palette(results)
    names = plot.networks(results)
    for velocities, opacity, offset in (("trained", 1.0, -0.15), ("novel", 0.0, 0.15)):
        means = results[f"{variable}_{velocities}"].values
        for value, name in zip(means, results["network"].values, strict=True):
            face = (*colours[name], opacity)
            ax.plot(value, names.index(name) + offset, "o", ms=4.5, mec=colours[name], mfc=face)
        ax.plot([], [], "o", ms=5, mec="0.3", mfc=("0.3", opacity), label=velocities)
    if "chance" in results:
        ax.axvline(float(results.chance.mean()), color="0.3", ls="--", lw=0.8, label="chance")
    ax.set_yticks(range(len(names)), names, fontsize=8)
    ax.set_ylim(len(names) - 0.5, -0.5)
    figure: Any = ax.figure
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)


def _edges(inside: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lines across the first axis of a map, at the edges of what is inside.

    Returns
    -------
    arrays (line)
        Position along the first axis; begin and end along the second.
    """
    padded = np.pad(inside.astype(bool), ((1, 1), (0, 0)))
    position, begin = np.nonzero(padded[1:] != padded[:-1])
    return position, begin, begin + 1
