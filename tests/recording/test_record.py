"""A recording holds what the network did, thinned as asked, whole or not at all."""

import h5py
import numpy as np
import pytest
import torch

from flowsim import InputError, build, open_recording, record
from flowsim.files import coordinates, netcdf
from stimuli import digit_world, moving_digits


@pytest.fixture
def file(tmp_path):
    return tmp_path / "deep" / "probe.h5"


def tensor(probe, flow):
    return torch.from_numpy(probe.frames.values[flow])[:, :, None]


def test_recording_holds_what_the_network_does(fernn, probe, file):
    record(fernn, probe, file)
    recording = open_recording(file)
    assert recording.state.dims == ("flow", "trial", "time", "velocity", "channel", "y", "x")
    assert recording.state.attrs["law"] == "transport+shift"
    assert coordinates.grid(recording).velocities == fernn.grid.velocities
    assert [f.velocity for f in coordinates.flows(recording)] == [
        f.velocity for f in coordinates.flows(probe)
    ]
    with torch.no_grad():
        for flow in (0, 3):
            np.testing.assert_allclose(recording.state[flow], fernn.states(tensor(probe, flow)), atol=1e-6)
    np.testing.assert_array_equal(recording.frames, probe.frames)
    np.testing.assert_array_equal(recording.object_label, probe.label)
    assert recording.prediction[:, :, 0].isnull().all()
    assert recording.prediction[:, :, 1:].notnull().all()
    assert recording.attrs["context"] == 6


def test_prediction_after_the_context_is_the_rollout(fernn, probe, file):
    record(fernn, probe, file, context=4)
    with torch.no_grad():
        rollout = fernn.rollout(tensor(probe, 1)[:, :4], 2)[:, :, 0]
    np.testing.assert_allclose(open_recording(file).prediction[1, :, 4:], rollout, atol=1e-6)


def test_thinned_recording_equals_the_thinned_full_one(fernn, probe, tmp_path):
    record(fernn, probe, tmp_path / "full.h5")
    record(fernn, probe, tmp_path / "thin.h5", trials=2, every=2, channels=2)
    full, thin = open_recording(tmp_path / "full.h5").load(), open_recording(tmp_path / "thin.h5").load()
    wanted = full.isel(trial=slice(2), time=slice(None, None, 2), channel=slice(2))
    np.testing.assert_array_equal(thin.frames, wanted.frames)
    for name in ("state", "prediction"):
        np.testing.assert_allclose(
            thin[name], wanted[name], atol=1e-6
        )  # a batch of another size may round otherwise
    assert thin.time.values.tolist() == [0, 2, 4]
    assert thin.object_label.shape[0] == 2


def test_sites_and_dtype(fernn, probe, file):
    record(fernn, probe, file, sites=["prediction"], dtype="float16")
    recording = open_recording(file)
    assert "state" not in recording
    assert recording.prediction.dtype == np.float16
    with pytest.raises(
        InputError, match="expected the recording to hold 'state'; it holds .* Add 'state' to its sites"
    ):
        coordinates.variable(recording, "state")
    with pytest.raises(InputError, match="unknown site retina; expected some of: state, prediction, logits"):
        record(fernn, probe, file, sites=["retina"])


def test_stimulus_without_flows(fernn, rng, file):
    test = moving_digits.generate("test", rng, height=9, width=8, trials=40, frames=6)
    done = []
    record(fernn, test, file, context=3, report=lambda *progress: done.append(progress))
    recording = open_recording(file)
    assert recording.state.sizes["flow"] == 1
    assert recording.flow_vy.values.tolist() == [0]
    assert [done / total for done, total in done] == [0.8, 1]
    with torch.no_grad():
        rollout = fernn.rollout(torch.from_numpy(test.frames.values)[:, :3, None], 3)[:, :, 0]
    np.testing.assert_allclose(recording.prediction[0, :, 3:], rollout, atol=1e-6)


def test_size_is_announced_and_h5py_reads_it(fernn, probe, file):
    said = []
    record(fernn, probe, file, trials=1, announce=said.append)
    assert said == [
        "recording frames 9x1x6x9x8, state 9x1x6x9x3x9x8, prediction 9x1x6x9x8 as float32: 0.5 MB before compression"
    ]
    with h5py.File(file) as h5:
        assert h5["state"].shape == (9, 1, 6, 9, 3, 9, 8)
        assert h5["state"].chunks[:2] == (1, 1)


