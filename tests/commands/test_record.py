"""`flowsim record` finds the dimensions of frames by their names, as `flowsim.record` does."""

import json

import h5py
import numpy as np
import xarray as xr

from flowsim import open_recording
from flowsim.__main__ import main
from flowsim.files import netcdf


def test_frames_with_dimensions_in_another_order(folder, tmp_path):
    with xr.open_dataset(folder / "probe.h5", engine="h5netcdf") as probe:
        turned = probe.load().transpose("x", "time", "y", "trial", "flow", ...)
        netcdf.write(turned, tmp_path / "turned.h5", probe.attrs)
    arguments = ["record", "--model", folder / "a.pt", "--stimulus", tmp_path / "turned.h5"]
    assert main([str(a) for a in [*arguments, "--into", tmp_path / "rec.h5"]]) == 0
    with (
        xr.open_dataset(folder / "rec.h5", engine="h5netcdf") as expected,
        xr.open_dataset(tmp_path / "rec.h5", engine="h5netcdf") as recording,
    ):
        for name in ("frames", "state"):
            xr.testing.assert_identical(recording[name], expected[name])


def test_frames_that_lack_a_dimension_are_refused(folder, tmp_path, capsys):
    with xr.open_dataset(folder / "probe.h5", engine="h5netcdf") as probe:
        netcdf.write(probe.load().isel(time=0), tmp_path / "still.h5", probe.attrs)
    arguments = ["record", "--model", folder / "a.pt", "--stimulus", tmp_path / "still.h5"]
    assert main([str(a) for a in [*arguments, "--into", tmp_path / "rec.h5"]]) == 2
    assert "expected frames (flow if there are several, trial, time, y, x)" in capsys.readouterr().err
    assert not (tmp_path / "rec.h5").exists()


def test_only_trials_that_are_recorded_are_read(folder, tmp_path, rng):
    """The rest of the file may be as large as it likes; here it is damaged."""
    frames = rng.random((800, 10, 8, 9), np.float32)
    noise = xr.Dataset({"frames": (("trial", "time", "y", "x"), frames)}, {"time": np.arange(10)})
    netcdf.write(noise, tmp_path / "noise.h5", {"stage": "stimulus", "flow_group": "translation"})
    with h5py.File(tmp_path / "noise.h5") as h5:
        chunk = h5["frames"].id.get_chunk_info(h5["frames"].id.get_num_chunks() - 1)
    damaged = bytearray((tmp_path / "noise.h5").read_bytes())
    damaged[chunk.byte_offset + chunk.size // 2] ^= 1
    (tmp_path / "noise.h5").write_bytes(damaged)
    files = ["--model", folder / "a.pt", "--stimulus", tmp_path / "noise.h5", "--into", tmp_path / "rec.h5"]
    ends = [main([str(a) for a in ["record", "--spec", spec, *files]]) for spec in ('{"trials": 2}', "{}")]
    assert ends == [0, 2]
    assert open_recording(tmp_path / "rec.h5").sizes["trial"] == 2


def test_interventions_by_the_command_line(folder, tmp_path, capsys):
    asked = {"context": 3, "flows": 1, "intervene": {"law": {"law": [0, 1]}, "trial": {"trial": 1}}}
    arguments = ["record", "--model", folder / "a.pt", "--stimulus", folder / "probe.h5", "--into"]
    assert main([str(a) for a in [*arguments, tmp_path / "rec.h5", "--spec", json.dumps(asked)]]) == 0
    with open_recording(tmp_path / "rec.h5") as recording:
        assert recording.intervention.values.tolist() == ["law", "trial"]
        assert recording.intervened_prediction.dims[:2] == ("intervention", "flow")
        assert json.loads(recording.attrs["interventions"])["law"]["at"] == 2
    own = {"context": 3, "intervene": {"a": {"recording": str(tmp_path / "rec.h5")}}}
    assert main([str(a) for a in [*arguments, tmp_path / "rec.h5", "--spec", json.dumps(own)]]) == 2
    assert "rec.h5" in capsys.readouterr().err
