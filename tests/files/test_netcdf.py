"""Datasets are read back as they were written, and damaged or wrong files are named."""

import errno

import h5py
import numpy as np
import pytest
import xarray as xr

from flowsim import InputError, open_recording, record
from flowsim.files import netcdf


def test_round_trip(probe, tmp_path):
    netcdf.write(probe, tmp_path / "probe.h5", {"stage": "stimulus", "commit": "abc"})
    again = netcdf.read(tmp_path / "probe.h5", "stimulus", {"frames": ("flow", "trial", "time", "y", "x")})
    assert again.frames.chunks is not None
    assert again.frames.encoding["chunksizes"] == (1, 3, 6, 9, 8)
    xr.testing.assert_equal(again.load(), probe)
    assert again.attrs["commit"] == "abc"
    assert again.time.attrs["units"] == "frame"


@pytest.mark.parametrize("keep", [0, 7, 1000, -2000])
def test_truncated_file(probe, tmp_path, keep):
    file = tmp_path / "probe.h5"
    netcdf.write(probe, file, {"stage": "stimulus"})
    file.write_bytes(file.read_bytes()[:keep])
    message = (
        r"a whole HDF5 file, .* If flowsim made it, make it again" if keep else "by flowsim; this is an empty"
    )
    with pytest.raises(InputError, match=f"probe.h5: expected .*{message}"):
        netcdf.load(netcdf.read(file, "stimulus"), file)


def test_damaged_chunk(rng, tmp_path):
    file = tmp_path / "noise.h5"
    noise = xr.Dataset({"frames": (("trial", "x"), rng.random((100, 1000)))})
    netcdf.write(noise, file, {"stage": "stimulus"})
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = b"\0" * 400
    file.write_bytes(content)
    with pytest.raises(InputError, match="expected a whole HDF5 file"):
        netcdf.load(netcdf.read(file, "stimulus"), file)


def test_missing_file_and_variable(probe, tmp_path):
    with pytest.raises(InputError, match=r"none.h5: expected a file of stage stimulus, found no such file"):
        netcdf.read(tmp_path / "none.h5", "stimulus")
    netcdf.write(probe, tmp_path / "probe.h5", {"stage": "stimulus"})
    with pytest.raises(
        InputError, match=r"expected frames \(trial, time, y, x\); found \(flow, trial, time, y, x\)"
    ):
        netcdf.read(tmp_path / "probe.h5", "stimulus", {"frames": ("trial", "time", "y", "x")})
    with pytest.raises(InputError, match=r"expected state \(time\); found nothing of that name"):
        netcdf.read(tmp_path / "probe.h5", "stimulus", {"state": ("time",)})


def test_chunks_are_about_a_megabyte():
    sizes = {"trial": 4096, "time": 24, "y": 16, "x": 16}
    assert netcdf.chunks(sizes, 4) == (42, 24, 16, 16)
    assert netcdf.chunks(
        {"flow": 9, "trial": 64, "time": 20, "velocity": 25, "channel": 128, "y": 28, "x": 28}, 4
    ) == (
        1,
        1,
        1,
        25,
        128,
        28,
        28,
    )


@pytest.fixture
def recording_file(tmp_path, fernn, probe):
    record(fernn, probe, tmp_path / "a.h5", codec="none")
    return tmp_path / "a.h5"


def test_a_truncated_file(recording_file):
    recording_file.write_bytes(recording_file.read_bytes()[:-1000])
    with pytest.raises(InputError, match="a.h5: expected a whole HDF5 file, but it cannot be read"):
        open_recording(recording_file)


def test_a_recording_of_another_version(recording_file):
    with h5py.File(recording_file, "a") as h5:
        h5.attrs["format"] = 7
    with pytest.raises(
        InputError, match="expected a file of format 1; this one is of format 7, by another version"
    ):
        open_recording(recording_file)


def test_attributes_alone_are_those_of_the_whole_file(recording_file):
    alone = netcdf.read_attributes(recording_file, "recording")
    whole = netcdf.read(recording_file, "recording").attrs
    assert alone.keys() >= whole.keys()
    assert all(np.array_equal(alone[name], value) for name, value in whole.items())


def test_an_attribute_without_text_is_read_alike_alone(tmp_path):
    file = tmp_path / "a.h5"
    netcdf.write(xr.Dataset({"mse": ("time", [1.0])}), file, {"stage": "analysis", "partial": ""})
    assert netcdf.read(file, "analysis").attrs["partial"] == ""
    assert netcdf.read_attributes(file, "analysis")["partial"] == ""


def test_attributes_of_another_or_a_broken_file(recording_file):
    with pytest.raises(InputError, match="expected a file of stage analysis; this one is of stage recording"):
        netcdf.read_attributes(recording_file, "analysis")
    recording_file.write_bytes(recording_file.read_bytes()[:-1000])
    with pytest.raises(InputError, match="expected a whole HDF5 file, but it cannot be read"):
        netcdf.read_attributes(recording_file, "recording")


@pytest.mark.parametrize(
    ("name", "value"), [("flow_vx", np.nan), ("time", np.nan), ("flow_vy", np.inf), ("velocity_vx", -np.inf)]
)
def test_coordinates_are_finite_numbers(name, value, probe, tmp_path):
    values = probe[name].values.astype(float)
    values.flat[-1] = value
    netcdf.write(probe.assign_coords({name: (probe[name].dims, values)}), tmp_path / "a.h5", {})
    with pytest.raises(InputError, match=rf"a.h5: expected {name} of finite numbers; it is {value} at \["):
        netcdf.read(tmp_path / "a.h5", "stimulus")


def test_what_is_not_known_of_an_object_may_be_missing(probe, tmp_path):
    unknown = probe.assign_coords(velocity_vx=probe.velocity_vx * np.nan)
    netcdf.write(unknown, tmp_path / "a.h5", {})
    assert netcdf.read(tmp_path / "a.h5", "stimulus").velocity_vx.isnull().all()


def test_a_chunk_that_unpacks_to_gigabytes_is_refused(tmp_path):
    """Two kilobytes of file."""
    with h5py.File(tmp_path / "a.h5", "w") as h5:
        h5.create_dataset("frames", (4, 2**27), "f8", chunks=(1, 2**27), compression="gzip")
    with pytest.raises(
        InputError, match=r"a.h5: expected chunks of at most 134 MB; those of frames unpack to 1,074"
    ):
        netcdf.read(tmp_path / "a.h5", "stimulus")


def test_a_file_in_which_hdf5_comes_to_no_end_is_told(probe, tmp_path, monkeypatch):
    """A file without checksums is looked through by a process that is watched."""
    probe.to_netcdf(tmp_path / "a.h5", engine="h5netcdf")
    monkeypatch.setattr("flowsim.files.watched.SECONDS", 0.5)
    monkeypatch.setattr("flowsim.files.watched.LOOK", "while True: pass")
    with pytest.raises(
        InputError, match="a.h5: expected a whole HDF5 file; the HDF5 library comes to no end in it"
    ):
        netcdf.read(tmp_path / "a.h5", "stimulus")
    netcdf.write(probe, tmp_path / "b.h5", {})
    assert "frames" in netcdf.read(tmp_path / "b.h5", "stimulus")


def test_a_file_system_whose_locks_hdf5_cannot_have_is_told():
    error = OSError(errno.ENOLCK, "Unable to synchronously open file (unable to lock file)")
    message = "a.h5: expected a file on a file system that has locks.*export HDF5_USE_FILE_LOCKING=FALSE"
    with pytest.raises(InputError, match=message):
        raise netcdf.damaged("a.h5", error)
