"""Steerable convolutions turn with their input."""

import pytest
import torch

from flowsim import Flow, Rotation
from flowsim.layers.steerable import SteerableConv, harmonics


def far(a, b):
    return ((a - b).norm() / b.norm()).item()


def test_steerable_convolutions_turn_with_their_input():
    """By an angle of their own orientations; exact to interpolation on a smooth blob, and exact by quarter
    turns.
    """
    torch.manual_seed(0)
    axis = torch.linspace(-3, 3, 41, dtype=torch.float64)
    blob = torch.exp(-((axis[:, None] - 0.7) ** 2) - axis**2)[None, None, None]
    lift = SteerableConv(1, 3, 5, 12, lifts=True).double()
    between = SteerableConv(3, 2, 3, 12).double()
    back = SteerableConv(2, 1, 3, 12, projects=True).double()
    for angle, limit in ((30, 0.03), (90, 1e-13), (180, 1e-13)):
        flow = Flow(Rotation(), (angle,))
        fields, turned = between(lift(blob)), between(lift(flow.act(blob)))
        assert fields.shape == (1, 2, 12, 41, 41)
        assert far(turned, flow.act_oriented(fields)) < limit
        assert far(turned, flow.act(fields)) > 0.05
        assert far(back(turned), flow.act(back(fields))) < 2 * limit
        assert back(fields).shape == (1, 1, 1, 41, 41)


def test_harmonics_are_turned_exactly():
    bank = harmonics(5, 8)
    assert bank.shape == (8, 13, 5, 5)
    torch.testing.assert_close(bank[3], torch.rot90(bank[1], 1, (-2, -1)), rtol=0, atol=0)
    norms = harmonics(5, 7).flatten(2).norm(dim=2).square().mean(0)
    torch.testing.assert_close(norms, torch.ones(13, dtype=torch.float64), rtol=0, atol=0.15)


@pytest.mark.parametrize("kind", [{}, {"lifts": True}, {"projects": True}])
def test_gradients(kind):
    torch.manual_seed(0)
    layer = SteerableConv(2, 1, 3, 3, **kind).double()
    x = torch.rand(1, 2, layer.others, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, x)
    assert torch.autograd.gradcheck(
        lambda w: torch.func.functional_call(layer, {"weight": w}, x), layer.weight
    )
