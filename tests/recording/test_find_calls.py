"""Networks of one's own are recorded without adapters: how frames go in, and what comes out, is found."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from analysis import equivariance_error
from flowsim import (
    Flow,
    InputError,
    Site,
    Translation,
    VelocityGrid,
    from_frames,
    open_recording,
    record,
)
from flowsim.scenes.velocities import probes

PIXELS = 72
GRID = VelocityGrid.box(Translation(), 1)


class Accumulator(nn.Module):
    """h_t(v) = psi_1(v) h_(t-1)(v) / 2 + f_t, moved along by v, or static."""

    grid = GRID

    def __init__(self, moves):
        super().__init__()
        self.moves = moves

    def forward(self, frame, state=None):
        flows = [Flow(Translation(), v if self.moves else (0, 0)) for v in GRID.velocities]
        if state is None:
            state = frame.new_zeros(len(frame), len(flows), *frame.shape[1:])
        state = torch.stack([flow.act(state[:, i]) / 2 + frame for i, flow in enumerate(flows)], 1)
        return state.mean(1), state


@pytest.mark.parametrize("moves", [True, False])
def test_an_accumulator_obeys_transport_and_shift_exactly_if_it_moves(moves, rng, file):
    frames = rng.random((2, 4, 1, 9, 8))
    record(Accumulator(moves), frames, file, flows=GRID.velocities, sites=["state"])
    recording = open_recording(file)
    assert recording.sizes["velocity"] == recording.sizes["flow"] == 9
    error = equivariance_error.analyse(recording).error.sel(law="transport+shift")[1:, 1:]
    assert (error == 0).all() if moves else (error > 0.05).all()


@pytest.mark.parametrize("form", [np.asarray, torch.from_numpy, lambda f: f[:, :, None]])
def test_the_recording_of_an_array_is_that_of_the_dataset(form, fernn, probe, tmp_path):
    record(fernn, probe, tmp_path / "dataset.h5")
    record(fernn, form(probe.frames[0].values), tmp_path / "array.h5", flows=probes(1))
    record(fernn, probe.frames.values, tmp_path / "moved.h5", flows=probes(1))
    whole = open_recording(tmp_path / "dataset.h5")
    for name in ("array", "moved"):
        again = open_recording(tmp_path / f"{name}.h5")
        for variable in ("frames", "state", "prediction", "flow_vy", "velocity_vx"):
            np.testing.assert_array_equal(again[variable], whole[variable])


class Sequence(nn.Module):
    """Prediction and state of all frames at once, as (prediction, state) in some form."""

    def __init__(self, give=lambda prediction, state: (prediction, state)):
        super().__init__()
        torch.manual_seed(0)
        self.gru, self.readout, self.give = nn.GRU(PIXELS, 5, batch_first=True), nn.Linear(5, PIXELS), give

    def forward(self, frames):
        state, _ = self.gru(frames.flatten(2))
        return self.give(self.readout(state).unflatten(2, frames.shape[2:]), state)


class OneFrame(Sequence):
    """The same, frame by frame."""

    def forward(self, frame, state=None):
        state = None if state is None else state[None]
        state = self.gru(frame.flatten(1)[:, None], state)[1][0]
        return self.readout(state).view_as(frame), state


class OfVectors(Sequence):
    """The same with vectors, and only the last state: as many packages do."""

    def forward(self, vectors, state=None):
        if vectors.shape[-1] != PIXELS or vectors.ndim != 3:
            raise ValueError(f"expected vectors of {PIXELS}")
        states, last = self.gru(vectors, state)
        return self.readout(states), last


class StateIsNeeded(OneFrame):
    """The same, which takes None as the first state."""

    def forward(self, frame, state):
        return super().forward(frame, state)


@dataclass
class Named:
    prediction: Tensor
    state: Tensor


FORMS = {
    "sequence": Sequence(),
    "the other way round": Sequence(lambda prediction, state: (state, prediction)),
    "mapping": Sequence(lambda prediction, state: {"state": state, "prediction": prediction[:, :, 0]}),
    "dataclass": Sequence(Named),
    "time first": Sequence(lambda p, s: (p.transpose(0, 1), s.transpose(0, 1))),
    "as vectors": Sequence(lambda prediction, state: (prediction.flatten(2), state)),
    "frame by frame": OneFrame(),
    "state is needed": StateIsNeeded(),
    "only the last state": OfVectors(),
}


@pytest.mark.parametrize("form", FORMS)
def test_prediction_and_state_are_recorded_together(form, probe, file, shown, untouched):
    network = FORMS[form]
    record(network, probe, file)
    recording = open_recording(file)
    with torch.no_grad():
        prediction, state = Sequence()(shown(probe, 2))
    assert recording.state.dims == ("flow", "trial", "time", "unit")
    np.testing.assert_allclose(recording.state[2], state, atol=1e-6)
    np.testing.assert_allclose(recording.prediction[2, :, 1:], prediction[:, :-1, 0], atol=1e-6)
    assert recording.prediction[:, :, 0].isnull().all()
    assert "prediction: output" in recording.attrs["called"]
    assert untouched(network)


@pytest.mark.parametrize("form", ["sequence", "frame by frame", "only the last state"])
def test_it_goes_on_by_its_own_predictions(form, probe, file, shown):
    record(FORMS[form], probe, file, context=3)
    seen = shown(probe, 1)[:, :3]
    network = Sequence()
    with torch.no_grad():
        for _ in range(3):
            seen = torch.cat([seen, network(seen)[0][:, -1:]], 1)
        state = network(seen)[1]
    recording = open_recording(file)
    np.testing.assert_allclose(recording.prediction[1, :, 3:], seen[:, 3:, 0], atol=1e-5)
    np.testing.assert_allclose(recording.state[1], state, atol=1e-5)


class GoesOn(Sequence):
    """With a parameter horizon, and a prediction less than there are frames."""

    def forward(self, frames, horizon):
        for _ in range(horizon):
            frames = torch.cat([frames, super().forward(frames)[0][:, -1:]], 1)
        prediction, state = super().forward(frames)
        return prediction[:, :-1], state


def test_a_network_that_takes_a_horizon(probe, tmp_path):
    record(GoesOn(), probe, tmp_path / "own.h5", context=4)
    record(Sequence(), probe, tmp_path / "found.h5", context=4)
    own, found = (open_recording(tmp_path / f"{name}.h5") for name in ("own", "found"))
    np.testing.assert_allclose(own.prediction, found.prediction, atol=1e-5)
    np.testing.assert_allclose(own.state, found.state, atol=1e-5)


class Conv(nn.Module):
    """Of one's own: convolutional, frame by frame, with a state of another size than the frame."""

    def __init__(self, stride=1):
        super().__init__()
        torch.manual_seed(0)
        self.inward, self.inner = nn.Conv2d(1, 3, 3, stride, 1), nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, frame, state=None):
        new = self.inward(frame)
        return torch.tanh(new if state is None else new + self.inner(state))


