"""Activity is that of the network, frame by frame: of flowsim networks, of GRU and LSTM, and of networks with a loop of
their own.
"""

import numpy as np
import pytest
import torch
from torch import nn

from analysis import equivariance_error, velocity_generalisation
from flowsim import InputError, Site, build, open_recording, record
from flowsim.files import coordinates
from stimuli import digit_world, moving_digits


def test_networks_without_space_are_recorded_as_units(probe, file, shown):
    network = build("gru", (9, 8), units=5)
    record(network, probe, file, channels=3)
    recording = open_recording(file)
    assert recording.state.dims == ("flow", "trial", "time", "unit")
    with torch.no_grad():
        expected = network.states(shown(probe, 2)).flatten(2)[:, :, :3]
    np.testing.assert_allclose(recording.state[2], expected, atol=1e-6)
    with pytest.raises(
        InputError, match=r"expected state \(flow, .* the recording has state \(flow, trial, time, unit\)"
    ):
        coordinates.variable(recording, "state", coordinates.STATE)


@pytest.mark.parametrize("model", ["fernn", "conv3d"])
def test_logits_after_each_frame(model, probe, file, shown):
    torch.manual_seed(0)
    net = build(model, (9, 8), classes=4)
    record(net, probe, file, sites=["logits"], every=2)
    recording = open_recording(file)
    assert recording.logits.dims == ("flow", "trial", "time", "class")
    assert "state" not in recording
    with torch.no_grad():
        for t in (0, 4):
            expected = net.classify(shown(probe, 2)[:, : t + 1])
            np.testing.assert_allclose(recording.logits[2].sel(time=t), expected, atol=1e-6)


def test_actions_are_given_to_a_network_that_observes(file):
    made = digit_world.generate(
        "test",
        np.random.default_rng(0),
        height=9,
        width=8,
        world_height=12,
        world_width=11,
        trials=40,
        frames=6,
    )
    torch.manual_seed(0)
    net = build("self_motion", (9, 8), world=(12, 11), max_speed=1, channels=3)
    record(net, made, file, context=4)
    recording = open_recording(file)
    frames = torch.from_numpy(made.frames.values)[:, :, None]
    steps = torch.from_numpy(np.stack([made.action_vy, made.action_vx], -1)).float()
    with torch.no_grad():
        told, blind = (net.rollout(frames[:, :4], 2, a)[:, :, 0] for a in (steps, None))
    np.testing.assert_allclose(recording.prediction[0, :, 4:], told, atol=1e-6)
    assert abs(recording.prediction[0, :, 4:] - blind.numpy()).max() > 1e-3
    np.testing.assert_array_equal(recording.action_vx, made.action_vx)


@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM])
@pytest.mark.parametrize("batch_first", [True, False])
def test_gru_and_lstm(kind, batch_first, probe, file, shown, untouched):
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


def test_gru_without_a_feed(probe, file, shown):
    network = nn.GRU(72, 5, batch_first=True)
    record(network, probe, file, sites={"state": Site("", ("trial", "time", "unit"), (0,))}, every=2)
    with torch.no_grad():
        expected = network(shown(probe, 1).flatten(2))[0][:, ::2]
    np.testing.assert_allclose(open_recording(file).state[1], expected, atol=1e-6)
    with pytest.raises(InputError, match="what it predicts after the context, give `feed`"):
        record(network, probe, file, sites={"state": Site("", ("trial", "time", "unit"), (0,))}, context=3)


def test_layers_of_a_loop(conv, probe, file, conv_sites, shown, called, untouched):
    """Modules called once per frame, several outputs of one, and sizes that differ."""
    record(conv, probe, file, sites=conv_sites, every=2, feed=called)
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


SIZE = {"height": 9, "width": 8}


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


def test_modules_of_a_flowsim_network(probe, file, untouched):
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


def test_a_network_that_goes_on_to_write_on_its_outputs(probe, file, shown):
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


def test_recurrent_modules_called_with_one_frame_at_a_time(probe, file, shown, called):
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
