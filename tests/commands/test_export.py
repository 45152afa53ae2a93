"""`flowsim export` writes every format, with the provenance of both files, and explains what goes wrong."""

import json

import h5py
import numpy as np
import pytest
import torch
import xarray as xr

from flowsim import build, open_recording, record
from flowsim.__main__ import main
from flowsim.exports import as_numpy
from flowsim.files import netcdf
from stimuli import moving_digits


def run(*arguments):
    return main([str(a) for a in arguments])


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A recording with flows, objects, text and several sites, thinned in time."""
    probe = moving_digits.generate("probe", np.random.default_rng(0), height=9, width=8, trials=3, frames=6)
    probe = probe.assign_coords(kind=("trial", ["früh", "spät", "spät"]))
    torch.manual_seed(0)
    network = build("fernn", (9, 8), max_speed=1, channels=2, decoder_layers=1, classes=4)
    path = tmp_path_factory.mktemp("recording") / "probe.h5"
    inputs = {"models/a.pt": "weights", "stimuli/probe.h5": "shown"}
    attrs = {"stage": "recording", "network": "fernn", "seed": "3", "inputs": json.dumps(inputs)}
    record(network, probe, path, sites=("state", "prediction", "logits"), every=2, attrs=attrs)
    return path


@pytest.fixture(scope="module")
def recording(file):
    with open_recording(file) as opened:
        yield opened


@pytest.mark.parametrize(
    ("form", "name", "more"),
    [("numpy", "a.npz", ()), ("numpy", "a.npz", ("--site", "logits")), ("assembly", "a.nc", ("--time", 2)),
     ("assembly", "a.h5", ("--site", "prediction", "--time", "mean")), ("nwb", "a.nwb", ("--rate", 30)),
     ("nwb", "a.nwb", ("--site", "logits")), ("rsatoolbox", "a.hdf5", ("--site", "logits"))],
)  # fmt: skip
def test_the_command_exports(form, name, more, file, recording, tmp_path, capsys):
    pytest.importorskip({"nwb": "pynwb", "rsatoolbox": "rsatoolbox"}.get(form, "numpy"))
    if form == "rsatoolbox":  # whose files hold no text but ASCII
        file = tmp_path / "ascii.h5"
        netcdf.write(recording.drop_vars("kind"), file, {})
    assert run("export", file, "--as", form, *more, "--into", tmp_path / name) == 0
    assert f"wrote {tmp_path / name}: 0." in capsys.readouterr().err
    assert run("inspect", tmp_path / name, "--check") == 0
    description = capsys.readouterr().out
    assert f"as {form}" in description
    assert f"{file}, sha256 " in description
    assert ", unchanged" in description
    assert "stimuli/probe.h5, sha256 shown" in description
    if form == "assembly":
        with xr.open_dataarray(tmp_path / name, engine="h5netcdf") as read:
            assert read.attrs["stimulus_set_identifier"] == "shown"
            assert read.attrs["stage"] == "export"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{file}", "--as", "nwb", "--into", "{at}/a.h5"], "--into: expected a file ending in .nwb; got"),
        (["{file}", "--as", "assembly", "--into", "{at}/a.npz"], "--into: expected a file ending in .nc or .h5; got"),
        (["{file}", "--as", "numpy", "--time", "2", "--into", "{at}/a.npz"], "--time is for assembly and rsatoolbox; leave it out of an export as numpy"),
        (["{file}", "--as", "nwb", "--rate", "0", "--into", "{at}/a.nwb"], "expected a rate above 0 frames per second; got 0.0"),
        (["{file}", "--as", "assembly", "--rate", "2", "--into", "{at}/a.nc"], "--rate is for nwb; leave it out"),
        (["{file}", "--as", "assembly", "--time", "late", "--into", "{at}/a.nc"], "--time: expected a frame, counted from 0, or mean; got 'late'"),
        (["{file}", "--as", "numpy", "--site", "retina", "--into", "{at}/a.npz"], "expected the recording to hold 'retina'"),
        (["{at}/none.h5", "--as", "numpy", "--into", "{at}/a.npz"], "none.h5: expected a file of stage recording, found no such file"),
        (["{flipped}", "--as", "numpy", "--into", "{at}/a.npz"], "flipped.h5: expected a whole HDF5 file, but it cannot be read"),
        (["{flipped}", "--as", "nwb", "--into", "{at}/a.nwb"], "flipped.h5: expected a whole HDF5 file, but it cannot be read"),
        (["{flipped}", "--as", "assembly", "--into", "{at}/a.nc"], "flipped.h5: expected a whole HDF5 file, but it cannot be read"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(arguments, message, file, tmp_path, tmp_path_factory, capsys):
    pytest.importorskip("pynwb", reason="pynwb is not installed")
    damaged = tmp_path_factory.mktemp("damaged") / "flipped.h5"
    with h5py.File(file) as h5:
        chunk = h5["state"].id.get_chunk_info(5)
    content = bytearray(file.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 0xFF
    damaged.write_bytes(content)
    places = {"{file}": str(file), "{at}": str(tmp_path), "{flipped}": str(damaged)}
    for short, long in places.items():
        arguments = [a.replace(short, long) for a in arguments]
    assert run("export", *arguments) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("flowsim export: error: ")
    assert message in last
    assert not [*tmp_path.iterdir()]


def test_a_disk_that_fills_up_is_told(file, tmp_path, capsys, monkeypatch):
    def full(*_):
        raise OSError("[Errno 28] No space left on device")

    monkeypatch.setattr(as_numpy, "pieces", full)
    assert run("export", file, "--as", "numpy", "--into", tmp_path / "a.npz") == 2
    assert "error: the disk is full; make room, or export one site" in capsys.readouterr().err
    monkeypatch.setattr(as_numpy, "pieces", lambda *_: [][0])
    with pytest.raises(IndexError):
        run("export", file, "--as", "numpy", "--into", tmp_path / "a.npz")


def test_help_says_what_is_read_and_written(capsys):
    with pytest.raises(SystemExit):
        main(["export", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "Reads a recording; writes one file in one of these formats: assembly, numpy, nwb" in text
