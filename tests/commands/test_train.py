"""`flowsim train` writes weights and a checkpoint, and resumes from it to the same end."""

import json
import os
import subprocess
import sys

import h5py
import pytest
import torch

from flowsim.__main__ import main


def run(*arguments):
    return main([str(a) for a in arguments])


def test_weights_hold_curve_and_provenance(folder, train_spec):
    content = torch.load(folder / "a.pt", weights_only=True)
    assert content["curve"]["sequences"] == [4, 8]
    assert content["stage"] == "train"
    assert set(content["best"]) == set(content["last"])
    specification = json.loads(content["specification"])
    assert specification["network"] == train_spec["network"]
    defaults = {
        "learning_rate": 1e-3,
        "clip": 1.0,
        "noise": 0.0,
        "warm_up": 0,
        "own_predictions": 0,
        "micro_batch": None,
        "recompute": None,
        "checkpoints": None,
    }
    defaults |= {"context_weight": 0.5, "task": "predict", "stream": False}
    defaults |= {"schedule": "cosine", "budget": {"sequences": None, "minutes": None}}
    assert specification["train"] == {**train_spec["train"], **defaults, "precision": "float32"}


@pytest.mark.slow
def test_training_by_several_processes(folder, train_spec, tmp_path):
    """torchrun: the same weights as of one process; again from the checkpoint, the same to the bit."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
    command += ["--nproc-per-node", "2", "-m", "flowsim", "train", "--spec", json.dumps(train_spec)]
    command += ["--train", str(folder / "train.h5"), "--valid", str(folder / "valid.h5"), "--device", "cpu"]
    command += ["--into", str(tmp_path / "a.pt")]
    together = []
    for _ in range(2):
        (tmp_path / "a.pt").unlink(missing_ok=True)
        ran = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        assert ran.returncode == 0, ran.stderr
        assert "training fernn-seed0 on cpu in 2 processes" in ran.stderr
        together.append(torch.load(tmp_path / "a.pt", weights_only=True))
    alone = torch.load(folder / "a.pt", weights_only=True)
    for name, weight in alone["last"].items():
        torch.testing.assert_close(together[0]["last"][name], weight, rtol=0, atol=1e-5)
        assert torch.equal(together[0]["last"][name], together[-1]["last"][name])
    assert together[0]["curve"]["valid_loss"] == together[-1]["curve"]["valid_loss"]


def test_memory_may_be_saved_in_the_middle(folder, train_spec, tmp_path, capsys):
    """Another micro_batch goes on from the checkpoint; another batch does not."""
    for change, resumed in (({"micro_batch": 1}, True), ({"batch": 2}, False)):
        (tmp_path / "a.ckpt").write_bytes((folder / "a.ckpt").read_bytes())
        train_spec["train"] |= change
        data = ("--train", folder / "train.h5", "--valid", folder / "valid.h5", "--into", tmp_path / "a.pt")
        assert run("train", "--spec", json.dumps(train_spec), *data) == 0
        curve = torch.load(tmp_path / "a.pt", weights_only=True)["curve"]
        same = curve == torch.load(folder / "a.pt", weights_only=True)["curve"]
        assert same == resumed


def test_a_training_that_its_budget_stopped_is_called_partial(folder, train_spec, tmp_path, capsys):
    """In the weights, the log, recordings and results; going on to the end takes the word back."""
    whole_spec = json.dumps(train_spec)
    train_spec["train"]["budget"] = {"sequences": 4}
    data = ("--train", folder / "train.h5", "--valid", folder / "valid.h5", "--into", tmp_path / "a.pt")
    assert run("train", "--spec", json.dumps(train_spec), *data) == 0
    message = "after 4 of 8 sequences"
    assert message in capsys.readouterr().err
    assert torch.load(tmp_path / "a.pt", weights_only=True)["partial"] == message
    for model, words in ((tmp_path / "a.pt", message), (folder / "a.pt", "")):
        recording, result = tmp_path / "rec.h5", tmp_path / "err.h5"
        assert run("record", "--model", model, "--stimulus", folder / "probe.h5", "--into", recording) == 0
        assert run("analyse", "equivariance_error", "--recording", recording, "--into", result) == 0
        for file in (recording, result):
            with h5py.File(file) as opened:
                assert opened.attrs["partial"] == words
    assert run("train", "--spec", whole_spec, *data) == 0
    whole, alone = (torch.load(p / "a.pt", weights_only=True) for p in (tmp_path, folder))
    assert all(torch.equal(whole["last"][name], alone["last"][name]) for name in whole["last"])
    assert whole["partial"] == ""


def test_training_again_resumes_and_ends_the_same(folder, train_spec, tmp_path, capsys):
    (tmp_path / "a.ckpt").write_bytes((folder / "a.ckpt").read_bytes())
    data = ("--train", folder / "train.h5", "--valid", folder / "valid.h5", "--device", "cpu")
    assert run("train", "--spec", json.dumps(train_spec), *data, "--into", tmp_path / "a.pt") == 0
    before, after = (torch.load(p / "a.pt", weights_only=True) for p in (folder, tmp_path))
    assert all(torch.equal(before["last"][name], after["last"][name]) for name in before["last"])
    assert "$ python -m flowsim train --spec" in capsys.readouterr().err


def test_the_log_has_plain_lines(folder, train_spec, tmp_path, capfd):
    data = ("--train", folder / "train.h5", "--valid", folder / "valid.h5", "--device", "cpu")
    assert run("train", "--spec", json.dumps(train_spec), *data, "--into", tmp_path / "a.pt") == 0
    log = capfd.readouterr().err
    assert "fernn-seed0: 4/8 sequences, train 0." in log
    assert "\r" not in log


def test_a_damaged_checkpoint_is_an_error(folder, train_spec, tmp_path, capsys):
    content = (folder / "a.ckpt").read_bytes()
    (tmp_path / "a.ckpt").write_bytes(content[: len(content) // 2])
    data = ("--train", folder / "train.h5", "--valid", folder / "valid.h5", "--device", "cpu")
    assert run("train", "--spec", json.dumps(train_spec), *data, "--into", tmp_path / "a.pt") == 2
    assert "a.ckpt: expected a place for a checkpoint, or one by flowsim" in capsys.readouterr().err
    assert not (tmp_path / "a.pt").exists()
