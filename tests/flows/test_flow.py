"""A flow moves each frame of a sequence by its time."""

import doctest

import pytest
import torch

import flowsim.flows.flow
from flowsim import Flow, InputError, Translation


def test_transport_moves_each_frame_by_its_time():
    frames = torch.rand(2, 3, 1, 4, 5)
    flow = Flow(Translation(), (1, -2))
    moved = flow.transport(frames)
    for t in range(3):
        assert torch.equal(moved[:, t], frames[:, t].roll((t, -2 * t), (-2, -1)))
    assert torch.equal(flow.transport(frames[:, ::2], times=[0, 2]), moved[:, ::2])
    with pytest.raises(InputError, match="a time for each of 3 frames; got 2"):
        flow.transport(frames, times=[0, 1])


def test_doctests():
    assert doctest.testmod(flowsim.flows.flow).attempted > 0
    assert doctest.testmod(flowsim.flows.flow).failed == 0
