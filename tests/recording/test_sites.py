"""Any torch module is recorded as it is: GRU, LSTM, a stacked ConvLSTM with its own loop, and a flowsim
network.
"""

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
    np.testing.assert_allclose(
        recording.state[2], expected if batch_first else expected.transpose(0, 1), atol=1e-6
    )
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
                for name, expected in (
                    ("state", carried[1][0]),
                    ("memory", carried[1][1]),
                    ("below", carried[0][0]),
                ):
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
        conv,
        probe,
        tmp_path / "same.h5",
        sites=CONV,
        units={"count": 20, "by": by, "seed": 3},
        flows=3,
        feed=called,
    )
    record(conv, probe, tmp_path / "other.h5", sites=CONV, units=Units(20, by, seed=4), flows=3, feed=called)
    full, thin, same, other = (
        open_recording(tmp_path / f"{n}.h5").load() for n in ("full", "thin", "same", "other")
    )
    assert thin.state.dims == ("flow", "trial", "time", "unit")
    np.testing.assert_allclose(thin.state, same.state[:, :2, ::2], atol=1e-6)  # a batch of another size
    assert not np.array_equal(same.state, other.state)
    wanted = full.state.isel(flow=slice(3), trial=slice(2), time=slice(None, None, 2))
    flat = wanted.values.reshape(*wanted.shape[:3], -1)
    if by == "subset":
        at = [thin[f"unit_{axis}"].values for axis in ("velocity", "channel", "y", "x")]
        np.testing.assert_allclose(thin.state, wanted.values[:, :, :, *at], atol=1e-6)
        assert thin.below_unit_channel.max() < 3
        with pytest.raises(InputError, match="units: expected at most the 288 units that there are; got 289"):
            record(
                conv,
                probe,
                tmp_path / "many.h5",
                sites={"state": CONV["state"]},
                units=Units(289),
                feed=called,
            )
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
    (
        {"state": Site("cells.1", ("trial", "channel", "y", "x"))},
        r"gives 2 outputs: a tensor of shape .* or the index",
    ),
    (
        {"state": Site("cells.1", ("trial", "unit"), (0,))},
        r"with the axes trial, unit; 'cells.1' gives a tensor of shape",
    ),
    (
        {"state": Site("cells.1", ("trial", "unit"), (2,))},
        r"expected outputs with an entry 2; 'cells.1' gives 2 outputs",
    ),
    ({"state": Site("cells.1", ("trial", "channel", "y", "x"), (0,), 1)}, "from 1 to 5; 'cells.1' gave 6"),
    ({"a": Site("", ("trial", "time", "channel", "y", "x"), (), 1)}, "from 1 to 5; '' gave 6"),
    (
        {"a": Site("cells.1.gates", ("time", "trial", "y", "x"))},
        r"expected 1 trials; 'cells.1.gates' gives 16 along its axis trial|gave",
    ),
    (
        {"prediction": Site("cells.1", ("trial", "channel", "y", "x"), (0,))},
        r"expected 9x8 px; 'cells.1' gives \(4, 9, 8\)",
    ),
    (["state"], "a ConvLSTM is not a flowsim network and has no site 'state'"),
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
        with pytest.raises(
            InputError, match="axes must be some of trial, time, .* each once, with trial; got"
        ):
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


def test_a_network_that_goes_on_to_write_on_its_outputs(probe, file):
    """And on what it is shown."""
    network = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(inplace=True))
    site = Site("0", ("trial", "channel", "y", "x"))

    def feed(network, frames, horizon):
        frames -= 0.5
        for frame in frames.unbind(1):
            network(frame)

    loaded = probe.load().copy(deep=True)
    record(network, loaded, file, sites={"state": site}, feed=feed)
    recording = open_recording(file)
    np.testing.assert_array_equal(loaded.frames, probe.frames)
    np.testing.assert_array_equal(recording.frames, probe.frames)
    with torch.no_grad():
        expected = network[0](shown(probe, 1)[:, 3] - 0.5)
    np.testing.assert_allclose(recording.state[1, :, 3, 0], expected, atol=1e-6)
    assert float(recording.state.min()) < 0


