"""Every network in flowsim/models keeps the law that it declares, exactly, and rolls out without breaking it."""

import inspect

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flowsim import Flow, InputError, Law, Translation, build, ideas
from flowsim.flows.law import LAWS
from flowsim.testing import assert_flow_equivariant, equivariance_error

MODELS = ideas.names("flowsim.models")
SHAPE = (4, 5)
SMALL = {
    "velocities": "closed",
    "max_speed": 1,
    "channels": 4,
    "decoder_layers": 2,
    "units": 6,
    "patch": 1,
    "heads": 2,
    "layers": 1,
    "orientations": 4,
    "step": 90.0,
    "rings": 5,
    "angles": 8,
}
TURNING = ("fernn_polar", "fernn_rotation")
"""Networks for rotations: exact for quarter turns of square frames. tests/models/test_fernn_rotation.py has the others."""
VARIANTS = [
    ("fernn", {"cell": cell, "pool": pool, "layers": layers})
    for cell in ("rnn", "gru", "lstm")
    for pool in ("max", "mean", "sum")
    for layers in (1, 2)
]
VARIANTS += [("fernn", {"encoder": [3, 5], "layers": 2})]
VARIANTS += [("fernn", {"activation": "tanh"}), ("fernn", {"kernel": 5}), ("fernn_mixing", {"radius": 1})]
VARIANTS += [
    ("fernn_rotation", {"kernel": 5, "orientations": 8}),
    ("fernn_polar", {"kernel": 5, "angles": 12}),
]
velocities = st.tuples(st.integers(0, 3), st.integers(0, 4))


def small(name, frame_shape=SHAPE, **spec):
    """A small network, on a closed grid if it has one to choose."""
    known = inspect.signature(ideas.load("flowsim.models", name).build).parameters
    torch.manual_seed(1)
    network = build(name, frame_shape, **{k: v for k, v in {**SMALL, **spec}.items() if k in known})
    network = network.double().eval().requires_grad_(False)
    for parameter in network.parameters():  # nothing is exact by starting at 0
        parameter += 0.05 * torch.randn_like(parameter)
    return network


LAWFUL = [name for name in MODELS if small(name).law is not None]
LAWLESS = [name for name in MODELS if name not in LAWFUL]
LAWFUL_VARIANTS = [*((name, {}) for name in LAWFUL), *VARIANTS]


def closed(name, frame_shape=None, **spec):
    network = small(name, frame_shape or ((6, 6) if name in TURNING else SHAPE), **spec)
    assert network.grid.coverage(flow_of(network, (1, 1)).velocity) == 1
    return network


def flow_of(network, u):
    """The flow of a network's group with the velocity (vy, vx) u, or a turn by vy quarters."""
    return Flow(network.grid.group, u if isinstance(network.grid.group, Translation) else (90 * u[0],))


