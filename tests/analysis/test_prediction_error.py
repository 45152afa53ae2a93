"""Errors of predictions that are known, and of those that know no motion."""

import numpy as np
import pytest
import xarray as xr

from analysis import prediction_error
from flowsim import InputError


def test_the_error_is_the_mean_squared_error(predicted):
    result = prediction_error.analyse(predicted(lambda ahead: 0.1 * ahead, horizon=4))
    np.testing.assert_allclose(result.mse, (0.1 * np.arange(1, 5)) ** 2)
    assert result.ahead.values.tolist() == [1, 2, 3, 4]
    np.testing.assert_allclose(prediction_error.analyse(predicted(lambda _: 0, horizon=4)).mse, 0)


def test_baselines(recording):
    still = np.tile(np.random.default_rng(0).random((1, 3, 1, 4, 5)), (1, 1, 6, 1, 1))
    result = prediction_error.analyse(recording(frames=still, prediction=still, context=3))
    of = result.predictor_mse.sel
    np.testing.assert_allclose(of(predictor=["last frame", "moved copy (estimated velocity)"]), 0)
    others = (still.sum(1, keepdims=True) - still) / 2
    np.testing.assert_allclose(of(predictor="mean frame"), ((still - others) ** 2).mean())
    np.testing.assert_array_equal(result.truth[0], still[0, 0, 3])
    np.testing.assert_array_equal(result.seen[-1], still[0, 0, 2])


def test_recordings_without_predictions(recording, predicted):
    with pytest.raises(InputError, match="expected the recording to hold 'prediction'"):
        prediction_error.analyse(recording(np.zeros((1, 1, 4, 1, 1, 3, 3)), context=2))
    with pytest.raises(
        InputError, match="expected frames after the context of 11; the recording has 11 frames in all"
    ):
        prediction_error.analyse(predicted(lambda _: 0, context=11))


def in_runs(*results):
    named = {"network": ("run", ["a"] * len(results)), "run": [f"a-seed{i}" for i in range(len(results))]}
    return xr.concat(results, "run").assign_coords(named)


def test_one_trial_has_no_mean_frame(predicted):
    result = prediction_error.analyse(predicted(lambda _: 0.1, horizon=4, trials=1))
    assert "mean frame" not in result.predictor
    for answer in prediction_error.answers(in_runs(result)).values():
        assert set(answer.attrs["baseline"]) == {"last frame", "moved copy (estimated velocity)"}
    prediction_error.figure(in_runs(result)).draw_without_rendering()


def test_baselines_stand_beside_the_answer(predicted):
    result = prediction_error.analyse(predicted(lambda _: 0.1, horizon=4))
    answer = prediction_error.answers(in_runs(result))["test MSE over the trained horizon"]
    baseline = answer.attrs["baseline"]
    for name in ("mean frame", "last frame"):
        assert baseline[name] == pytest.approx(float(result.predictor_mse.sel(predictor=name).mean()))


@pytest.mark.parametrize("context", [1, 2, 3, 5])
def test_the_strip_counts_frames_from_the_last_one_seen(predicted, context):
    made = predicted(lambda _: 0.1, context=context)
    result = prediction_error.analyse(made)
    assert result.before.values.tolist() == list(range(1 - min(3, context), 1))
    np.testing.assert_array_equal(result.seen.sel(before=0), made.frames[0, 0, context - 1])
    figure = prediction_error.figure(in_runs(result))
    images = figure.axes[1]
    titles = [text.get_text() for text in images.get_xticklabels()]
    sheet = images.get_images()[0].get_array()
    width, gap = 5, 1
    first = titles.index("+1") * (width + gap)
    np.testing.assert_allclose(sheet[:4, first : first + width], made.frames[0, 0, context])
    np.testing.assert_allclose(sheet[5:9, first : first + width], made.prediction[0, 0, context])


