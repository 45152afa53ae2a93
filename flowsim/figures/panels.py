"""What figures of analyses are put together from: an axis for each network, means with bands, notes."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from flowsim.figures import plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

Colour = tuple[float, ...]


def each_network(results: xr.Dataset) -> Iterator[tuple[str, Colour, xr.Dataset]]:
    """Name, colour and runs of each network in results (run)."""
    for name, colour in plot.palette(results).items():
        yield name, colour, results.isel(run=np.flatnonzero(results["network"].values == name))


def network_axes(part: FigureBase, names: Sequence[str], most: int = 4) -> list[Axes]:
    """An axis for each network on a figure or a part of one, at most so many in a row, all to one scale."""
    across = min(max(len(names), 2), most)
    grid = part.subplots(math.ceil(len(names) / across), across, squeeze=False, sharex=True, sharey=True)
    leave_empty(grid, len(names))
    return list(grid.flat[: len(names)])


def leave_empty(grid: np.ndarray, used: int) -> list[Axes]:
    """Show nothing on the axes of a grid beyond so many; returns the lowest of the others in each column.

    These show the numbers and the label along x, which those above them share.
    """
    for ax in grid.flat[used:]:
        ax.axis("off")
    columns = [[ax for ax in column if ax.axison] for column in grid.T]
    lowest = [column[-1] for column in columns if column]
    for ax in lowest:
        ax.tick_params(labelbottom=True)
        ax.xaxis.label.set_visible(True)
    return lowest


def band(ax: Axes, x: Any, low: Any, high: Any, colour: Colour, alpha: float = 0.2) -> None:
    """An interval over ``x``, from ``low`` to ``high``."""
    ax.fill_between(x, low, high, color=colour, alpha=alpha, lw=0)


def lines_or_note(results: xr.Dataset, variable: str, x: str, ax: Axes) -> None:
    """`flowsim.figures.plot.lines`, or a note where the variable is unknown for all runs."""
    if bool(results[variable].notnull().any()):
        plot.lines(results, variable, x, ax)
    else:
        not_measurable(ax)


def not_measurable(ax: Axes) -> None:
    """Say on an axis that the probe does not allow the measurement."""
    ax.text(0.5, 0.5, "not measurable\nwith this probe", transform=ax.transAxes, ha="center", va="center")


def note(ax: Axes, words: str) -> None:
    """Words in place of a picture, on an axis without ticks and edges."""
    ax.text(0.5, 0.5, words, transform=ax.transAxes, ha="center", va="center", fontsize=8)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0, labelleft=False, labelbottom=False)


def features_used(results: xr.Dataset) -> str:
    """Words for a title: how many features of a pixel operators act on (``features`` of
    ``features_recorded``), by network where these differ.
    """
    counts: dict[str, str] = {}
    for name, _, runs in each_network(results):
        used, recorded = plot.span(runs.features), plot.span(runs.features_recorded)
        counts[name] = used if used == recorded else f"a random {used} of {recorded}"
    return textwrap.fill(f"features of a pixel: {_by_network(counts)}", 100)


def share_of_channels(results: xr.Dataset) -> str:
    """Words for a title where only a part of the channels was analysed (``kept``), none where all were; by
    network where these differ.
    """
    if bool((results.kept == 1).all()):
        return ""
    shares = {name: plot.span(runs.kept, 2) for name, _, runs in each_network(results)}
    if len(set(shares.values())) == 1:
        return f", a random {next(iter(shares.values()))} of channels"
    return f",\na random share of channels: {_by_network(shares)}"


def _by_network(words: dict[str, str]) -> str:
    """What is said of each network; once where it is the same of all."""
    if len(set(words.values())) == 1:
        return next(iter(words.values()))
    return "; ".join(f"{name} {of_network}" for name, of_network in words.items())
