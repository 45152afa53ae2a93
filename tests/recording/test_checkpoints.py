"""A network is recorded as it was at moments of its training, each as if by itself, and left as it is."""

import json

import numpy as np
import pytest
import torch

from flowsim import InputError, build, open_recording, record
from flowsim.commands.parser import main
from flowsim.files.checkpoints import at_checkpoint, sequences_seen


@pytest.fixture
def weights():
    """Weights of the network of the fixture `fernn` at three moments."""
    found = {}
    for seen in (0, 8, 64):
        torch.manual_seed(seen)
        found[seen] = build("fernn", (9, 8), max_speed=1, channels=3, decoder_layers=1).state_dict()
    return found


@pytest.mark.parametrize(
    "options", [{}, {"blank": {"at": 3}}, {"units": {"count": 5}, "every": 2}, {"context": 3}]
)
def test_each_is_the_recording_of_a_network_with_those_weights(fernn, probe, weights, tmp_path, options):
    before = {name: tensor.clone() for name, tensor in fernn.state_dict().items()}
    record(fernn, probe, tmp_path / "all.h5", checkpoints=weights, trials=2, **options)
    assert all(torch.equal(before[name], tensor) for name, tensor in fernn.state_dict().items())
    recording = open_recording(tmp_path / "all.h5", verify=True)
    assert sequences_seen(recording) == [0, 8, 64]
    assert recording.state_at_checkpoint.dims == ("checkpoint", *recording.state.dims)
    assert recording.state_at_checkpoint.attrs["condition"] == "checkpoint"
    record(fernn, probe, tmp_path / "plain.h5", trials=2, **options)
    plain = open_recording(tmp_path / "plain.h5")
    for name in plain.variables:
        np.testing.assert_array_equal(recording[name], plain[name])
    for number, seen in enumerate(weights):
        network = build("fernn", (9, 8), max_speed=1, channels=3, decoder_layers=1)
        network.load_state_dict(weights[seen])
        record(network, probe, tmp_path / f"{seen}.h5", trials=2, **options)
        alone, then = open_recording(tmp_path / f"{seen}.h5"), at_checkpoint(recording, number)
        assert {*then.variables} == {*alone.variables}
        for name in alone.variables:
            np.testing.assert_array_equal(then[name], alone[name])
            assert then[name].dims == alone[name].dims
        assert then.state.attrs.get("law") == alone.state.attrs.get("law")


def test_the_size_is_announced_and_reached(fernn, probe, weights, file):
    said, done = [], []
    record(
        fernn,
        probe,
        file,
        sites=["prediction"],
        checkpoints=weights,
        curve={"valid_loss": [0.3, 0.2]},
        announce=said.append,
        report=lambda *progress: done.append(progress),
    )
    assert "prediction_at_checkpoint 3x9x3x6x9x8" in said[-1]
    assert done[-1][0] == done[-1][1] == 9 * 3 * 6 * 72 * 4 * 5
    assert [one for one, _ in done] == sorted(one for one, _ in done)
    recording = open_recording(file)
    assert recording.curve_valid_loss.dims == ("validation",)
    assert not [name for name in recording.data_vars if str(name).startswith("state")]


def test_any_module(conv, conv_sites, called, probe, file):
    other = {name: tensor + 0.1 for name, tensor in conv.state_dict().items()}
    weights = {0: other, 5: conv.state_dict()}
    record(conv, probe, file, sites=conv_sites, feed=called, checkpoints=weights)
    recording = open_recording(file)
    np.testing.assert_array_equal(recording.state_at_checkpoint[1], recording.state)
    assert float(abs(recording.memory_at_checkpoint[0] - recording.memory).max()) > 0.01


def test_weights_that_do_not_fit(fernn, grnn, conv, probe, file):
    before = {name: tensor.clone() for name, tensor in fernn.state_dict().items()}
    with pytest.raises(
        InputError, match="expected weights of this network after 3 sequences; they do not fit"
    ):
        record(fernn, probe, file, checkpoints={3: conv.state_dict()})
    assert all(torch.equal(before[name], tensor) for name, tensor in fernn.state_dict().items())
    assert not file.exists()


def test_a_recording_of_one_moment_says_so(fernn, probe, file):
    record(fernn, probe, file, curve={"sequences": [4], "valid_loss": [0.3]})
    with pytest.raises(InputError, match="expected a recording of a network at several moments .* in record"):
        sequences_seen(open_recording(file))


def test_from_training_to_recording(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small = '{"height": 8, "width": 9, "trials": 2, "frames": 6}'
    for split in ("train", "valid", "probe"):
        assert main(["stimulus", "moving_digits", split, "--spec", small, "--into", f"{split}.h5"]) == 0
    train = {"context": 2, "horizon": 2, "sequences": 2, "batch": 2, "validate_every": 2}
    network = {"model": "fernn", "max_speed": 1, "channels": 2, "decoder_layers": 0}
    shown = ["--stimulus", "probe.h5", "--device", "cpu", "--into", "a.h5", "--spec", '{"checkpoints": true}']
    for name, checkpoints in (("kept", [0, 2]), ("not", None)):
        spec = {"name": "fernn", "network": network, "train": {**train, "checkpoints": checkpoints}}
        files = ["--train", "train.h5", "--valid", "valid.h5", "--device", "cpu"]
        assert main(["train", "--spec", json.dumps(spec), *files, "--into", f"{name}.pt"]) == 0
    assert main(["record", "--model", "kept.pt", *shown]) == 0
    recording = open_recording("a.h5")
    assert sequences_seen(recording) == [0, 2]
    np.testing.assert_array_equal(at_checkpoint(recording, 1).state, recording.state)
    capsys.readouterr()
    assert main(["record", "--model", "not.pt", *shown]) == 2
    assert (
        "not.pt: expected weights of several moments of the training; it kept none" in capsys.readouterr().err
    )
