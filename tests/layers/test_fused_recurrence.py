"""The fused recurrence equals the plain one: states, predictions and every gradient."""

from itertools import product

import pytest
import torch
from torch.autograd import forward_ad

from flowsim import Translation, VelocityGrid, build
from flowsim.layers.cells import RNN
from flowsim.layers.fused_recurrence import Highest, maximum_when_advanced, recur
from flowsim.layers.padded_gather import joined
from flowsim.layers.readout import Readout
from flowsim.layers.velocity_channels import advance
from flowsim.layers.velocity_channels import pool_max as plain_pool
from flowsim.models.fernn import FERNN, FusedFERNN

GRIDS = {
    "one": [(0, 0)],
    "box": None,
    "far": [(3, -4), (0, 0), (-7, 11)],
    "real": [(0, 0.5), (-1.25, 2), (1, 0)],
}
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 0.03}
FRAME_SHAPES = [(6, 7), (8, 4)]
GROUPS = [3000, 10**9]


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def far(a, b):
    a, b = a.double(), b.double()
    return ((a - b).norm() / b.norm()).item()


def pair(frame_shape, dtype=torch.float64, grid="box", **spec):
    """The fused network and the plain one with the same weights."""
    torch.manual_seed(0)
    fused = build(
        "fernn", frame_shape, channels=3, decoder_layers=1, max_speed=1, velocities=GRIDS[grid], **spec
    )
    assert isinstance(fused, FusedFERNN)
    kinds = {key: spec[key] for key in ("activation", "layers") if key in spec} | {
        "kind": spec.get("cell", "rnn")
    }
    readout = Readout(3, 1, None, spec.get("pool", "max"))
    plain = FERNN(frame_shape, fused.grid, readout, 3, spec.get("kernel", 3), **kinds)
    plain.load_state_dict(fused.state_dict())
    return fused.to(dtype), plain.to(dtype)


SPECS = [
    {},
    {"layers": 2},
    {"activation": "tanh"},
    {"activation": "linear"},
    {"kernel": 5},
    {"pool": "mean"},
    {"kernel": 1},
    {"cell": "gru"},
    {"cell": "gru", "layers": 2},
]


def whole_networks():
    """Every combination of dtype, grid, size, group and specification; in the short run a sixth of them, with
    every pair of two of these.
    """
    of_each = (range(len(choices)) for choices in (TOLERANCE, GRIDS, FRAME_SHAPES, GROUPS, SPECS))
    for dtype, grid, shape, group, spec in product(*of_each):
        short = (dtype + grid + spec) % 3 == 0 and (grid + shape + group + spec) % 2 == 0
        yield pytest.param(
            list(TOLERANCE)[dtype],
            list(GRIDS)[grid],
            FRAME_SHAPES[shape],
            GROUPS[group],
            SPECS[spec],
            marks=[] if short else pytest.mark.slow,
        )


@pytest.mark.parametrize(("dtype", "grid", "frame_shape", "group", "spec"), [*whole_networks()])
def test_whole_networks(dtype, grid, frame_shape, spec, group, monkeypatch):
    """Through states and a rollout; the gradient of a loss on both, with respect to weights and frames."""
    monkeypatch.setattr("flowsim.layers.fused_recurrence.GROUP", group)
    found = []
    for network in pair(frame_shape, dtype, grid, **spec):
        x = random(2, 3, 1, *frame_shape, dtype=dtype)
        steps = list(network.steps(x, 3))
        states = torch.stack([step.state for step in steps], 1)
        predictions = torch.stack([step.prediction for step in steps if step.prediction is not None], 1)
        (states.float().square().mean() + predictions.float().square().mean()).backward()
        found.append([states, predictions, x.grad, *(p.grad for p in network.parameters())])
    for fused, plain in zip(*found, strict=True):
        assert far(fused, plain) < TOLERANCE[dtype]


@pytest.mark.parametrize("name", ["fernn_permuted", "fernn_released"])
def test_groups_change_nothing(name, monkeypatch):
    """For the other networks of this recurrence, whose plain forms are tested elsewhere."""
    found = []
    for group in (10**9, 1500, 1):
        monkeypatch.setattr("flowsim.layers.fused_recurrence.GROUP", group)
        torch.manual_seed(0)
        network = build(name, (6, 7), max_speed=1, channels=3, decoder_layers=1).double()
        x = random(2, 4, 1, 6, 7)
        states, predicted = network.states(x), network.rollout(x, 3)
        (states.square().mean() + predicted.square().mean()).backward()
        found.append([states, predicted, x.grad, *(p.grad for p in network.parameters())])
    for others in found[1:]:
        for one, other in zip(found[0], others, strict=True):
            assert far(other, one) < 1e-12


