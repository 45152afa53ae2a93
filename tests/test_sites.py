"""Any torch module is recorded as it is: GRU, LSTM, a stacked ConvLSTM with its own loop, and a flowsim network."""

import numpy as np
import pytest
import torch
from torch import nn

from analysis import equivariance_error, velocity_generalisation
from flowsim import InputError, Site, Units, build, open_recording, record
from stimuli import moving_digits

SIZE = {"height": 9, "width": 8}


class ConvLSTMCell(nn.Module):
    def __init__(self, below, channels):
        super().__init__()
        self.channels = channels
        self.gates = nn.Conv2d(below + channels, 4 * channels, 3, padding=1, padding_mode="circular")

    def forward(self, x, carried=None):
        h, c = carried or [x.new_zeros(len(x), self.channels, *x.shape[2:])] * 2
        i, f, o, g = self.gates(torch.cat([x, h], 1)).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


class ConvLSTM(nn.Module):
    """Two layers, a loop over time, and a readout of the next frame that it goes on with."""

    def __init__(self):
        super().__init__()
        self.cells = nn.ModuleList([ConvLSTMCell(1, 3), ConvLSTMCell(3, 4)])
        self.readout = nn.Conv2d(4, 1, 1)

    def forward(self, frames, horizon=0):
        carried, frame, predicted = [None, None], None, []
        for t in range(frames.shape[1] + horizon):
            x = frames[:, t] if t < frames.shape[1] else frame
            for layer, cell in enumerate(self.cells):
                carried[layer] = cell(x, carried[layer])
                x = carried[layer][0]
            frame = self.readout(x)
            predicted.append(frame)
        return torch.stack(predicted, 1)


@pytest.fixture
def conv():
    torch.manual_seed(0)
    return ConvLSTM()


@pytest.fixture
def file(tmp_path):
    return tmp_path / "a.h5"


CONV = {
    "state": Site("cells.1", ("trial", "channel", "y", "x"), (0,)),
    "below": Site("cells.0", ("trial", "channel", "y", "x"), (0,)),
    "memory": Site("cells.1", ("trial", "channel", "y", "x"), (1,)),
}


def shown(probe, flow):
    return torch.from_numpy(probe.frames.values[flow])[:, :, None]


def untouched(network):
    return not any(module._forward_hooks for module in network.modules())


def called(network, frames, horizon):
    return network(frames, horizon)


@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM])
@pytest.mark.parametrize("batch_first", [True, False])
def test_gru_and_lstm(kind, batch_first, probe, file):
    torch.manual_seed(0)
    network = kind(72, 5, num_layers=2, batch_first=batch_first)
    axes = ("trial", "time", "unit") if batch_first else ("time", "trial", "unit")

    def feed(network, frames, horizon):
        return network(frames.flatten(2) if batch_first else frames.flatten(2).transpose(0, 1))

    record(network, probe, file, sites={"state": Site("", axes, (0,))}, feed=feed)
    recording = open_recording(file)
    assert recording.state.dims == ("flow", "trial", "time", "unit")
    with torch.no_grad():
        expected = feed(network, shown(probe, 2), 0)[0]
    np.testing.assert_allclose(recording.state[2], expected if batch_first else expected.transpose(0, 1), atol=1e-6)
    assert untouched(network)
    result = equivariance_error.analyse(recording)
    assert (result.error.sel(law="invariant")[1:, 1:] > 0.01).all()


def test_gru_without_a_feed(probe, file):
    network = nn.GRU(72, 5, batch_first=True)
    record(network, probe, file, sites={"state": Site("", ("trial", "time", "unit"), (0,))}, every=2)
    with torch.no_grad():
        expected = network(shown(probe, 1).flatten(2))[0][:, ::2]
    np.testing.assert_allclose(open_recording(file).state[1], expected, atol=1e-6)
    with pytest.raises(InputError, match="what it predicts after the context, give `feed`"):
        record(network, probe, file, sites={"state": Site("", ("trial", "time", "unit"), (0,))}, context=3)


