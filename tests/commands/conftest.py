"""A folder of files that every stage has written, and what a training of it is asked for."""

import json

import pytest

from flowsim.__main__ import main

STIMULUS = {"height": 8, "width": 9, "trials": 4, "frames": 6}
TRAIN = {
    "name": "fernn",
    "network": {"model": "fernn", "max_speed": 1, "channels": 3, "decoder_layers": 1},
    "train": {"context": 3, "horizon": 2, "sequences": 8, "batch": 4, "validate_every": 4},
}


@pytest.fixture
def train_spec():
    """What the training in `folder` was asked for, to be changed at will."""
    return json.loads(json.dumps(TRAIN))


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A folder in which every stage has been done once, by the command line."""
    at = tmp_path_factory.mktemp("experiment")

    def run(*arguments):
        assert main([str(a) for a in arguments]) == 0

    for split in ("train", "valid", "probe"):
        spec = json.dumps(STIMULUS)
        run("stimulus", "moving_digits", split, "--spec", spec, "--into", at / f"{split}.h5")
    data = ("--train", at / "train.h5", "--valid", at / "valid.h5", "--device", "cpu")
    run("train", "--spec", json.dumps(TRAIN), *data, "--into", at / "a.pt")
    run("record", "--model", at / "a.pt", "--stimulus", at / "probe.h5", "--into", at / "rec.h5")
    run("analyse", "equivariance_error", "--recording", at / "rec.h5", "--into", at / "err.h5")
    run("figure", "equivariance_error", "--results", at / "err.h5", "--into", at / "err.svg")
    return at
