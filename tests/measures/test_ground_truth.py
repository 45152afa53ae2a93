"""The truth about what was shown, as recordings tell it."""

import numpy as np
import pytest

from flowsim import InputError
from flowsim.measures import ground_truth


def with_objects(recording, **velocities):
    """A recording of trials whose objects have these velocities (trial, object[, time])."""
    trials = len(next(iter(velocities.values())))
    made = recording(np.zeros((1, trials, 3, 1, 1, 2, 2)))
    dims = ("trial", "object", "time")
    return made.assign_coords(
        {
            f"object_velocity_{component}": (dims[: np.ndim(values)], np.array(values, float))
            for component, values in velocities.items()
        }
    )


def test_trials_rest_if_all_their_objects_do(recording):
    made = with_objects(recording, vy=[[0, 0], [0, 1], [0, 0], [0, 0]], vx=[[0, 0], [0, 0], [-1, 1], [0, 0]])
    assert ground_truth.resting_trials(made).tolist() == [0, 3]
    assert ground_truth.resting_trials(made, components=("vy",)).tolist() == [0, 2, 3]


def test_trials_rest_in_whatever_way_objects_could_move(recording):
    made = with_objects(recording, omega=[[0], [10]], expansion=[[0], [0]])
    assert ground_truth.resting_trials(made).tolist() == [0]


def test_trials_that_rest_for_a_while_only_do_not_rest(recording):
    made = with_objects(recording, vy=[[[0, 0, 0]], [[0, 0, 1]]], vx=[[[0, 0, 0]], [[0, 0, 0]]])
    assert ground_truth.resting_trials(made).tolist() == [0]


def test_without_a_trial_at_rest(recording):
    made = with_objects(recording, vy=[[1], [1]], vx=[[0], [0]])
    with pytest.raises(
        InputError, match="a trial whose objects all rest in the reference; .* of its 2 trials"
    ):
        ground_truth.resting_trials(made)


def test_without_velocities_of_objects(recording):
    made = with_objects(recording, vy=[[0], [0]])
    assert ground_truth.resting_trials(made).tolist() == [0, 1]
    message = r"expected the velocity of each object \(object_velocity_vy, _vx\); the recording has none"
    with pytest.raises(InputError, match=message):
        ground_truth.resting_trials(made, components=("vy", "vx"))
    with pytest.raises(InputError, match=message):
        ground_truth.resting_trials(made.drop_vars("object_velocity_vy"))
