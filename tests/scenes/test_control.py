"""Conditions keep a trial's frames, take away what they say they take away, and leave the picture its motion."""

import dask.array as da
import numpy as np
import pytest
import torch
import xarray as xr

from flowsim import Flow, Rotation
from flowsim.scenes.control import CONDITIONS, drawn, under_conditions, velocity_of_picture
from stimuli import digit_world, moving_actions, moving_digits, rotating_digits

SMALL = {"trials": 6, "frames": 7, "max_speed": 2}


def shown(family=moving_actions, **spec):
    """A file of split control, and the trials that it was made from."""
    arguments = {**SMALL, **spec}
    made = drawn(family.generate, "control", np.random.default_rng(0), **arguments)
    return made, family.generate("control", np.random.default_rng(0), **arguments)


def frames_of(made):
    """Frames (trial, time, y, x) by the name of the condition."""
    return dict(zip(made.condition.attrs["flag_meanings"].split(), made.frames.values, strict=True))


def carried_back(frames, trials):
    """Frames as they would be before a camera at rest."""
    velocity = np.stack([trials.velocity_vy.values[:, 0], trials.velocity_vx.values[:, 0]], -1)
    return np.stack(
        [
            [np.roll(frame, tuple(-t * v), (0, 1)) for t, frame in enumerate(of_trial)]
            for v, of_trial in zip(velocity, frames, strict=True)
        ]
    )


def test_every_condition_is_what_it_says():
    made, trials = shown()
    by_name = frames_of(made)
    assert list(by_name) == list(CONDITIONS)
    np.testing.assert_array_equal(by_name["intact"], trials.frames)
    still = carried_back(trials.frames.values, trials)
    np.testing.assert_array_equal(carried_back(by_name["reversed"], trials), still[:, ::-1])
    np.testing.assert_array_equal(
        carried_back(by_name["one_posture"], trials), np.repeat(still[:, 3:4], 7, 1)
    )
    np.testing.assert_array_equal(by_name["one_frame"], np.repeat(trials.frames.values[:, 3:4], 7, 1))
    shuffled = carried_back(by_name["shuffled"], trials)
    orders = set()
    for of_trial, own in zip(shuffled, still, strict=True):
        order = tuple(int((own == frame).all((1, 2)).argmax()) for frame in of_trial)
        np.testing.assert_array_equal(of_trial, own[list(order)])
        assert sorted(order) == list(range(7)), "each posture once"
        orders.add(order)
    assert len(orders) == 6, "an order of its own for each trial"


def test_truth_is_that_of_the_trials():
    made, trials = shown()
    for name in trials.coords:
        xr.testing.assert_identical(
            made[name], trials[name].reset_coords(drop=True).assign_coords(made[name].coords)
        )
    assert made.condition.values.tolist() == made.condition.attrs["flag_values"].tolist() == [0, 1, 2, 3, 4]
    assert set(trials.person.values.flat) <= {22, 2, 3, 5, 6, 7, 8, 9, 10}, "those of test"


def test_other_splits_are_as_the_family_draws_them():
    made = drawn(moving_actions.generate, "test", np.random.default_rng(0), **SMALL)
    xr.testing.assert_identical(made, moving_actions.generate("test", np.random.default_rng(0), **SMALL))


@pytest.mark.parametrize(("family", "spec"), [(moving_digits, {"objects": 2}), (digit_world, {"objects": 1})])
def test_without_one_known_velocity_frames_stay_where_they_were(family, spec):
    made, trials = shown(family, **spec)
    assert velocity_of_picture(trials) is None
    by_name = frames_of(made)
    assert list(by_name) == ["intact", "reversed", "shuffled", "one_frame"]
    np.testing.assert_array_equal(by_name["reversed"], trials.frames.values[:, ::-1])
    for of_trial, own in zip(by_name["shuffled"], trials.frames.values, strict=True):
        assert all((own == frame).all((1, 2)).any() for frame in of_trial)


def test_one_posture_of_a_rigid_thing_is_the_intact_trial():
    """Nothing but its flow moves it: also one that turns, to interpolation."""
    by_name = frames_of(shown(moving_digits, objects=1)[0])
    for name in ("reversed", "shuffled", "one_posture"):
        np.testing.assert_array_equal(by_name[name], by_name["intact"])
    assert abs(by_name["one_frame"] - by_name["intact"]).max() > 0.5
    made, trials = shown(rotating_digits, objects=1)
    angle = Rotation().components[0]
    turned = frames_of(made)["one_posture"][:, 6]
    middle = torch.from_numpy(trials.frames.values[:, 3])
    for one, frame, speed in zip(turned, middle, trials[f"velocity_{angle}"].values[:, 0], strict=True):
        np.testing.assert_allclose(one, Flow(Rotation(), (speed,)).act(frame, 3).clip(0, 1), atol=1e-5)


def test_frames_are_made_when_they_are_read_block_by_block():
    trials = moving_actions.generate("test", np.random.default_rng(0), **SMALL)
    blocks = trials.copy()
    blocks["frames"] = trials.frames.chunk({"trial": 2, "time": 3})
    made = under_conditions(blocks, np.random.default_rng(1))
    assert isinstance(made.frames.data, da.Array)
    in_memory = under_conditions(trials.load(), np.random.default_rng(1))
    np.testing.assert_array_equal(made.frames.values, in_memory.frames.values)
