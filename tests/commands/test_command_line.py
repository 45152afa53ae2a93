"""Every verb does its stage, and every mistake ends in one readable line, status 2 and nothing half-written."""

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import pytest
import torch

from flowsim.__main__ import main

STIMULUS = {"height": 8, "width": 9, "trials": 4, "frames": 6}
TRAIN = {
    "name": "fernn",
    "network": {"model": "fernn", "max_speed": 1, "channels": 3, "decoder_layers": 1},
    "train": {"context": 3, "horizon": 2, "sequences": 8, "batch": 4, "validate_every": 4},
}


def run(*arguments):
    return main([str(a) for a in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which every stage has been done once, by the command line."""
    at = tmp_path_factory.mktemp("experiment")
    for split in ("train", "valid", "probe"):
        assert (
            run(
                "stimulus",
                "moving_digits",
                split,
                "--spec",
                json.dumps(STIMULUS),
                "--into",
                at / f"{split}.h5",
            )
            == 0
        )
    data = ("--train", at / "train.h5", "--valid", at / "valid.h5", "--device", "cpu")
    assert run("train", "--spec", json.dumps(TRAIN), *data, "--into", at / "a.pt") == 0
    assert run("record", "--model", at / "a.pt", "--stimulus", at / "probe.h5", "--into", at / "rec.h5") == 0
    assert run("analyse", "equivariance_error", "--recording", at / "rec.h5", "--into", at / "err.h5") == 0
    assert run("figure", "equivariance_error", "--results", at / "err.h5", "--into", at / "err.svg") == 0
    return at


def test_every_stage_wrote_its_file_and_nothing_else(folder):
    names = {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}
    assert names == {
        "train.h5", "valid.h5", "probe.h5", "a.pt", "a.ckpt", "rec.h5", "err.h5", "err.svg", "err.png", "err.csv",
    }  # fmt: skip


def test_weights_hold_curve_and_provenance(folder):
    content = torch.load(folder / "a.pt", weights_only=True)
    assert content["curve"]["sequences"] == [4, 8]
    assert content["stage"] == "train"
    assert set(content["best"]) == set(content["last"])
    specification = json.loads(content["specification"])
    assert specification["network"] == TRAIN["network"]
    defaults = {
        "learning_rate": 1e-3,
        "clip": 1.0,
        "noise": 0.0,
        "warm_up": 0,
        "micro_batch": None,
        "recompute": None,
    }
    defaults |= {"context_weight": 0.5, "task": "predict", "stream": False}
    defaults |= {"schedule": "cosine", "budget": {"sequences": None, "minutes": None}}
    assert specification["train"] == {**TRAIN["train"], **defaults, "precision": "float32"}


def test_training_by_several_processes(folder, tmp_path):
    """torchrun, twice: the second time from the checkpoint that the first one left, to the same bits."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--local-addr", "127.0.0.1", "--nproc-per-node", "2", "-m", "flowsim"]
    data = ["--train", str(folder / "train.h5"), "--valid", str(folder / "valid.h5")]
    command += [
        "train",
        "--spec",
        json.dumps(TRAIN),
        *data,
        "--device",
        "cpu",
        "--into",
        str(tmp_path / "a.pt"),
    ]
    found = []
    for _ in range(2):
        (tmp_path / "a.pt").unlink(missing_ok=True)
        ran = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        assert ran.returncode == 0, ran.stderr
        assert "training fernn-seed0 on cpu in 2 processes" in ran.stderr
        found.append(torch.load(tmp_path / "a.pt", weights_only=True))
    alone = torch.load(folder / "a.pt", weights_only=True)
    for name, weight in alone["last"].items():
        torch.testing.assert_close(found[0]["last"][name], weight, rtol=0, atol=1e-5)
        assert torch.equal(found[0]["last"][name], found[1]["last"][name])
    assert found[0]["curve"]["valid_loss"] == found[1]["curve"]["valid_loss"]


def test_memory_may_be_saved_in_the_middle(folder, tmp_path, capsys):
    """Another micro_batch goes on from the checkpoint; another batch does not."""
    spec = json.loads(json.dumps(TRAIN))
    for change, resumed in (({"micro_batch": 1}, True), ({"batch": 2}, False)):
        (tmp_path / "a.ckpt").write_bytes((folder / "a.ckpt").read_bytes())
        spec["train"] |= change
        data = ("--train", folder / "train.h5", "--valid", folder / "valid.h5", "--into", tmp_path / "a.pt")
        assert run("train", "--spec", json.dumps(spec), *data) == 0
        curve = torch.load(tmp_path / "a.pt", weights_only=True)["curve"]
        same = curve == torch.load(folder / "a.pt", weights_only=True)["curve"]
        assert same == resumed


def test_a_training_that_its_budget_stopped_is_called_partial(folder, tmp_path, capsys):
    """In the weights, the log, recordings and results; going on to the end takes the word back."""
    spec = json.loads(json.dumps(TRAIN))
    spec["train"]["budget"] = {"sequences": 4}
    data = ("--train", folder / "train.h5", "--valid", folder / "valid.h5", "--into", tmp_path / "a.pt")
    assert run("train", "--spec", json.dumps(spec), *data) == 0
    said = "after 4 of 8 sequences"
    assert said in capsys.readouterr().err
    assert torch.load(tmp_path / "a.pt", weights_only=True)["partial"] == said
    for model, words in ((tmp_path / "a.pt", said), (folder / "a.pt", "")):
        recording, result = tmp_path / "rec.h5", tmp_path / "err.h5"
        assert run("record", "--model", model, "--stimulus", folder / "probe.h5", "--into", recording) == 0
        assert run("analyse", "equivariance_error", "--recording", recording, "--into", result) == 0
        for file in (recording, result):
            with h5py.File(file) as opened:
                assert opened.attrs["partial"] == words
    assert run("train", "--spec", json.dumps(TRAIN), *data) == 0
    whole, alone = (torch.load(p / "a.pt", weights_only=True) for p in (tmp_path, folder))
    assert all(torch.equal(whole["last"][name], alone["last"][name]) for name in whole["last"])
    assert whole["partial"] == ""


def test_training_again_resumes_and_ends_the_same(folder, tmp_path, capsys):
    (tmp_path / "a.ckpt").write_bytes((folder / "a.ckpt").read_bytes())
    data = ("--train", folder / "train.h5", "--valid", folder / "valid.h5", "--device", "cpu")
    assert run("train", "--spec", json.dumps(TRAIN), *data, "--into", tmp_path / "a.pt") == 0
    before, after = (torch.load(p / "a.pt", weights_only=True) for p in (folder, tmp_path))
    assert all(torch.equal(before["last"][name], after["last"][name]) for name in before["last"])
    assert "$ python -m flowsim train --spec" in capsys.readouterr().err


def test_the_log_has_plain_lines(folder, tmp_path, capfd):
    data = ("--train", folder / "train.h5", "--valid", folder / "valid.h5", "--device", "cpu")
    assert run("train", "--spec", json.dumps(TRAIN), *data, "--into", tmp_path / "a.pt") == 0
    log = capfd.readouterr().err
    assert "fernn-seed0: 4/8 sequences, train 0." in log
    assert "\r" not in log


def truncated(path, into):
    content = Path(path).read_bytes()
    into.write_bytes(content[: len(content) // 2])
    return into


def flipped(path, into):
    """A copy with one byte changed within the frames."""
    with h5py.File(path) as file:
        chunk = file["frames"].id.get_chunk_info(0)
    content = bytearray(Path(path).read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 255
    into.write_bytes(content)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stimulus", "stars", "train"], "unknown stimulus 'stars'; expected one of: .*moving_digits"),
        (["stimulus", "moving_digits", "train", "--spec", "{"], "--spec: expected JSON"),
        (["stimulus", "moving_digits", "train", "--spec", "[]"], "--spec: expected a JSON object; got '\\[\\]'"),
        (["stimulus", "moving_digits", "train", "--spec", '{"hight": 9}'], "unknown key 'hight'; expected one of: source, height"),
        (["stimulus", "moving_digits", "train", "--spec", '{"height": 3}'], "at least 8x8 px; got 3x16"),
        (["train", "--train", "{at}/none.h5", "--valid", "{at}/valid.h5"], "none.h5: expected a file of stage stimulus, found no such file"),
        (["train", "--train", "{at}/probe.h5", "--valid", "{at}/valid.h5"], r"expected frames \(trial, time, y, x\); found \(flow"),
        (["train", "--train", "{at}/half.h5", "--valid", "{at}/valid.h5"], "half.h5: expected a whole HDF5 file"),
        (["train", "--spec", '{"train": {"horizon": 0}, "network": {"model": "fernn"}}', "--train", "{at}/train.h5", "--valid", "{at}/valid.h5"], "--spec: train.horizon: input should be greater than or equal to 1; got 0"),
        (["train", "--spec", '{"train": {"horizon": 9}, "network": {"model": "fernn"}}', "--train", "{at}/train.h5", "--valid", "{at}/valid.h5"], "at least 15 frames .*; it has 6"),
        (["train", "--spec", '{"network": {"model": "lstm2"}, "train": {"context": 3, "horizon": 3}}', "--train", "{at}/train.h5", "--valid", "{at}/valid.h5"], "unknown network model 'lstm2'"),
        (["train", "--spec", '{"network": {}, "train": {"context": 3, "horizon": 3}}', "--train", "{at}/train.h5", "--valid", "{at}/valid.h5"], "--spec: network: 'model' must name one of"),
        (["train", "--spec", '{"train": {"context": 3, "horizon": 3}, "network": {"model": "fernn"}}', "--train", "{at}/train.h5", "--valid", "{at}/valid.h5", "--device", "tpu"], "device 'tpu' is not on this machine"),
        (["record", "--model", "{at}/half.pt", "--stimulus", "{at}/probe.h5"], "half.pt: expected weights, but it cannot be read"),
        (["record", "--model", "{at}/a.pt", "--stimulus", "{at}/rec.h5"], "expected a file of stage stimulus; this one is of stage recording"),
        (["record", "--model", "{at}/a.pt", "--stimulus", "{at}/probe.h5", "--spec", '{"every": 0}'], "record: every: input should be greater"),
        (["analyse", "equivariance_error", "--recording", "{at}/half.rec.h5"], "half.rec.h5: expected a whole HDF5 file"),
        (["analyse", "equivariance", "--recording", "{at}/rec.h5"], "unknown analysis 'equivariance'"),
        (["analyse", "velocity_generalisation", "--recording", "{at}/rec.h5"], "rec.h5: expected frames after the context of 6"),
        (["figure", "equivariance_error", "--results", "{at}/rec.h5"], "expected a file of stage analysis; this one is of stage recording"),
        (["figure", "stabilised_maps", "--results", "{at}/err.h5"], "err.h5: expected results of stabilised_maps; these are of equivariance_error"),
        (["train", "--spec", '{"tarin": {}}', "--train", "{at}/train.h5", "--valid", "{at}/valid.h5"], "--spec: unknown key 'tarin'; expected one of: network, name, train"),
        (["train", "--spec", '{"network": "fernn"}', "--train", "{at}/train.h5", "--valid", "{at}/valid.h5"], "--spec: network: input should be"),
        (["record", "--model", "{at}/a.ckpt", "--stimulus", "{at}/probe.h5"], "a.ckpt: expected weights; this is a file of checkpoint"),
        (["record", "--model", "{at}/a.pt", "--stimulus", "{at}/flipped.h5"], "flipped.h5: expected a whole HDF5 file"),
        (["report", "{at}/none.yaml", "--results", "{at}"], "none.yaml: expected an experiment file"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(folder, tmp_path, capsys, arguments, message):
    truncated(folder / "train.h5", folder / "half.h5")
    truncated(folder / "rec.h5", folder / "half.rec.h5")
    truncated(folder / "a.pt", folder / "half.pt")
    flipped(folder / "probe.h5", folder / "flipped.h5")
    arguments = [a.replace("{at}", str(folder)) for a in arguments]
    try:
        assert run(*arguments, "--into", tmp_path / "out.svg") == 2
        lines = capsys.readouterr().err.strip().splitlines()
        problems = [line for line in lines if "error:" in line]
        assert len(problems) == 1
        assert lines[-1] == problems[0]
        assert __import__("re").search(message, problems[0]), problems[0]
        assert not [p for p in tmp_path.iterdir() if not p.name.endswith(".lock")]
    finally:
        for damaged in (*folder.glob("half*"), folder / "flipped.h5"):
            damaged.unlink()


def test_a_damaged_checkpoint_is_told(folder, tmp_path, capsys):
    truncated(folder / "a.ckpt", tmp_path / "a.ckpt")
    data = ("--train", folder / "train.h5", "--valid", folder / "valid.h5", "--device", "cpu")
    assert run("train", "--spec", json.dumps(TRAIN), *data, "--into", tmp_path / "a.pt") == 2
    assert "a.ckpt: expected checkpoint, but it cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "a.pt").exists()


def test_usage_errors_are_one_line(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["stimulus", "moving_digits", "holdout", "--into", "x"])
    assert stopped.value.code == 2
    assert "invalid choice: 'holdout'" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["stimulus", "train", "record", "analyse", "figure", "report", "plan"])
def test_help_says_what_is_read_and_written(verb, capsys):
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    text = capsys.readouterr().out
    assert "Reads" in text
    assert "rites" in text or verb == "plan"


def test_a_users_own_folder_adds_ideas(tmp_path):
    """`stimuli/` and `analysis/` in the working directory extend flowsim, for the module and the console
    script.
    """
    (tmp_path / "stimuli").mkdir()
    (tmp_path / "stimuli" / "my_stars.py").write_text(
        "def generate(split, rng, *, trials: int = 1):\n    raise KeyError\n"
    )
    script = Path(sys.executable).parent / "flowsim"
    for command in ([sys.executable, "-m", "flowsim"], [str(script)]):
        arguments = [*command, "stimulus", "no_stars", "train", "--into", "x.h5"]
        done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "my_stars" in done.stderr


def test_an_error_in_a_users_analysis_is_not_blamed_on_the_recording(folder, tmp_path, monkeypatch):
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "broken_for_test.py").write_text(
        "def analyse(recording):\n    raise RuntimeError('mine')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RuntimeError, match="mine"):
        run("analyse", "broken_for_test", "--recording", folder / "rec.h5", "--into", tmp_path / "out.h5")


def test_figures_end_in_svg(folder, tmp_path, capsys):
    assert (
        run("figure", "equivariance_error", "--results", folder / "err.h5", "--into", tmp_path / "a.pdf") == 2
    )
    assert "--into: expected a file ending in .svg" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run("stimulus", "moving_digits", "train", "--seed", -1, "--into", tmp_path / "a.h5")
    assert "expected a whole number from 0; got '-1'" in capsys.readouterr().err


def test_a_folder_of_data(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("FLOWSIM_DATA", "")
    spec = ["--spec", '{"source": "mnist", "height": 28, "width": 28}', "--into", str(tmp_path / "x.h5")]
    assert run("stimulus", "moving_digits", "train", *spec, "--data", str(tmp_path)) == 2
    assert "expected MNIST's files" in capsys.readouterr().err
