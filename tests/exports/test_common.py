"""A file of any format is whole or not at all, and every format has what the command needs."""

import inspect

import pytest

from flowsim import InputError, ideas
from flowsim.exports import as_numpy, as_nwb
from flowsim.exports.as_assembly import to_assembly, write_assembly
from flowsim.exports.as_numpy import to_numpy
from flowsim.exports.as_nwb import to_nwb
from flowsim.exports.as_rsatoolbox import to_rsatoolbox, write_rsatoolbox

EXPORTS = {
    "a.npz": to_numpy,
    "a.nwb": to_nwb,
    "a.nc": lambda recording, into: write_assembly(to_assembly(recording), into),
    "a.h5": lambda recording, into: write_rsatoolbox(to_rsatoolbox(recording.drop_vars("kind")), into),
}


@pytest.mark.parametrize("name", EXPORTS)
def test_a_full_disk_is_foreseen(name, recording, tmp_path, monkeypatch):
    pytest.importorskip({"a.nwb": "pynwb", "a.h5": "rsatoolbox"}.get(name, "numpy"))
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    with pytest.raises(
        InputError, match="the export may need [0-9]+ MB, the disk has 0 MB free; export one site"
    ):
        EXPORTS[name](recording, tmp_path / "new" / name)
    assert not list(tmp_path.rglob("*.*"))


@pytest.mark.parametrize("name", ["a.npz", "a.nwb"])
def test_what_is_incomplete_does_not_appear(name, recording, tmp_path, monkeypatch):
    pytest.importorskip({"a.nwb": "pynwb"}.get(name, "numpy"))
    for module in (as_numpy, as_nwb):
        monkeypatch.setattr(module, "pieces", lambda *_: iter(()))
    with pytest.raises(OSError, match="was not written completely"):
        EXPORTS[name](recording, tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [n for n in ideas.names("flowsim.exports") if n.startswith("as_")])
def test_a_format_says_what_it_takes(name):
    module = ideas.load("flowsim.exports", name)
    assert all(ending.startswith(".") for ending in module.ENDINGS)
    assert set(module.OPTIONS) <= {"site", "time", "rate"}
    _, _, *options = inspect.signature(module.write).parameters.values()
    assert tuple(option.name for option in options) == module.OPTIONS
    assert all(option.default is not inspect.Parameter.empty for option in options)
