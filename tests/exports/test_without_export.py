"""Other programs read the files of stimuli and recordings as they are, without an export."""

import subprocess
from shutil import which

import h5py
import numpy as np
import pytest
import xarray as xr

from flowsim.files import netcdf
from stimuli import moving_digits


@pytest.fixture(scope="module")
def stimulus(tmp_path_factory):
    path = tmp_path_factory.mktemp("stimulus") / "sweep.h5"
    made = moving_digits.generate("sweep", np.random.default_rng(0), height=9, width=8, trials=1, frames=3)
    netcdf.write(made, path, {"stage": "stimulus"})
    return path


@pytest.mark.parametrize("what", ["stimulus", "file"])
def test_matlab_reads_the_files_as_they_are(what, request):
    """Numbers are integers or single or double precision, texts are texts, and nothing is a reference or
    compound.
    """
    with h5py.File(request.getfixturevalue(what)) as h5:
        assert all(isinstance(item, h5py.Dataset) for item in h5.values())  # no groups
        for name, stored in h5.items():
            assert stored.dtype.kind in "iuf" or h5py.check_string_dtype(stored.dtype), name
            assert stored.dtype.kind != "f" or stored.dtype.itemsize in (4, 8), name
            assert stored.compression in (None, "gzip"), name
            own = set(stored.attrs) - {"DIMENSION_LIST", "REFERENCE_LIST"}  # of netCDF's dimensions
            assert not [a for a in own if h5py.check_ref_dtype(stored.attrs.get_id(a).dtype)], name


@pytest.mark.parametrize("what", ["stimulus", "file"])
def test_ncdump_reads_the_files_as_they_are(what, request):
    if which("ncdump") is None:
        pytest.skip("ncdump (Debian: netcdf-bin) is not installed")
    path = request.getfixturevalue(what)
    header = subprocess.run(["ncdump", "-h", path], capture_output=True, text=True, check=True).stdout
    with xr.open_dataset(path, engine="h5netcdf") as opened:
        for name, size in opened.sizes.items():
            assert f"\t{name} = {size} ;" in header
        for name, values in opened.variables.items():
            assert f" {name}({', '.join(map(str, values.dims))}) ;" in header
        labels = opened["label" if what == "stimulus" else "object_label"]
        text = subprocess.run(
            ["ncdump", "-v", labels.name, path], capture_output=True, text=True, check=True
        ).stdout
        values = text.rpartition(f"{labels.name} =")[2].replace(";", ",").split("}")[0].split(",")
        assert [int(v) for v in values if v.strip()] == labels.values.ravel().tolist()
