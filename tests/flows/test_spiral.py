"""Spirals grow and turn frames about their centre."""

import math

import torch

from flowsim import Flow, Rotation, Spiral


def blob(width, y=0.0, x=0.0):
    """A Gaussian, in units of a frame from -1 to 1, y up."""
    axis = torch.linspace(-1, 1, 41, dtype=torch.float64)
    return torch.exp(-(((-axis[:, None] - y) ** 2 + (axis - x) ** 2) / (2 * width**2)))


def test_expansion_is_a_factor_per_frame():
    grown = Flow(Spiral(), (math.log(1.5), 0)).act(blob(0.2, y=0.1, x=0.2))
    torch.testing.assert_close(grown, blob(0.3, y=0.15, x=0.3), rtol=0, atol=0.01)
    twice = Flow(Spiral(), (math.log(1.5) / 2, 0)).act(blob(0.2, y=0.1, x=0.2), 2)
    torch.testing.assert_close(twice, grown, rtol=0, atol=1e-12)


def test_turns_are_those_of_rotation():
    x = blob(0.2, y=0.3, x=0.1)
    assert torch.equal(Flow(Spiral(), (0, 25)).act(x), Flow(Rotation(), 25).act(x))
    oriented = torch.stack([x, 2 * x, 3 * x, 4 * x])
    expected = Flow(Rotation(), 25).act_oriented(oriented)
    assert torch.equal(Flow(Spiral(), (0, 25)).act_oriented(oriented), expected)


def test_components_have_units_of_their_own():
    assert not Spiral().shares_unit
    assert Spiral().plane_label == "velocity"
    assert Spiral().period((5, 5)) == (math.inf, 360)
