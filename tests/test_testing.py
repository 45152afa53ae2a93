"""The public measurement and judgement of flow equivariance."""

import pytest
import torch

from analysis import equivariance_error as analysis
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


@pytest.mark.parametrize("offset", [0.0, 50.0])
def test_the_error_is_relative_to_the_distance_from_the_mean(frames, offset):
    """Independent states are at sqrt(2), whatever is added to them."""

    def noise(x):
        return offset + torch.randn(2, 5, 12, 3, 3, 4, dtype=torch.float64)

    for law in ("invariant", "transport", "shift", "transport+shift"):
        found = equivariance_error(noise, FLOW, frames, Law.parse(law), GRID)
        assert float(found.error.mean()) == pytest.approx(2**0.5, rel=0.05)
        assert found.constant == 0


def test_the_error_is_that_of_the_analysis(frames, recording):
    net = network(max_speed=0)
    with torch.no_grad():
        states = [3 + net.states(x) for x in (frames, FLOW.transport(frames))]
    made = recording(torch.stack(states).numpy(), [(0, 0), FLOW.velocity])
    analysed = analysis.analyse(made).error.isel(flow=1)
    for law in ("invariant", "transport"):
        found = equivariance_error(lambda x: 3 + net.states(x), FLOW, frames, Law.parse(law), net.grid)
        torch.testing.assert_close(found.error, torch.from_numpy(analysed.sel(law=law).values))


@pytest.mark.parametrize("value", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_a_dead_network_is_no_proof(frames, value, dtype):
    def dead(x):
        return torch.full((2, 5, 12, 2, 3, 4), value, dtype=dtype)

    found = equivariance_error(dead, FLOW, frames, Law.parse("transport+shift"), GRID)
    assert found.constant == 1
    assert found.error.isnan().all()
    for law in ("invariant", "transport", "transport+shift"):
        with pytest.raises(AssertionError, match="the states are constant, .*: nothing to judge"):
            assert_flow_equivariant(dead, FLOW, frames, Law.parse(law), GRID)


def test_a_network_that_dies_when_the_world_moves_is_not_equivariant(frames):
    net = network(velocities="closed")

    def dying(x):
        return net.states(x) * float(torch.equal(x, frames))

    with pytest.raises(AssertionError, match="relative error 1"):
        assert_flow_equivariant(dying, FLOW, frames, net.law, net.grid, tolerance=0.5)


def test_silent_steps_are_passed_over_but_not_all(frames):
    """A state that starts at 0, as that of a network before its first input."""
    net = network(velocities="closed")

    def late(x):
        return torch.cat([0 * net.states(x)[:, :2], net.states(x)[:, 2:]], 1)

    found = equivariance_error(late, FLOW, frames, net.law, net.grid)
    assert found.error.isnan().tolist() == [True, True, False, False, False]
    assert found.worst < 1e-14
    assert_flow_equivariant(late, FLOW, frames, net.law, net.grid)


def test_frames_that_do_not_move_are_no_proof(frames):
    net = network(velocities="closed")
    blank = torch.ones_like(frames)
    for still in (blank, frames[:, :1]):
        with pytest.raises(AssertionError, match=r"the flow \(1, 2\) leaves these frames as they are"):
            assert_flow_equivariant(net, FLOW, still)
    assert_flow_equivariant(net, Flow(Translation(), (0, 0)), frames)  # a true statement, if a poor one


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
