"""Frames are what an observer's window shows of the world."""

import numpy as np
import pytest
import torch

from flowsim import InputError, ideas
from flowsim.scenes.scene import Scene
from flowsim.scenes.sources.digits import pixels
from stimuli import (
    digit_world,
)


def generate(split="test", seed=0, **spec):
    return digit_world.generate(split, np.random.default_rng(seed), **spec)


def test_a_window_on_a_world():
    made = generate(trials=4, max_speed=2, max_action=3, world_height=20, world_width=30)
    np.testing.assert_array_equal(
        np.stack([made.observer_y, made.observer_x], -1),
        np.stack([made.action_vy, made.action_vx], -1).cumsum(1) % (20, 30),
    )
    assert not made.action_vy.values[:, 0].any()
    assert abs(made.action_vx.values).max() == 3
    for trial, t in np.ndindex(4, 12):
        world = np.zeros((20, 30))
        for obj in range(3):
            one = made.isel(trial=trial, object=obj)
            where = [int(one[f"position_{c}"] + t * one[f"velocity_v{c}"]) for c in "yx"]
            image = np.pad(pixels("bundled", one.image.values), ((0, 12), (0, 22)))
            world = np.maximum(world, np.roll(image, where, (0, 1)))
        seen = np.roll(world, (-int(made.observer_y[trial, t]), -int(made.observer_x[trial, t])), (0, 1))
        np.testing.assert_array_equal(made.frames[trial, t], seen[:16, :16].astype(np.float32))


def test_a_resting_observer_of_the_whole_world():
    whole = generate(world_height=16, world_width=16, max_action=0, trials=3)
    values = {
        name: whole[name].values
        for name in ("image", "velocity_vy", "velocity_vx", "position_y", "position_x")
    }
    settings = {"source": "bundled", "overlap": "max", "contrast": 1, "noise": 0, "occluder": 0}
    same = ideas.load("stimuli", "moving_digits").render(
        Scene(values, 12, (16, 16), settings), torch.device("cpu")
    )
    np.testing.assert_array_equal(whole.frames, same)


def test_a_world_must_hold_its_window():
    with pytest.raises(
        InputError, match="at least 8x8 px in a world no smaller; got a window 16x16 in a world 12x24"
    ):
        generate(world_height=12)
