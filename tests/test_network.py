"""What is predicted is kept within [0, 1] where that is wanted, and the law with it."""

import pytest
import torch

from flowsim import Flow, InputError, Translation, build
from flowsim.network import within_range


@pytest.mark.parametrize("name", ["fernn", "fernn_released", "fernn_mixing", "rnn"])
def test_bounded_predictions(name):
    """What is predicted, and fed back, is within [0, 1]; what is learned from is as decoded."""
    torch.manual_seed(0)
    free, bound = (build(name, (8, 8), bounded=b) for b in (False, True))
    bound.load_state_dict(free.state_dict())
    frames = 1e5 * torch.randn(3, 4, 1, 8, 8)
    steps = list(bound.steps(frames, horizon=2))
    predicted = [step for step in steps if step.prediction is not None]
    for step in predicted:
        torch.testing.assert_close(step.prediction, step.decoded.clamp(0, 1), rtol=0, atol=0)
    assert any((step.decoded != step.prediction).any() for step in predicted)
    in_context = [step.prediction for step in free.steps(frames)][1:]
    for expected, step in zip(in_context, predicted, strict=False):
        torch.testing.assert_close(step.decoded, expected, rtol=1e-4, atol=1e-2)
    assert 0 <= bound.rollout(frames, 5).min() <= bound.rollout(frames, 5).max() <= 1
    bound.zero_grad()
    bound.rollout(frames, 3)[:, -1].sum().backward()
    assert all(parameter.grad is not None for parameter in bound.parameters())


def test_the_gradient_passes_the_bounds():
    frame = torch.tensor([-2.0, 0.3, 1.7], requires_grad=True)
    within_range(frame).sum().backward()
    assert within_range(frame).tolist() == [0, pytest.approx(0.3), 1]
    assert frame.grad.tolist() == [1, 1, 1]


def test_bounded_rollouts_are_equivariant():
    torch.manual_seed(0)
    network = build("fernn", (5, 6), velocities="closed", channels=3, bounded=True).double()
    frames = 5 * torch.rand(2, 3, 1, 5, 6, dtype=torch.float64)
    flow = Flow(Translation(), (1, -2))
    with torch.no_grad():
        rolled = network.rollout(frames, 4)
        of_moved = network.rollout(flow.transport(frames), 4)
    expected = flow.transport(torch.cat([frames, rolled], 1))[:, 3:]
    assert (rolled == 0).any()
    torch.testing.assert_close(of_moved, expected, rtol=0, atol=1e-12)


def test_an_unknown_key_is_answered_with_what_every_network_may_be_given():
    with pytest.raises(
        InputError, match=r"network fernn: unknown key 'bound'; .*decoder_layers.*initial, bounded"
    ):
        build("fernn", (8, 8), bound=True)
