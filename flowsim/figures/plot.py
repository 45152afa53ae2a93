"""One look for all figures: colour-blind safe, one colour per network, readable at column width.

Plotting libraries are loaded when something is drawn: an analysis that only measures does not wait for them.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from flowsim.files.atomic import whole
from flowsim.files.outputs import MARK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
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
COLUMN = 3.5
"""Width of a figure in one column, in inches."""
PAGE = 7.0
"""Width of a figure over the page, in inches."""
DASHES: list[tuple[float, ...]] = [(), (4, 2), (1.5, 1.5), (5, 1.5, 1, 1.5)]
"""Patterns of lines, taken by the networks in turn; the first is a solid line."""
GREYS: list[tuple[str, tuple[float, ...]]] = [
    ("0.6", (1, 1.5)),
    ("0.6", ()),
    ("0.35", (6, 2)),
    ("0.35", (6, 1.5, 1, 1.5, 1, 1.5)),
]
"""Colours and patterns of lines that stand for no network."""
ROUNDING = 1e-9
"""What is smaller has no place on a logarithmic axis of errors."""
LONG_NAME = 13
"""Letters of a name beyond which three names are too wide for one line of a column."""


def subplots(*arguments: Any, **options: Any) -> tuple[Figure, Any]:
    """`matplotlib.pyplot.subplots` in our style, whatever the style around it."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    with mpl.rc_context(STYLE):
        return plt.subplots(*arguments, **options)


def figure(figsize: tuple[float, float]) -> Figure:
    """`matplotlib.pyplot.figure` whose axes make room for each other and for their labels."""
    import matplotlib.pyplot as plt

    return plt.figure(figsize=figsize, layout="constrained")


def networks(results: xr.Dataset | xr.DataArray) -> list[str]:
    """Names of the networks in results (run), in the order in which they come."""
    return list(dict.fromkeys(results["network"].values.tolist()))


def palette(results: xr.Dataset) -> dict[str, tuple[float, float, float]]:
    """Colour of each network."""
    import seaborn as sns

    names = networks(results)
    return dict(zip(names, sns.color_palette("colorblind", len(names)), strict=True))


def dashes(results: xr.Dataset) -> dict[str, tuple[float, ...]]:
    """Dash pattern of each network, so that lines on top of each other can be distinguished."""
    return {name: DASHES[i % len(DASHES)] for i, name in enumerate(networks(results))}


def seeds(results: xr.Dataset) -> str:
    """How many runs of each network there are, as words for a figure."""
    number = span(pd.Series(results["network"].values).value_counts().values)
    return f"{number} seed{'' if number == '1' else 's'} per network"


def trials(results: xr.Dataset) -> str:
    """How many ``trials`` stand behind each value, where there are some, as words for a figure."""
    counts = results.trials.values
    return f"{span(counts[counts > 0])} trials"


def span(values: Any, digits: int = 6) -> str:
    """The least and the largest of some numbers as words, one if they are the same; NaN is none of them."""
    low, high = (f"{end(values):.{digits}g}" for end in (np.nanmin, np.nanmax))
    return low if low == high else f"{low}-{high}"


def mean_over_seeds(values: xr.DataArray, geometric: bool = False) -> xr.DataArray:
    """Mean over the runs of each network, as in the report.

    Parameters
    ----------
    values : DataArray (run, ...)
        With the coordinate ``network``.
    geometric : bool
        Of positive quantities that differ by factors, and are drawn on a logarithmic axis: the geometric
        mean, or the arithmetic one of all if a value is 0 or less.

    Returns
    -------
    DataArray (network, ...)
        NaN where some, but not all, of the seeds of a network have a value.
    """
    by_factors = geometric and not bool((values <= 0).any())
    scaled = values.copy(data=np.log(values.values)) if by_factors else values
    means = []
    for name in networks(values):
        seeds_of = scaled.isel(run=np.flatnonzero(values["network"].values == name))
        known = seeds_of.dropna("run", how="all")
        means.append((known if known.sizes["run"] else seeds_of).mean("run", skipna=False))
    together = xr.concat(means, xr.DataArray(networks(values), dims="network", name="network"))
    return together.copy(data=np.exp(together.values)) if by_factors else together


def lines(results: xr.Dataset, variable: str, x: str, ax: Axes, geometric: bool = False) -> None:
    """Mean over seeds of ``variable`` (run, x) against ``x``, a line per network; seeds thin.

    The mean is that of `mean_over_seeds`: the line ends where one of the seeds does.
    """
    import seaborn as sns

    names = networks(results)
    by_network = {
        "hue": "network",
        "hue_order": names,
        "palette": palette(results),
        "style": "network",
        "style_order": names,
        "dashes": dashes(results),
    }
    common = {"x": x, "y": variable, **by_network, "estimator": None, "legend": False, "ax": ax}
    means = mean_over_seeds(results[variable], geometric)
    for rows, options in (
        (_rows(means, variable), {}),
        (_rows(results[variable], variable), {"units": "run", "lw": 0.6, "alpha": 0.6}),
    ):
        if len(rows):  # seaborn warns of colours for nothing
            sns.lineplot(rows, **common, **options)