@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolutional_network_frame_by_frame(stride, probe, file, shown):
    network = Conv(stride)
    record(network, probe, file)
    state = None
    with torch.no_grad():
        for frame in shown(probe, 4).unbind(1):
            state = network(frame, state)
    recording = open_recording(file)
    np.testing.assert_allclose(recording.state[4, :, -1, 0], state, atol=1e-6)
    assert recording.state.dims[-4:-2] == ("velocity", "channel")
    assert recording.state.dims[-2:] == (("y", "x") if stride == 1 else ("state_y", "state_x"))


def test_a_convolutional_network_whose_module_is_named(probe, file):
    """A site as before, without a feed."""
    record(Conv(), probe, file, sites={"state": Site("inward", ("trial", "channel", "y", "x"))})
    assert open_recording(file).sizes["channel"] == 3


CELLS = [
    (nn.GRUCell(PIXELS, 5), 5),
    (nn.LSTMCell(PIXELS, 5), 10),
    (nn.GRU(PIXELS, 5, batch_first=True), 5),
    (nn.LSTM(PIXELS, 5, num_layers=2), 5),
    (nn.GRU(PIXELS, PIXELS, batch_first=True), PIXELS),
]


@pytest.mark.parametrize(("network", "units"), CELLS, ids=str)
def test_recurrent_modules_of_torch(network, units, probe, file):
    """What a cell carries is its state; a state that is as large as a frame is no prediction."""
    record(network, probe, file, trials=2, flows=2)
    recording = open_recording(file)
    assert recording.sizes["unit"] == units
    assert "prediction" not in recording


