"""A recording has the dimensions, coordinates and attributes that its parts need, in blocks that fit into memory."""

import math

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from flowsim import Site, build, open_recording, record
from flowsim.files import coordinates
from flowsim.recording import layout


def test_size_is_announced_and_h5py_reads_it(fernn, probe, file):
    said = []
    record(fernn, probe, file, trials=1, announce=said.append)
    assert said == [
        "recording frames 9x1x6x9x8, state 9x1x6x9x3x9x8, prediction 9x1x6x9x8 as float32: 0.5 MB before compression"
    ]
    with h5py.File(file) as h5:
        assert h5["state"].shape == (9, 1, 6, 9, 3, 9, 8)
        assert h5["state"].chunks == (9, 1, 1, 9, 3, 9, 8)


def test_a_network_without_a_law_promises_none(probe, file):
    network = build("fernn", (9, 8), max_speed=0, channels=2)
    network.law = None
    record(network, probe, file)
    assert "law" not in open_recording(file).state.attrs


def test_any_ground_truth_is_carried_along(fernn, probe, file):
    time = np.arange(6.0)
    more = probe.assign_coords(
        kind=("trial", ["a", "b", "c"]),
        moving=("trial", [True, False, True]),
        velocity_vy=("trial", [7.0, 8.0, 9.0]),
        phase=("time", time),
        drift=(("object", "trial"), np.zeros((2, 3))),
    )
    record(fernn, more, file, trials=2, every=2)
    recording = open_recording(file)
    assert recording.kind.values.tolist() == ["a", "b"]
    assert recording.moving.values.tolist() == [1, 0]
    assert recording.trial_velocity_vy.values.tolist() == [7, 8]
    assert recording.phase.values.tolist() == [0, 2, 4]
    assert recording.object_drift.shape == (2, 2)
    assert coordinates.grid(recording).velocities == fernn.grid.velocities


def test_memory_does_not_grow_with_trials(fernn, probe, file, monkeypatch):
    """A small budget means few trials and flows at once, and the same file."""
    record(fernn, probe, file)
    monkeypatch.setattr(layout, "MEMORY", 1)
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


@pytest.mark.parametrize("per_block", [1, 2, 4, 7, 18])
@pytest.mark.parametrize("chunk_bytes", [1, 2000, 10**5, 10**6])
def test_blocks_are_of_whole_chunks(fernn, probe, file, monkeypatch, per_block, chunk_bytes):
    """However many trials and flows fit into memory, all is written, in chunks of no more than was asked for."""
    with torch.no_grad():
        expected = np.stack(
            [fernn.states(torch.from_numpy(frames)[:, :, None]).numpy() for frames in probe.frames.values]
        )
    bytes_per_trial = (fernn.states(torch.zeros(1, 6, 1, 9, 8)).numel() + 2 * 6 * 9 * 8) * 4
    monkeypatch.setattr(layout, "MEMORY", per_block * bytes_per_trial)
    monkeypatch.setattr(layout, "FLOW_BYTES", 2 * chunk_bytes)
    monkeypatch.setattr(layout, "CHUNK_BYTES", chunk_bytes)
    record(fernn, probe, file, intervene={"law": {"law": [0, 1], "at": 2}}, context=6)
    with open_recording(file, verify=True) as recording, h5py.File(file) as h5:
        np.testing.assert_allclose(recording.state, expected, atol=1e-6)
        np.testing.assert_array_equal(recording.frames, probe.frames)
        np.testing.assert_array_equal(recording.intervened_state[0, :, :, :2], recording.state[:, :, :2])
        for name in ("frames", "state", "prediction", "intervened_state"):
            chunks = h5[name].chunks
            one_channel = (9 if "state" in name else 1) * 9 * 8 * 4
            assert math.prod(chunks) * 4 <= max(2 * chunk_bytes, one_channel)
            assert h5[name].id.get_num_chunks() == math.prod(
                math.ceil(size / length) for size, length in zip(h5[name].shape, chunks, strict=True)
            )


def test_a_chunk_holds_all_flows_of_a_channel(fernn, probe, file):
    """What a lawful network does under one flow is a moved copy of another: together they need less."""
    record(fernn, probe, file, sites=["state"], context=6)
    apart = file.with_name("apart.h5")
    with h5py.File(file) as h5, h5py.File(apart, "w") as made:
        state = h5["state"]
        assert state.chunks[0] == len(probe.flow)
        options = {"compression": "gzip", "compression_opts": 4, "shuffle": True}
        alone = made.create_dataset("state", data=state[:], chunks=(1, *state.shape[1:]), **options)
        assert state.id.get_storage_size() < 0.6 * alone.id.get_storage_size()


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


def test_a_declared_law_is_of_the_network_s_own_state(fernn, probe, file):
    last = [name for name, module in fernn.named_modules() if "decoder." in name][-1]
    record(fernn, probe, file, sites={"state": Site(last, ("trial", "channel", "y", "x"), start=1)})
    recording = open_recording(file)
    assert "law" not in recording.state.attrs
    assert recording.sizes["velocity"] == 1
