"""Every statement in the examples holds."""

import runpy
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "examples"


def lines(name, capsys):
    runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    return capsys.readouterr().out.splitlines()


def test_ring(capsys):
    words = lines("ring", capsys)[-1].split()
    assert int(words[0]) == int(words[2]) > 10


def test_your_network(capsys, tmp_path, monkeypatch):
    """It obeys no law, and its errors are numbers."""
    monkeypatch.chdir(tmp_path)
    *invariant, mse_trained, mse_novel = lines("your_network", capsys)
    errors = [float(word) for word in " ".join(invariant).split("<xarray")[0].strip("[] ").split()]
    assert errors[0] == 0 < min(errors[1:])
    for name, line in (("mse_trained", mse_trained), ("mse_novel", mse_novel)):
        assert name in line
        assert float(line.split()[-1]) > 0


def test_every_example_is_tested():
    assert {path.stem for path in FOLDER.glob("*.py")} == {"ring", "your_network"}
