"""While the input is withheld a network does what it does on the frames that are shown instead, and nothing of the
run with all input changes.
"""

import json

import numpy as np
import pytest
import torch
from torch import nn

from flowsim import InputError, Site, build, open_recording, record
from flowsim.commands.parser import main
from flowsim.exports.as_numpy import to_numpy
from flowsim.exports.population import sites
from flowsim.recording.blank import Blank, Withheld
from flowsim.recording.settings import RecordBlock
from flowsim.specification import validate
from flowsim.views.inspection import describe


def states(network, frames):
    with torch.no_grad():
        return network.states(frames).numpy()


def replaced(frames, at, instead, count=None):
    """Frames (trial, time, channel, y, x) with some of them replaced."""
    made = frames.clone()
    made[:, at : None if count is None else at + count] = instead
    return made


def test_what_is_shown_instead_is_what_the_network_sees(fernn, probe, file, shown):
    record(fernn, probe, file, blank={"at": 3})
    recording = open_recording(file)
    assert recording.blank.dims == ("time",)
    assert recording.blank.values.tolist() == [0, 0, 0, 1, 1, 1]
    assert recording.blank_state.dims == recording.state.dims
    assert recording.blank_state.attrs["condition"] == "blank"
    assert "law" not in recording.blank_state.attrs
    np.testing.assert_array_equal(recording.frames, probe.frames)
    for flow in (0, 3):
        expected = states(fernn, replaced(shown(probe, flow), 3, 0))
        np.testing.assert_allclose(recording.blank_state[flow], expected, atol=1e-6)
    assert float(abs(recording.blank_state - recording.state).isel(time=slice(3, None)).max()) > 0.01
    for site in ("state", "prediction"):
        before = recording.isel(time=slice(3))
        np.testing.assert_array_equal(before[f"blank_{site}"], before[site])
    expected = {"blank_at": 3, "blank_length": 3, "blank_by": "zeros"}
    assert {name: recording.attrs[name] for name in expected} == expected
    assert recording.attrs["blank"] == "frames 3 to 5 withheld; shown instead: 0"


def test_the_run_with_all_input_is_the_same_as_without_a_blank(fernn, probe, tmp_path):
    record(fernn, probe, tmp_path / "without.h5")
    record(fernn, probe, tmp_path / "with.h5", blank=Blank(2, 2, "noise"))
    without, beside = open_recording(tmp_path / "without.h5"), open_recording(tmp_path / "with.h5")
    for name in without.variables:
        np.testing.assert_array_equal(without[name], beside[name])
    assert {*beside.variables} - {*without.variables} == {"blank", "blank_state", "blank_prediction"}
    assert "blank_at" not in without.attrs


def test_after_a_blank_frames_are_seen_again(fernn, probe, file, shown):
    record(fernn, probe, file, blank={"at": 2, "frames": 2})
    recording = open_recording(file)
    assert recording.blank.values.tolist() == [0, 0, 1, 1, 0, 0]
    expected = states(fernn, replaced(shown(probe, 1), 2, 0, 2))
    np.testing.assert_allclose(recording.blank_state[1], expected, atol=1e-6)


def test_a_blank_may_reach_beyond_the_context(fernn, probe, file, shown):
    """Nothing is shown instead of the network's own predictions; after it the network goes on by itself."""
    record(fernn, probe, file, context=2, blank={"at": 2, "frames": 2})
    recording = open_recording(file)
    seen = replaced(shown(probe, 0), 2, 0, 2)[:, :4]
    with torch.no_grad():
        rollout = fernn.rollout(seen, 2)[:, :, 0]
    np.testing.assert_allclose(recording.blank_prediction[0, :, 4:], rollout, atol=1e-6)
    np.testing.assert_allclose(recording.blank_state[0, :, :4], states(fernn, seen), atol=1e-6)


def test_the_mean_frame(fernn, probe, file, shown):
    record(fernn, probe, file, trials=2, flows=4, blank={"at": 4, "by": "mean"})
    mean = torch.from_numpy(probe.frames.values[:4, :2].mean((0, 1, 2)))
    expected = states(fernn, replaced(shown(probe, 2)[:2], 4, mean))
    np.testing.assert_allclose(open_recording(file).blank_state[2], expected, atol=1e-6)


def test_noise_has_the_spectrum_of_the_stimulus(probe):
    frames = probe.frames.transpose("flow", "trial", "time", "y", "x")
    flows = range(frames.sizes["flow"])
    withheld = Withheld.of(Blank(2, by="noise", seed=5), frames, 6, flows, 3, range(6))
    noise = withheld.drawn(slice(0, 3))
    assert noise.shape == (3, 4, 9, 8)
    values = frames.values.astype(np.float64)
    power = (abs(np.fft.fft2(values)) ** 2).mean((0, 1, 2))
    of_noise = abs(np.fft.fft2(noise)) ** 2
    np.testing.assert_allclose(of_noise[..., 1:, :], np.broadcast_to(power, of_noise.shape)[..., 1:, :])
    np.testing.assert_allclose(noise.mean((2, 3)), values.mean(), rtol=1e-6)
    np.testing.assert_array_equal(noise[1:2], withheld.drawn(slice(1, 2)))
    correlation = np.corrcoef(noise.reshape(12, -1))
    assert abs(correlation - np.eye(12)).max() < 0.7
    other = Withheld.of(Blank(2, by="noise", seed=6), frames, 6, flows, 3, range(6)).drawn(slice(0, 3))
    assert abs(other - noise).max() > 0.1


