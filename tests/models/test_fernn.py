"""The FERNN is the recurrence of the paper, with and without velocities."""

import pytest
import torch
import torch.nn.functional as F

from flowsim import Flow, InputError, Translation, build
from flowsim.models.fernn import FERNN
from flowsim.testing import equivariance_error

SHAPE = (4, 5)


def frames(frame_shape=SHAPE, trials=2, time=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(trials, time, 1, *frame_shape, dtype=torch.float64, generator=generator)


def far(a, b):
    return ((a - b).norm() / b.norm()).item()


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
        n: sum(p.numel() for p in build("fernn", (28, 28), max_speed=n, channels=128).parameters())
        for n in (0, 1, 2)
    }
    assert set(counts.values()) == {739_584}


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


@pytest.mark.parametrize(("activation", "limit"), [("linear", 1e-10), ("relu", 0.5)])
def test_half_pixel_velocities(activation, limit):
    """Exact for a linear recurrence; a ReLU makes frequencies that the grid cannot hold, and errs."""
    steps = [[y / 2, x / 2] for y in range(10) for x in range(10)]
    torch.manual_seed(1)
    network = build(
        "fernn", (5, 5), velocities=steps, activation=activation, channels=4, decoder_layers=2
    ).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    found = equivariance_error(network, Flow(Translation(), (0.5, 1.5)), frames((5, 5)))
    assert found.coverage == 1
    assert found.worst < limit
    assert activation == "linear" or found.worst > 0.01


def test_the_plain_form_has_the_same_weights_and_carries_nothing_but_the_state(fernn):
    plain = fernn.plain()
    assert [p.data_ptr() for p in plain.parameters()] == [p.data_ptr() for p in fernn.parameters()]
    frames = torch.rand(2, 3, 1, 9, 8)
    torch.testing.assert_close(plain.states(frames), fernn.states(frames))
    (state,) = plain.start(2)
    assert state.shape == (2, len(fernn.grid), 3, 9, 8)
    assert plain.plain() is plain