def test_layers_of_a_loop(conv, probe, file):
    """Modules called once per frame, several outputs of one, and sizes that differ."""
    record(conv, probe, file, sites=CONV, every=2, feed=called)
    recording = open_recording(file)
    assert recording.state.dims == ("flow", "trial", "time", "velocity", "channel", "y", "x")
    assert recording.below.dims == ("flow", "trial", "time", "below_channel", "y", "x")
    assert recording.sizes["below_channel"] == 3
    carried = [None, None]
    with torch.no_grad():
        for t, frame in enumerate(shown(probe, 3).unbind(1)):
            for layer, cell in enumerate(conv.cells):
                carried[layer] = cell(frame, carried[layer])
                frame = carried[layer][0]
            if t % 2 == 0:
                for name, expected in (("state", carried[1][0]), ("memory", carried[1][1]), ("below", carried[0][0])):
                    found = recording[name][3].sel(time=t).values.reshape(expected.shape)
                    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert untouched(conv)
    assert "law" not in recording.state.attrs
    assert (equivariance_error.analyse(recording).error.sel(law="transport")[1:, 1:] > 0.01).all()


def test_predictions_of_a_network_with_its_own_loop(conv, file):
    sweep = moving_digits.generate("sweep", np.random.default_rng(0), trials=2, frames=7, **SIZE)
    sites = {"prediction": Site("readout", ("trial", "channel", "y", "x"), start=1)}

    def feed(network, frames, horizon):
        return network(frames, horizon - 1)

    record(conv, sweep, file, sites=sites, feed=feed, context=4, attrs={"horizon": 2})
    recording = open_recording(file)
    assert recording.prediction[:, :, 0].isnull().all()
    with torch.no_grad():
        expected = conv(torch.from_numpy(sweep.frames.values)[:, :4, None], 2)[:, :, 0]
    np.testing.assert_allclose(recording.prediction[0, :, 1:], expected, atol=1e-6)
    result = velocity_generalisation.analyse(recording)
    own = ((expected[:, 3:5].numpy() - sweep.frames.values[:, 4:6]) ** 2).mean((1, 2, 3))
    np.testing.assert_allclose(result.mse_trained, own[sweep.trained.values == 1].mean(), rtol=1e-5)


def test_modules_of_a_flowsim_network(probe, file):
    """Beside its own sites; a decoder has nothing to say of frame 0."""
    torch.manual_seed(0)
    network = build("conv_gru", (9, 8), channels=3)
    names = [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d)]
    last = names[-1]
    sites = {"state": None, "prediction": None, "frame": Site(last, ("trial", "channel", "y", "x"), start=1)}
    record(network, probe, file, sites=sites)
    recording = open_recording(file)
    assert recording.frame[:, :, 0].isnull().all()
    np.testing.assert_array_equal(recording.frame[:, :, :, 0], recording.prediction)
    assert untouched(network)


@pytest.mark.parametrize("by", ["subset", "projection"])
def test_thinned_units_are_those_of_the_full_recording(conv, probe, tmp_path, by):
    record(conv, probe, tmp_path / "full.h5", sites=CONV, feed=called)
    record(
        conv,
        probe,
        tmp_path / "thin.h5",
        sites=CONV,
        units=Units(20, by, seed=3),
        trials=2,
        flows=3,
        every=2,
        feed=called,
    )
    record(
        conv, probe, tmp_path / "same.h5", sites=CONV, units={"count": 20, "by": by, "seed": 3}, flows=3, feed=called
    )
    record(conv, probe, tmp_path / "other.h5", sites=CONV, units=Units(20, by, seed=4), flows=3, feed=called)
    full, thin, same, other = (open_recording(tmp_path / f"{n}.h5").load() for n in ("full", "thin", "same", "other"))
    assert thin.state.dims == ("flow", "trial", "time", "unit")
    np.testing.assert_array_equal(thin.state, same.state[:, :2, ::2])
    assert not np.array_equal(same.state, other.state)
    wanted = full.state.isel(flow=slice(3), trial=slice(2), time=slice(None, None, 2))
    flat = wanted.values.reshape(*wanted.shape[:3], -1)
    if by == "subset":
        at = [thin[f"unit_{axis}"].values for axis in ("velocity", "channel", "y", "x")]
        np.testing.assert_array_equal(thin.state, wanted.values[:, :, :, *at])
        assert thin.below_unit_channel.max() < 3
        with pytest.raises(InputError, match="units: expected at most the 288 units that there are; got 289"):
            record(conv, probe, tmp_path / "many.h5", sites={"state": CONV["state"]}, units=Units(289), feed=called)
    else:
        from sklearn.random_projection import SparseRandomProjection

        own = SparseRandomProjection(20, random_state=3).fit(flat[0, 0])
        np.testing.assert_allclose(thin.state, flat @ own.components_.T.toarray(), atol=1e-5)
        assert "unit_channel" not in thin