def frames(frame_shape=SHAPE, trials=2, time=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(trials, time, 1, *frame_shape, dtype=torch.float64, generator=generator)


def far(a, b):
    return ((a - b).norm() / b.norm()).item()


def test_which_models_promise_a_law():
    assert LAWFUL == ["fernn", "fernn_mixing", "fernn_polar", "fernn_rotation", "self_motion"]
    assert set(LAWLESS) >= {
        "rnn",
        "gru",
        "lstm",
        "conv_lstm",
        "conv_gru",
        "conv3d",
        "attention",
        "grnn_plus",
        "fernn_permuted",
        "fernn_released",
    }


@pytest.mark.parametrize(("name", "spec"), LAWFUL_VARIANTS)
@settings(max_examples=4)
@given(u=velocities)
def test_states_obey_the_declared_law_on_a_closed_grid(name, spec, u):
    network = closed(name, **spec)
    assert_flow_equivariant(network, flow_of(network, u), frames(network.frame_shape), tolerance=1e-12)


@pytest.mark.parametrize(("name", "spec"), LAWFUL_VARIANTS)
@settings(max_examples=4)
@given(u=velocities)
def test_rollouts_are_equivariant_on_a_closed_grid(name, spec, u):
    network = closed(name, **spec)
    flow, horizon, x = flow_of(network, u), 6, frames(network.frame_shape)
    expected = flow.transport(network.rollout(x, horizon), range(4, 4 + horizon))
    assert far(network.rollout(flow.transport(x), horizon), expected) < 1e-12
    states = [step.state for step in network.steps(x, horizon)]
    moved = [step.state for step in network.steps(flow.transport(x), horizon)]
    predicted = network.law.predict(torch.stack(states, 1), flow, network.grid)
    assert far(torch.stack(moved, 1), predicted) < 1e-12


@pytest.mark.parametrize(("name", "spec"), LAWFUL_VARIANTS)
def test_other_laws_fail(name, spec):
    """The measure above sees a difference where there is one."""
    network = closed(name, **spec)
    flow, x = flow_of(network, (1, 2)), frames(network.frame_shape)
    for law in ("invariant", "transport", "shift"):
        assert equivariance_error(network, flow, x, Law.parse(law)).worst > 0.05


@pytest.mark.parametrize("name", LAWLESS)
def test_models_without_a_law_obey_none(name):
    """Neither in their states nor, where they predict, through a rollout."""
    network, flow, x = small(name, max_speed=1), Flow(Translation(), (1, -1)), frames(time=6)
    horizon = 0 if name == "conv3d" else 2
    states, moved = (
        torch.stack([s.state for s in network.steps(f, horizon)], 1) for f in (x, flow.transport(x))
    )
    for law in LAWS:
        predicted = law.predict(states, flow, network.grid)
        said = ~predicted.isnan()
        assert not said.any() or far(moved[said], predicted[said]) > 0.05, law


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


def test_unknown_model():
    with pytest.raises(
        InputError, match="unknown network model 'transformer'; expected one of: attention, .*fernn"
    ):
        build("transformer", (6, 7))


def test_a_rollout_takes_in_no_more_frames_than_it_must():
    network, taken = closed("fernn"), []
    for name in ("update", "absorb"):
        take = getattr(network, name)
        setattr(network, name, lambda state, frame, take=take: taken.append(1) or take(state, frame))
    network.rollout(frames(), 3)
    assert len(taken) == 4 + 2
    steps = list(network.steps(frames(), 3))
    assert len(steps[-1].carried) == 3  # the state, its maximum, and how many frames were taken in
    assert len(taken) == 6 + 7


def test_no_frames_at_all():
    for name in ("fernn", "conv_gru", "self_motion"):
        network = small(name)
        assert network.rollout(frames()[:0], 2).shape == (0, 2, 1, *SHAPE)


@pytest.mark.parametrize("name", MODELS)
def test_weights_travel_as_a_plain_state_dict(name, tmp_path):
    first, again = small(name), small(name)
    for parameter in again.parameters():
        parameter.zero_()
    torch.save(first.state_dict(), tmp_path / "weights.pt")
    again.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert torch.equal(first.states(frames()), again.states(frames()))


@pytest.mark.parametrize("name", MODELS)
def test_every_model_classifies(name):
    network = small(name, classes=3)
    assert network.classify(frames()).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "spec", "message"),
    [
        ("attention", {"patch": 3}, "patch must divide the frame's 4x5 pixels; got 3"),
        ("attention", {"patch": 1, "channels": 6, "heads": 4}, "heads must divide the 6 channels; got 4"),
        ("conv3d", {"kernel": 2}, "kernel must be odd; got 2"),
    ],
)
def test_bad_specifications_of_baselines(name, spec, message):
    with pytest.raises(InputError, match=message):
        build(name, SHAPE, **spec)


def test_baselines_without_classes_or_frames():
    for name in ("attention", "rnn"):
        with pytest.raises(InputError, match="no classes; build it with classes=n"):
            small(name).classify(frames())
    with pytest.raises(InputError, match="conv3d predicts no frames"):
        small("conv3d").rollout(frames(), 1)


def carried_after(network, x, time):
    return next(step.carried for step in network.steps(x) if step.time == time)


