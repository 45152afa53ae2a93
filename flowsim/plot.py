"""One look for all figures: colour-blind safe, one colour per network, readable at column width.

Plotting libraries are loaded when something is drawn: an analysis that only measures does not wait for them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from flowsim.files import whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLE: Any = {
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


def subplots(*arguments: Any, **options: Any) -> tuple[Figure, Any]:
    """`matplotlib.pyplot.subplots`."""
    import matplotlib.pyplot as plt

    return plt.subplots(*arguments, **options)


def networks(results: xr.Dataset) -> list[str]:
    """Names of the networks in results (run), in the order in which they come."""
    return list(dict.fromkeys(results["network"].values.tolist()))


def palette(results: xr.Dataset) -> dict[str, tuple[float, float, float]]:
    """Colour of each network."""
    import seaborn as sns

    names = networks(results)
    return dict(zip(names, sns.color_palette("colorblind", len(names)), strict=True))


def dashes(results: xr.Dataset) -> dict[str, tuple[float, ...]]:
    """Dash pattern of each network, so that lines on top of each other can be told apart."""
    patterns: list[tuple[float, ...]] = [(), (4, 2), (1.5, 1.5), (5, 1.5, 1, 1.5)]
    return {name: patterns[i % len(patterns)] for i, name in enumerate(networks(results))}


def seeds(results: xr.Dataset) -> str:
    """How many runs of each network there are, as words for a figure."""
    counts = sorted(set(pd.Series(results["network"].values).value_counts()))
    return f"{'-'.join(map(str, counts))} seed{'s' if counts != [1] else ''} per network"


def lines(results: xr.Dataset, variable: str, x: str, ax: Axes) -> None:
    """Mean over seeds of ``variable`` (run, x) against ``x``, one line per network, with every seed drawn thin."""
    import seaborn as sns

    table = results[variable].to_dataframe().reset_index().dropna(subset=variable)
    look = {
        "hue": "network",
        "style": "network",
        "hue_order": networks(results),
        "style_order": networks(results),
    }
    sns.lineplot(
        table,
        x=x,
        y=variable,
        **look,
        palette=palette(results),
        dashes=dashes(results),
        errorbar=None,
        legend=False,
        ax=ax,
    )
    sns.lineplot(
        table, x=x, y=variable, **look, palette=palette(results), dashes=dashes(results), units="run", estimator=None,
        lw=0.6, alpha=0.6, legend=False, ax=ax,
    )  # fmt: skip


def legend(results: xr.Dataset, ax: Axes, **options: Any) -> None:
    """The networks as `lines` draws them, before whatever else has a label on ``ax``."""
    from matplotlib.lines import Line2D

    others, labels = ax.get_legend_handles_labels()
    styles = dashes(results)
    own = [Line2D([], [], color=c, ls=(0, styles[n] or (1, 0)), label=n) for n, c in palette(results).items()]
    ax.legend([*own, *others], [*networks(results), *labels], **options)


def mosaic(
    ax: Axes,
    rows: Mapping[str, Sequence[np.ndarray | None]],
    titles: Sequence[str],
    cmap: str,
    own_scale: bool = False,
) -> None:
    """Images (y, x) side by side, one row per name, on one axis.

    Parameters
    ----------
    ax : Axes
    rows : mapping of row name to images
        None leaves a gap.
    titles : sequence of str
        Of the columns.
    cmap : str
        Colour map, from 0 to 1.
    own_scale : bool
        Scale each row by its own maximum.
    """
    some = next(image for row in rows.values() for image in row if image is not None)
    gap, (height, width) = max(1, some.shape[1] // 8), some.shape
    sheet = np.full((len(rows) * (height + gap) - gap, len(titles) * (width + gap) - gap), np.nan)
    for i, images in enumerate(rows.values()):
        top = max(float(image.max()) for image in images if image is not None) if own_scale else 1.0
        for j, image in enumerate(images):
            if image is not None:
                y, x = i * (height + gap), j * (width + gap)
                sheet[y : y + height, x : x + width] = image / (top or 1.0)
    ax.imshow(sheet, cmap=cmap, vmin=0, vmax=1, interpolation="nearest")
    ax.set_yticks(np.arange(len(rows)) * (height + gap) + height / 2, list(rows))
    ax.set_xticks(np.arange(len(titles)) * (width + gap) + width / 2, titles, fontsize=7)
    ax.tick_params(length=0, labeltop=True, labelbottom=False)
    ax.spines[:].set_visible(False)


UNITS = {"vy": "px/frame", "vx": "px/frame", "omega": "deg/frame", "expansion": "1/frame"}
"""Of the components of velocities."""


def by_velocity(results: xr.Dataset, variable: str, *, label: str, percent: bool = False) -> Figure:
    """``variable`` by velocity: a heat map over (run, vy, vx) per network, or lines over (run, omega) or the like.

    A white line goes round the velocities of training, ``trained`` of the results, or a grey ground lies behind them.
    The scale is logarithmic and cells show thousandths, or with ``percent`` it goes from 0 to 1 and they show percent.
    """
    inside = results.trained.isel(run=0) if "run" in results.trained.dims else results.trained
    if {"vy", "vx"} <= set(results[variable].dims):
        return _planes(results, variable, inside, label, percent)
    component = next(str(d) for d in results[variable].dims if d != "run")
    fig, ax = subplots(figsize=(COLUMN * 1.35, 2.6))
    known = results[component].values[inside.values == 1]
    if known.size:
        ax.axvspan(known.min(), known.max(), color="0.92", label="trained")
    lines(results, variable, component, ax)
    ax.set(xlabel=f"{component} ({UNITS[component]})", ylabel=label)
    ax.set(ylim=(0, 1)) if percent else ax.set(yscale="log")
    legend(results, ax, loc="upper left", bbox_to_anchor=(1, 1))
    return fig


def _planes(results: xr.Dataset, variable: str, inside: xr.DataArray, label: str, percent: bool) -> Figure:
    import seaborn as sns
    from matplotlib.colors import LogNorm, Normalize

    names = networks(results)
    mean = results[variable].groupby("network").mean()
    norm = Normalize(0, 1) if percent else LogNorm(float(mean.min()), float(mean.max()))
    across = min(len(names), 4)
    down = math.ceil(len(names) / across)
    fig, axes = subplots(down, across, figsize=(PAGE, 2.2 * down + 0.4), squeeze=False, sharex=True, sharey=True)
    for ax in axes.flat[len(names) :]:
        ax.axis("off")
    for ax, name in zip(axes.flat, names, strict=False):
        cells = mean.sel(network=name).transpose("vy", "vx")
        rows, columns = ([f"{v:g}" for v in cells[axis].values] for axis in ("vy", "vx"))
        table = pd.DataFrame(cells.values, rows, columns)
        sns.heatmap(
            table, ax=ax, norm=norm, cmap="viridis", square=True, cbar=False,
            annot=table * (100 if percent else 1e3), fmt=".0f", annot_kws={"size": 6 if down > 1 else 7},
        )  # fmt: skip
        ax.hlines(*_edges(inside.transpose("vy", "vx").values), color="white", lw=2)
        ax.vlines(*_edges(inside.transpose("vx", "vy").values), color="white", lw=2)
        ax.set(title=name, xlabel="", ylabel="")
    fig.supxlabel("vx (px/frame, right)", fontsize=9)
    fig.supylabel("vy (px/frame, down)", fontsize=9)
    fig.colorbar(axes.flat[0].collections[0], ax=axes, label=label, shrink=0.8)
    return fig


def _edges(inside: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the first axis of a map leaves what is inside: at which position, from where to where on the second."""
    padded = np.pad(inside.astype(bool), ((1, 1), (0, 0)))
    at, along = np.nonzero(padded[1:] != padded[:-1])
    return at, along, along + 1


def save(figure: Figure, path: Path) -> None:
    """Write one figure; the same figure always gives the same bytes."""
    import matplotlib as mpl

    metadata = {"Date": None} if path.suffix == ".svg" else None
    with mpl.rc_context(STYLE), whole(path) as temporary:
        figure.savefig(temporary, format=path.suffix.lstrip("."), metadata=metadata)
