"""What works on this machine, in a line each."""

import tomllib
from pathlib import Path

import pytest
import torch

from flowsim import __version__
from flowsim.__main__ import main
from flowsim.views import machine

ROOT = Path(__file__).parents[2]


def test_it_is_a_line_for_each_thing(capsys):
    assert main(["doctor"]) == 0
    found = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert found["flowsim"].startswith(__version__)
    assert found["torch"].startswith(torch.__version__.split("+")[0])
    assert set(machine.EXTRAS) | {"python", "cores", "GPU", "disk", "data", "compiler"} <= set(found)


def test_what_is_missing_comes_with_its_command(monkeypatch):
    monkeypatch.setattr(machine, "version", lambda name: None)
    found = dict(machine.lines())
    assert found["av"] == "not installed; pip install av (videos, such as KTH)"
    assert found["torch"] == "not installed; pip install torch"


def test_whether_c_is_used(monkeypatch):
    monkeypatch.setattr(machine, "processor", lambda: "AVX2")
    monkeypatch.setattr(machine.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert machine.compiler() == "/usr/bin/cc"
    monkeypatch.setattr(machine.shutil, "which", lambda name: None)
    assert machine.compiler().startswith("cc is not there; networks train on the CPU all the same")
    monkeypatch.setattr(machine, "processor", lambda: None)
    assert machine.compiler().startswith("not used: the processor has neither AVX-512 nor AVX2")
    monkeypatch.setenv("FLOWSIM_COMPILE", "0")
    assert machine.compiler().startswith("not used, since FLOWSIM_COMPILE is 0")


def test_every_extra_is_named():
    """Those that work needs, not those that developers need."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    needed = {
        name for extra in ("kth", "nwb", "rsa", "topology", "dsa", "distributed") for name in extras[extra]
    }
    assert {name.split(">")[0] for name in needed} == set(machine.EXTRAS)


def test_a_gpu_that_does_not_compute_is_told(monkeypatch):
    def fails(*shape, device):
        raise RuntimeError("no kernel image is available\nand more")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch, "ones", fails)
    assert machine.gpu() == (
        "Apple's GPU is there, but does not compute: no kernel image is available. Use --device cpu"
    )


@pytest.mark.parametrize(
    ("folder", "text"),
    [("", "is not set"), ("nowhere", "which is no folder; set it"), (".", "FLOWSIM_DATA is .")],
)
def test_the_folder_of_data(folder, text):
    assert text in machine.data(folder)


def test_a_folder_that_cannot_be_written_to(monkeypatch, tmp_path):
    def fails(dir):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(machine.tempfile, "TemporaryFile", fails)
    assert "cannot be written to (Permission denied); work in another folder" in machine.disk(tmp_path)
