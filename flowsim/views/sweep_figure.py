"""The figure of one analysis of a sweep: curves of every answer over one swept axis, heat maps over two."""

from __future__ import annotations

import itertools
import math
import textwrap
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import xarray as xr

from flowsim import ideas
from flowsim.errors import InputError
from flowsim.experiment.schema import Experiment
from flowsim.experiment.sweep import Axis, Level, axes
from flowsim.figures import plot
from flowsim.views.drawing import write_reason
from flowsim.views.sweep_table import bounds_of, by_ratio, known, of_nothing, summary, table_of, write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACROSS = 3
"""Curves in a row, at most."""
CELLS_WITH_NUMBERS = 49
"""Cells of a heat map, at most, that have their mean and interval written into them."""
MOST_ROWS = 12
"""Rows of heat maps, at most; the table has what is not drawn."""
MANY_TIMES = 30
"""An axis of positive numbers is logarithmic if the last is so many times the first."""
LABELLED = 6
"""Levels on an axis, at most, that are labelled one by one."""
DODGE = 0.012
"""Networks stand beside each other by so much of an axis, so that intervals do not hide each other."""


def draw(
    experiment: Experiment,
    analysis: str,
    results: Path,
    into: Path,
    not_made: Mapping[Path, str] | None = None,
) -> str:
    """Draw the figure and write it as SVG, with the picture (PNG) and the table (CSV) beside it.

    Parameters as of `flowsim.views.sweep_table.table_of`; ``into`` is the SVG.

    Returns
    -------
    str
        Why the figure shows no results; "" where it does.

    Raises
    ------
    InputError
        If results are missing, damaged or do not go together.
    """
    mpl.use("agg")
    module = ideas.load("analysis", analysis)
    with mpl.rc_context(plot.STYLE):
        try:
            with ideas.blamed(module.__file__):
                table = table_of(experiment, analysis, results, not_made)
        except InputError as error:
            if not ideas.is_own(str(module.__file__)):
                raise
            traceback.print_exception(error)
            write_reason(str(error), into)
            write(of_nothing(experiment, analysis, str(error)), into.with_suffix(".csv"))
            return str(error)
        valued = known(table)
        if valued.empty:
            reasons = list(dict.fromkeys(table.unjudged[table.unjudged != ""]))
            reason = f"no run could be judged by {analysis}. {'; '.join(reasons[:3])}".strip()
            write_reason(reason, into)
            write(table, into.with_suffix(".csv"))
            return reason
        write(table, into.with_suffix(".csv"))
        figure = figure_of(valued, axes(experiment))
        plot.save(figure, into.with_suffix(".png"))
        plot.save(figure, into)
    return ""


def figure_of(table: pd.DataFrame, swept: Sequence[Axis]) -> Figure:
    """Every answer of an analysis over the swept axes.

    Parameters
    ----------
    table : DataFrame
        Rows with a value, of `flowsim.views.sweep_table.table_of`.
    swept : sequence of Axis
    """
    wide = [number for number, axis in enumerate(swept) if len(axis.levels) > 1] or [0]
    if len(wide) == 1:
        return _curves(table, swept[wide[0]], wide[0])
    return _maps(table, swept, wide)


def _curves(table: pd.DataFrame, axis: Axis, number: int) -> Figure:
    """A panel for each answer, a line for each network."""
    labels = list(dict.fromkeys(table.variable))
    across = 2 if len(labels) == ACROSS + 1 else min(len(labels), ACROSS)
    down = math.ceil(len(labels) / across)
    width = plot.COLUMN if across == 1 else plot.PAGE
    figure, panels = plot.subplots(down, across, figsize=(width, 2.3 * down + 0.5), squeeze=False)
    for ax, label in itertools.zip_longest(panels.flat, labels):
        if label is None:
            ax.axis("off")
            continue
        _curve(ax, table[table.variable == label], axis, number)
        ax.set_title(textwrap.fill(label, 30 if across > 1 else 48))
    names = _networks(table)
    plot.legend_below(names, panels.flat[0])
    figure.suptitle(_seeds(table), fontsize=8)
    return figure