def test_one_velocity_stores_no_winner():
    """Where there is nothing to choose from: the ordinary network stores its states, and what its decoder
    needs.
    """
    network = build("fernn", (16, 16), max_speed=0, channels=8, decoder_layers=0)
    sizes = {}

    def pack(tensor):
        sizes[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        steps = list(network.steps(torch.rand(4, 10, 1, 16, 16)))
    assert len(steps) == 10
    assert sum(sizes.values()) < 12 * 4 * 8 * 16 * 16 * 4


SHORT = [((3, 4), "relu", 1), ((4, 3), "relu", 3), ((4, 3), "tanh", 1), ((3, 4), "linear", 3)]
"""Cases of gradients in the short run; the long one has all combinations."""
GROUP_SIZES = {(3, 4): (3,), (4, 3): (1, 2)}


@pytest.mark.parametrize(
    ("shape", "activation", "drives"),
    [
        pytest.param(*case, marks=[] if case in SHORT else pytest.mark.slow)
        for case in product(GROUP_SIZES, ["relu", "tanh", "linear"], [1, 3])
    ],
)
def test_gradients(shape, activation, drives):
    sizes = GROUP_SIZES[shape]
    velocities, ways = GRIDS["far"], {"check_forward_ad": True}
    trials = 2 if drives == 1 else 1  # a Jacobian takes as long as it is large
    state, weight, drive = (
        random(trials, 3, 2, *shape),
        random(2, 2, 3, 3, seed=1),
        random(trials, drives, 2, *shape, seed=2),
    )

    def step(h, w, d):
        groups, highest = recur(h.split(sizes, 1), w, [d], velocities, activation, pooled=True)
        return *groups, highest

    def pool(h):
        return maximum_when_advanced(h.split(sizes, 1), velocities)

    assert torch.autograd.gradcheck(step, (state, weight, drive), **ways)
    assert torch.autograd.gradcheck(pool, (state,), **ways)
    assert torch.autograd.gradgradcheck(step, (state, weight, drive))
    assert torch.autograd.gradgradcheck(lambda h: pool(h).square(), (state,))


@pytest.mark.parametrize("part", ["first group", "highest"])
def test_gradients_of_a_part(part):
    """Of what comes out only some may matter to a loss."""
    velocities, sizes = GRIDS["far"], (2, 1)
    state, weight, drive = random(2, 3, 2, 5, 4), random(2, 2, 3, 3, seed=1), random(2, 1, 2, 5, 4, seed=2)

    def step(h, w, d):
        (first, _), highest = recur(h.split(sizes, 1), w, [d], velocities, "tanh", pooled=part == "highest")
        return highest if part == "highest" else first

    assert torch.autograd.gradcheck(step, (state, weight, drive), check_forward_ad=True)


def test_second_derivatives_of_a_whole_step():
    """A Jacobian-vector product by the double backward, against finite differences."""
    fused, _ = pair((5, 6), activation="tanh")
    frame, state = torch.rand(1, 1, 5, 6, dtype=torch.float64), random(1, 9, 3, 5, 6).detach()
    along = random(1, 9, 3, 5, 6, seed=1).detach()

    def step(h):
        return fused.update((h, h[:, 0], torch.zeros(1, dtype=torch.int64)), frame)[0]

    _, found = torch.autograd.functional.jvp(step, state, along)
    expected = (step(state + 1e-6 * along) - step(state - 1e-6 * along)) / 2e-6
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)


def test_weights_may_be_replaced_for_a_call():
    fused, _ = pair((5, 6))
    x, weights = (
        torch.rand(1, 3, 1, 5, 6, dtype=torch.float64),
        {n: w * 2 for n, w in fused.named_parameters()},
    )
    called = torch.func.functional_call(_States(fused), {f"network.{n}": w for n, w in weights.items()}, (x,))
    with torch.no_grad():
        for name, weight in fused.named_parameters():
            weight.copy_(weights[name])
    torch.testing.assert_close(called, fused.states(x))


