"""Every network in flowsim/models keeps the law that it declares, exactly, and rolls out without breaking it."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from flowsim import Flow, InputError, Translation, build, ideas
from flowsim.models.fernn import FERNN

MODELS = ideas.names("flowsim.models")
SHAPE = (4, 5)
velocities = st.tuples(st.integers(0, 3), st.integers(0, 4))


def closed(name, frame_shape=SHAPE, **spec):
    torch.manual_seed(1)
    network = build(name, frame_shape, velocities="closed", channels=3, decoder_layers=2, **spec).double()
    return network.requires_grad_(False)


def frames(frame_shape=SHAPE, trials=2, time=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(trials, time, 1, *frame_shape, dtype=torch.float64, generator=generator)


def far(a, b):
    return ((a - b).norm() / b.norm()).item()


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=15, deadline=None)
@given(u=velocities)
def test_states_obey_the_declared_law_on_a_closed_grid(name, u):
    network = closed(name)
    if network.law is None:
        return
    flow = Flow(network.grid.group, u)
    predicted = network.law.predict(network.states(frames()), flow, network.grid)
    assert network.grid.coverage(u) == 1
    assert far(network.states(flow.transport(frames())), predicted) < 1e-12


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=15, deadline=None)
@given(u=velocities)
def test_rollouts_are_equivariant_on_a_closed_grid(name, u):
    network = closed(name)
    if network.law is None:
        return
    flow, horizon = Flow(network.grid.group, u), 6
    expected = flow.transport(network.rollout(frames(), horizon), range(4, 4 + horizon))
    assert far(network.rollout(flow.transport(frames()), horizon), expected) < 1e-12
    states = [step.state for step in network.steps(frames(), horizon)]
    moved = [step.state for step in network.steps(flow.transport(frames()), horizon)]
    predicted = network.law.predict(torch.stack(states, 1), flow, network.grid)
    assert far(torch.stack(moved, 1), predicted) < 1e-12


@pytest.mark.parametrize("name", MODELS)
def test_other_laws_fail(name):
    """The measure above sees a difference where there is one."""
    network, flow = closed(name), Flow(Translation(), (1, 2))
    state, moved = network.states(frames()), network.states(flow.transport(frames()))
    for law in ("invariant", "transport", "shift"):
        wrong = type(network.law).parse(law).predict(state, flow, network.grid)
        assert far(moved, wrong) > 0.05


def test_grnn_is_not_flow_equivariant():
    torch.manual_seed(0)
    network, flow = build("fernn", SHAPE, max_speed=0, channels=3).double(), Flow(Translation(), (1, 0))
    state, moved = network.states(frames()), network.states(flow.transport(frames()))
    assert network.grid.coverage((1, 0)) == 0
    assert far(moved, state) > 0.1
    assert far(moved, flow.transport(state)) > 0.1


def test_truncated_grid_obeys_the_law_where_it_has_partners():
    torch.manual_seed(0)
    network, flow = build("fernn", (7, 6), max_speed=1, channels=3).double(), Flow(Translation(), (1, -1))
    predicted = network.law.predict(network.states(frames((7, 6))), flow, network.grid)
    moved = network.states(flow.transport(frames((7, 6))))
    covered = ~predicted.isnan()
    assert covered.float().mean() == pytest.approx(4 / 9)
    assert far(moved[covered], predicted[covered]) < 1e-12


def test_states_equal_the_equation():
    """The recurrence, written once more from the paper for one velocity at a time."""
    torch.manual_seed(0)
    network = build("fernn", (5, 6), max_speed=1, channels=2).double()
    assert isinstance(network, FERNN)
    x = frames((5, 6))

    def convolve(image, weight):
        return F.conv2d(F.pad(image, (1, 1, 1, 1), mode="circular"), weight)

    for i, (vy, vx) in enumerate(network.grid.velocities):
        h = torch.zeros(2, 2, 5, 6, dtype=torch.float64)
        for t in range(4):
            moved = convolve(h, network.cells[0].recurrent.weight).roll((vy, vx), (-2, -1))
            h = torch.relu(moved + convolve(x[:, t], network.encoders[0].weight))
            torch.testing.assert_close(network.states(x)[:, t, i], h, rtol=0, atol=1e-13)


def test_parameter_counts():
    """As published for 128 channels, and the same for every velocity grid."""
    counts = {
        n: sum(p.numel() for p in build("fernn", (28, 28), max_speed=n, channels=128).parameters()) for n in (0, 1, 2)
    }
    assert set(counts.values()) == {739_584}


def test_prediction_is_made_before_the_frame_is_seen():
    network, x = closed("fernn"), frames()
    other = x.clone()
    other[:, 3] = 0
    seen, changed = list(network.steps(x)), list(network.steps(other))
    assert torch.equal(seen[3].prediction, changed[3].prediction)
    assert not torch.equal(seen[3].state, changed[3].state)
    assert seen[0].prediction is None


def test_rollout_continues_on_its_own_predictions():
    network, x = closed("fernn"), frames()
    predicted = network.rollout(x, 3)
    assert predicted.shape == (2, 3, 1, *SHAPE)
    again = network.rollout(torch.cat([x, predicted[:, :1]], 1), 2)
    torch.testing.assert_close(again, predicted[:, 1:], rtol=0, atol=1e-14)


def test_classify():
    network = closed("fernn", classes=5)
    logits = network.classify(frames())
    assert logits.shape == (2, 5)
    flow = Flow(Translation(), (1, 2))
    torch.testing.assert_close(network.classify(flow.transport(frames())), logits, rtol=0, atol=1e-13)
    with pytest.raises(InputError, match="no classes; build it with classes=n"):
        closed("fernn").classify(frames())


def test_bad_frames():
    network = closed("fernn")
    with pytest.raises(InputError, match=r"expects frames \(trial, time, 1, 4, 5\); got \(2, 4, 1, 5, 5\)"):
        network.states(frames((5, 5)))
    with pytest.raises(InputError, match="with at least one frame; got none"):
        network.states(frames()[:, :0])
    with pytest.raises(InputError, match=r"frames are torch.float32 on cpu, the network is torch.float64"):
        network.states(frames().float())
    with pytest.raises(InputError, match="horizon of at least 1 frame; got 0"):
        network.rollout(frames(), 0)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"max_speed": 3}, r"\{-3..3\}\^2 is too large for frames of 6x7 pixels; use max_speed at most 2"),
        ({"kernel": 4}, "kernel must be odd"),
        ({"kernel": 15}, "kernel must be odd and, on frames of 6x7 pixels, at most 13; got 15"),
        ({"cell": "lstm2"}, "cell: input should be 'rnn', 'gru' or 'lstm'; got 'lstm2'"),
        ({"velocities": [[0, 0], [6, 7]]}, r"lists each velocity once; \(0, 0\) and \(6, 7\) are the same"),
        ({"speed": 1}, "network fernn: unknown key 'speed'; expected one of: max_speed"),
        ({"channels": "many"}, "network fernn: channels: input should be a valid integer; got 'many'"),
        ({"channels": 0}, "channels: input should be greater than or equal to 1; got 0"),
    ],
)
def test_bad_specifications(spec, message):
    with pytest.raises(InputError, match=message):
        build("fernn", (6, 7), **spec)


def test_unknown_model():
    with pytest.raises(InputError, match="unknown network model 'transformer'; expected one of: fernn"):
        build("transformer", (6, 7))