def test_a_state_of_another_size_than_the_frame(probe, file):
    network = nn.Conv2d(1, 2, 3, stride=2)

    def feed(network, frames, horizon):
        for frame in frames.unbind(1):
            network(frame)

    record(network, probe, file, sites={"state": Site("", ("trial", "channel", "y", "x"))}, feed=feed)
    recording = open_recording(file, verify=True)
    np.testing.assert_array_equal(recording.frames, probe.frames)
    assert recording.state.dims[-2:] == ("state_y", "state_x")
    assert recording.state.shape[-2:] == (4, 3)


def test_recurrent_modules_called_with_one_frame_at_a_time(probe, file):
    """With an axis time of one, as a rollout does; a mapping as output; bfloat16, which is stored as float32."""

    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.gru, self.named = nn.GRU(72, 5, batch_first=True), Named()

        def forward(self, frames, horizon):
            memory = None
            for frame in frames.flatten(2).unbind(1):
                states, memory = self.gru(frame[:, None], memory)
                self.named(states[:, 0])

    class Named(nn.Module):
        def forward(self, states):
            return {"twice": (2 * states).bfloat16()}

    torch.manual_seed(0)
    network = Loop()
    sites = {
        "state": Site("gru", ("trial", "time", "unit"), (0,)),
        "double": Site("named", ("trial", "unit"), ("twice",)),
    }
    record(network, probe, file, sites=sites, feed=called, every=2)
    recording = open_recording(file)
    with torch.no_grad():
        expected = network.gru(shown(probe, 1).flatten(2))[0][:, ::2]
    np.testing.assert_allclose(recording.state[1], expected, atol=1e-6)
    np.testing.assert_allclose(recording.double[1], 2 * expected, atol=0.02)


def test_a_declared_law_is_of_the_network_s_own_state(fernn, probe, file):
    last = [name for name, module in fernn.named_modules() if "decoder." in name][-1]
    record(fernn, probe, file, sites={"state": Site(last, ("trial", "channel", "y", "x"), start=1)})
    recording = open_recording(file)
    assert "law" not in recording.state.attrs
    assert recording.sizes["velocity"] == 1


ARGUMENTS = [
    ({"trials": 0}, "trials must be 1 or more, or None for all; got 0"),
    ({"every": 0}, "every must be 1 or more"),
    ({"flows": -1}, "flows must be 1 or more"),
    ({"context": 0}, "context must be 1 or more"),
    ({"codec": "lzf"}, "a codec of gzip, rounded, none; got 'float32' and 'lzf'"),
    ({"dtype": ">f4"}, "a dtype of float16, float32, float64 and"),
    ({"units": {"count": 3, "by": "sample"}}, "by subset or projection; got 3, 'sample'"),
    ({"units": {"count": 0}}, "expected a count from 1"),
    (
        {
            "sites": {"late": Site("readout", ("trial", "channel", "y", "x"))},
            "every": 9,
            "feed": lambda n, f, h: n(f[:, 1:]),
        },
        "from 0 to 5; 'readout' gave 5",
    ),
    (
        {
            "sites": {"late": Site("readout", ("trial", "channel", "y", "x"), start=1)},
            "every": 9,
            "feed": lambda n, f, h: n(f[:, 1:]),
        },
        "site late starts at frame 1, after the last that is recorded",
    ),
    (
        {"sites": {"frames": CONV["state"]}},
        "a site has a name of letters, .* other than frames, .*; got 'frames'",
    ),
    ({"sites": {"a/b": CONV["state"]}}, "got 'a/b'"),
]


@pytest.mark.parametrize(("arguments", "message"), ARGUMENTS, ids=[m[1][:25] for m in ARGUMENTS])
def test_arguments_out_of_range(conv, probe, file, arguments, message):
    with pytest.raises(InputError, match=message):
        record(conv, probe, file, **{"sites": CONV, "feed": called, **arguments})


def test_an_error_of_the_network_is_its_own(conv, probe, file):
    calls = []

    def feed(network, frames, horizon):
        calls.append(1)
        if len(calls) > 1:
            raise FileNotFoundError("lookup_table.npy")
        network(frames)

    with pytest.raises(FileNotFoundError, match="lookup_table"):
        record(conv, probe, file, sites=CONV, feed=feed)
    assert not file.exists()