class _States(torch.nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network.states(x)


@pytest.mark.parametrize("group", [1, 1500, 10**9])
def test_any_number_of_velocities_at_once(monkeypatch, group):
    monkeypatch.setattr("flowsim.layers.fused_recurrence.GROUP", group)
    grid, cell = VelocityGrid.box(Translation(), 1), RNN(2, 3).double()
    state, drive = random(2, 9, 2, 4, 5), random(2, 9, 2, 4, 5, seed=1)
    after, highest = recur([state], cell.recurrent.weight, [drive], grid.velocities, "relu", pooled=True)
    assert len(after) == {1: 9, 1500: 4, 10**9: 1}[group]
    torch.testing.assert_close(joined(after), cell((advance(state, grid),), drive)[0])
    again, nothing = recur([state], cell.recurrent.weight, [drive], grid.velocities, "relu")
    torch.testing.assert_close(joined(again), joined(after), rtol=0, atol=0)
    assert nothing.numel() == 0
    torch.testing.assert_close(highest, maximum_when_advanced(after, grid.velocities), rtol=0, atol=0)
    torch.testing.assert_close(
        maximum_when_advanced([state], grid.velocities), plain_pool(advance(state, grid)), rtol=0, atol=0
    )


@pytest.mark.parametrize("drives", [1, 9])
@pytest.mark.parametrize("group", [1, 10**9])
def test_a_state_that_is_the_same_everywhere(monkeypatch, group, drives):
    """Over all velocities, or over all of space too, as at the start."""
    monkeypatch.setattr("flowsim.layers.fused_recurrence.GROUP", group)
    grid, cell = VelocityGrid.box(Translation(), 1), RNN(2, 3).double()
    drive = random(2, drives, 2, 4, 5, seed=1)
    for one in (random(2, 1, 2, 4, 5), random(2, 1, 2, 1, 1), random(1, 1, 1, 1, 1)):
        state = one.expand(2, 1, 2, -1, -1)
        groups, highest = recur([state], cell.recurrent.weight, [drive], grid.velocities, "tanh", pooled=True)
        torch.testing.assert_close(highest, maximum_when_advanced(groups, grid.velocities), rtol=0, atol=0)
        (expected,) = RNNTanh(cell)(advance(state.expand(2, 9, 2, 4, 5), grid), drive)
        torch.testing.assert_close(joined(groups).expand(2, 9, 2, 4, 5), expected)
    assert len(groups) == (1 if group > 1 or (drives == 1 and one.shape[-1] == 1) else 9)


def test_what_is_not_pooled_on_the_way_is_pooled_when_asked():
    """A network that only took frames in predicts as one that was about to."""
    network, _ = pair((6, 7))
    state, frames = network.start(2), torch.rand(2, 3, 1, 6, 7, dtype=torch.float64)
    for frame in frames.unbind(1):
        before, state = state, network.absorb(state, frame)
    assert state[-2].numel() == 0
    pooled = network.update(before, frame)
    torch.testing.assert_close(network.decode(state), network.decode(pooled), rtol=0, atol=0)


def test_the_maximum_is_left_where_nothing_is_predicted(monkeypatch):
    network, _ = pair((6, 7))
    asked = []
    monkeypatch.setattr("flowsim.models.fernn.recur", lambda *a: asked.append(a[-2]) or recur(*a))
    list(network.steps(torch.rand(1, 4, 1, 6, 7, dtype=torch.float64), 2, predict_from=4))
    assert asked == [False, False, False, True, True]


@pytest.mark.parametrize("forward_mode", [False, True])
def test_the_winner_is_left_where_nothing_is_differentiated(forward_mode, monkeypatch):
    """Without gradient the same prediction; and its derivative, where it is asked for in forward mode."""
    network, plain = pair((6, 7))
    found, frames = [], torch.rand(1, 3, 1, 6, 7, dtype=torch.float64)
    monkeypatch.setattr(
        "flowsim.layers.fused_recurrence.Highest", lambda *a: found.append(Highest(*a)) or found[-1]
    )
    with torch.no_grad(), forward_ad.dual_level():
        seen = forward_ad.make_dual(frames, frames.flip(1)) if forward_mode else frames
        ours, theirs = (forward_ad.unpack_dual(net.rollout(seen, 2)) for net in (network, plain))
    assert {highest.winner.numel() > 0 for highest in found if highest.seen} == {forward_mode}
    torch.testing.assert_close(ours.primal, theirs.primal, rtol=1e-12, atol=1e-12)
    assert (ours.tangent is not None) == forward_mode
    if forward_mode:
        torch.testing.assert_close(ours.tangent, theirs.tangent, rtol=1e-12, atol=1e-12)


class RNNTanh:
    """The plain cell with another activation."""

    def __init__(self, cell):
        self.cell = RNN(2, 3, "tanh").double()
        self.cell.load_state_dict(cell.state_dict())

    def __call__(self, state, drive):
        return self.cell((state,), drive)


def test_the_maximum_goes_to_one_velocity():
    """Where several attain it: here all, everywhere."""
    state = torch.ones(1, 3, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    maximum_when_advanced(state.split([1, 2], 1), [(0, 0), (1, 0), (0, 1)]).sum().backward()
    assert state.grad.sum((0, 2, 3, 4)).tolist() == [4, 0, 0]


def test_only_outputs_are_stored():
    """Memory of a training step: one state for each frame, beside what is small."""
    network, _ = pair((32, 32))
    sizes = {}

    def pack(tensor):
        sizes[tensor.data_ptr()] = tensor.numel()
        return tensor

    x = torch.rand(4, 12, 1, 32, 32, dtype=torch.float64)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        list(network.steps(x, predict_from=12))
    state = 4 * 9 * 3 * 32 * 32
    assert 10 * state < sum(sizes.values()) < 13.5 * state


def test_the_lstm_takes_the_plain_way():
    assert type(build("fernn", (5, 5), cell="lstm")) is FERNN
    for spec in ({"cell": "gru"}, {"max_speed": 1}, {"velocities": [[0, 0.5]]}):
        assert type(build("fernn", (5, 5), **spec)) is FusedFERNN
