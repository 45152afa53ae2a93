"""`flowsim stimulus` takes a seed and a folder of data."""

import json
from pathlib import Path

import pytest
import xarray as xr

from flowsim.__main__ import main


def run(*arguments):
    return main([str(a) for a in arguments])


def test_a_folder_of_data(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("FLOWSIM_DATA", "")
    spec = ["--spec", '{"source": "mnist", "height": 28, "width": 28}', "--into", str(tmp_path / "x.h5")]
    assert run("stimulus", "moving_digits", "train", *spec, "--data", str(tmp_path)) == 2
    assert "expected MNIST's files" in capsys.readouterr().err


def test_a_seed_is_a_whole_number_from_0(tmp_path, capsys):
    with pytest.raises(SystemExit):
        run("stimulus", "moving_digits", "train", "--seed", -1, "--into", tmp_path / "a.h5")
    assert "expected a whole number from 0; got '-1'" in capsys.readouterr().err


def test_a_file_names_the_users_sources_that_it_was_made_by(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stimuli").mkdir()
    (tmp_path / "stimuli" / "shared_for_test.py").write_text("GREY = 0.5")
    (tmp_path / "stimuli" / "own_for_test.py").write_text(
        "import numpy as np\nimport xarray as xr\nfrom stimuli.shared_for_test import GREY\n\n\n"
        "def generate(split, rng, trials=2):\n"
        "    frames = np.full((trials, 3, 4, 4), GREY)\n"
        '    return xr.Dataset({"frames": (("trial", "time", "y", "x"), frames)})\n'
    )
    assert main(["stimulus", "own_for_test", "train", "--into", "train.h5"]) == 0
    with xr.open_dataset("train.h5", engine="h5netcdf") as made:
        assert [Path(name).name for name in json.loads(made.attrs["inputs"])] == [
            "own_for_test.py",
            "shared_for_test.py",
        ]
