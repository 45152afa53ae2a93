"""Convolutions in C are convolutions, to rounding, and move with what they see, to the bit."""

import itertools
import os
from pathlib import Path

import pytest
import torch
from torch.autograd import forward_ad
from torch.utils.flop_counter import FlopCounterMode

from flowsim import build
from flowsim.layers import winograd
from flowsim.layers.padded_gather import adjoint, convolved, gathered
from flowsim.scenes.sequences import Sequences
from flowsim.training.objective import Batch, losses
from flowsim.training.settings import TrainBlock

VELOCITIES = ((0, 0), (1, -2), (-7, 30))
SIZES = [((4, 4), 16, 1), ((8, 12), 48, 3), ((28, 28), 32, 2)]
KINDS = {"AVX512": winograd.Processor(16, 14, 16), "AVX2": winograd.Processor(8, 12, 8)}
TIME = 5
CHANNELS = max(kind.fewest_channels for kind in winograd.PROCESSORS.values())
"""So many are convolved in C on every processor."""

pytestmark = pytest.mark.skipif(winograd.compiled() is None, reason="there is no compiler, or no AVX2")


@pytest.fixture(params=KINDS)
def kind(request, monkeypatch):
    """As on each kind of processor; vectors of AVX-512 are taken apart by the compiler where there are none."""
    monkeypatch.setattr(winograd, "processor", lambda: KINDS[request.param])


@pytest.fixture(params=SIZES, ids=str)
def made(request, kind):
    """A state, a kernel and a drive."""
    (height, width), channels, trials = request.param
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(*shape, generator=generator)

    state = random(3, trials, height, width, channels)
    return state, random(channels, channels, 3, 3) / channels, random(1, trials, height, width, channels)


@pytest.fixture(params=[1, 2])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


def by_torch(state, weight, drive):
    """The state after a step in float64."""
    moved = gathered(state.double(), VELOCITIES, 1)
    return (convolved(moved, weight.double()).reshape(state.shape) + drive.double()).relu()


def near(found, expected, tolerance):
    return float((found - expected).abs().max() / expected.abs().max()) < tolerance


def new_maximum(state):
    return torch.empty(state.shape[1:]), torch.empty(state.shape[1:], dtype=torch.int16)


def test_a_step(made, threads):
    state, weight, drive = made
    highest, winner = new_maximum(state)
    way = winograd.Way.at(TIME, VELOCITIES)
    after = winograd.step(state, winograd.transformed(weight), drive, way, highest, winner)
    assert near(after, by_torch(state, weight, drive), 2e-6)
    moved = gathered(after, VELOCITIES, 0).permute(0, 2, 3, 1).view(after.shape)
    assert torch.equal(highest, moved.amax(0))
    assert torch.equal(moved.gather(0, winner.long()[None])[0], highest)


def test_a_step_back(made, threads):
    """The gradients of a loss on the state and on its maximum."""
    state, weight, drive = made
    exact = [x.double().requires_grad_() for x in (state, weight, drive)]
    expected = by_torch(*exact)
    moved = gathered(expected, VELOCITIES, 0).permute(0, 2, 3, 1).view(expected.shape)
    gradient, to_highest = torch.randn_like(state), torch.randn_like(state[0])
    ((expected * gradient).sum() + (moved.amax(0) * to_highest).sum()).backward()
    highest, winner = new_maximum(state)
    way = winograd.Way.at(TIME, VELOCITIES)
    after = winograd.step(state, winograd.transformed(weight), drive, way, highest, winner)
    sums, to_drive = winograd.new_sums(weight), torch.zeros_like(drive)
    given = (gradient, to_highest, winner, after, state, winograd.transformed(adjoint(weight)))
    way = winograd.Way.at(TIME - 1, VELOCITIES)
    to_state, inner = winograd.step_back(*given, way, 0, to_drive, sums)
    assert inner is None
    for found, x in zip(
        (to_state, adjoint(winograd.kernel_gradient(sums.sum(0))), to_drive), exact, strict=True
    ):
        assert near(found, x.grad, 1e-5)
    nothing, inner = winograd.step_back(*given, way, 0, None, None, to_state=False)
    assert nothing is None
    assert near(inner.sum(0), exact[2].grad[0], 1e-5)


