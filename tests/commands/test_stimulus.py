"""`flowsim stimulus` takes a seed and a folder of data."""

import pytest

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