def test_units_of_a_velocity_network_keep_their_velocities(fernn, probe, file):
    record(fernn, probe, file, sites=["state"], units=Units(30))
    recording = open_recording(file)
    own = np.array(fernn.grid.velocities)[recording.unit_velocity.values]
    np.testing.assert_array_equal(np.stack([recording.unit_velocity_vy, recording.unit_velocity_vx], -1), own)


def test_channels_and_flows(conv, probe, tmp_path):
    record(conv, probe, tmp_path / "full.h5", sites=CONV, feed=called)
    record(conv, probe, tmp_path / "thin.h5", sites=CONV, channels=2, flows=4, feed=called)
    full, thin = (open_recording(tmp_path / f"{n}.h5") for n in ("full", "thin"))
    np.testing.assert_array_equal(thin.state, full.state[:4, :, :, :, :2])
    np.testing.assert_array_equal(thin.below, full.below[:4, :, :, :2])
    np.testing.assert_array_equal(thin.flow_vx, full.flow_vx[:4])


MISTAKES = [
    (
        {"state": Site("cell", ("trial", "unit"))},
        r"site state: the network has no module 'cell'; it has cells, cells.0",
    ),
    ({"state": Site("cells.1", ("trial", "channel", "y", "x"))}, r"gives 2 outputs: a tensor of shape .* or the index"),
    (
        {"state": Site("cells.1", ("trial", "unit"), (0,))},
        r"with the axes trial, unit; 'cells.1' gives a tensor of shape",
    ),
    (
        {"state": Site("cells.1", ("trial", "unit"), (2,))},
        r"expected a tuple with an entry 2; 'cells.1' gives 2 outputs",
    ),
    ({"state": Site("cells.1", ("trial", "channel", "y", "x"), (0,), 1)}, "from 1 to 5; 'cells.1' was called 6 times"),
    ({"a": Site("", ("trial", "time", "channel", "y", "x"), (), 1)}, "from 1 to 5; '' gives an axis time of 6"),
    (
        {"a": Site("cells.1.gates", ("time", "trial", "y", "x"))},
        "gives an axis time of 1|with its axis time was called 6",
    ),
    (
        {"prediction": Site("cells.1", ("trial", "channel", "y", "x"), (0,))},
        r"expected 9x8 px; 'cells.1' gives \(4, 9, 8\)",
    ),
    (["state"], "a ConvLSTM is no flowsim network and has no site 'state' of its own"),
    ({}, r"unknown site \(none\)"),
]


@pytest.mark.parametrize(("sites", "message"), MISTAKES, ids=[m[1][:30] for m in MISTAKES])
def test_mistakes(conv, probe, file, sites, message):
    with pytest.raises(InputError, match=message):
        record(conv, probe, file, sites=sites, feed=called)
    assert untouched(conv)
    assert not file.exists()


def test_axes_of_a_site():
    for axes in (("trial", "colour"), ("time", "unit"), ("trial", "y", "y")):
        with pytest.raises(InputError, match="axes must be some of trial, time, .* each once, with trial; got"):
            Site("", axes)
    with pytest.raises(InputError, match="either units or channels, y and x"):
        Site("", ("trial", "unit", "channel"))


def test_hooks_are_removed_when_the_network_fails(conv, probe, file):
    def feed(network, frames, horizon):
        network(frames)
        raise ValueError("as networks do")

    with pytest.raises(ValueError, match="as networks do"):
        record(conv, probe, file, sites=CONV, feed=feed)
    assert untouched(conv)
