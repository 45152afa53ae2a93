"""`flowsim record` finds the dimensions of frames by their names, as `flowsim.record` does."""

import xarray as xr

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
