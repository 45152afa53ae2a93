"""Weights are kept when they are asked for, the same after an interruption, and change nothing."""

import json

import pytest
import torch

from flowsim import InputError
from flowsim.commands.parser import main
from flowsim.specification import validate
from flowsim.training import weights
from flowsim.training.moments import steps_kept
from flowsim.training.settings import TrainBlock
from flowsim.views.inspection import describe


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (None, []),
        ([64, 0, 9], [0, 2, 8]),
        ([1, 2, 8], [1]),
        (2, [0, 8]),
        (5, [0, 1, 2, 4, 8]),
        (50, [0, 1, 2, 3, 4, 5, 6, 7, 8]),
    ],
)
def test_steps(wanted, expected):
    assert steps_kept(wanted, batch=8, steps=8) == expected


def test_logarithmic_moments_of_a_long_training():
    steps = steps_kept(6, batch=4, steps=10_000)
    assert steps == [0, 1, 10, 100, 1000, 10_000]


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_weights_are_those_of_the_moment_and_training_is_the_same(data, network, fit, small):
    first, kept, of_half = network().state_dict(), {}, {}
    plain, with_kept, half = network(), network(), network()
    fit(plain, small, data, seed=3)
    fit(with_kept, small.model_copy(update={"checkpoints": [0, 32, 64]}), data, seed=3, kept=kept)
    assert list(kept) == [0, 32, 64]
    assert same(kept[0], first)
    assert same(kept[64], plain.state_dict())
    assert same(with_kept.state_dict(), plain.state_dict())
    budget = small.budget.model_copy(update={"sequences": 32})
    stopped = small.model_copy(update={"budget": budget, "checkpoints": [0, 32, 64]})
    fit(half, stopped, data, seed=3, kept=of_half)
    assert list(of_half) == [0, 32]
    assert same(of_half[32], kept[32])
    assert same(half.state_dict(), kept[32])


@pytest.mark.parametrize("stop_after", [1, 4, 6])
def test_what_was_kept_before_an_interruption_is_kept(data, tmp_path, network, fit, small, stop_after):
    settings, whole, resumed, reports = small.model_copy(update={"checkpoints": 5}), {}, {}, []
    fit(network(), settings, data, seed=3, kept=whole)

    def killed(*_):
        reports.append(1)
        if len(reports) == stop_after:
            raise KeyboardInterrupt

    file = tmp_path / "run.ckpt"
    with pytest.raises(KeyboardInterrupt):
        fit(network(), settings, data, seed=3, checkpoint=file, identity="a", report=killed)
    fit(network(), settings, data, seed=3, checkpoint=file, identity="a", kept=resumed)
    assert list(whole) == list(resumed) == [0, 8, 16, 32, 64]
    assert all(same(whole[seen], resumed[seen]) for seen in whole)


def test_settings():
    assert validate(TrainBlock, {"checkpoints": 6}, "train").checkpoints == 6
    assert validate(TrainBlock, {"checkpoints": [0, 100]}, "train").checkpoints == [0, 100]
    for wrong in (1, [], [-1], "all"):
        with pytest.raises(InputError, match="train: checkpoints"):
            validate(TrainBlock, {"checkpoints": wrong}, "train")
    with pytest.raises(
        InputError, match="checkpoints should be at most the 50 sequences of the training; got 60"
    ):
        validate(TrainBlock, {"sequences": 50, "checkpoints": [0, 60]}, "train")


def test_the_file_of_weights_holds_them_and_their_size_is_announced(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for split in ("train", "valid"):
        small = '{"height": 8, "width": 9, "trials": 4, "frames": 6}'
        assert main(["stimulus", "moving_digits", split, "--spec", small, "--into", f"{split}.h5"]) == 0
    train = {"context": 2, "horizon": 2, "sequences": 4, "batch": 2, "validate_every": 4, "checkpoints": 2}
    network = {"model": "fernn", "max_speed": 1, "channels": 2, "decoder_layers": 0}
    spec = json.dumps({"name": "fernn", "network": network, "train": train})
    files = ["--train", "train.h5", "--valid", "valid.h5", "--device", "cpu"]
    assert main(["train", "--spec", spec, *files, "--into", "a.pt"]) == 0
    assert "keeping weights at 2 moments: 0.0 MB" in capsys.readouterr().err
    content = weights.load(tmp_path / "a.pt", "weights")
    assert list(content["checkpoints"]) == [0, 4]
    assert same(content["checkpoints"][4], content["last"])
    assert not same(content["checkpoints"][0], content["last"])
    assert "kept at" in describe("a.pt")
    assert "0, 4" in describe("a.pt")
