"""The observer moves by known actions: the map moves against them, and what left the window is remembered."""

import pytest
import torch
import xarray as xr

from flowsim import Flow, InputError, Law, Translation, build, open_recording, record
from flowsim.files import coordinates
from flowsim.testing import assert_flow_equivariant

SHAPE = (5, 6)


def network(frame_shape=SHAPE, **spec):
    torch.manual_seed(0)
    made = build("self_motion", frame_shape, channels=3, decoder_layers=1, **{"velocities": "closed", **spec})
    return made.double().requires_grad_(False)


def frames(frame_shape=SHAPE, time=6):
    return torch.rand(
        2, time, 1, *frame_shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )


def steady(a, time):
    """Actions (trial, time, component) of an observer of velocity a."""
    return torch.tensor(a, dtype=torch.float64).expand(2, time, 2)


def far(a, b):
    return ((a - b).norm() / b.norm()).item()


@pytest.mark.parametrize("a", [(1, 0), (2, -3)])
def test_a_moving_observer_transports_the_state_and_shifts_nothing(a):
    """Even beyond the speeds in V, and through a rollout; a network that is not told goes astray."""
    net, against = network(velocities=None, max_speed=1), Flow(Translation(), (-a[0], -a[1]))
    seen = against.transport(frames())
    states = net.states(seen, steady(a, 6))
    assert far(states, Law.parse("transport").predict(net.states(frames()), against, net.grid)) < 1e-12
    assert far(net.states(seen), states) > 0.05
    rolled = net.rollout(seen, 3, steady(a, 9))
    assert far(rolled, against.transport(net.rollout(frames(), 3), range(6, 9))) < 1e-12
    assert far(net.rollout(seen, 3, steady((0, 0), 9)), rolled) > 0.01


def test_each_trial_has_its_own_actions_and_they_may_change():
    net = network()
    generator = torch.Generator().manual_seed(2)
    actions = torch.randint(-2, 3, (2, 6, 2), generator=generator).double()
    path = actions.cumsum(1) - actions[:, :1]
    seen, expected = frames().clone(), net.states(frames())
    for trial in range(2):
        for t in range(6):
            moved = tuple((-path[trial, t]).tolist())
            seen[trial, t] = Flow(Translation(), moved).act(frames()[trial, t])
            expected[trial, t] = Flow(Translation(), moved).act(expected[trial, t])
    assert far(net.states(seen, actions), expected) < 1e-12


def test_the_world_flows_by_transport_and_shift():
    net, flow = network(), Flow(Translation(), (1, -2))
    assert_flow_equivariant(net, flow, frames())
    assert_flow_equivariant(lambda x: net.states(x, steady((2, 1), 6)), flow, frames(), net.law, net.grid)


def test_no_action_is_an_observer_at_rest():
    net = network()
    assert torch.equal(net.states(frames()), net.states(frames(), steady((0, 0), 6)))
    fernn = build("fernn", SHAPE, velocities="closed", channels=3, decoder_layers=1).double()
    weights = dict(zip(fernn.state_dict(), net.state_dict().values(), strict=True))
    assert [w.shape for w in weights.values()] == [w.shape for w in fernn.state_dict().values()]
    fernn.load_state_dict(weights)
    torch.testing.assert_close(net.states(frames()), fernn.states(frames()), rtol=0, atol=1e-14)


def test_what_left_the_window_comes_back():
    """A dot is seen once; the observer looks away and back. A kernel that keeps it in place shows what is
    left.
    """
    net = network((4, 4), world=(12, 12), velocities=None, max_speed=0)
    for convolution in (net.recurrent, net.encoder):
        torch.nn.init.dirac_(convolution.weight)
    dot = torch.zeros(2, 3, 1, 4, 4, dtype=torch.float64)
    dot[:, 0, 0, 2, 1] = 1
    there_and_back = torch.tensor([[0, 0], [0, 5], [0, -5]], dtype=torch.float64).expand(2, 3, 2)
    states = net.states(dot, there_and_back)
    assert states.shape == (2, 3, 1, 3, 4, 4)
    assert not states[:, 1].any()
    assert torch.equal(states[:, 2], states[:, 0])
    assert states[0, 0, 0, 0, 2, 1] == 1


def test_a_frame_does_not_wrap_around_its_window():
    net = network((4, 4), world=(8, 9), velocities=None, max_speed=0)
    dot = torch.zeros(2, 1, 1, 4, 4, dtype=torch.float64)
    dot[..., 0] = 1
    states = net.states(dot)
    assert states[..., :2].abs().sum() > 0
    assert not states[..., 2:].any()


def test_recordings_know_the_period_of_the_world(tmp_path):
    net = network((6, 6), world=(12, 14), velocities=None, max_speed=3).float()
    shown = frames((6, 6))[:, :, 0].float().numpy()
    stimulus = xr.Dataset({"frames": (("trial", "time", "y", "x"), shown)})
    record(net, stimulus, tmp_path / "a.h5", trials=1)
    assert coordinates.grid(open_recording(tmp_path / "a.h5")) == net.grid


def test_a_window_promises_nothing_about_flows_of_its_frames():
    assert network((4, 4), world=(6, 4)).law is None
    assert network().law == Law(transport=True, shift=True)
    assert network((4, 4), world=(6, 5)).rollout(frames((4, 4)), 2).shape == (2, 2, 1, 4, 4)


def test_bad_input():
    with pytest.raises(InputError, match="world must be at least as large as a frame, 5x6 px; got 5x5"):
        network(world=(5, 5))
    with pytest.raises(
        InputError, match=r"expected actions \(trial, time, component\) \(2, 8, 2\); got \(2, 6, 2\)"
    ):
        network().rollout(frames(), 2, steady((0, 0), 6))
    with pytest.raises(InputError, match="takes no actions of an observer; self_motion does"):
        build("fernn", SHAPE, max_speed=1).double().states(frames(), steady((0, 0), 6))
    for name in ("fernn", "fernn_released"):
        net = build(name, SHAPE, max_speed=1).double()
        with pytest.raises(InputError, match="takes no actions of an observer; self_motion does"):
            list(net.resume(net.start(2), range(2), frames(), 1, steady((0, 0), 2)))
    with pytest.raises(InputError, match="takes no actions of an observer; self_motion does"):
        build("conv3d", SHAPE).double().states(frames(), steady((0, 0), 6))