def goes_on(network, carried, x, horizon=3):
    """Predictions and states after the last frame of ``x``, from what was carried then."""
    steps = list(network.resume(carried, range(x.shape[1], x.shape[1] + horizon), x, x.shape[1]))
    predictions, states = (
        torch.stack(list(found), 1) for found in zip(*((s.prediction, s.state) for s in steps), strict=True)
    )
    return predictions, states


@pytest.mark.parametrize(("name", "spec"), LAWFUL_VARIANTS)
@settings(max_examples=2)
@given(u=velocities)
def test_what_is_carried_moves_by_the_declared_law(name, spec, u):
    """A network whose state was moved by the law goes on as if the world had flowed, and moves on with it."""
    network = closed(name, **spec | {"decoder_layers": 0})  # no prediction is all zeros
    flow, x = flow_of(network, u), frames(network.frame_shape)
    carried = carried_after(network, x, 3)
    predictions, states = goes_on(network, carried, x)
    moved = network.acted(carried, Law(True, True), flow, 3)
    expected = carried_after(network, flow.transport(x), 3)
    assert far(network.top(moved), network.top(expected)) < 1e-12
    of_moved, moved_states = goes_on(network, moved, x)
    assert far(of_moved, flow.transport(predictions, range(4, 7))) < 1e-12
    assert far(moved_states, network.law.predict(states, flow, network.grid, range(4, 7))) < 1e-12


@pytest.mark.parametrize(("name", "spec"), LAWFUL_VARIANTS)
def test_a_part_of_the_law_moves_nothing_as_the_world_does(name, spec):
    network = closed(name, **spec)
    flow, x = flow_of(network, (1, 2)), frames(network.frame_shape)
    carried = carried_after(network, x, 3)
    state = network.top(carried)[:, None]
    for law in (Law(True, False), Law(False, True)):
        moved = network.acted(carried, law, flow, 3)
        expected = law.predict(state, flow, network.grid, [3])[:, 0]
        assert far(network.top(moved), expected) < 1e-12, law
        whole = Law(True, True).predict(state, flow, network.grid, [3])[:, 0]
        assert far(network.top(moved), whole) > 0.05, law


@pytest.mark.parametrize("name", [name for name in MODELS if name != "conv3d"])
def test_parts_are_all_that_is_carried(name):
    """Put back, a network goes on as before; taken from another run, as that; changed, otherwise."""
    network, x = small(name, max_speed=1), frames((6, 6) if name in TURNING else SHAPE)
    network = closed(name) if name in TURNING else network
    one, other = (carried_after(network, shown, 3) for shown in (x, frames(x.shape[-2:], seed=1)))
    parts = network.parts(one)
    torch.testing.assert_close(parts["state"], network.top(one), rtol=0, atol=0)
    for source, maps in ((one, parts), (other, network.parts(other))):
        put = network.with_parts(one, maps)
        exact = 1e-12 if name != "fernn_polar" or source is one else 1.0  # sampled on rings and angles
        if name == "fernn_released" and source is other:
            continue  # it carries the last frame besides
        expected, _ = goes_on(network, source, x)
        assert far(goes_on(network, put, x)[0], expected) < exact
    silent = network.with_parts(one, {part: torch.zeros_like(value) for part, value in parts.items()})
    assert far(goes_on(network, silent, x)[0], goes_on(network, one, x)[0]) > 1e-3


def test_what_cannot_be_read_or_moved():
    with pytest.raises(InputError, match="conv3d carries nothing from frame to frame"):
        small("conv3d").parts(())
    network = small("rnn")
    with pytest.raises(InputError, match="expected maps of the frame's 4x5 px, which a law moves; state is"):
        network.acted(network.start(1), Law(True, True), Flow(Translation(), (1, 1)), 1)
    with pytest.raises(
        InputError, match=r"carries maps \(trial, velocity, channel, y, x\); it carries \(1, 2\)"
    ):
        closed("fernn_mixing").parts((torch.zeros(1, 2),))
