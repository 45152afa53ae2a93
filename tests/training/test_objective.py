"""The loss of a batch: noise, warm-up, context and horizon, in every precision and by every network."""

import numpy as np
import pytest
import torch

from flowsim import build, ideas
from flowsim.models.fernn import FusedFERNN
from flowsim.scenes.sequences import Sequences
from flowsim.training.objective import Batch, evaluate, losses
from stimuli import digit_world


def test_evaluation_is_the_mean_squared_error_over_the_horizon(data, network, small, mean_error):
    net = network()
    frames = data[1].frames
    error = net.rollout(frames[:, :3], 2) - frames[:, 3:5]
    assert mean_error(net, small, data[1]) == pytest.approx(error.square().mean().item())


def test_no_gradient_flows_through_the_warm_up(data, network, small):
    net, frames, settings = network(), data[0].frames[:4].clone().requires_grad_(), small
    warmed = next(
        seed for seed in range(1, 99, 2) if Batch.drawn(Sequences(frames), settings, seed).warm == 2
    )
    loss, _ = losses(net, settings, Batch.drawn(Sequences(frames), settings, warmed))
    (through,) = torch.autograd.grad(loss, frames)
    assert not through[:, :2].any()
    assert through[:, 2].any()


def test_the_loss_compares_each_prediction_with_its_own_frame(data, network, small):
    """A network that knows the truth has no loss, whatever the warm-up."""
    settings = small.model_copy(update={"noise": 0.0})
    for seed in range(8):
        net = network()
        frames = torch.arange(7.0).view(1, 7, 1, 1, 1).expand(2, 7, 1, 9, 8) / 10
        longest = 2 if seed % 2 else 0
        warm = int(torch.randint(longest + 1, (), generator=torch.Generator().manual_seed(seed)))
        first = 2 - warm
        shown = iter([frames[:, first + t] for t in range(warm + 1, warm + 5)])
        net.decode = lambda state, shown=shown: next(shown) + 0 * state[0].sum()
        total, ahead = losses(net, settings, Batch.drawn(Sequences(frames), settings, seed))
        assert total.item() == pytest.approx(0, abs=1e-12)
        assert ahead.item() == pytest.approx(0, abs=1e-12)


def test_predictions_within_the_context_count_as_much_as_asked(data, network, small):
    def loss(weight):
        settings = small.model_copy(update={"context_weight": weight})
        return [x.item() for x in losses(network(), settings, Batch.drawn(data[0], settings, 0))]

    (none, ahead), (half, same_ahead), (whole, _) = loss(0.0), loss(0.5), loss(1.0)
    assert none == ahead == pytest.approx(same_ahead)
    assert whole - ahead == pytest.approx(2 * (half - ahead))
    assert half > ahead
    asked = []
    net, settings = network(), small.model_copy(update={"context_weight": 0.0})
    net.decode = lambda state: asked.append(1) or FusedFERNN.decode(net, state)
    losses(net, settings, Batch.drawn(data[0], settings, 0))
    assert len(asked) == settings.horizon


def test_recomputing_stores_fewer_states(data, network, small):
    frames, stored = torch.rand(4, 30, 1, 9, 8), {}
    for recompute in (None, 4):
        settings = small.model_copy(update={"context": 24, "horizon": 4, "recompute": recompute})
        sizes = {}

        def pack(tensor, sizes=sizes):
            sizes[tensor.data_ptr()] = tensor.numel()
            return tensor

        net = network()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            losses(net, settings, Batch.drawn(Sequences(frames), settings, 0))
        stored[recompute] = sum(sizes.values())
    assert stored[4] < stored[None] / 2.5


def test_bfloat16(network, small, gradients):
    """Weights stay as they are; the gradient is that of float32 to a few percent, and is not the same."""
    expected, error = gradients(small, network())
    net = network()
    found, rough = gradients(small.model_copy(update={"precision": "bfloat16"}), net)
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    assert rough.item() == pytest.approx(error.item(), rel=0.02)
    assert 0 < (found - expected).norm() / expected.norm() < 0.05