def test_noise_is_the_same_under_all_flows(fernn, probe, file, shown):
    record(fernn, probe, file, blank={"at": 1, "by": "noise"})
    recording = open_recording(file)
    assert recording.attrs["blank_seed"] == 0
    frames = probe.frames.transpose("flow", "trial", "time", "y", "x")
    withheld = Withheld.of(Blank(1, by="noise"), frames, 6, range(frames.sizes["flow"]), 3, range(6))
    noise = torch.from_numpy(withheld.drawn(slice(0, 3)))[:, :, None].float()
    for flow in (0, 5):
        expected = states(fernn, replaced(shown(probe, flow), 1, noise))
        np.testing.assert_allclose(recording.blank_state[flow], expected, atol=1e-5)


def test_own_predictions_to_the_end_are_a_rollout(fernn, probe, tmp_path):
    record(fernn, probe, tmp_path / "a.h5", blank={"at": 3, "by": "predictions"})
    record(fernn, probe, tmp_path / "b.h5", context=3)
    blanked, rollout = open_recording(tmp_path / "a.h5"), open_recording(tmp_path / "b.h5")
    for site in ("state", "prediction"):
        np.testing.assert_array_equal(blanked[f"blank_{site}"], rollout[site])


@pytest.mark.parametrize("wanted", [["state"], ["state", "prediction"]])
def test_own_predictions_and_then_frames_again(fernn, probe, file, shown, wanted):
    """As by the loop over time itself, which goes on from where it left off."""
    record(fernn, probe, file, sites=wanted, every=2, blank={"at": 2, "frames": 2, "by": "predictions"})
    recording = open_recording(file)
    frames = shown(probe, 4)
    with torch.no_grad():
        seen = [*fernn.resume(fernn.start(3), range(2), frames[:, :2])]
        seen += fernn.resume(seen[-1].carried, range(2, 4), frames[:, :2])
        seen += fernn.resume(seen[-1].carried, range(4, 6), frames)
    for position, time in enumerate((0, 2, 4)):
        np.testing.assert_allclose(recording.blank_state[4, :, position], seen[time].state, atol=1e-5)
    assert ("blank_prediction" in recording) == ("prediction" in wanted)


def test_any_module_by_its_sites(conv, conv_sites, called, probe, file, shown, untouched):
    sites_of_it = {**conv_sites, "prediction": Site("readout", ("trial", "channel", "y", "x"), start=1)}
    record(conv, probe, file, context=4, sites=sites_of_it, feed=called, blank={"at": 2, "frames": 3})
    recording = open_recording(file)
    heard = []
    handle = conv.cells[1].register_forward_hook(lambda *call: heard.append(call[2][0]))
    with torch.no_grad():
        conv(replaced(shown(probe, 1), 2, 0, 3)[:, :5], 1)
    handle.remove()
    np.testing.assert_allclose(recording.blank_state[1, :, :, 0], torch.stack(heard, 1), atol=1e-6)
    assert recording.blank_memory.dims == recording.memory.dims
    assert untouched(conv)


class OnePrediction(nn.Module):
    """A network of one's own that is found by trying."""

    def __init__(self):
        super().__init__()
        self.recurrent = nn.GRU(72, 12, batch_first=True)
        self.readout = nn.Linear(12, 72)

    def forward(self, frames):
        state, _ = self.recurrent(frames)
        return torch.sigmoid(self.readout(state)), state


def test_a_network_whose_calls_are_found(probe, file, shown):
    network = OnePrediction()
    record(network, probe, file, blank={"at": 2, "frames": 2, "by": "predictions"})
    recording = open_recording(file)
    frames = shown(probe, 2).clone()
    with torch.no_grad():
        for time in (2, 3):
            frames[:, time] = network(frames[:, :time].flatten(2))[0][:, -1].reshape(3, 1, 9, 8)
        _, expected = network(frames.flatten(2))
    np.testing.assert_allclose(recording.blank_state[2], expected, atol=1e-6)


def test_a_network_without_predictions_has_none_to_see(conv, conv_sites, called, probe, file):
    blank = {"at": 2, "frames": 2, "by": "predictions"}
    with pytest.raises(
        InputError, match="expected a network with a site prediction, .*; it has state, below"
    ):
        record(conv, probe, file, sites=conv_sites, feed=called, blank=blank)
    assert not file.exists()