class Only(nn.Module):
    def __init__(self, give):
        super().__init__()
        self.give = give

    def forward(self, frames):
        return self.give(frames)


def test_one_output_as_large_as_a_frame_is_what_the_user_says(probe, file):
    network = Only(lambda frames: frames.cumsum(1))
    with pytest.raises(
        InputError, match=r"as large as a frame: is it its state or its prediction .*sites=\['state'\]"
    ):
        record(network, probe, file)
    record(network, probe, file, sites=["state"])
    np.testing.assert_allclose(
        open_recording(file).state[:, :, :, 0, 0], probe.frames.cumsum("time"), rtol=1e-5
    )
    record(network, probe, file, sites=["prediction"])
    assert open_recording(file).prediction[:, :, 0].isnull().all()


def fails(frames):
    raise RuntimeError("no frames, please\nand more")


REFUSED = [
    (Only(fails), {}, r"takes frames in one of four ways.*\(trial, time, channel, y, x\) \(2, 3, 1, 9, 8\): RuntimeError: no frames"),
    (Only(lambda frames: frames.sum()), {}, r"it gives \(\), without an axis that grows with time"),
    (Only(lambda f: f.flatten(2)[..., :5]), {"sites": ["prediction"]}, r"can be taken for the site 'prediction': .* it gives \(2, 3, 5\)"),
    (Only(lambda f: [f.mean(2), f[..., :4], f[..., :4, :6]]), {"sites": ["state"]}, "whose places do not fit together; name one"),
    (Only(lambda f: f[:, :, 0, :, :5]), {"context": 3}, "what it predicts after the context, give `feed`"),
    (Sequence(), {"flows": [(0, 1)]}, "flows: expected how many flows of the stimulus to record, since a Dataset has"),
    (
        Only(lambda f: f[:, :, None]),
        {"sites": {"state": Site("", ("trial", "time", "velocity", "channel", "y", "x"))}},
        "an attribute grid, a flowsim.VelocityGrid; got NoneType",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("network", "settings", "message"), REFUSED, ids=[case[2][:30] for case in REFUSED])
def test_what_cannot_be_found_is_said_in_one_line(network, settings, message, probe, file):
    with pytest.raises(InputError, match=message) as refused:
        record(network, probe, file, **settings)
    assert "\n" not in str(refused.value)
    assert not file.exists()


def test_frames_of_a_wrong_shape(file):
    with pytest.raises(InputError, match=r"got \(4, 9, 8\). Add a missing axis"):
        record(Sequence(), np.zeros((4, 9, 8)), file)


def test_it_says_by_what_it_was_made(rng, file):
    network = Sequence()
    announced = []
    frames = rng.random((2, 4, 9, 8)).astype(np.float32)
    record(network, frames, file, attrs={"lab": "ours"}, announce=announced.append)
    attrs = open_recording(file).attrs
    assert attrs["network_class"].endswith("test_find_calls.Sequence")
    assert attrs["parameters"] == sum(p.numel() for p in network.parameters())
    assert json.loads(attrs["stimulus"]) == json.loads(from_frames(frames).attrs["specification"])
    assert json.loads(attrs["versions"])["torch"] == torch.__version__
    assert json.loads(attrs["specification"])["sites"]["prediction"]["start"] == 1
    assert attrs["lab"] == "ours"
    assert announced[0].startswith("called with all frames at once, as (trial, time, channel, y, x); state: ")