def test_tiles_that_move_along_make_it_exact_and_tiles_that_stay_do_not(made):
    """A step later under a flow of (5, -3) px/frame, in which state and drive have moved by as much."""
    state, weight, drive = made
    kernel, by = winograd.transformed(weight), (5, -3)
    shifted = tuple((vy + by[0], vx + by[1]) for vy, vx in VELOCITIES)
    far = (TIME * by[0], TIME * by[1])
    before = (far[0] - by[0], far[1] - by[1])
    at_rest = winograd.step(state, kernel, drive, winograd.Way.at(TIME, VELOCITIES))
    seen = state.roll(before, (2, 3)), kernel, drive.roll(far, (2, 3))
    along = winograd.step(*seen, winograd.Way.at(TIME, shifted))
    assert torch.equal(along, at_rest.roll(far, (2, 3)))
    stay = winograd.step(*seen, winograd.Way(shifted, winograd.Way.at(TIME, VELOCITIES).origins))
    assert not torch.equal(stay, at_rest.roll(far, (2, 3)))
    assert near(stay, at_rest.roll(far, (2, 3)), 2e-6)


def test_a_trial_does_not_depend_on_the_others(made):
    state, weight, drive = made
    kernel, way = winograd.transformed(weight), winograd.Way.at(TIME, VELOCITIES)
    together = winograd.step(state, kernel, drive, way)
    first = winograd.step(state[:, :1].contiguous(), kernel, drive[:, :1].contiguous(), way)
    assert torch.equal(together[:, :1], first)


def test_what_is_no_number_stays_none(kind):
    state = torch.zeros(1, 1, 8, 8, 16)
    state[0, 0, 3, 3, 5] = torch.nan
    kernel = winograd.transformed(torch.randn(16, 16, 3, 3))
    highest, way = torch.empty(1, 8, 8, 16), winograd.Way.at(0, [(0, 0)])
    assert winograd.step(state, kernel, torch.zeros(1, 1, 8, 8, 16), way, highest).isnan().any()
    assert highest.isnan().any()


SPECS = [
    {"cell": cell, "layers": layers, **more}
    for cell, layers in itertools.product(("rnn", "gru"), (1, 2))
    for more in ({"max_speed": 1}, {"max_speed": 0}, {"max_speed": 1, "pool": "mean"})
]


def passed(network, frames):
    """States, predictions and gradients of a loss on both."""
    network.zero_grad()
    frames = frames.clone().requires_grad_()
    steps = list(network.steps(frames, 4))
    states = torch.stack([step.state for step in steps], 1)
    predictions = torch.stack([step.prediction for step in steps if step.prediction is not None], 1)
    (states.square().mean() + predictions.square().mean()).backward()
    return [
        states.detach(),
        predictions.detach(),
        frames.grad,
        *(weight.grad.clone() for weight in network.parameters()),
    ]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: "-".join(map(str, spec.values())))
def test_a_whole_network(spec, threads, monkeypatch):
    """Against float64, as near as the way without C is."""
    torch.manual_seed(1)
    network = build("fernn", (8, 12), channels=CHANNELS, decoder_layers=1, **spec)
    frames = torch.rand(3, 5, 1, 8, 12)
    in_c = passed(network, frames)
    monkeypatch.setenv("FLOWSIM_COMPILE", "0")
    plain = passed(network, frames)
    exact = passed(network.double(), frames.double())
    differ = any(not torch.equal(one, other) for one, other in zip(in_c, plain, strict=True))
    assert differ
    for found, expected in zip(in_c, exact, strict=True):
        assert float((found - expected).norm() / expected.norm()) < 2e-5


def worst_law_error(cell):
    """Of states in a rollout with every velocity of the torus, under a flow of (1, -2) px/frame, in float32."""
    torch.manual_seed(0)
    network, by = (
        build("fernn", (4, 8), velocities="closed", channels=CHANNELS, cell=cell, initial="identity"),
        (1, -2),
    )
    frames = torch.rand(2, 5, 1, 4, 8)
    flowing = torch.stack([frames[:, t].roll((t, -2 * t), (-2, -1)) for t in range(5)], 1)
    velocities = network.grid.velocities
    place = {(vy % 4, vx % 8): number for number, (vy, vx) in enumerate(velocities)}
    partner = [place[(vy - by[0]) % 4, (vx - by[1]) % 8] for vy, vx in velocities]
    worst = 0.0
    with torch.no_grad():
        pairs = zip(network.steps(frames, 6), network.steps(flowing, 6), strict=True)
        for time, (at_rest, moved) in enumerate(pairs):
            expected = at_rest.state[:, partner].roll((time, -2 * time), (-2, -1))
            assert expected.abs().max() > 0.01
            worst = max(worst, float((moved.state - expected).abs().max()))
    return worst


@pytest.mark.parametrize("cell", ["rnn", "gru"])
def test_the_law_is_exact_to_the_bit_and_by_the_tiles(cell, monkeypatch):
    assert worst_law_error(cell) == 0
    at = winograd.Way.at
    monkeypatch.setattr(winograd.Way, "at", lambda time, velocities: at(0, velocities))
    assert 0 < worst_law_error(cell) < 1e-5


