"""Paths of changing velocity, and where they break the law of a network that knows constant ones."""

import doctest
import math

import pytest
import torch

import flowsim.flows.path
from flowsim import Flow, InputError, Translation, build
from flowsim.flows.path import Path, accelerating, harmonic, piecewise

T = Translation()


def test_a_constant_path_is_a_flow():
    x = torch.rand(2, 6, 1, 5, 7)
    assert torch.equal(Path(T, lambda _: (1, -2)).transport(x), Flow(T, (1, -2)).transport(x))


def test_steps_add_up():
    path = piecewise(T, [(2, (0, 1)), (3, (1, 0)), (1, (-1, -1))])
    assert [path.displacement(t) for t in range(8)] == [
        (0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (3, 2), (2, 1), (1, 0),
    ]  # fmt: skip
    x = torch.rand(5, 7)
    assert torch.equal(path.act(x, 4), x.roll((2, 2), (0, 1)))
    assert torch.equal(path.act(x, 0), x)


def test_acceleration_is_quadratic():
    path = accelerating(T, (1, 0), (0, 2))
    for t in range(6):
        assert path.displacement(t) == (t, t * (t - 1))


def test_harmonic_motion_returns():
    path = harmonic(T, (0, 1.5), 8)
    assert path.displacement(8)[1] == pytest.approx(0, abs=1e-12)
    assert max(path.displacement(t)[1] for t in range(8)) == pytest.approx(
        0.75 * (1 + 1 / math.tan(math.pi / 8))
    )
    x = torch.rand(3, 5, dtype=torch.float64)
    torch.testing.assert_close(path.act(x, 8), x)


def test_the_law_holds_until_the_velocity_changes():
    torch.manual_seed(0)
    network = build("fernn", (5, 5), max_speed=2, channels=2).double()
    frames = torch.rand(2, 8, 1, 5, 5, dtype=torch.float64)
    path = piecewise(T, [(4, (0, 1)), (1, (1, 0))])
    states = network.states(path.transport(frames))
    law = path.transport(network.grid.shift(network.states(frames), (0, 1)))
    error = (states - law).flatten(2).norm(dim=(0, 2)) / law.flatten(2).norm(dim=(0, 2))
    assert error[:5].max() < 1e-12
    assert error[5:].min() > 0.1


def test_bad_paths():
    with pytest.raises(InputError, match=r"a path is defined at t = 0, 1, 2, ...; got -1"):
        accelerating(T, (0, 0), (0, 1)).act(torch.rand(3, 3), -1)
    with pytest.raises(InputError, match=r"got 0.5"):
        accelerating(T, (0, 0), (0, 1)).displacement(0.5)
    with pytest.raises(InputError, match="at least one piece"):
        piecewise(T, [])


def test_doctests():
    assert doctest.testmod(flowsim.flows.path).failed == 0
