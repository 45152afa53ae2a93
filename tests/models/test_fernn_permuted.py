"""The control with permuted velocities is the FERNN but for its law."""

import pytest
import torch

from flowsim import Flow, Translation, build
from flowsim.testing import assert_flow_equivariant

SHAPE = (4, 5)


def frames(frame_shape=SHAPE, trials=2, time=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(trials, time, 1, *frame_shape, dtype=torch.float64, generator=generator)


def far(a, b):
    return ((a - b).norm() / b.norm()).item()


def small(name):
    torch.manual_seed(1)
    network = build(name, SHAPE, max_speed=1, channels=4, decoder_layers=2).double()
    return network.requires_grad_(False)


def test_the_permuted_control_is_the_fernn_but_for_its_permutation():
    control, lawful = small("fernn_permuted"), small("fernn")
    parameters = dict(lawful.named_parameters())
    assert {name: p.shape for name, p in control.named_parameters()} == {
        n: p.shape for n, p in parameters.items()
    }
    lawful.load_state_dict({n: v for n, v in control.state_dict().items() if n != "handed"})
    flow, x = Flow(Translation(), (1, 0)), frames(time=6)
    assert far(control.states(x), lawful.states(x)) > 0.1
    with pytest.raises(AssertionError, match="not equivariant under the flow"):
        assert_flow_equivariant(control, flow, x, law=lawful.law)
    control.handed[:] = torch.arange(len(control.grid))
    torch.testing.assert_close(control.states(x), lawful.states(x))
    torch.testing.assert_close(control.rollout(x, 3), lawful.rollout(x, 3))


@pytest.mark.parametrize("seed", range(3))
def test_the_permutation_is_one_cycle(seed):
    torch.manual_seed(seed)
    control = build("fernn_permuted", SHAPE, max_speed=1, channels=1)
    place, visited = 0, []
    for _ in control.grid.velocities:
        place = int(control.handed[place])
        visited.append(place)
    assert sorted(visited) == list(range(len(control.grid)))
    again = build("fernn_permuted", SHAPE, max_speed=1, channels=1)
    again.load_state_dict(control.state_dict())
    assert torch.equal(again.handed, control.handed)
