"""What is predicted without learning has the error that it must have, and is left out where it cannot be."""

import numpy as np
import pytest
import xarray as xr

from flowsim import InputError
from flowsim.measures import predictors
from flowsim.measures.moved_copies import FRAME

CONTEXT = 5


def moving(*velocities, trials=6, frames=9, size=(16, 17), side=3):
    """A recording of squares of noise on black, each at its velocity, the brighter one in front."""
    rng = np.random.default_rng(1)
    movie = np.zeros((1, trials, frames, *size))
    for trial in range(trials):
        for vy, vx in velocities:
            layer = np.zeros(size)
            layer[:side, :side] = rng.uniform(0.2, 1, (side, side))
            layer = np.roll(layer, rng.integers(size), (0, 1))
            for t in range(frames):
                moved = np.roll(layer, (t * vy, t * vx), (0, 1))
                movie[0, trial, t] = np.maximum(movie[0, trial, t], moved)
    made = xr.Dataset({"frames": (FRAME, movie)}, {"time": np.arange(frames)}).assign_attrs(context=CONTEXT)
    vy, vx = np.tile(np.array(velocities, float), (trials, 1, 1)).transpose(2, 0, 1)
    return made.assign_coords(
        object_velocity_vy=(("trial", "object"), vy), object_velocity_vx=(("trial", "object"), vx)
    )


def errors(made):
    return predictors.means(predictors.scores(made, "mse").mse)


def test_one_object_is_copied_exactly_and_the_last_frame_is_not():
    scores = predictors.scores(moving((1, -2)), "mse", "ssim")
    assert scores.mse.dims == ("predictor", "flow", "trial", "time")
    assert scores.ahead.values.tolist() == [1, 2, 3, 4]
    mse, ssim = predictors.means(scores.mse), predictors.means(scores.ssim)
    copies = {"moved copy (estimated velocity)", "moved copy (true velocity)"}
    assert set(mse) == {"last frame", "mean frame", *copies}
    for name in mse:
        assert (mse[name] < 1e-20) == (ssim[name] > 1 - 1e-9) == (name in copies), name
    assert predictors.headroom(mse) == {"moved copy (true velocity)": np.inf}


def test_two_objects_need_layers():
    mse = errors(moving((1, -2), (-1, 3)))
    assert tuple(mse) == predictors.PREDICTORS
    assert mse["layers (true velocities)"] < 1e-9
    assert mse["moved copy (true velocity)"] > 0.2 * mse["last frame"] > 0.001
    assert mse["layers (estimated velocities)"] < 0.5 * mse["moved copy (estimated velocity)"]
    headroom = predictors.headroom(mse)
    assert headroom["moved copy (true velocity)"] == mse["last frame"] / mse["moved copy (true velocity)"]


def test_layers_are_wrong_in_noise():
    """They are for bright objects on black: the darkest of several noisy values is too dark."""
    made = moving((1, -2), (-1, 3))
    assert errors(made)["layers (true velocities)"] < 1e-9
    noise = 0.3 * np.random.default_rng(2).random(made.frames.shape)
    made["frames"] = made.frames + noise
    assert errors(made)["layers (true velocities)"] > 1.5 * noise.var()


def test_the_last_frame_is_that_before_the_predictions(recording):
    frames = np.arange(6.0)[:, None, None] * np.ones((1, 2, 1, 3, 3))
    made = recording(frames=frames, prediction=frames, context=3)
    mse = predictors.scores(made, "mse").mse
    np.testing.assert_allclose(mse.sel(predictor="last frame")[0, 0], [1, 4, 9])


def test_a_thinned_recording_loses_only_what_it_lacks():
    made = moving((1, 0), (0, 2))
    every = set(predictors.PREDICTORS)
    moves = {*predictors.ESTIMATE_MOTION, *predictors.ORACLES}
    assert set(errors(made)) == every
    assert set(errors(made.isel(time=slice(3, None)))) == every
    assert set(errors(made.isel(time=slice(0, None, 2)))) == every - moves
    assert set(errors(made.isel(time=slice(1, None, 2)))) == {"mean frame"}
    assert set(errors(made.isel(time=slice(0, None, 2), trial=[0]))) == {"last frame"}
    assert set(errors(made.isel(trial=[0]))) == every - {"mean frame"}
    unknown = made.assign_coords(object_velocity_vy=made.object_velocity_vy.where(made.trial > 0))
    assert set(errors(unknown)) == every - set(predictors.ORACLES)
    bare = made.drop_vars(["object_velocity_vy", "object_velocity_vx"])
    assert set(errors(bare)) == {*predictors.KNOW_NO_MOTION, "moved copy (estimated velocity)"}
    nothing = predictors.scores(made.isel(time=slice(CONTEXT, None), trial=[0]), "mse")
    assert nothing.mse.shape == (0, 1, 1, 4)
    assert predictors.means(nothing.mse) == {}
    assert predictors.headroom({}) == {}
    with pytest.raises(InputError, match="expected frames after the context"):
        predictors.scores(made.isel(time=slice(0, CONTEXT)), "mse")


@pytest.mark.parametrize("chunk", [1, 2, 6])
def test_blocks_of_a_file_are_one_recording(chunk, monkeypatch):
    """The mean frame is that of all trials, and an oracle that some trials lack is of none."""
    made = moving((1, 0), (0, 2))
    monkeypatch.setattr(predictors, "BLOCK_BYTES", 1)
    lazy = made.chunk(trial=chunk)
    xr.testing.assert_allclose(predictors.scores(lazy, "mse"), predictors.scores(made, "mse"))
    unknown = lazy.assign_coords(object_velocity_vy=lazy.object_velocity_vy.where(lazy.trial < 5))
    assert not set(errors(unknown)) & set(predictors.ORACLES)


def test_a_figure_shows_the_best_of_each_kind():
    values = xr.DataArray(
        [[3.0, 3], [2, 2], [1, 1], [0.5, 0.7], [0, 0], [0.4, 0.1]],
        {"predictor": list(predictors.PREDICTORS)},
        ("predictor", "ahead"),
    )
    chosen = ["last frame", "mean frame", "layers (estimated velocities)", "moved copy (true velocity)"]
    assert predictors.representatives(values) == chosen
    assert predictors.representatives(values.isel(predictor=[1, 2])) == [chosen[1], predictors.PREDICTORS[2]]
