"""One look for all figures: colour-blind safe, one colour per network, readable at column width.

Plotting libraries are loaded when something is drawn: an analysis that only measures does not wait for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from flowsim.files.atomic import whole

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


def trials(results: xr.Dataset) -> str:
    """How many ``trials`` stand behind each value, where there are some, as words for a figure."""
    counts = results.trials.values[results.trials.values > 0]
    return f"{counts.min():g}{'' if counts.min() == counts.max() else f'-{counts.max():g}'} trials"


def lines(results: xr.Dataset, variable: str, x: str, ax: Axes) -> None:
    """Mean over seeds of ``variable`` (run, x) against ``x``, one line per network, with every seed drawn
    thin.
    """
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
    ax.legend(*_named(results, ax), **options)


LONG = 13
"""Letters of a name beyond which three names are too wide for one line of a column."""


def legend_below(results: xr.Dataset, ax: Axes) -> None:
    """`legend` below the whole figure, where it leaves a narrow one its width."""
    figure: Any = ax.figure
    named = _named(results, ax)
    columns = 3 if max(map(len, named[1])) <= LONG else 2
    figure.legend(*named, loc="outside lower center", ncols=columns, fontsize=8)


def _named(results: xr.Dataset, ax: Axes) -> tuple[list[Any], list[str]]:
    from matplotlib.lines import Line2D

    others, labels = ax.get_legend_handles_labels()
    styles = dashes(results)
    own = [Line2D([], [], color=c, ls=(0, styles[n] or (1, 0)), label=n) for n, c in palette(results).items()]
    return [*own, *others], [*networks(results), *labels]


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


def save(figure: Figure, path: Path) -> None:
    """Write one figure; the same figure always gives the same bytes.

    The layout is solved here, and everything put where it says to a millionth of the figure: its last digits
    depend on the order in which the solver finds its variables in memory.
    """
    import matplotlib as mpl

    metadata = {"Date": None} if path.suffix == ".svg" else None
    with mpl.rc_context(STYLE), whole(path) as temporary:
        if figure.get_layout_engine():
            figure.set_dpi(mpl.rcParams["savefig.dpi"])
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
            _settle(figure)
        figure.savefig(temporary, format=path.suffix.lstrip("."), metadata=metadata)


def _settle(figure: Any) -> None:
    """Round where axes, texts and parts of a figure, or of a part of one, are."""
    for ax in figure.axes:
        ax.set_position(np.round(ax.get_position(original=True).bounds, 6))
    for text in figure.texts:
        text.set_position(np.round(text.get_position(), 6))
    for part in figure.subfigs:
        part.bbox_relative.set_points(np.round(part.bbox_relative.get_points(), 6))
        _settle(part)
