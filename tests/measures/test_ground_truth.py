"""The truth about what was shown, as recordings tell it."""

import numpy as np
import pytest

from flowsim import InputError
from flowsim.measures import ground_truth
from stimuli import digit_world


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
    # All that were recorded count, also where few are asked for: objects of trial 2 move, if not by vy.
    assert ground_truth.resting_trials(made, components=("vy",)).tolist() == [0, 3]
    unknown = with_objects(recording, vy=[[0], [np.nan]], vx=[[0], [0]])
    assert ground_truth.resting_trials(unknown).tolist() == [0]


def test_trials_in_which_the_observer_moves_do_not_rest(recording):
    made = with_objects(recording, vy=[[0]] * 4, vx=[[0], [0], [1], [0]])
    steps = np.array([[0, 0, 0], [0, 1, -1], [0, 0, 0], [0, 0, 0]])
    always = ("trial", "time")
    acted = made.assign_coords(action_vy=(always, 0 * steps), action_vx=(always, steps))
    assert ground_truth.resting_trials(acted).tolist() == [0, 3]
    seen = made.assign_coords(observer_y=(always, 5 + 0 * steps), observer_x=(always, 7 + steps.cumsum(1)))
    assert ground_truth.resting_trials(seen).tolist() == [0, 3]
    world = digit_world.generate("probe", np.random.default_rng(0), trials=6, frames=3, objects=1)
    names = [n for n in map(str, world.coords) if n.startswith(("velocity_", "object_velocity_"))]
    still = world.assign_coords({f"object_{n.removeprefix('object_')}": 0 * world[n] for n in names})
    assert ground_truth.resting_trials(still).tolist() == [0, 2, 4]  # where the observer stays


def test_velocities_that_are_unknown_are_neither_trained_nor_novel(recording):
    made = with_objects(recording, vy=[[0], [2], [np.nan], [0]], vx=[[0], [0], [0], [np.nan]])
    for coords, options in (({}, {"trained_speed": 1}), ({"trained": ("trial", [1, 0, 0, 1])}, {})):
        velocity, trained, novel = ground_truth.swept(made.assign_coords(coords), **options)
        assert trained.tolist() == [True, False, False, False]
        assert novel.tolist() == [False, True, False, False]
        assert len(velocity) == 4
    told = made.isel(trial=slice(2)).assign_coords(trained=("trial", [1.0, np.nan]))
    assert [flags.tolist() for flags in ground_truth.swept(told)[1:]] == [[True, False], [False, False]]


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