class Noisy(nn.Module):
    """A recurrence with noise of its own, from torch's generator."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, frames):
        noise = torch.randn(frames.shape[1:], dtype=frames.dtype)
        state = (self.weight * frames + noise).cumsum(1)
        return state.flatten(2), state.flatten(2)


def test_noise_within_a_network_is_the_same_in_both_runs(probe, file):
    record(Noisy(), probe, file, sites=None, blank={"at": 4})
    recording = open_recording(file)
    np.testing.assert_array_equal(recording.blank_state[:, :, :4], recording.state[:, :, :4])
    apart = recording.state - recording.blank_state
    expected = recording.frames.where(recording.blank == 1, 0).cumsum("time")
    np.testing.assert_allclose(apart, expected.values.reshape(apart.shape), atol=1e-5)


def test_size_thinning_and_the_tools_that_read_recordings(fernn, probe, file, tmp_path):
    said, done = [], []
    record(
        fernn,
        probe,
        file,
        every=2,
        units={"count": 7},
        blank={"at": 4},
        announce=said.append,
        report=lambda *progress: done.append(progress),
    )
    recording = open_recording(file, verify=True)
    assert recording.blank.values.tolist() == [0, 0, 1]
    assert recording.blank_state.dims == ("flow", "trial", "time", "unit")
    assert "blank_state 9x3x3x7, blank_prediction 9x3x3x9x8" in said[-1]
    assert done[-1][0] == done[-1][1] == 9 * 3 * 3 * (3 * 72 + 2 * 7) * 4
    assert sites(recording) == ["frames", "state", "prediction", "blank_state", "blank_prediction"]
    text = describe(file)
    assert "blank_state (flow, trial, time, unit): float32" in text
    assert "blank frames 4 to 5 withheld; shown instead: 0" in text
    to_numpy(recording, tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as arrays:
        np.testing.assert_array_equal(arrays["blank_state"], recording.blank_state)


def test_from_an_experiment_file_and_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small = '{"height": 8, "width": 9, "trials": 2, "frames": 6}'
    for split in ("train", "valid", "probe"):
        assert main(["stimulus", "moving_digits", split, "--spec", small, "--into", f"{split}.h5"]) == 0
    train = {"context": 2, "horizon": 2, "sequences": 2, "batch": 2, "validate_every": 2}
    network = {"model": "fernn", "max_speed": 1, "channels": 2, "decoder_layers": 0}
    spec = json.dumps({"name": "fernn", "network": network, "train": train})
    files = ["--train", "train.h5", "--valid", "valid.h5", "--device", "cpu"]
    assert main(["train", "--spec", spec, *files, "--into", "a.pt"]) == 0
    block = '{"blank": {"at": 3, "by": "mean"}}'
    shown = ["--model", "a.pt", "--stimulus", "probe.h5", "--device", "cpu", "--into", "a.h5"]
    assert main(["record", "--spec", block, *shown]) == 0
    recording = open_recording("a.h5")
    assert recording.attrs["blank_by"] == "mean"
    assert json.loads(recording.attrs["specification"])["blank"]["at"] == 3
    capsys.readouterr()
    assert main(["record", "--spec", '{"blank": {"frames": 3}}', *shown]) == 2
    assert "'blank.at' is missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blank": {"at": 0}}, "blank: expected at and frames from 1, and by zeros, mean, .*; got 0"),
        ({"blank": {"at": 2, "frames": 0}}, "got 2, 0 and 'zeros'"),
        ({"blank": {"at": 2, "by": "grey"}}, "got 2, None and 'grey'"),
        ({"blank": {"at": 6}}, "the first frame that is withheld at 5 or before, .*; got at 6"),
        ({"context": 2, "blank": {"at": 3}}, "at 2 or before, where the network still sees frames; got at 3"),
        (
            {"every": 4, "blank": {"at": 1, "frames": 2}},
            "none of the frames 1 to 2 is recorded; use a smaller",
        ),
        (
            {
                "blank": {"at": 1},
                "sites": {
                    "state": None,
                    "blank_state": Site("encoders.0", ("trial", "channel", "y", "x")),
                },
            },
            "blank_state is what state does while the input is withheld; give",
        ),
    ],
)
def test_blanks_that_cannot_be(fernn, probe, file, options, message):
    with pytest.raises(InputError, match=message):
        record(fernn, probe, file, **options)
    assert not file.exists()


def test_settings_say_the_same():
    block = validate(RecordBlock, {"blank": {"at": 4}}, "record.test")
    assert Blank(**block.model_dump()["blank"]) == Blank(4)
    with pytest.raises(InputError, match=r"record\.test: blank\.by: input should be 'zeros', 'mean'"):
        validate(RecordBlock, {"blank": {"at": 4, "by": "grey"}}, "record.test")


def test_an_observers_actions_go_on_in_the_dark(rng, file):
    from stimuli import digit_world

    made = digit_world.generate("test", rng, trials=2, frames=6)
    size = (made.sizes["y"], made.sizes["x"])
    world = json.loads(made.attrs["scene"])["world"]
    network = build("self_motion", size, world=tuple(world), channels=2, decoder_layers=0)
    record(network, made, file, blank={"at": 3})
    recording = open_recording(file)
    assert np.isfinite(recording.blank_prediction[:, :, 1:]).all()
