"""Errors of predictions that are known, and of those that know no motion."""

import numpy as np
import pytest

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
    np.testing.assert_allclose(result.mse_copy, 0)
    others = (still.sum(1, keepdims=True) - still) / 2
    np.testing.assert_allclose(result.mse_mean, ((still - others) ** 2).mean())
    np.testing.assert_array_equal(result.truth[0], still[0, 0, 3])
    np.testing.assert_array_equal(result.seen[-1], still[0, 0, 2])


def test_recordings_without_predictions(recording, predicted):
    with pytest.raises(InputError, match="expected the recording to hold 'prediction'"):
        prediction_error.analyse(recording(np.zeros((1, 1, 4, 1, 1, 3, 3)), context=2))
    with pytest.raises(
        InputError, match="expected frames after the context of 11; the recording has 11 frames in all"
    ):
        prediction_error.analyse(predicted(lambda _: 0, context=11))
