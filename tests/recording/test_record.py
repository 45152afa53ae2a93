"""A recording holds what the network did, whole or not at all."""

import shutil

import numpy as np
import pytest
import torch

from flowsim import InputError, Site, open_recording, record
from flowsim.files import coordinates, netcdf
from stimuli import moving_digits


def test_recording_holds_what_the_network_does(fernn, probe, file, shown):
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
            np.testing.assert_allclose(recording.state[flow], fernn.states(shown(probe, flow)), atol=1e-6)
    np.testing.assert_array_equal(recording.frames, probe.frames)
    np.testing.assert_array_equal(recording.object_label, probe.label)
    assert recording.prediction[:, :, 0].isnull().all()
    assert recording.prediction[:, :, 1:].notnull().all()
    assert recording.attrs["context"] == 6


def test_prediction_after_the_context_is_the_rollout(fernn, probe, file, shown):
    record(fernn, probe, file, context=4)
    with torch.no_grad():
        rollout = fernn.rollout(shown(probe, 1)[:, :4], 2)[:, :, 0]
    np.testing.assert_allclose(open_recording(file).prediction[1, :, 4:], rollout, atol=1e-6)


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


def test_a_full_disk_is_foreseen(fernn, probe, file, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    with pytest.raises(InputError, match="may need 1 MB, the disk has 0 MB free; record fewer trials"):
        record(fernn, probe, file)
    assert not [*file.parent.iterdir()]


def test_an_interrupted_recording_leaves_nothing(fernn, probe, file):
    def interrupted(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record(fernn, probe, file, report=interrupted)
    assert not [*file.parent.iterdir()]


def test_wrong_frames_and_wrong_files(fernn, rng, probe, file, tmp_path):
    with pytest.raises(InputError, match=r"the network expects frames \(9, 8\); the stimulus has \(16, 16\)"):
        record(fernn, moving_digits.generate("test", rng), file)
    netcdf.write(probe, tmp_path / "stimulus.h5", {"stage": "stimulus"})
    with pytest.raises(InputError, match="expected a file of stage recording; this one is of stage stimulus"):
        open_recording(tmp_path / "stimulus.h5")


STATE = Site("cells.1", ("trial", "channel", "y", "x"), (0,))
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
        {"sites": {"frames": STATE}},
        "a site has a name of letters, .* other than frames, .*; got 'frames'",
    ),
    ({"sites": {"a/b": STATE}}, "got 'a/b'"),
]


@pytest.mark.parametrize(("arguments", "message"), ARGUMENTS, ids=[m[1][:25] for m in ARGUMENTS])
def test_arguments_out_of_range(conv, probe, file, arguments, message, conv_sites, called):
    with pytest.raises(InputError, match=message):
        record(conv, probe, file, **{"sites": conv_sites, "feed": called, **arguments})


def test_an_error_of_the_network_is_its_own(conv, probe, file, conv_sites):
    calls = []

    def feed(network, frames, horizon):
        calls.append(1)
        if len(calls) > 1:
            raise FileNotFoundError("lookup_table.npy")
        network(frames)

    with pytest.raises(FileNotFoundError, match="lookup_table"):
        record(conv, probe, file, sites=conv_sites, feed=feed)
    assert not file.exists()


def test_a_function_is_no_network(probe, tmp_path):
    with pytest.raises(
        InputError, match=r"expected a network that is a torch\.nn\.Module; got function\. Give"
    ):
        record(lambda frames: frames, probe, tmp_path / "a.h5")
    assert not list(tmp_path.iterdir())
