"""Sequences carry labels and actions along with their frames."""

import numpy as np
import pytest
import torch

from flowsim import InputError
from flowsim.scenes.sequences import Sequences, class_labels, observer_actions
from stimuli import digit_world, optic_flow


@pytest.fixture
def world(rng):
    return digit_world.generate("test", rng, trials=5, frames=4)


def test_all_of_a_stimulus(world):
    sequences = Sequences.of(world)
    assert len(sequences) == 5
    np.testing.assert_array_equal(sequences.frames[:, :, 0], world.frames)
    assert sequences.label.tolist() == world.label.values[:, 0].tolist()
    np.testing.assert_array_equal(sequences.actions[..., 1], world.action_vx)


@pytest.mark.parametrize("chosen", [slice(1, 4, 2), torch.tensor([1, 3])])
def test_some_of_the_trials(world, chosen):
    every, some = Sequences.of(world), Sequences.of(world)[chosen]
    assert torch.equal(some.frames, every.frames[[1, 3]])
    assert torch.equal(some.label, every.label[[1, 3]])
    assert torch.equal(some.actions, every.actions[[1, 3]])


def test_some_of_the_frames(world):
    every = Sequences.of(world)
    some = every.between(1, 3)
    assert torch.equal(some.frames, every.frames[:, 1:3])
    assert torch.equal(some.actions, every.actions[:, 1:3])
    assert torch.equal(some.label, every.label)


def test_actions_stay_on_the_cpu(world):
    """On the device "meta", where every machine can compute shapes."""
    elsewhere = Sequences.of(world).to(torch.device("meta"))
    assert elsewhere.frames.device.type == elsewhere.label.device.type == "meta"
    assert elsewhere.actions.device.type == "cpu"


def test_actions_are_found_by_the_names_of_their_dimensions(world):
    turned = world.transpose("time", "trial", ...)
    assert torch.equal(observer_actions(turned), observer_actions(world))


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_actions_that_are_not_known_are_refused(wrong, world):
    action = world.action_vx.astype(float).copy()
    action[2, 1] = wrong
    with pytest.raises(InputError, match=r"NaN or infinite in trial 2, frame 1\. Give the motion of every"):
        Sequences.of(world.assign_coords(action_vx=action))
    with pytest.raises(InputError, match=r"expected action_v[yx] \(trial, time\).*; got \(trial\)"):
        observer_actions(world.assign_coords(action_vx=world.action_vx.isel(time=0, drop=True)))


def test_a_stimulus_without_labels_and_actions(rng):
    dots = optic_flow.generate("test", rng, trials=2, frames=2)
    assert class_labels(dots) is None
    assert observer_actions(dots) is None
    sequences = Sequences.of(dots)
    assert sequences[:1].label is None
    assert sequences.between(0, 1).to(torch.device("cpu")).actions is None