def _curve(ax: Axes, rows: pd.DataFrame, axis: Axis, number: int) -> None:
    """One answer over one axis: means over seeds with their intervals, and the seeds."""
    names = _networks(rows)
    patterns = plot.dashes(names)
    places, shift = _places(axis)
    count = len(plot.networks(names))
    for order, (name, colour) in enumerate(plot.palette(names).items()):
        own = rows[rows.network == name]
        found = summary(own)
        levels = [int(own[own.point == point][f"level_{number}"].iloc[0]) for point in found.index]
        x = shift(places[levels], order - (count - 1) / 2)
        low, high = (found["mean"] - found.mean_low).to_numpy(), (found.mean_high - found["mean"]).to_numpy()
        line = (0, patterns[name] or (1, 0))
        ax.plot(x, found["mean"], color=colour, ls=line, lw=1.2, marker="o", ms=3)
        bars = np.isfinite(low) & np.isfinite(high)
        if bars.any():
            ax.errorbar(
                x[bars],
                found["mean"].to_numpy()[bars],
                yerr=np.stack([low[bars], high[bars]]),
                fmt="none",
                ecolor=colour,
                elinewidth=0.9,
                capsize=2,
            )
        seeds = shift(places[own[f"level_{number}"].to_numpy(int)], order - (count - 1) / 2)
        ax.plot(seeds, own.value, ".", color=colour, ms=3, alpha=0.45)
    _frame(ax, rows)
    _label_axis(ax, axis)
    units = rows.units.iloc[0]
    if units and units != "1":
        ax.set_ylabel(units)


def _places(axis: Axis) -> tuple[np.ndarray, Callable[[np.ndarray, float], np.ndarray]]:
    """Where levels stand on an axis, and a function that moves places by a share of it."""
    if not axis.is_numeric:
        return np.arange(len(axis.levels), dtype=float), lambda x, by: x + by * DODGE * len(axis.levels)
    places = np.array([level.number for level in axis.levels])
    if _is_logarithmic(axis):
        return places, lambda x, by: x * (places.max() / places.min()) ** (by * DODGE)
    return places, lambda x, by: x + by * DODGE * np.ptp(places)


def _is_logarithmic(axis: Axis) -> bool:
    numbers = [level.number for level in axis.levels]
    return axis.is_numeric and min(numbers) > 0 and max(numbers) >= MANY_TIMES * min(numbers)


def _label_axis(ax: Axes, axis: Axis) -> None:
    """The name of an axis, and its levels where there is room for all."""
    ax.set_xlabel(axis.name)
    if not axis.is_numeric:
        _name_levels(ax.xaxis, axis.levels)
        ax.set_xlim(-0.5, len(axis.levels) - 0.5)
        return
    places = np.array([level.number for level in axis.levels])
    if _is_logarithmic(axis):
        ax.set_xscale("log")
        room = (places.max() / places.min()) ** 0.06
        ax.set_xlim(places.min() / room, places.max() * room)
    else:
        room = 0.06 * np.ptp(places) or 0.5
        ax.set_xlim(places.min() - room, places.max() + room)
    if len(places) <= LABELLED:
        ax.set_xticks(places, [level.label for level in axis.levels])
        ax.xaxis.set_minor_formatter("")


def _frame(ax: Axes, rows: pd.DataFrame) -> None:
    """Show all seeds; an interval that is much wider than they are apart runs out of the picture."""
    values = rows.value.to_numpy()
    low, high = float(values.min()), float(values.max())
    if by_ratio(rows) and high > 3 * low:
        room = 0.35 * (np.log(high) - np.log(low))
        ax.set_ylim(low * np.exp(-room), high * np.exp(room))
        plot.logarithmic(ax.yaxis)
        return
    room = 0.35 * (high - low) or abs(high) * 0.1 or 1.0
    least, most = bounds_of(rows)
    ax.set_ylim(max(low - room, least - room / 7), min(high + room, most + room / 7))


def _name_levels(axis: Any, levels: Sequence[Level]) -> None:
    names = [level.label.replace(",", "\n") for level in levels]
    axis.set_ticks(range(len(levels)), names, fontsize=7)


