"""A learning curve goes through as it was recorded."""

import matplotlib as mpl
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
        made[f"curve_{name}"] = ("validation", values)
    slow = training_speed.analyse(made)
    assert slow.valid_loss.sel(sequences=20) == 2
    fast = slow.assign(valid_loss=slow.valid_loss - 1)
    both = xr.concat([slow, fast], "run").assign_coords(network=("run", ["slow", "fast"]))
    ((label, reached),) = training_speed.answers(both).items()
    assert label == "sequences seen until validation MSE is 1"
    assert reached.values.tolist() == [30, 20]
    assert reached.attrs["better"] == "lower"


def curves(**lowest):
    """Curves (run) that fall from 1 in ten steps to these losses, of networks with a run for each."""
    names = [name for name, losses in lowest.items() for _ in losses]
    ends = np.array([loss for losses in lowest.values() for loss in losses])
    sequences = np.arange(1, 11) * 100
    loss = 1 - (1 - ends[:, None]) * sequences / 1000
    attrs = {"units": "1", "long_name": "validation MSE per pixel"}
    return xr.Dataset(
        {"valid_loss": (("run", "sequences"), loss, attrs)},
        {"sequences": sequences, "network": ("run", names)},
    )


def test_a_failed_seed_does_not_set_the_goal():
    results = curves(reference=[0.1, 0.1, 0.9], fast=[0.0, 0.0, 0.0], failed=[0.95, 0.1, 0.1])
    sequences, reached = training_speed.answers(results).items()
    assert sequences[0] == "sequences seen until validation MSE is 0.1, of runs that reach it"
    np.testing.assert_array_equal(sequences[1], [1000, 1000, np.nan, 900, 900, 900, np.nan, 1000, 1000])
    assert "better" not in sequences[1].attrs
    assert reached[0] == "share of runs that reach validation MSE 0.1"
    np.testing.assert_array_equal(reached[1], [1, 1, 0, 1, 1, 1, 0, 1, 1])
    assert reached[1].attrs["better"] == "higher"
    assert "scale" not in reached[1].attrs
    words = [text.get_text() for text in training_speed.figure(results).findobj(mpl.text.Text)]
    assert any("7 of 9 runs reach the goal" in word for word in words)


def test_the_goal_is_not_the_worst_network_but_the_first():
    slow_last = training_speed.answers(curves(reference=[0.1], slow=[0.5]))
    assert [v.values.tolist()[0] for v in slow_last.values()] == [1000, 1]
    ((label, values),) = training_speed.answers(curves(reference=[0.5], fast=[0.1])).items()
    assert label == "sequences seen until validation MSE is 0.5"
    assert values.values.tolist() == [1000, 600]


def test_the_goal_is_what_its_label_says():
    """Rounded up, so that the run that set it reaches it."""
    ((label, values),) = training_speed.answers(curves(reference=[0.12345])).items()
    assert label == "sequences seen until validation MSE is 0.13"
    assert values.notnull().all()


def test_a_reference_that_never_learned_sets_no_goal():
    results = curves(reference=[np.nan], other=[0.1])
    assert training_speed.answers(results) == {}
    training_speed.figure(results).draw_without_rendering()
