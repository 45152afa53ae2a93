"""The parts of figures show what they are given, and say so where there is nothing to show."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

from flowsim.figures import panels, plot

mpl.use("agg")


@pytest.fixture
def results():
    """Two runs of one network and one of another, between them."""
    values = np.array([[0.0, 1, 2], [3, 4, 5], [2, 3, 4]])
    return xr.Dataset(
        {"error": (("run", "time"), values), "kept": ("run", [1.0, 1, 1])},
        {
            "time": [0, 1, 2],
            "run": ["b-seed0", "a-seed0", "b-seed1"],
            "network": ("run", ["b", "a", "b"]),
            "seed": ("run", ["0", "0", "1"]),
        },
    )


def test_each_network_has_its_runs_and_its_colour(results):
    networks = list(panels.each_network(results))
    assert [name for name, _, _ in networks] == ["b", "a"]
    assert [runs.run.values.tolist() for _, _, runs in networks] == [["b-seed0", "b-seed1"], ["a-seed0"]]
    assert {name: colour for name, colour, _ in networks} == plot.palette(results)


@pytest.mark.parametrize(
    ("networks", "most", "shape"),
    [(1, 4, (1, 2)), (2, 4, (1, 2)), (4, 4, (1, 4)), (5, 4, (2, 4)), (3, 2, (2, 2))],
)
def test_networks_have_an_axis_each_and_what_is_left_is_empty(networks, most, shape):
    figure = plt.figure()
    axes = panels.network_axes(figure, [f"network {i}" for i in range(networks)], most)
    assert len(axes) == networks
    grid = axes[0].get_subplotspec().get_gridspec()
    assert (grid.nrows, grid.ncols) == shape
    assert all(ax.axison for ax in axes)
    unused = [ax for ax in figure.axes if ax not in axes]
    assert len(unused) == shape[0] * shape[1] - networks
    assert not any(ax.axison for ax in unused)
    axes[0].set(xlim=(3, 7), ylim=(-2, 5))
    assert axes[-1].get_xlim() == (3, 7)
    assert axes[-1].get_ylim() == (-2, 5)


def test_the_lowest_axis_of_each_column_shows_its_numbers():
    grid = plt.figure().subplots(2, 3, sharex=True)
    lowest = panels.leave_empty(grid, 4)
    assert lowest == [grid[1, 0], grid[0, 1], grid[0, 2]]
    shown = [ax.xaxis.get_tick_params()["labelbottom"] for ax in grid.flat[:4]]
    assert shown == [False, True, True, True]
    assert all(ax.xaxis.label.get_visible() for ax in lowest)
    assert not any(ax.axison for ax in grid.flat[4:])


def test_networks_have_axes_on_a_part_of_a_figure():
    left, right = plt.figure().subfigures(1, 2)
    axes = panels.network_axes(right, ["a", "b"])
    assert right.axes == axes
    assert not left.axes


def test_a_band_goes_from_low_to_high():
    ax = plt.figure().add_subplot()
    panels.band(ax, [0, 1, 2], np.array([1.0, 2, 3]), np.array([2.0, 4, 6]), (1.0, 0.0, 0.0), alpha=0.5)
    (filled,) = ax.collections
    corners = {tuple(corner) for corner in filled.get_paths()[0].vertices}
    assert {(0, 1), (1, 2), (2, 3), (0, 2), (1, 4), (2, 6)} <= corners
    np.testing.assert_allclose(filled.get_facecolor(), [[1, 0, 0, 0.5]])


def test_lines_are_drawn_where_something_is_known(results):
    ax = plt.figure().add_subplot()
    panels.lines_or_note(results, "error", "time", ax)
    assert not ax.texts
    means = [line.get_ydata().tolist() for line in ax.get_lines() if len(line.get_ydata())]
    assert [1.0, 2.0, 3.0] in means
    assert [3.0, 4.0, 5.0] in means


def test_means_of_factors_are_geometric(results):
    """And arithmetic where a value is 0, which has no logarithm."""
    found = plot.mean_over_seeds(results.error + 1, geometric=True)
    assert found["network"].values.tolist() == ["b", "a"]
    np.testing.assert_allclose(found, [np.sqrt([3, 8, 15]), [4, 5, 6]])
    np.testing.assert_allclose(plot.mean_over_seeds(results.error + 1), [[2, 3, 4], [4, 5, 6]])
    np.testing.assert_allclose(plot.mean_over_seeds(results.error, geometric=True), [[1, 2, 3], [3, 4, 5]])


def test_a_mean_over_seeds_is_one_over_all_of_them(results):
    """A seed that ends early ends the line; one that has no value at all is none."""
    ends = results.error.where((results.run != "b-seed1") | (results.time < 2))
    np.testing.assert_allclose(plot.mean_over_seeds(ends).sel(network="b"), [1, 2, np.nan])
    without = results.error.where(results.run != "b-seed1")
    np.testing.assert_allclose(plot.mean_over_seeds(without).sel(network="b"), [0, 1, 2])
    ax = plt.figure().add_subplot()
    plot.lines(results.assign(error=ends), "error", "time", ax)
    drawn = [line.get_ydata().tolist() for line in ax.get_lines()]
    assert [1.0, 2.0] in drawn
    assert [0.0, 1.0, 2.0] in drawn


def test_a_note_stands_where_nothing_is_known(results):
    ax = plt.figure().add_subplot()
    panels.lines_or_note(results.assign(error=results.error * np.nan), "error", "time", ax)
    assert not ax.get_lines()
    assert [text.get_text() for text in ax.texts] == ["not measurable\nwith this probe"]


def test_one_known_value_is_enough_for_lines(results):
    ax = plt.figure().add_subplot()
    panels.lines_or_note(results.assign(error=results.error.where(results.error == 5)), "error", "time", ax)
    assert ax.get_lines()
    assert not ax.texts


def test_the_share_of_channels_is_named_if_not_all_were_analysed(results):
    assert panels.share_of_channels(results) == ""
    fewer = results.assign(kept=("run", [1 / 3, 1 / 3, 1 / 3]))
    assert panels.share_of_channels(fewer) == ", a random 0.33 of channels"
    differing = results.assign(kept=("run", [0.5, 1.0, 0.25]))
    assert panels.share_of_channels(differing) == ",\na random share of channels: b 0.25-0.5; a 1"


def test_features_are_those_of_every_run(results):
    counts = results.assign(features=("run", [8, 4, 9]), features_recorded=("run", [16, 4, 16]))
    assert panels.features_used(counts) == "features of a pixel: b a random 8-9 of 16; a 4"