def counted(monkeypatch):
    """How many steps are taken in C, by a list that grows."""
    taken = []
    for name in ("step", "gru_step"):
        whole = getattr(winograd, name)
        monkeypatch.setattr(winograd, name, lambda *a, whole=whole, **k: taken.append(1) or whole(*a, **k))
    return taken


@pytest.mark.parametrize(
    ("shape", "spec", "dtype", "fits"),
    [
        ((8, 12), {}, torch.float32, True),
        ((8, 12), {"cell": "gru"}, torch.float32, True),
        ((8, 12), {"max_speed": 0}, torch.float32, True),
        ((8, 12), {}, torch.float64, False),
        ((8, 12), {"cell": "gru"}, torch.float64, False),
        ((8, 10), {}, torch.float32, False),
        ((8, 12), {"channels": 20}, torch.float32, False),
        ((8, 12), {"kernel": 5}, torch.float32, False),
        ((8, 12), {"activation": "tanh"}, torch.float32, False),
        ((8, 12), {"cell": "lstm"}, torch.float32, False),
        ((8, 12), {"velocities": [[0, 0.5]]}, torch.float32, True),
    ],
    ids=str,
)
def test_where_it_is_used(shape, spec, dtype, fits, monkeypatch):
    taken = counted(monkeypatch)
    network = build("fernn", shape, **({"max_speed": 1, "channels": 32} | spec)).to(dtype)
    network.states(torch.rand(2, 4, 1, *shape, dtype=dtype))
    assert bool(taken) == fits


@pytest.mark.parametrize("cell", ["rnn", "gru"])
def test_it_is_left_out_where_it_would_be_wrong(cell, monkeypatch):
    """Where the precision is reduced, where operations are counted, and where it is switched off."""
    taken = counted(monkeypatch)
    network = build("fernn", (8, 12), max_speed=1, channels=32, cell=cell)
    frames = torch.rand(2, 4, 1, 8, 12)
    with torch.autocast("cpu", torch.bfloat16):
        network.states(frames)
    with FlopCounterMode(display=False) as here:
        network.states(frames)
    assert not taken
    monkeypatch.setenv("FLOWSIM_COMPILE", "0")
    with FlopCounterMode(display=False) as elsewhere:
        network.states(frames)
    assert not taken
    assert here.get_total_flops() == elsewhere.get_total_flops() > 0


