"""Write and read the files that stages exchange: labelled arrays in netCDF-4 (HDF5), with their provenance.

Dimensions always have names, and the order ``flow, trial, time, velocity, channel, orientation, y, x``. h5py,
xarray, ncdump and MATLAB open every file.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

import xarray as xr

from flowsim.errors import InputError
from flowsim.files.atomic import existing, whole
from flowsim.files.identify import described

CHUNK_BYTES = 2**20
FORMAT = 1
"""The version of this format, in the attribute ``format``; a file without that attribute is of format 1."""
COMPRESSED = {"zlib": True, "complevel": 1, "shuffle": True}


def chunks(sizes: Mapping[Hashable, int], itemsize: int) -> tuple[int, ...]:
    """Sizes of the chunks of a variable: about 1 MB, with as many frames, then trials, as fit in.

    Smaller chunks are slow to read, larger ones waste memory.

    Parameters
    ----------
    sizes : mapping of dimension to int
    itemsize : int
        Bytes of a value.
    """
    lengths = {dim: 1 if dim in ("flow", "trial", "time") else size for dim, size in sizes.items()}
    chunk_bytes = math.prod(lengths.values()) * itemsize
    for dim in ("time", "trial"):
        if dim in sizes:
            lengths[dim] = min(sizes[dim], max(1, CHUNK_BYTES // chunk_bytes))
            chunk_bytes *= lengths[dim]
    return tuple(lengths.values())


def write(dataset: xr.Dataset, path: Path, attrs: Mapping[str, str]) -> None:
    """Write a dataset, with its provenance as attributes; the file appears whole or not at all.

    Raises
    ------
    InputError
        If the folder cannot be written to.
    OSError
        If the file is not written completely.
    """
    dataset = dataset.assign_attrs(attrs, format=FORMAT)
    encoding = {
        name: {**COMPRESSED, "chunksizes": chunks(dict(v.sizes), v.dtype.itemsize)}
        for name, v in dataset.data_vars.items()
        if v.size > 1 and v.ndim and v.dtype.kind in "fiu"
    }
    with whole(path) as temporary:
        dataset.to_netcdf(temporary, engine="h5netcdf", encoding=encoding)
        with xr.open_dataset(temporary, engine="h5netcdf") as written:
            if written.sizes != dataset.sizes:
                raise OSError(f"{path} was not written completely; is the disk full?")


def read(path: str | Path, stage: str, variables: Mapping[str, Sequence[str]] | None = None) -> xr.Dataset:
    """Open a file lazily (dask-backed, chunked as in the file) and check that it is what it should be.

    Parameters
    ----------
    path : path
    stage : str
        The stage that made it: "stimulus", "recording" or "analysis".
    variables : mapping of name to dimensions, optional
        Variables that must be there, with their dimensions in this order.

    Raises
    ------
    InputError
        If the file is missing, damaged, of another stage or format, or lacks a variable.
    """
    path = existing(path, f"a file of stage {stage}")
    try:
        dataset = xr.open_dataset(path, engine="h5netcdf", chunks={})
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise damaged(path, error) from None
    if int(dataset.attrs.get("format", FORMAT)) != FORMAT:
        raise InputError(
            f"{path}: expected a file of format {FORMAT}; this one is of format {dataset.attrs['format']}, "
            "by another version of flowsim. Use that version, or make the file again"
        )
    if dataset.attrs.get("stage", stage) != stage:
        raise InputError(
            f"{path}: expected a file of stage {stage}; this one is of stage {dataset.attrs['stage']}. Check "
            "the path"
        )
    for name, dims in (variables or {}).items():
        if name not in dataset or dataset[name].dims != tuple(dims):
            got = "nothing of that name"
            if name in dataset:
                got = f"({', '.join(map(str, dataset[name].dims))})"
            raise InputError(f"{path}: expected {name} ({', '.join(dims)}); found {got}")
    return dataset


def damaged(path: str | Path, error: Exception) -> InputError:
    """The error to raise for a file that cannot be read because of ``error``.

    It never says to delete the file, which may be somebody else's: it says what the file is.
    """
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    if isinstance(error, BlockingIOError) or "unable to lock" in str(error):
        return InputError(
            f"{path}: expected a file that can be read, but another program has locked it ({reason}). Close "
            "it there and try again"
        )
    if isinstance(error, PermissionError):
        return InputError(f"{path}: expected a file that may be read ({reason}); change its permissions")
    kind = described(path)
    if "HDF5" not in kind and "by flowsim" not in kind:
        return InputError(f"{path}: expected an HDF5 file by flowsim; this is {kind}. Check the path")
    return InputError(
        f"{path}: expected a whole HDF5 file, but it cannot be read ({reason}). If flowsim made it, make it "
        "again; if not, get a whole copy"
    )


def load(dataset: xr.Dataset, path: str | Path) -> xr.Dataset:
    """Read all of a lazily opened file into memory.

    Raises
    ------
    InputError
        If the file turns out to be damaged.
    """
    try:
        return dataset.load()
    except (OSError, RuntimeError) as error:
        raise damaged(path, error) from None