def logarithmic(axis: Axis) -> None:
    """Make an axis on which everything is drawn logarithmic, with plain numbers that do not overlap."""
    from matplotlib.ticker import LogLocator

    set_scale = axis.axes.set_yscale if axis is axis.axes.yaxis else axis.axes.set_xscale
    set_scale("log")
    low, high = axis.get_view_interval()
    if high < 150 * low:  # powers of ten alone would be two numbers or fewer
        axis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7) if high < 5 * low else (1, 2, 5)))
        axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter("")


def grey_lines(results: xr.Dataset, variable: str, x: str, ax: Axes, names: Sequence[str]) -> None:
    """Of ``variable`` (run, predictor, x), the same for all runs, those predictors in grey, a pattern each.

    For a logarithmic axis: what is 0 to rounding is not drawn, and a predictor that is always 0 has "= 0" in
    the legend.
    """
    for i, name in enumerate(names):
        values = results[variable].sel(predictor=name).mean("run")
        drawn = values.where(values > ROUNDING)
        label = name.replace("velocities", "v").replace("velocity", "v")
        label += "" if bool(drawn.notnull().any()) else " = 0"
        colour, pattern = GREYS[i % len(GREYS)]
        ax.plot(results[x], drawn, color=colour, ls=(0, pattern or (1, 0)), lw=1, label=label)


def _rows(values: xr.DataArray, name: str) -> pd.DataFrame:
    """A table of the values that are known."""
    return values.to_dataframe(name).reset_index().dropna(subset=name)


def legend(results: xr.Dataset, ax: Axes, **options: Any) -> None:
    """The networks as `lines` draws them, before whatever else has a label on ``ax``."""
    ax.legend(*_keys_and_labels(results, ax), **options)


def legend_below(results: xr.Dataset, ax: Axes) -> None:
    """`legend` below the whole figure, where it leaves a narrow one its width."""
    figure: Any = ax.figure
    keys, labels = _keys_and_labels(results, ax)
    longest = max(len(label) for label in labels)
    columns = 3 if longest <= LONG_NAME else 2
    figure.legend(keys, labels, loc="outside lower center", ncols=columns, fontsize=8)


def _keys_and_labels(results: xr.Dataset, ax: Axes) -> tuple[list[Any], list[str]]:
    """What a legend shows: a line for each network, then what else has a label on ``ax``."""
    from matplotlib.lines import Line2D

    other_keys, other_labels = ax.get_legend_handles_labels()
    patterns = dashes(results)
    solid = (1, 0)
    keys = [
        Line2D([], [], color=colour, ls=(0, patterns[name] or solid), label=name)
        for name, colour in palette(results).items()
    ]
    return [*keys, *other_keys], [*networks(results), *other_labels]


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
        All images of one size; None leaves a gap.
    titles : sequence of str
        Of the columns.
    cmap : str
        Colour map, from 0 to 1.
    own_scale : bool
        Scale each row by its own maximum.
    """
    height, width = next(image.shape for row in rows.values() for image in row if image is not None)
    gap = max(1, width // 8)
    row_tops = np.arange(len(rows)) * (height + gap)
    column_starts = np.arange(len(titles)) * (width + gap)
    sheet = np.full((row_tops[-1] + height, column_starts[-1] + width), np.nan)
    for top, images in zip(row_tops, rows.values(), strict=True):
        scale = _largest(images) if own_scale else 1.0
        for column, image in enumerate(images):
            if image is not None:
                left = column_starts[column]
                sheet[top : top + height, left : left + width] = image / scale
    ax.imshow(sheet, cmap=cmap, vmin=0, vmax=1, interpolation="nearest")
    ax.set_yticks(row_tops + height / 2, list(rows))
    ax.set_xticks(column_starts + width / 2, titles, fontsize=7)
    ax.tick_params(length=0, labeltop=True, labelbottom=False)
    ax.spines[:].set_visible(False)


def _largest(images: Sequence[np.ndarray | None]) -> float:
    """The largest value in a row of images, to divide by: 1 where all are 0."""
    return max(float(image.max()) for image in images if image is not None) or 1.0


def save(figure: Figure, path: Path) -> None:
    """Write one figure, in the format that the path ends in; the same figure always gives the same bytes.

    The layout is solved here, and all positions are rounded to a millionth of the figure: the last digits of
    the solution depend on the order in which the solver finds its variables in memory.
    """
    import matplotlib as mpl

    metadata = {"Date": None, "Creator": MARK} if path.suffix == ".svg" else {"Software": MARK}
    content = io.BytesIO()
    with mpl.rc_context(STYLE):
        if figure.get_layout_engine():
            figure.set_dpi(mpl.rcParams["savefig.dpi"])
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
            _round_positions(figure)
        figure.savefig(content, format=path.suffix.lstrip("."), metadata=metadata)
    with whole(path, content.getbuffer().nbytes) as temporary:
        temporary.write_bytes(content.getbuffer())


def _round_positions(figure: Any) -> None:
    """Round the positions of axes, texts and parts of a figure, or of a part of one."""
    for ax in figure.axes:
        ax.set_position(np.round(ax.get_position(original=True).bounds, 6))
    for text in figure.texts:
        text.set_position(np.round(text.get_position(), 6))
    for part in figure.subfigs:
        part.bbox_relative.set_points(np.round(part.bbox_relative.get_points(), 6))
        _round_positions(part)