@pytest.mark.parametrize("name", [n for n in ideas.names("flowsim.models") if n != "conv3d"])
def test_every_weight_learns_in_bfloat16_too(data, name, small):
    """Warm-up included, which must not leave weights without gradient."""
    settings = small.model_copy(update={"precision": "bfloat16"})
    seed = next(seed for seed in range(1, 99, 2) if Batch.drawn(data[0], settings, seed).warm == 2)
    torch.manual_seed(0)
    net = build(name, (9, 8), **({"patch": 1} if name == "attention" else {}))
    losses(net, settings, Batch.drawn(data[0][:3], settings, seed))[0].backward()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters() if p.requires_grad)


def test_nothing_to_evaluate(data, network, small):
    assert evaluate(network(), small, data[1][:0], 4) == 0


def test_actions_reach_a_network_that_observes(small):
    """It predicts a moving window better than one that is not told, by the same weights."""
    made = digit_world.generate(
        "train",
        np.random.default_rng(0),
        height=9,
        width=9,
        world_height=12,
        world_width=12,
        trials=6,
        frames=7,
    )
    told = Sequences.of(made)
    assert told.actions.shape == (6, 7, 2)
    torch.manual_seed(0)
    net = build("self_motion", (9, 9), world=(12, 12), max_speed=1, channels=4)
    batch, blind = Batch.drawn(told, small, 0), Batch.drawn(Sequences(told.frames), small, 0)
    assert losses(net, small, batch)[0] != losses(net, small, blind)[0]
    assert evaluate(net, small, told, 4) != evaluate(net, small, Sequences(told.frames), 4)
    plain = build("fernn", (9, 9), max_speed=1, channels=4)
    assert losses(plain, small, batch)[0] == losses(plain, small, blind)[0]
    expected = net.rollout(told.frames[:, 2:5], 2, told.actions[:, 2:7]) - told.frames[:, 5:7]
    unnoised = small.model_copy(update={"noise": 0.0})
    torch.testing.assert_close(losses(net, unnoised, batch)[1], expected.square().mean())


def test_learning_after_own_predictions(data, network, small):
    """The loss is the error of a rollout at those frames, and no gradient comes from what was before."""
    settings = small.model_copy(update={"noise": 0.0, "own_predictions": 2, "horizon": 2})
    net = network().double()
    frames = data[0].frames[:3].double().requires_grad_()
    drawn = [Batch.drawn(Sequences(frames), settings, seed, 0.1) for seed in range(0, 40, 2)]
    assert {batch.own for batch in drawn} == {0, 1, 2}
    assert {batch.warm for batch in drawn} == {0}
    batch = next(batch for batch in drawn if batch.own == 2)
    assert batch.sequences.frames.shape[1] == 7
    loss, over_horizon = losses(net, settings, batch)
    seen, truth = batch.sequences.frames[:, :3], batch.sequences.frames[:, 5:]
    expected = (net.rollout(seen, 4)[:, 2:] - truth).square().mean()
    assert loss.item() == over_horizon.item() == pytest.approx(expected.item(), abs=1e-12)
    (through,) = torch.autograd.grad(loss, batch.sequences.frames)
    assert not through[:, :5].any()


def test_own_predictions_are_not_made_early_nor_after_a_warm_up(data, small):
    settings = small.model_copy(update={"own_predictions": 2, "horizon": 2})
    early = [Batch.drawn(data[0], settings, seed, 0.09) for seed in range(20)]
    late = [Batch.drawn(data[0], settings, seed, 0.9) for seed in range(1, 21, 2)]
    assert not any(batch.own for batch in early + late)
    assert any(batch.warm for batch in late)


@pytest.mark.parametrize("name", [n for n in ideas.names("flowsim.models") if n != "conv3d"])
def test_every_network_learns_after_own_predictions(name, data, small):
    settings = small.model_copy(update={"own_predictions": 2, "horizon": 2})
    torch.manual_seed(0)
    net = build(name, (9, 8), **({"patch": 1} if name == "attention" else {}))
    drawn = (Batch.drawn(data[0][:3], settings, seed, 0.5) for seed in range(0, 40, 2))
    losses(net, settings, next(batch for batch in drawn if batch.own == 2))[0].backward()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters() if p.requires_grad)
