"""Every analysis in analysis/ keeps the contract and gives the known answer, both ways."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import xarray as xr
from matplotlib.figure import Figure

from analysis import (
    classification_accuracy,
    equivariance_error,
    length_generalisation,
    prediction_error,
    stabilised_maps,
    training_speed,
    velocity_generalisation,
)
from flowsim import Flow, InputError, Law, Translation, VelocityGrid, build, ideas, open_recording, record
from flowsim.figures import plot
from flowsim.files import coordinates, netcdf
from flowsim.files.results import side_by_side as side_by_side
from flowsim.flows.law import LAWS
from flowsim.measures import ground_truth

mpl.use("agg")
ANALYSES = ideas.names("analysis")
FLOWS = [(0, 0), (1, 0), (0, -1), (1, 2)]


def results_of(analysis, runs, tmp_path):
    paths = []
    for run, recordings in runs.items():
        recording = recordings[analysis.READS]
        attrs = {"stage": "analysis", "network": recording.attrs["network"], "seed": recording.attrs["seed"]}
        netcdf.write(analysis.analyse(recording).compute(), tmp_path / f"{run}.h5", attrs)
        paths.append(tmp_path / f"{run}.h5")
    return side_by_side(paths, analysis.__name__.removeprefix("analysis."))


@pytest.mark.parametrize("name", ANALYSES)
def test_contract(name, runs, tmp_path):
    analysis = ideas.load("analysis", name)
    assert analysis.READS in ("test", "sweep", "probe")
    assert analysis.QUESTION.endswith("?")
    assert len(analysis.READING) > 80
    assert callable(getattr(analysis, getattr(analysis, "DATA", "figure")))
    results = results_of(analysis, runs, tmp_path)
    assert list(results["network"].values) == ["fernn", "fernn", "grnn", "grnn"]
    for label, values in analysis.answers(results).items():
        assert isinstance(label, str)
        assert values.dims == ("run",)
        assert values.notnull().any()
        assert {"network", "seed"} <= set(values.coords)
        assert values.attrs.get("better") in (None, "lower", "higher")
    with mpl.rc_context(plot.STYLE):
        for copy in "ab":
            figure = analysis.figure(results)
            assert isinstance(figure, Figure)
            for suffix in ("svg", "png"):
                plot.save(figure, tmp_path / f"{copy}.{suffix}")
            plt.close("all")
    for suffix in ("svg", "png"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def lawful(law, shape=(3, 4), channels=2, times=5, noise=0.0):
    """States of the flows in FLOWS that obey one law exactly, on a closed grid."""
    grid = VelocityGrid.closed(Translation(), shape)
    generator = torch.Generator().manual_seed(0)
    reference = torch.rand(2, times, len(grid), channels, *shape, dtype=torch.float64, generator=generator)
    states = [law.predict(reference, Flow(Translation(), u), grid) for u in FLOWS]
    disturbed = [s + noise * torch.randn(s.shape, dtype=s.dtype, generator=generator) for s in states]
    return torch.stack(disturbed).numpy(), grid


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_equivariance_error_tells_laws_apart(law, recording):
    states, grid = lawful(law)
    result = equivariance_error.analyse(recording(states, FLOWS, grid.velocities))
    error = result.error.isel(flow=slice(1, None), time=slice(1, None)).mean(("flow", "time"))
    for other in LAWS:
        if other == law:
            assert float(error.sel(law=str(other))) == 0
        else:
            assert float(error.sel(law=str(other))) > 0.2
    assert (result.coverage == 1).all()


def test_equivariance_error_measures_its_size(recording):
    states, grid = lawful(Law(True, True), noise=0.05)
    result = equivariance_error.analyse(recording(states, FLOWS, grid.velocities)).error.sel(
        law="transport+shift"
    )
    size = np.sqrt((states**2).mean())
    np.testing.assert_allclose(result[1:], np.sqrt(2) * 0.05 / size, rtol=0.1)


def test_equivariance_error_of_noise_holds_no_law(recording, rng):
    states = rng.standard_normal((4, 2, 5, 12, 2, 3, 4))
    grid = VelocityGrid.closed(Translation(), (3, 4))
    error = equivariance_error.analyse(recording(states, FLOWS, grid.velocities)).error[:, 1:]
    np.testing.assert_allclose(error, np.sqrt(2), rtol=0.2)


def test_equivariance_error_without_partners_is_not_zero(recording, rng):
    result = equivariance_error.analyse(recording(rng.random((4, 2, 5, 1, 2, 3, 4)), FLOWS))
    shifting = result.sel(law=["shift", "transport+shift"]).isel(flow=slice(1, None))
    assert shifting.error.isnull().all()
    assert (shifting.coverage == 0).all()


def test_equivariance_error_leaves_out_channels_without_partner(recording):
    """On a box, the covered channels obey the law although the others hold anything."""
    box = VelocityGrid.box(Translation(), 1)
    reference = torch.rand(1, 4, 9, 2, 5, 6, dtype=torch.float64)
    flow = Flow(Translation(), (1, 0))
    moved = Law(True, True).predict(reference, flow, box).nan_to_num(nan=7.0)
    states = torch.stack([reference, moved]).numpy()
    result = equivariance_error.analyse(recording(states, [(0, 0), (1, 0)], box.velocities)).sel(
        law="transport+shift"
    )
    assert (result.error == 0).all()
    assert float(result.coverage[1]) == pytest.approx(6 / 9)


def test_equivariance_error_of_a_thinned_recording(recording):
    states, grid = lawful(Law(True, True))
    thinned = recording(states[:, :, ::2], FLOWS, grid.velocities, times=[0, 2, 4])
    assert (equivariance_error.analyse(thinned).error.sel(law="transport+shift") == 0).all()


def test_equivariance_error_on_real_networks(runs, tmp_path):
    worst = equivariance_error.summary(results_of(equivariance_error, runs, tmp_path)).worst
    is_fernn = worst["network"] == "fernn"
    assert (worst.sel(law="transport+shift")[is_fernn] < 1e-5).all()
    assert worst.sel(law="transport+shift")[~is_fernn].isnull().all()
    assert (worst.sel(law=["invariant", "transport"]).isel(run=~is_fernn.values) > 0.1).all()


@pytest.fixture
def predicted(recording, rng):
    """A recording whose prediction of frame t is wrong by ``error(ahead)`` everywhere."""

    def make(error, context=3, time=11, trials=4, **attrs):
        frames = rng.random((1, trials, time, 4, 5))
        ahead = np.arange(time) - context + 1
        wrong = np.where(ahead > 0, [error(max(a, 0)) for a in ahead], 0)
        prediction = frames + wrong[:, None, None]
        prediction[:, :, 0] = np.nan
        return recording(frames=frames, prediction=prediction, context=context, **attrs)

    return make


def test_prediction_error_is_the_mean_squared_error(predicted):
    result = prediction_error.analyse(predicted(lambda ahead: 0.1 * ahead, horizon=4))
    np.testing.assert_allclose(result.mse, (0.1 * np.arange(1, 5)) ** 2)
    assert result.ahead.values.tolist() == [1, 2, 3, 4]
    np.testing.assert_allclose(prediction_error.analyse(predicted(lambda _: 0, horizon=4)).mse, 0)


def test_prediction_error_baselines(recording):
    still = np.tile(np.random.default_rng(0).random((1, 3, 1, 4, 5)), (1, 1, 6, 1, 1))
    result = prediction_error.analyse(recording(frames=still, prediction=still, context=3))
    np.testing.assert_allclose(result.mse_copy, 0)
    np.testing.assert_allclose(result.mse_mean, still[0, :, 0].var(0).mean())
    np.testing.assert_array_equal(result.truth[0], still[0, 0, 3])
    np.testing.assert_array_equal(result.seen[-1], still[0, 0, 2])


def test_length_generalisation_goes_beyond_the_horizon(predicted):
    result = length_generalisation.analyse(predicted(lambda ahead: 0.1 * ahead, horizon=2))
    np.testing.assert_allclose(result.mse, (0.1 * np.arange(1, 9)) ** 2)
    run = {"network": ("run", ["a"]), "run": ["a-seed0"]}
    answers = length_generalisation.answers(result.expand_dims("run").assign_coords(run))
    assert {label: float(value[0]) for label, value in answers.items()} == {
        "MSE at 2 times the trained horizon": pytest.approx(0.16),
        "MSE at 4 times the trained horizon": pytest.approx(0.64),
    }
    with pytest.raises(InputError, match="beyond the trained horizon of 8 frames; the recording has 8"):
        length_generalisation.analyse(predicted(lambda _: 0, horizon=8))


def test_recordings_without_predictions(recording, predicted):
    with pytest.raises(InputError, match="expected the recording to hold 'prediction'"):
        prediction_error.analyse(recording(np.zeros((1, 1, 4, 1, 1, 3, 3)), context=2))
    with pytest.raises(
        InputError, match="expected frames after the context of 11; the recording has 11 frames in all"
    ):
        prediction_error.analyse(predicted(lambda _: 0, context=11))


def test_velocity_generalisation_finds_the_error_of_each_velocity(predicted):
    velocities = [(vy, vx) for vy in range(-2, 3) for vx in range(-2, 3)] * 2
    made = predicted(lambda _: 1, horizon=3, trials=50)
    size = xr.DataArray([0.1 * max(abs(vy), abs(vx)) for vy, vx in velocities], dims="trial")
    made["prediction"] = made.frames + size
    made = made.assign_coords(
        object_velocity_vy=(("trial", "object"), np.array([[v[0], 9] for v in velocities])),
        object_velocity_vx=(("trial", "object"), np.array([[v[1], 9] for v in velocities])),
    )
    result = velocity_generalisation.analyse(made, trained_speed=1)
    assert result.mse.dims == ("vy", "vx")
    assert (result.trials == 2).all()
    np.testing.assert_allclose(result.mse.sel(vy=-2, vx=0), 0.04)
    np.testing.assert_allclose(result.mse.sel(vy=0, vx=1), 0.01)
    np.testing.assert_allclose(result.mse_novel, 0.04)
    np.testing.assert_allclose(result.mse_trained, 0.01 * 8 / 9)
    np.testing.assert_array_equal(result.trained.sel(vy=[-2, 0], vx=[0, 1]), [[0, 0], [1, 1]])
    with pytest.raises(
        InputError, match=r"does not say which velocities were trained \(trained\); give trained_speed"
    ):
        velocity_generalisation.analyse(made)
    upward = made.assign_coords(trained=("trial", np.array([vy < 0 for vy, _ in velocities])))
    result = velocity_generalisation.analyse(upward)
    np.testing.assert_array_equal(result.trained.any("vx"), [1, 1, 0, 0, 0])


@pytest.mark.parametrize("component", ["omega", "expansion"])
def test_velocity_generalisation_on_a_line(predicted, component, tmp_path):
    made = predicted(lambda _: 1, horizon=3, trials=10)
    swept = np.array([-20.0, -10, 0, 10, 20] * 2)
    made["prediction"] = made.frames + 0.1 * xr.DataArray(abs(swept) / 10, dims="trial")
    made = made.assign_coords({f"object_velocity_{component}": (("trial", "object"), swept[:, None])})
    result = velocity_generalisation.analyse(made, trained_speed=10)
    assert result.mse.dims == (component,)
    np.testing.assert_allclose(result.mse, [0.04, 0.01, 0, 0.01, 0.04], atol=1e-12)
    assert result.trained.values.tolist() == [0, 1, 1, 1, 0]
    both = result.expand_dims(run=["a"]).assign_coords(network=("run", ["fernn"]))
    with mpl.rc_context(plot.STYLE):
        assert component in velocity_generalisation.figure(both).axes[0].get_xlabel()


def classified(named, labels, velocities, trained):
    """A recording whose logits name ``named`` (trial, time)."""
    logits = np.eye(3)[named][None]
    coords = {
        "time": np.arange(named.shape[1]),
        "object_label": (("trial", "object"), np.array(labels)[:, None]),
        "object_velocity_vy": (("trial", "object"), np.array(velocities)[:, :1]),
        "object_velocity_vx": (("trial", "object"), np.array(velocities)[:, 1:]),
        "trained": ("trial", trained),
    }
    return xr.Dataset({"logits": (("flow", "trial", "time", "class"), logits)}, coords, {"task": "classify"})


def test_classification_accuracy_by_velocity_time_and_label():
    labels, velocities = [0, 1, 2, 0], [(0, 0), (0, 0), (0, 1), (0, 1)]
    named = np.array([[1, 0], [1, 1], [2, 1], [0, 0]])
    result = classification_accuracy.analyse(classified(named, labels, velocities, [1, 1, 0, 0]))
    assert result.accuracy.sel(vy=0).values.tolist() == [1, 0.5]
    assert (float(result.accuracy_trained), float(result.accuracy_novel)) == (1, 0.5)
    assert result.accuracy_time.values.tolist() == [0.75, 0.75]
    assert result.confusion.values.tolist() == [[2, 0, 0], [0, 1, 0], [0, 1, 0]]
    assert float(result.chance) == 0.5
    assert result.trials.sum() == 4
    one = classified(named, labels, velocities, [1, 1, 0, 0])
    one["object_label"] = one.object_label.isel(object=0)
    xr.testing.assert_equal(classification_accuracy.analyse(one), result)
    np.testing.assert_array_equal(ground_truth.labels(one, 2), [0, 1])
    with pytest.raises(InputError, match="expected labels below the network's 3 classes; got 7"):
        classification_accuracy.analyse(classified(named, [0, 1, 2, 7], velocities, [1, 1, 0, 0]))
    unlabelled = classified(named, labels, velocities, [1, 1, 0, 0]).drop_vars("object_label")
    with pytest.raises(
        InputError, match=r"expected the label of each object \(object_label\); the recording has none"
    ):
        classification_accuracy.analyse(unlabelled)


def test_training_speed_is_the_learning_curve(recording):
    frames = np.zeros((1, 1, 2, 3, 3))
    made = recording(frames=frames, prediction=frames)
    with pytest.raises(InputError, match="expected the recording to hold 'curve_valid_loss'"):
        training_speed.analyse(made)
    for name, values in (("sequences", [10, 20, 30]), ("valid_loss", [3.0, 2.0, 1.0])):
        made[f"curve_{name}"] = ("checkpoint", values)
    slow = training_speed.analyse(made)
    assert slow.valid_loss.sel(sequences=20) == 2
    fast = slow.assign(valid_loss=slow.valid_loss - 1)
    both = xr.concat([slow, fast], "run").assign_coords(network=("run", ["slow", "fast"]))
    ((label, reached),) = training_speed.answers(both).items()
    assert label == "sequences seen until validation MSE is 1"
    assert reached.values.tolist() == [30, 20]


JUDGED = [
    classification_accuracy,
    equivariance_error,
    length_generalisation,
    prediction_error,
    stabilised_maps,
    training_speed,
    velocity_generalisation,
]


@pytest.mark.parametrize("analysis", JUDGED)
def test_behavioural_figures_fit_a_column_and_tell_n_and_units(analysis, runs, tmp_path):
    results = results_of(analysis, runs, tmp_path)
    assert all("better" in values.attrs for values in analysis.answers(results).values())
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


def test_one_colour_per_network_in_every_figure(runs, tmp_path):
    """Also where the network is drawn as dots or bars."""
    drawn = {}
    for analysis in (velocity_generalisation, equivariance_error, length_generalisation):
        results = results_of(analysis, runs, tmp_path)
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
            plot.save(analysis.figure(results), tmp_path / "a.png")
        plt.close("all")


def moving_state(law, resting):
    """Recordings of a state that obeys a law, with trials whose objects rest or not."""
    states, grid = lawful(law)
    velocity = np.array([[0] if r else [1] for r in resting])
    return states, grid.velocities, velocity


@pytest.mark.parametrize(
    ("law", "still"), [(Law(True, True), True), (Law(True, False), False), (Law(False, False), False)]
)
def test_stabilised_maps(law, still, recording):
    states, velocities, velocity = moving_state(law, [True, False])
    made = recording(states, FLOWS, velocities).assign_coords(
        object_velocity_vy=(("trial", "object"), velocity),
        object_velocity_vx=(("trial", "object"), 0 * velocity),
    )
    result = stabilised_maps.analyse(made)
    assert result.trials == 1
    moving = result.change[1:, 1:]
    assert (moving == 0).all() if still else (moving > 0.2).all()
    flow = Flow(Translation(), (1, 2))
    assert result.attrs["velocity"] == "vy = 1 px/frame, vx = 2 px/frame"
    back = flow.transport(torch.from_numpy(result.raw.values)[None], [-t for t in range(5)])[0]
    np.testing.assert_array_equal(result.stabilised, back)


def test_stabilised_maps_need_a_resting_trial(recording):
    states, velocities, velocity = moving_state(Law(True, True), [False, False])
    made = recording(states, FLOWS, velocities).assign_coords(
        object_velocity_vy=(("trial", "object"), velocity),
        object_velocity_vx=(("trial", "object"), 0 * velocity),
    )
    with pytest.raises(InputError, match="a trial whose objects all rest in the reference"):
        stabilised_maps.analyse(made)
    with pytest.raises(InputError, match="expected the velocity of each object .*; the recording has none"):
        stabilised_maps.analyse(made.drop_vars("object_velocity_vx"))


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
        with pytest.raises(InputError, match="the prediction contains NaN or infinity; the network diverged"):
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


def test_equivariance_error_of_units_without_space(recording, rng):
    """They can be invariant or not; no other law says anything about them."""
    same = np.broadcast_to(rng.random((1, 2, 5, 7)), (4, 2, 5, 7)).copy()
    for states, invariant in ((same, True), (rng.random((4, 2, 5, 7)), False)):
        made = recording(np.zeros((4, 1, 5, 1, 1, 1, 1)), FLOWS).drop_vars(
            ["state", "velocity_vy", "velocity_vx"]
        )
        made["state"] = (coordinates.UNITS, states)
        result = equivariance_error.analyse(made)
        error = result.error.sel(law="invariant")[1:]
        assert (error == 0).all() if invariant else (error > 0.3).all()
        assert (result.coverage.sel(law="invariant") == 1).all()
        others = result.sel(law=["transport", "shift", "transport+shift"])
        assert others.error.isnull().all()
        assert (others.coverage == 0).all()
