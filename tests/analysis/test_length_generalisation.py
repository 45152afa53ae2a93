"""Errors of predictions beyond the trained horizon."""

import numpy as np
import pytest

from analysis import length_generalisation
from flowsim import InputError


def test_errors_beyond_the_horizon(predicted):
    result = length_generalisation.analyse(predicted(lambda ahead: 0.1 * ahead, horizon=2))
    np.testing.assert_allclose(result.mse, (0.1 * np.arange(1, 9)) ** 2)
    run = {"network": ("run", ["a"]), "run": ["a-seed0"]}
    answers = length_generalisation.answers(result.expand_dims("run").assign_coords(run))
    of_predictors = result.predictor_mse.sel(ahead=4)
    baseline = answers["MSE at 2 times the trained horizon"].attrs["baseline"]
    assert baseline["mean frame"] == pytest.approx(float(of_predictors.sel(predictor="mean frame")))
    assert baseline["last frame"] == pytest.approx(float(of_predictors.sel(predictor="last frame")))
    assert {label: float(value[0]) for label, value in answers.items()} == {
        "MSE at 2 times the trained horizon": pytest.approx(0.16),
        "MSE at 4 times the trained horizon": pytest.approx(0.64),
    }
    with pytest.raises(InputError, match="beyond the trained horizon of 8 frames; the recording has 8"):
        length_generalisation.analyse(predicted(lambda _: 0, horizon=8))


def test_one_trial_has_no_mean_frame(predicted):
    result = length_generalisation.analyse(predicted(lambda _: 0.1, horizon=2, trials=1))
    assert "mean frame" not in result.predictor
    run = {"network": ("run", ["a"]), "run": ["a-seed0"]}
    both = result.expand_dims("run").assign_coords(run)
    for answer in length_generalisation.answers(both).values():
        assert set(answer.attrs["baseline"]) == {"last frame", "moved copy (estimated velocity)"}
    length_generalisation.figure(both).draw_without_rendering()


def test_recordings_without_the_last_frame_seen_lose_its_copies_alone(predicted):
    made = predicted(lambda _: 0.1, horizon=2).isel(time=slice(3, None))
    assert length_generalisation.analyse(made).predictor.values.tolist() == ["mean frame"]
