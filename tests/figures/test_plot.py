"""A figure is written to the byte as it was before."""

import warnings
from itertools import pairwise

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.layout_engine import ConstrainedLayoutEngine

from flowsim.figures import plot

mpl.use("agg")


class Unsteady(ConstrainedLayoutEngine):
    """Solves the layout up to rounding, as the solver does when its variables lie elsewhere in memory."""

    def execute(self, fig):
        solved = super().execute(fig)
        for ax in fig.axes:
            ax._set_position(ax.get_position(original=True).translated(1e-13, -1e-13))
        for part in fig.subfigs:
            part.bbox_relative.set_points(part.bbox_relative.get_points() + 1e-13)
            for text in part.texts:
                text.set_position(np.add(text.get_position(), 1e-13))
        return solved


def drawn(engine):
    with mpl.rc_context(plot.STYLE):
        figure = plt.figure(figsize=(plot.PAGE, 4))
        upper, lower = figure.subfigures(2, 1)
        axes = np.stack([part.subplots(1, 3) for part in (upper, lower)])
        lower.supxlabel("time")
        figure.suptitle("a title")
        for i, ax in enumerate(axes.flat):
            ax.plot(np.arange(4) ** i)
            ax.set(xlabel="frame", ylabel="a label", title=str(i), aspect="auto" if i < 3 else "equal")
        lower.colorbar(mpl.cm.ScalarMappable(), ax=axes[1, 2])
        figure.set_layout_engine(engine)
    return figure


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_bytes_do_not_depend_on_the_rounding_of_the_layout(suffix, tmp_path):
    for name, engine in {"steady": ConstrainedLayoutEngine(), "unsteady": Unsteady()}.items():
        plot.save(drawn(engine), tmp_path / f"{name}.{suffix}")
    assert (tmp_path / f"steady.{suffix}").read_bytes() == (tmp_path / f"unsteady.{suffix}").read_bytes()


def test_axes_stay_where_the_layout_puts_them(tmp_path):
    left_alone, saved = drawn(ConstrainedLayoutEngine()), drawn(ConstrainedLayoutEngine())
    with mpl.rc_context(plot.STYLE):
        left_alone.savefig(tmp_path / "a.png")
    plot.save(saved, tmp_path / "b.png")
    for ours, theirs in zip(saved.axes, left_alone.axes, strict=True):
        np.testing.assert_allclose(ours.get_position().bounds, theirs.get_position().bounds, atol=2e-6)


@pytest.mark.parametrize("made", [lambda: plot.subplots()[0], lambda: plot.figure(figsize=(3, 2))])
def test_labels_have_room_whatever_the_style_around(made):
    with mpl.rc_context(mpl.rcParamsDefault):
        figure = made()
    assert isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine)


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.02, 0.04, ["0.02", "0.03"]),
        (0.015, 0.5, ["0.02", "0.05", "0.1", "0.2", "0.5"]),
        (1e-6, 1.0, [rf"$\mathdefault{{10^{{{power}}}}}$" for power in (-6, -4, -2, 0)]),
    ],
)
def test_numbers_on_logarithmic_axes_do_not_overlap(low, high, labels):
    fig, ax = plot.subplots(figsize=(plot.COLUMN, 2.0))
    ax.plot([0, 1], [low, high])
    ax.margins(0)
    plot.logarithmic(ax.yaxis)
    fig.canvas.draw()
    bottom, top = ax.get_ylim()
    shown = [
        t
        for t in ax.get_yticklabels(which="both")
        if t.get_text() and bottom / 1.001 <= t.get_position()[1] <= top * 1.001
    ]
    assert [text.get_text() for text in shown] == labels
    boxes = sorted((text.get_window_extent() for text in shown), key=lambda box: box.y0)
    assert all(lower.y1 <= upper.y0 for lower, upper in pairwise(boxes))


def test_a_network_without_any_number_has_no_mean_and_no_warning():
    values = xr.DataArray([[1.0, 2.0], [np.nan, np.nan]], {"network": ("run", ["a", "b"])}, ("run", "x"))
    with warnings.catch_warnings(action="error"):
        means = plot.mean_over_seeds(values)
    np.testing.assert_array_equal(means, [[1, 2], [np.nan, np.nan]])