def test_a_full_disk_is_foreseen(fernn, probe, file, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    with pytest.raises(InputError, match="may need 1 MB, the disk has 0 MB free; record fewer trials"):
        record(fernn, probe, file)
    assert not [p for p in file.parent.iterdir() if p.suffix != ".lock"]


def test_an_interrupted_recording_leaves_nothing(fernn, probe, file):
    def interrupted(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record(fernn, probe, file, report=interrupted)
    assert not [p for p in file.parent.iterdir() if p.suffix != ".lock"]


def test_wrong_frames_and_wrong_files(fernn, rng, probe, file, tmp_path):
    with pytest.raises(InputError, match=r"the network expects frames \(9, 8\); the stimulus has \(16, 16\)"):
        record(fernn, moving_digits.generate("test", rng), file)
    netcdf.write(probe, tmp_path / "stimulus.h5", {"stage": "stimulus"})
    with pytest.raises(InputError, match="expected a file of stage recording; this one is of stage stimulus"):
        open_recording(tmp_path / "stimulus.h5")


def test_a_network_without_a_law_promises_none(probe, file):
    network = build("fernn", (9, 8), max_speed=0, channels=2)
    network.law = None
    record(network, probe, file)
    assert "law" not in open_recording(file).state.attrs


def test_networks_without_space_are_recorded_as_units(probe, file):
    network = build("gru", (9, 8), units=5)
    record(network, probe, file, channels=3)
    recording = open_recording(file)
    assert recording.state.dims == ("flow", "trial", "time", "unit")
    with torch.no_grad():
        expected = network.states(tensor(probe, 2)).flatten(2)[:, :, :3]
    np.testing.assert_allclose(recording.state[2], expected, atol=1e-6)
    with pytest.raises(
        InputError, match=r"expected state \(flow, .* the recording has state \(flow, trial, time, unit\)"
    ):
        coordinates.variable(recording, "state", coordinates.STATE)


def test_any_ground_truth_is_carried_along(fernn, probe, file):
    time = np.arange(6.0)
    more = probe.assign_coords(
        kind=("trial", ["a", "b", "c"]), moving=("trial", [True, False, True]), velocity_vy=("trial", [7.0, 8.0, 9.0]),
        phase=("time", time), drift=(("object", "trial"), np.zeros((2, 3))),
    )  # fmt: skip
    record(fernn, more, file, trials=2, every=2)
    recording = open_recording(file)
    assert recording.kind.values.tolist() == ["a", "b"]
    assert recording.moving.values.tolist() == [1, 0]
    assert recording.trial_velocity_vy.values.tolist() == [7, 8]
    assert recording.phase.values.tolist() == [0, 2, 4]
    assert recording.object_drift.shape == (2, 2)
    assert coordinates.grid(recording).velocities == fernn.grid.velocities


def test_memory_does_not_grow_with_trials(fernn, probe, file, monkeypatch):
    """A small budget means few trials at once, and the same file."""
    record(fernn, probe, file)
    monkeypatch.setattr("flowsim.recording.layout.MEMORY", 1)
    done = []
    record(
        fernn,
        probe,
        file.with_name("slow.h5"),
        report=lambda *progress: done.append(progress[0] / progress[1]),
    )
    np.testing.assert_allclose(done, np.arange(1, 28) / 27)
    np.testing.assert_allclose(
        open_recording(file).state, open_recording(file.with_name("slow.h5")).state, atol=1e-6
    )


@pytest.mark.parametrize("model", ["fernn", "conv3d"])
def test_logits_after_each_frame(model, probe, file):
    torch.manual_seed(0)
    net = build(model, (9, 8), classes=4)
    record(net, probe, file, sites=["logits"], every=2)
    recording = open_recording(file)
    assert recording.logits.dims == ("flow", "trial", "time", "class")
    assert "state" not in recording
    with torch.no_grad():
        for t in (0, 4):
            expected = net.classify(tensor(probe, 2)[:, : t + 1])
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