@pytest.mark.parametrize("cell", ["rnn", "gru"])
def test_derivatives_of_derivatives_and_along_a_direction(cell, monkeypatch):
    """A Hessian-vector product and one of the Jacobian are those of the way without C."""
    torch.manual_seed(2)
    network = build("fernn", (8, 8), max_speed=1, channels=32, decoder_layers=0, cell=cell)
    frames = torch.rand(1, 4, 1, 8, 8)
    along = torch.rand(1, 4, 1, 8, 8)

    def loss(seen):
        return network.states(seen).square().mean() + network.rollout(seen, 2).square().mean()

    def derivatives():
        _, second = torch.autograd.functional.hvp(loss, frames, along)
        with forward_ad.dual_level():
            dual = forward_ad.make_dual(frames, along)
            first = forward_ad.unpack_dual(network.rollout(dual, 2)).tangent
        return second, first

    in_c = derivatives()
    monkeypatch.setenv("FLOWSIM_COMPILE", "0")
    for found, expected in zip(in_c, derivatives(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5 * float(expected.abs().max()))


def small(cell, **spec):
    torch.manual_seed(0)
    given = {"max_speed": 1, "channels": 16, "decoder_layers": 0, "cell": cell, "initial": "identity"}
    return build("fernn", (4, 8), **given | spec)


def of_all(network, frames):
    """A loss on states and predictions."""
    return network.rollout(frames, 2).square().sum() + network.states(frames).square().sum()


def weights_with_a_graph(network, frames):
    """Gradients that could be differentiated again."""
    return torch.autograd.grad(of_all(network, frames), [*network.parameters()], create_graph=True)


def along_of_gradient(network, frames):
    """Forward mode over reverse mode."""
    with forward_ad.dual_level():
        seen = forward_ad.make_dual(frames.clone().requires_grad_(), frames.flip(1))
        (gradient,) = torch.autograd.grad(of_all(network, seen), seen)
        return [forward_ad.unpack_dual(gradient).tangent]


def along_what_comes_back(network, frames):
    """Reverse mode of a gradient that has a direction of its own."""
    seen = frames.clone().requires_grad_()
    states = network.states(seen)
    with forward_ad.dual_level():
        back = forward_ad.make_dual(torch.ones_like(states), states.detach())
        (gradient,) = torch.autograd.grad(states, seen, back)
        return [forward_ad.unpack_dual(gradient).tangent]


def many_at_once(network, frames):
    """Several gradients by vmap, as of a Jacobian."""
    network.requires_grad_(False)
    seen = frames.clone().requires_grad_()
    states = network.states(seen)
    back = torch.stack([torch.ones_like(states), states.detach()])
    return torch.autograd.grad(states, seen, back, is_grads_batched=True)


def traced(network, frames):
    return [torch.jit.trace(_States(network), frames, check_trace=False)(frames)]


class _States(torch.nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, frames):
        return self.network.states(frames)


WAYS = [weights_with_a_graph, along_of_gradient, along_what_comes_back, many_at_once, traced]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("cell", ["rnn", "gru"])
def test_unusual_derivatives(cell, way, monkeypatch):
    """Are those of the way without C, wherever C was used forward."""
    frames = torch.rand(2, 3, 1, 4, 8)
    in_c = way(small(cell), frames)
    monkeypatch.setenv("FLOWSIM_COMPILE", "0")
    for found, expected in zip(in_c, way(small(cell), frames), strict=True):
        assert float((found - expected).norm() / expected.norm()) < 1e-5


@pytest.mark.parametrize("cell", ["rnn", "gru"])
def test_states_may_be_computed_again(cell):
    """As with ``recompute``, where what is saved can be had once."""
    network, frames = small(cell), torch.rand(2, 6, 1, 4, 8)
    found = []
    for recompute in (None, 2):
        settings = TrainBlock(context=3, horizon=3, recompute=recompute)
        network.zero_grad()
        losses(network, settings, Batch(Sequences(frames), torch.zeros_like(frames), 0))[0].backward()
        found.append([parameter.grad.clone() for parameter in network.parameters()])
    for stored, again in zip(*found, strict=True):
        torch.testing.assert_close(again, stored)


@pytest.mark.parametrize("cell", ["rnn", "gru"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_default_dtype_does_not_matter(cell, dtype):
    network, frames = small(cell), torch.rand(2, 3, 1, 4, 8)
    expected = passed(network, frames)
    torch.set_default_dtype(dtype)
    try:
        found = passed(network, frames)
    finally:
        torch.set_default_dtype(torch.float32)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("cell", ["rnn", "gru"])
def test_modules_are_called_where_somebody_listens(cell):
    """With every velocity from the first frame on, and nothing else changes."""
    network, frames = small(cell), torch.rand(2, 3, 1, 4, 8)
    expected, heard = network.states(frames), []
    for module in (network.cells[0], network.cells[0].recurrent):
        module.register_forward_hook(lambda module, inputs, output: heard.append(output))
    torch.testing.assert_close(network.states(frames), expected, rtol=1e-5, atol=1e-6)
    assert len(heard) == 2 * 3
    states = torch.stack([output[0] for output in heard if isinstance(output, tuple)], 1)
    torch.testing.assert_close(states, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("cell", ["rnn", "gru"])
def test_trials_can_be_reordered_on_the_way(cell):
    network, frames, order = small(cell), torch.rand(3, 4, 1, 4, 8), [2, 0, 1]
    first = list(network.steps(frames[:, :2], predict_from=1))[-1].carried
    state = network.update(network.advance(first), frames[:, 2])
    swapped = network.update(tuple(x[order] for x in network.advance(first)), frames[order, 2])
    assert torch.equal(network.top(swapped), network.top(state)[order])
    assert torch.equal(
        network.decode(network.advance(swapped)), network.decode(network.advance(state))[order]
    )


def test_before_anything_is_seen_nothing_is_predicted():
    for spec in ({}, {"velocities": [(0, 0.5), (1, 0)]}):
        network = small("rnn", **spec)
        assert network.decode(network.advance(network.start(2))).shape == (2, 1, 4, 8)


def test_a_child_of_a_fork_does_without_threads(threads):
    """Those of its parent, which it has used, are not there."""
    state, drive, way = torch.rand(1, 4, 8, 8, 16), torch.rand(1, 4, 8, 8, 16), winograd.Way.at(0, [(0, 1)])
    kernel = winograd.transformed(torch.rand(16, 16, 3, 3))
    expected = winograd.step(state, kernel, drive, way)
    child = os.fork()
    if child == 0:
        found = winograd.step(state, kernel, drive, way)
        os._exit(0 if found.numpy().tobytes() == expected.numpy().tobytes() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_threads_are_those_of_torch(threads):
    """A second set of them would have to wait for torch's, which wait busily."""
    torch.rand(300, 300) @ torch.rand(300, 300)
    torch.rand(1000, 1000).exp_()
    before = len(list(Path("/proc/self/task").iterdir()))
    state, way = torch.rand(1, 4, 8, 8, 16), winograd.Way.at(0, [(0, 1)])
    winograd.step(state, winograd.transformed(torch.rand(16, 16, 3, 3)), torch.zeros_like(state), way)
    assert len(list(Path("/proc/self/task").iterdir())) == before