def _maps(table: pd.DataFrame, swept: Sequence[Axis], wide: Sequence[int]) -> Figure:
    """A row for each answer, a column for each network; with more axes, a row for each of their levels."""
    rows = list(_rows_of_maps(table, swept, wide))
    drawn = rows[:MOST_ROWS]
    names = list(dict.fromkeys(table.network))
    across = len(names)
    first, second = swept[wide[0]], swept[wide[1]]
    one = max(1.8, 0.62 * len(second.levels) + 0.7)
    figsize = (
        min(plot.PAGE, one * across + 1.2),
        len(drawn) * max(1.5, 0.36 * len(first.levels) + 0.75) + 0.4,
    )
    figure, panels = plot.subplots(len(drawn), across, figsize=figsize, squeeze=False)
    for line, (title, part) in zip(panels, drawn, strict=True):
        ratio = by_ratio(part)
        grids = {name: _grid(part[part.network == name], first, second, wide) for name in names}
        every = np.concatenate([grid[..., 0].ravel() for grid in grids.values()])
        norm = _norm(every[np.isfinite(every)], ratio)
        for ax, (name, grid) in zip(line, grids.items(), strict=True):
            picture = _map(ax, grid, norm, first, second)
            ax.set_title(name, fontsize=8)
        if np.nanmax(every) > np.nanmin(every):
            bar = figure.colorbar(picture, ax=line, shrink=0.85, format="{x:.3g}")
            bar.ax.set_title(part.units.iloc[0] if part.units.iloc[0] != "1" else "", fontsize=7)
        line[0].set_ylabel(f"{textwrap.fill(title, 22)}\n\n{first.name}", fontsize=8)
    left_out = f"; {len(rows) - len(drawn)} more rows are in the table" if len(rows) > len(drawn) else ""
    figure.suptitle(f"{_seeds(table)}{left_out}", fontsize=8)
    return figure


def _rows_of_maps(
    table: pd.DataFrame, swept: Sequence[Axis], wide: Sequence[int]
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each answer, at each combination of levels of all axes but the first two."""
    others = wide[2:]
    for label in dict.fromkeys(table.variable):
        rows = table[table.variable == label]
        for levels in itertools.product(*(range(len(swept[number].levels)) for number in others)):
            part, words = rows, [label]
            for number, level in zip(others, levels, strict=True):
                part = part[part[f"level_{number}"] == level]
                words.append(f"{swept[number].name} {swept[number].levels[level].label}")
            if len(part):
                yield ", ".join(words), part


def _grid(rows: pd.DataFrame, first: Axis, second: Axis, wide: Sequence[int]) -> np.ndarray:
    """Mean, and ends of its interval (first, second, 3) of one network; NaN where there is none."""
    grid = np.full((len(first.levels), len(second.levels), 3), np.nan)
    if rows.empty:
        return grid
    found = summary(rows)
    places = rows.drop_duplicates("point")[["point", f"level_{wide[0]}", f"level_{wide[1]}"]]
    for point, y, x in places.itertuples(index=False, name=None):
        grid[int(y), int(x)] = found.loc[point, ["mean", "mean_low", "mean_high"]]
    return grid


def _norm(values: np.ndarray, ratio: bool) -> Any:
    from matplotlib.colors import LogNorm, Normalize

    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    if ratio and high > 3 * low:
        return LogNorm(low, high)
    return Normalize(low, high if high > low else low + (abs(low) or 1.0) * 1e-3)


def _map(ax: Axes, grid: np.ndarray, norm: Any, first: Axis, second: Axis) -> Any:
    """One network's answer over two axes, with numbers where there is room."""
    picture = ax.imshow(grid[..., 0], cmap="cividis", norm=norm, aspect="auto", origin="upper")
    ax.set_xticks(range(len(second.levels)), [level.label for level in second.levels], fontsize=7)
    ax.set_yticks(range(len(first.levels)), [level.label for level in first.levels], fontsize=7)
    ax.set_xlabel(second.name, fontsize=8)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    if grid[..., 0].size > CELLS_WITH_NUMBERS:
        return picture
    for y, x in np.ndindex(grid.shape[:2]):
        mean, low, high = grid[y, x]
        if not np.isfinite(mean):
            ax.text(x, y, "no value", ha="center", va="center", fontsize=5.5, color="0.4")
            continue
        colour = "black" if norm(mean) > 0.55 else "white"
        text = f"{mean:.3g}"
        text += f"\n{low:.2g} to {high:.2g}" if np.isfinite(low) else ""
        ax.text(x, y, text, ha="center", va="center", fontsize=5.5, color=colour)
    return picture


def _networks(rows: pd.DataFrame) -> Any:
    """Names of networks as functions of `flowsim.figures.plot` take them."""
    names = list(dict.fromkeys(rows.network))
    return xr.Dataset(coords={"network": ("run", names)})


def _seeds(table: pd.DataFrame) -> str:
    """What stands above a figure: how many seeds, and what intervals are."""
    counts = table.groupby(["variable", "network", "point"]).seed.nunique()
    number = plot.span(counts.to_numpy())
    interval = "" if number == "1" else "; intervals hold 95 % over seeds, each by itself"
    return f"{number} seed{'' if number == '1' else 's'} at each point{interval}"
