"""Every analysis in analysis/ keeps the contract, and what several of them share holds in each."""

import re

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from analysis import (
    classification_accuracy,
    equivariance_error,
    length_generalisation,
    prediction_error,
    stabilised_maps,
    stability,
    training_speed,
    velocity_generalisation,
)
from flowsim import (
    InputError,
    Law,
    build,
    ideas,
    open_recording,
    record,
)
from flowsim.figures import plot
from tests.known.states import FLOWS, lawful

mpl.use("agg")
ANALYSES = ideas.names("analysis")
NOT_ALONE = re.compile(
    r"^(its|their|this|these|that|those|it|they|(of )?the (same|latter|former|others?))\b"
    r"|\bof (the (same|latter|former)|it|them)\b|\boff? the \w+'s\b|^(and|or|with|without|also)\b",
    re.IGNORECASE,
)
"""Words of a label that lean on another label: in a table, each row stands alone."""
JUDGED = [
    classification_accuracy,
    equivariance_error,
    length_generalisation,
    prediction_error,
    stabilised_maps,
    training_speed,
    velocity_generalisation,
]


@pytest.mark.parametrize("name", ANALYSES)
def test_contract(name, results_of):
    analysis = ideas.load("analysis", name)
    assert analysis.READS in ("test", "sweep", "probe", "control")
    assert analysis.QUESTION.endswith("?")
    assert len(analysis.READING) > 80
    assert callable(getattr(analysis, getattr(analysis, "DATA", "figure")))
    results = results_of(analysis)
    assert list(results["network"].values) == ["fernn", "fernn", "grnn", "grnn"]
    for label, values in analysis.answers(results).items():
        assert isinstance(label, str)
        assert not NOT_ALONE.search(label), label
        assert values.dims == ("run",)
        assert values.notnull().any()
        assert {"network", "seed"} <= set(values.coords)
        assert values.attrs.get("better") in (None, "lower", "higher")
    with mpl.rc_context(plot.STYLE):
        figure = analysis.figure(results)
        assert isinstance(figure, Figure)
        figure.draw_without_rendering()


def test_labels_that_lean_on_others_are_found():
    for label in (
        "its part across the orbit of the world, frame 24",
        "R² of the same, channels with a partner",
        "the same with shuffled flows",
        "R² of the latter, shuffled flows (95th percentile)",
        "change that is no transport, off the world's by, frame 24",
    ):
        assert NOT_ALONE.search(label), label


@pytest.mark.parametrize("analysis", [prediction_error, length_generalisation, training_speed, stability])
def test_means_on_logarithmic_axes_are_those_of_the_report(analysis, results_of):
    """Geometric, for quantities that differ by factors, and the reader is told."""
    results = results_of(analysis)
    names = {training_speed: "valid_loss", stability: "error"}
    values = results[names.get(analysis, "mse")]
    values = values.sel(between="world", part="total") if analysis is stability else values
    of_first = values.isel(run=results["network"].values == "fernn").dropna(values.dims[1])
    expected = np.exp(np.log(of_first.values).mean(0))
    assert not np.allclose(expected, of_first.values.mean(0), rtol=1e-4)
    with mpl.rc_context(plot.STYLE):
        figure = analysis.figure(results)
    drawn = [np.asarray(line.get_ydata(), float) for line in figure.axes[0].get_lines()]
    assert any(y.shape == expected.shape and np.allclose(y, expected, rtol=1e-6) for y in drawn)
    assert "geometric mean" in analysis.READING
    plt.close("all")


def test_cells_of_a_plane_are_geometric_means_of_errors(results_of):
    results = results_of(velocity_generalisation)
    with mpl.rc_context(plot.STYLE):
        figure = velocity_generalisation.figure(results)
    of_first = results.mse.isel(run=results["network"].values == "fernn")
    expected = np.exp(np.log(of_first.transpose("run", "vy", "vx").values).mean(0))
    np.testing.assert_allclose(figure.axes[0].collections[0].get_array().reshape(expected.shape), expected)
    assert "geometric mean over seeds" in velocity_generalisation.READING
    plt.close("all")


