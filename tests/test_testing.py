"""The public measurement and judgement of flow equivariance."""

import pytest
import torch

from flowsim import Flow, InputError, Law, Translation, VelocityGrid, build
from flowsim.testing import assert_flow_equivariant, equivariance_error

FLOW = Flow(Translation(), (1, 2))
GRID = VelocityGrid.closed(Translation(), (3, 4))


@pytest.fixture
def frames():
    return torch.rand(2, 5, 1, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def network(**spec):
    torch.manual_seed(0)
    return build("fernn", (3, 4), channels=2, **spec).double()


def test_a_network_that_keeps_its_law(frames):
    found = equivariance_error(network(velocities="closed"), FLOW, frames)
    assert found.worst < 1e-14
    assert found.coverage == 1
    assert found.error.shape == (5,)
    assert_flow_equivariant(network(velocities="closed"), FLOW, frames)
    assert_flow_equivariant(network(velocities="closed").float(), FLOW, frames.float())


def test_any_callable_and_where_it_fails(frames):
    net = network(velocities="closed")

    def spoilt(x):
        states = net.states(x)
        states[:, 3, 7, 1] += x[:, 3, 0] * 5
        return states

    found = equivariance_error(spoilt, FLOW, frames, net.law, net.grid)
    assert (found.time, found.velocity, found.channel) == (3, 7, 1) or found.channel == 1
    assert found.time == 3
    with pytest.raises(
        AssertionError,
        match=r"under the flow \(1, 2\): relative error .* at step 3 exceeds 1e-10; largest in velocity \d+, channel 1",
    ):
        assert_flow_equivariant(spoilt, FLOW, frames, net.law, net.grid)
    assert_flow_equivariant(spoilt, FLOW, frames, net.law, net.grid, tolerance=10)


def test_a_copy_of_the_frames_is_transported(frames):
    def copy(x):
        return x[:, :, None]

    assert_flow_equivariant(copy, FLOW, frames, Law.parse("transport"), VelocityGrid.box(Translation(), 0))
    with pytest.raises(AssertionError, match="not equivariant"):
        assert_flow_equivariant(
            copy, FLOW, frames, Law.parse("invariant"), VelocityGrid.box(Translation(), 0)
        )


def test_no_partner_is_no_proof(frames):
    net = network(max_speed=0)
    assert equivariance_error(net, FLOW, frames).coverage == 0
    with pytest.raises(AssertionError, match="no velocity channel has a partner .*: nothing to judge"):
        assert_flow_equivariant(net, FLOW, frames)


def test_states_that_are_no_numbers_are_no_proof(frames):
    net = network(velocities="closed")
    with pytest.raises(AssertionError, match="relative error nan"):
        assert_flow_equivariant(lambda x: net.states(x) * torch.nan, FLOW, frames, net.law, net.grid)


def test_what_must_be_given(frames):
    net = network(velocities="closed")
    with pytest.raises(InputError, match=r"declares no law; give one to equivariance_error\(law=...\)"):
        equivariance_error(net.states, FLOW, frames, grid=net.grid)
    with pytest.raises(InputError, match=r"declares no grid; give one to equivariance_error\(grid=...\)"):
        equivariance_error(net.states, FLOW, frames, law=net.law)
    with pytest.raises(InputError, match=r"expected states \(trial, time, velocity, channel, y, x\); got"):
        equivariance_error(lambda x: x, FLOW, frames, net.law, net.grid)
