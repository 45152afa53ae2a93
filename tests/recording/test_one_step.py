"""A step as a map of vectors is that of the network, and its derivatives are those of finite differences."""

import inspect

import numpy as np
import pytest
import torch
from torch import nn

from flowsim import Flow, InputError, Rotation, Translation, build, ideas
from flowsim.recording import one_step
from flowsim.recording.one_step import OneStep, pulled, pushed
from tests.known.dynamics import Bump

NOT_A_MAP = {
    "fernn_rotation": "counts frames, so that no two of its steps are the same map",
    "attention": "state always has one size",
    "conv3d": "goes through frames in a way of its own",
    "fernn_released": "goes through frames in a way of its own",
}
"""Networks whose step is no map of what they carry, and what is said of them."""


def small(name):
    """A network of a model with few channels."""
    settings = {"attention": {"channels": 4, "heads": 2}, "fernn_rotation": {"max_speed": 40, "channels": 1}}
    known = inspect.signature(ideas.load("flowsim.models", name).build).parameters
    usual = {"channels": 2, "decoder_layers": 1, "units": 5}
    few = {key: value for key, value in usual.items() if key in known}
    torch.manual_seed(0)
    return build(name, (8, 8), **{**few, **settings.get(name, {})})


@pytest.mark.parametrize("name", ideas.names("flowsim.models"))
def test_steps_are_those_of_the_network(name):
    network = small(name).double()
    frames = torch.rand(2, 4, 1, 8, 8, dtype=torch.float64)
    if name in NOT_A_MAP:
        with pytest.raises(InputError, match=NOT_A_MAP[name]):
            (lambda step: step(step.start(2), frames[:, 0]))(OneStep(network, "exponents"))
        return
    step = OneStep(network, "exponents")
    with torch.no_grad():
        expected = list(network.steps(frames, 2, predict_from=4))
        h = step.start(2)
        for time, of_network in enumerate(expected):
            h = step(h, frames[:, time] if time < 4 else None)
            torch.testing.assert_close(step.top(h), of_network.state, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("shown", [True, False])
def test_derivatives_are_those_of_finite_differences(cell, shown):
    torch.manual_seed(0)
    network = build("fernn", (5, 6), cell=cell, max_speed=1, channels=2, decoder_layers=1)
    step = OneStep(network, "exponents")
    frame = torch.rand(1, 1, 5, 6, dtype=torch.float64)
    h = step(step.start(1), frame)
    along, back = torch.randn(2, 1, h.shape[1], dtype=torch.float64)
    along = along * (h != 0)  # at 0 a maximum over velocities has a kink

    def function(states):
        return step(states, frame if shown else None)

    forward = pushed(function, h, along)
    central = (function(h + 1e-6 * along) - function(h - 1e-6 * along)) / 2e-6
    torch.testing.assert_close(forward, central, rtol=1e-6, atol=1e-7)
    value, transposed = pulled(function, h)
    torch.testing.assert_close(value, function(h))
    reverse = transposed(back)
    assert float((reverse * along).sum()) == pytest.approx(float((back * forward).sum()), rel=1e-10)


def test_bounded_predictions_have_no_gradient_beyond_the_bounds():
    network = Bump().double()
    network.bounded = True
    step = OneStep(network, "exponents")
    h = torch.rand(1, 45, dtype=torch.float64) - 0.5

    def cut(states):
        frame = network.decode(step.unpacked(states)).clamp(0, 1)
        return step(states, frame)

    torch.testing.assert_close(step(h, None), cut(h))


def test_generators_of_translation_are_spectral_derivatives():
    step = OneStep(Bump(frame_shape=(5, 9)), "exponents")
    x = 2 * np.pi * np.arange(9) / 9
    y = 2 * np.pi * np.arange(5) / 5
    wave = np.sin(y)[:, None] * np.cos(2 * x)
    tangents = step.tangents(torch.from_numpy(wave).reshape(1, -1), Translation()).reshape(2, 5, 9)
    # moved by s, the wave is at y - s
    np.testing.assert_allclose(tangents[0], -2 * np.pi / 5 * np.cos(y)[:, None] * np.cos(2 * x), atol=1e-12)
    np.testing.assert_allclose(tangents[1], 4 * np.pi / 9 * np.sin(y)[:, None] * np.sin(2 * x), atol=1e-12)


def test_generators_of_other_groups_are_small_differences():
    step = OneStep(Bump(frame_shape=(9, 9)), "exponents")
    rows = torch.arange(9, dtype=torch.float64) - 4
    blob = torch.exp(-((rows[:, None] - 1) ** 2 + rows**2) / 4)
    (tangent,) = step.tangents(blob.reshape(1, -1), Rotation())
    turned = Flow(Rotation(), (2,)).act(blob) - Flow(Rotation(), (-2,)).act(blob)
    agreement = torch.corrcoef(torch.stack([tangent, turned.flatten()]))[0, 1]
    assert agreement > 0.99
    assert float(tangent.norm() / (turned / 4).norm()) == pytest.approx(1, rel=0.1)


def test_the_network_is_not_edited(fernn):
    before = {name: values.clone() for name, values in fernn.state_dict().items()}
    step = OneStep(fernn, "exponents")
    step(step.start(1), torch.rand(1, 1, 9, 8, dtype=torch.float64))
    assert all(torch.equal(values, before[name]) for name, values in fernn.state_dict().items())
    assert all(parameter.requires_grad for parameter in fernn.parameters())


def test_networks_whose_step_is_not_known_are_refused():
    with pytest.raises(InputError, match="exponents: expected a flowsim.Network, .*; got GRU"):
        OneStep(nn.GRU(3, 4), "exponents")
    step = OneStep(build("gru", (4, 4), units=3), "fixed_points")
    assert torch.equal(step.moved(step.start(1), Flow(Translation(), (0, 0))), step.start(1))
    with pytest.raises(InputError, match="has the space of the frame, .*; Flattened carries .*flows: 1"):
        step.moved(step.start(1), Flow(Translation(), (0, 1)))


def test_operations_without_a_forward_derivative_are_named():
    class Opaque(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient

    with pytest.raises(InputError, match="an operation of this network has no forward derivative"):
        pushed(Opaque.apply, torch.ones(1, 3), torch.ones(1, 3))


def test_a_map_that_is_constant_has_no_derivative():
    constant = torch.ones(1, 3)
    assert torch.equal(pushed(lambda h: constant, torch.ones(1, 3), torch.ones(1, 3)), torch.zeros(1, 3))
    assert torch.equal(pulled(lambda h: constant, torch.ones(1, 3))[1](torch.ones(1, 3)), torch.zeros(1, 3))


def test_a_few_at_a_time_changes_nothing(fernn, monkeypatch):
    step = OneStep(fernn, "exponents")
    frame = torch.rand(1, 1, 9, 8, dtype=torch.float64)
    h, along = torch.rand(2, 5, step.start(1).shape[1], dtype=torch.float64)

    def function(states):
        return step(states, frame.expand(len(states), -1, -1, -1))

    together = pushed(function, h, along)
    monkeypatch.setattr(one_step, "AT_ONCE", 1)
    torch.testing.assert_close(pushed(function, h, along), together, rtol=1e-10, atol=1e-12)