@pytest.mark.slow
@pytest.mark.parametrize("name", ANALYSES)
def test_a_figure_is_drawn_the_same_to_the_byte(name, results_of, tmp_path):
    """What `flowsim.figures.plot.save` does for that is tested with the short tests, in tests/figures."""
    analysis = ideas.load("analysis", name)
    results = results_of(analysis)
    with mpl.rc_context(plot.STYLE):
        for copy in "ab":
            figure = analysis.figure(results)
            for suffix in ("svg", "png"):
                plot.save(figure, tmp_path / f"{copy}.{suffix}")
            plt.close("all")
    for suffix in ("svg", "png"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


@pytest.mark.parametrize("analysis", JUDGED)
def test_behavioural_figures_fit_a_column_and_tell_n_and_units(analysis, results_of):
    results = results_of(analysis)
    for label, values in analysis.answers(results).items():
        assert ("better" in values.attrs) != label.startswith("coverage"), label
    unknown = {"trained", "trials"}  # yes or no, and a count
    assert {name for name, values in results.data_vars.items() if not values.attrs.get("units")} <= unknown
    with mpl.rc_context(plot.STYLE):
        figure = analysis.figure(results)
        assert figure.get_figwidth() == plot.COLUMN
        figure.canvas.draw()
        width = figure.get_tightbbox().width
    assert width < plot.COLUMN + 0.05
    words = " ".join(text.get_text() for text in figure.findobj(mpl.text.Text))
    assert "2 seeds per network" in words
    assert "n = " in words or analysis is training_speed
    plt.close("all")


def test_one_colour_per_network_in_every_figure(results_of):
    """Also where the network is drawn as dots or bars."""
    drawn = {}
    for analysis in (velocity_generalisation, equivariance_error, length_generalisation):
        results = results_of(analysis)
        grnn = mpl.colors.to_rgb(plot.palette(results)["grnn"])
        with mpl.rc_context(plot.STYLE):
            figure = analysis.figure(results)
        used = [line.get_color() for line in figure.findobj(mpl.lines.Line2D)]
        used += [line.get_markeredgecolor() for line in figure.findobj(mpl.lines.Line2D)]
        used += [bar.get_facecolor() for bar in figure.findobj(mpl.patches.Rectangle)]
        drawn[analysis.__name__] = (
            grnn,
            grnn in [mpl.colors.to_rgb(colour) for colour in used if colour != "auto"],
        )
        plt.close("all")
    assert len(set(drawn.values())) == 1
    assert all(used for _, used in drawn.values())


@pytest.mark.parametrize("family", ideas.names("stimuli"))
def test_the_sweep_of_every_stimulus_can_be_analysed(family, tmp_path):
    """By velocity, down to the figure: also where velocities are on a line, or on no full grid."""
    sweep = ideas.load("stimuli", family).generate("sweep", np.random.default_rng(0), trials=1, frames=5)
    shape = (sweep.sizes["y"], sweep.sizes["x"])
    network = build("fernn", shape, max_speed=0, channels=2, decoder_layers=0, classes=10)
    sites = ["prediction", "logits"]
    record(
        network, sweep, tmp_path / "a.h5", context=3, sites=sites, attrs={"horizon": 2, "task": "classify"}
    )
    recording = open_recording(tmp_path / "a.h5")
    for analysis in (velocity_generalisation, classification_accuracy):
        if analysis is classification_accuracy and "object_label" not in recording.coords:
            continue
        results = (
            analysis.analyse(recording)
            .compute()
            .expand_dims(run=["a"])
            .assign_coords(network=("run", ["fernn"]))
        )
        assert results.trained.sum() > 0
        with mpl.rc_context(plot.STYLE):
            analysis.figure(results).draw_without_rendering()
        plt.close("all")


def test_errors_are_summed_in_float64(recording, rng):
    """In float16 the count of values alone would overflow, and the mean be 0."""
    frames = np.zeros((1, 300, 4, 16, 16), np.float16)
    made = recording(frames=frames, prediction=frames + np.float16(0.25), context=2, horizon=1)
    np.testing.assert_allclose(prediction_error.analyse(made).mse, 0.0625)
    np.testing.assert_allclose(length_generalisation.analyse(made).mse, 0.0625)


def test_values_that_are_no_numbers_are_told(predicted, recording):
    made = predicted(lambda _: 0.1, horizon=2)
    made.prediction[0, 1, 5, 2, 2] = np.nan
    for analysis in (prediction_error, length_generalisation):
        with pytest.raises(InputError, match="the prediction contains NaN or infinity: the network diverged"):
            analysis.analyse(made)
    states, grid = lawful(Law(True, True))
    states[1, 0, 2, 0] = np.nan
    with pytest.raises(InputError, match="the state contains NaN or infinity: the network diverged"):
        equivariance_error.analyse(recording(states, FLOWS, grid.velocities))


def test_recordings_thinned_in_time_are_scored_by_their_frames(predicted):
    made = predicted(lambda ahead: 0.1 * ahead, horizon=4).isel(time=slice(0, None, 2))
    result = prediction_error.analyse(made)
    assert result.ahead.values.tolist() == [2, 4]
    np.testing.assert_allclose(result.mse, [0.04, 0.16])
    assert length_generalisation.analyse(made).ahead.values.tolist() == [2, 4, 6, 8]
    with pytest.raises(InputError, match="prediction_error needs frame 2, the last one seen"):
        prediction_error.analyse(predicted(lambda _: 0, horizon=4).isel(time=slice(1, None, 2)))


def test_recordings_that_lack_what_is_needed(predicted):
    made = predicted(lambda _: 0)
    with pytest.raises(InputError, match="expected the velocity of each object"):
        velocity_generalisation.analyse(made)
    del made.attrs["context"]
    with pytest.raises(InputError, match="expected the attribute context"):
        prediction_error.analyse(made)
