"""HDF5 ends as usual on a disk that takes nothing any more, and the error is raised."""

import errno
import gc

import dask
import dask.array as da
import h5netcdf
import numpy as np
import pytest
import xarray as xr

from flowsim import InputError
from flowsim.files import hdf5_disk, netcdf


def dataset(blocks=6):
    rendered = []

    def render(block):
        rendered.append(block.shape)
        return block + 1

    values = da.zeros((2 * blocks, 64, 64), chunks=(2, 64, 64)).map_blocks(
        render, dtype=float, meta=np.empty((0, 0, 0))
    )
    made = xr.Dataset(
        {"a": (("time", "y", "x"), values), "b": ("time", np.arange(2.0 * blocks))},
        {"name": ("time", list("abcdefghijkl")[: 2 * blocks])},
        {"stage": "stimulus", "text": "t" * 300},
    )
    return made, rendered


def writes(monkeypatch, most, number=errno.ENOSPC):
    """Let only so many writes succeed; returns how many were tried."""
    write, tried = hdf5_disk._write_at, []

    def limited(file, view, place):
        tried.append(len(view))
        if len(tried) > most:
            raise OSError(number, "No space left on device")
        return write(file, view, place)

    monkeypatch.setattr(hdf5_disk, "_write_at", limited)
    return tried


def test_a_disk_that_is_full_at_any_write(tmp_path, monkeypatch):
    """The next file is written as ever: HDF5 itself has seen no error."""
    made, _ = dataset()
    with monkeypatch.context() as patch:
        tried = writes(patch, 10**9)
        netcdf.write(made, tmp_path / "whole.h5", {})
        needed = len(tried)
    expected = xr.open_dataset(tmp_path / "whole.h5", engine="h5netcdf").load()
    assert needed > 10
    for most in range(needed):
        with monkeypatch.context() as patch:
            writes(patch, most)
            with pytest.raises(
                InputError, match=r"a.h5: expected room for [\d,]+ bytes at least; got No space left"
            ):
                netcdf.write(made, tmp_path / "a.h5", {})
        assert [path.name for path in tmp_path.iterdir()] == ["whole.h5"]
    gc.collect()
    netcdf.write(made, tmp_path / "a.h5", {})
    xr.testing.assert_identical(xr.open_dataset(tmp_path / "a.h5", engine="h5netcdf").load(), expected)


def test_nothing_more_is_computed_once_the_disk_is_full(tmp_path, monkeypatch):
    made, rendered = dataset()
    writes(monkeypatch, 0)
    with pytest.raises(InputError), dask.config.set(scheduler="synchronous"):
        netcdf.write(made, tmp_path / "a.h5", {})
    assert len(rendered) <= 2


def test_what_did_not_fit_can_be_read_again(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.touch()
    with pytest.raises(OSError, match="No space left"), hdf5_disk.on_disk(path) as disk:  # noqa: PT012
        disk.write(b"0123456789")
        writes(monkeypatch, 0)
        disk.seek(8)
        assert disk.write(b"abcd") == 4
        disk.seek(6)
        buffer = bytearray(8)
        disk.readinto(buffer)
        assert bytes(buffer) == b"67abcd\0\0"
        assert disk.size == 12
        assert disk.seek(0, 2) == 12
    assert path.read_bytes() == b"0123456789"


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_file_that_the_library_closes_too_late(tmp_path):
    """As after a signal between opening a file and the block that closes it."""
    path = tmp_path / "a.h5"
    path.touch()
    with hdf5_disk.on_disk(path) as disk:
        file = h5netcdf.File(disk, "w")
        file.dimensions = {"x": 3}
        file.create_variable("values", ("x",), data=np.arange(3.0))
    size = path.stat().st_size
    del file
    gc.collect()
    assert path.stat().st_size == size
