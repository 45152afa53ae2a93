"""A learning curve goes through as it was recorded."""

import numpy as np
import pytest
import xarray as xr

from analysis import (
    training_speed,
)
from flowsim import InputError


def test_the_learning_curve_is_that_of_the_recording(recording):
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
