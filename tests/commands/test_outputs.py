"""No verb writes over what it reads, or over what flowsim did not make; its own output it makes anew."""

import hashlib
import re
import shutil

import pytest

from flowsim.__main__ import main

DATA = ["--train", "train.h5", "--valid", "valid.h5"]
OVER_INPUTS = {
    "record over weights": ["record", "--model", "a.pt", "--stimulus", "probe.h5", "--into", "a.pt"],
    "record over a stimulus": ["record", "--model", "a.pt", "--stimulus", "probe.h5", "--into", "probe.h5"],
    "train over a stimulus": ["train", *DATA, "--into", "train.h5"],
    "train beside itself": ["train", *DATA, "--into", "b.ckpt"],
    "analyse over a recording": [
        "analyse",
        "equivariance_error",
        "--recording",
        "rec.h5",
        "--into",
        "rec.h5",
    ],
    "report over an experiment": ["report", "e.yaml", "--results", ".", "--into", "e.yaml"],
    "report over results": ["report", "e.yaml", "--results", ".", "--into", "err.h5"],
    "figure beside a table": ["figure", "equivariance_error", "--results", "err.h5", "--into", "mine.svg"],
    "export over a recording": ["export", "rec.h5", "--as", "assembly", "--into", "rec.h5"],
    "preview over a photograph": ["preview", "moving_digits", "--into", "mine.png"],
    "stimulus over a program": ["stimulus", "moving_digits", "train", "--into", "mine.py"],
    "schema over settings": ["schema", "--into", "mine.json"],
    "gallery over notes": ["gallery", "--into", "mine.md"],
    "stimulus over a folder": ["stimulus", "moving_digits", "train", "--into", "folder"],
}


@pytest.fixture
def here(folder, tmp_path, monkeypatch):
    """A copy of the folder of all stages, with files of the user's own."""
    at = tmp_path / "here"
    shutil.copytree(folder, at)
    for name in ("mine.py", "mine.json", "mine.md", "mine.csv", "mine.png", "e.yaml"):
        (at / name).write_text("{\"my\": 'own'}\n")
    (at / "folder").mkdir()
    monkeypatch.chdir(at)
    return at


def sums(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("name", OVER_INPUTS)
def test_nothing_is_written_over(here, capsys, name):
    before = sums(here)
    assert main(OVER_INPUTS[name]) == 2
    *_, last = capsys.readouterr().err.splitlines()
    assert re.match(r"flowsim \w+: error: \S+: expected a place for ", last), last
    assert sums(here) == before


def test_own_outputs_are_made_anew(here, train_spec):
    import json

    again = [
        ["train", "--spec", json.dumps(train_spec), *DATA, "--device", "cpu", "--into", "a.pt"],
        ["analyse", "equivariance_error", "--recording", "rec.h5", "--into", "err.h5"],
        ["figure", "equivariance_error", "--results", "err.h5", "--into", "err.svg"],
    ]
    for _ in range(2):
        made = {"preview": "look.png", "schema": "s.json"}
        again += [
            [verb, *(["moving_digits"] if verb == "preview" else []), "--into", file]
            for verb, file in made.items()
        ]
        for format, ending in (("numpy", "npz"), ("assembly", "nc")):
            again.append(["export", "rec.h5", "--as", format, "--into", f"x.{ending}"])
    for arguments in again:
        assert main(arguments) == 0, arguments