def test_coordinates_of_trials_and_times_do_not_matter(predicted):
    made = predicted(lambda _: 0.1, horizon=4)
    bare = prediction_error.analyse(made)
    coords = {
        "trial": [3, 5, 7, 9],
        "object_image": (("trial", "object"), np.arange(8).reshape(4, 2)),
        "direction": ("trial", np.arange(4.0)),
        "action": (("trial", "time"), np.ones((4, 11))),
        "lit": ("time", np.ones(11)),
        "y": np.arange(4),
        "name": ("flow", ["still"]),
        "speed": 2.0,
    }
    result = prediction_error.analyse(made.assign_coords(coords))
    assert set(result.predictor.values) - set(bare.predictor.values) == {"layers (estimated velocities)"}
    xr.testing.assert_equal(result.sel(predictor=bare.predictor), bare)


def moving(recording, *velocities, trials=5, time=8, side=12):
    """A recording of dots on black, each moving at its velocity, whose prediction is the frame before."""
    rng = np.random.default_rng(0)
    frames = np.zeros((1, trials, time, side, side))
    for trial in range(trials):
        for (vy, vx), (y, x) in zip(velocities, rng.integers(0, side, (len(velocities), 2)), strict=True):
            for t in range(time):
                frames[0, trial, t, (y + t * vy) % side, (x + t * vx) % side] = 1
    made = recording(frames=frames, prediction=np.roll(frames, 1, 2), context=4, horizon=4)
    truth = np.tile(np.array(velocities, float), (trials, 1, 1))
    return made.assign_coords(
        object_velocity_vy=(("trial", "object"), truth[..., 0]),
        object_velocity_vx=(("trial", "object"), truth[..., 1]),
    )


def test_one_object_is_copied_exactly_and_two_need_layers(recording):
    """So that a network which lags by a frame beats no copy of the one, and no layers of the two."""
    one = prediction_error.analyse(moving(recording, (1, 2)))
    error = one.predictor_mse.mean("ahead")
    assert (
        error.sel(predictor=["moved copy (estimated velocity)", "moved copy (true velocity)"]) < 1e-20
    ).all()
    assert error.sel(predictor="last frame") > 0.01
    np.testing.assert_allclose(one.ssim.shape, 4)
    two = prediction_error.analyse(moving(recording, (1, 2), (-1, 0)))
    error = two.predictor_mse.mean("ahead")
    assert error.sel(predictor="layers (true velocities)") < 1e-20
    assert error.sel(predictor="moved copy (true velocity)") > 0.005
    for result, exact in ((one, "moved copy (true velocity)"), (two, "layers (true velocities)")):
        answers = prediction_error.answers(in_runs(result))
        mse, psnr, ssim = answers.values()
        assert mse.attrs["headroom"][exact] == np.inf
        assert psnr.attrs["baseline"][exact] == np.inf
        assert ssim.attrs["baseline"][exact] == pytest.approx(1)
        assert float(psnr[0]) == pytest.approx(-10 * np.log10(float(mse[0])))
        assert float(ssim[0]) < 1
        assert result.predictor_psnr.attrs["units"] == "dB"
        figure = prediction_error.figure(in_runs(result))
        labels = [line.get_label() for line in figure.axes[0].get_lines()]
        assert f"{exact.replace('velocities', 'v').replace('velocity', 'v')} = 0" in labels


def test_a_perfect_prediction_has_no_bounded_psnr(predicted):
    result = prediction_error.analyse(predicted(lambda _: 0, horizon=4))
    assert result.psnr.isnull().all()
    half = prediction_error.analyse(predicted(lambda _: 0.1, horizon=4))
    np.testing.assert_allclose(half.psnr, 20)
    assert half.ssim.isnull().all()  # frames of 4 x 5 px are smaller than its window
    assert list(prediction_error.answers(in_runs(half))) == [
        "test MSE over the trained horizon",
        "PSNR of predictions over the trained horizon (dB)",
    ]
