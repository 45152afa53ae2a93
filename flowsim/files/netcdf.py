"""Write and read the files that stages exchange: labelled arrays in netCDF-4 (HDF5), with their provenance.

Dimensions always have names, and the order ``flow, trial, time, velocity, channel, orientation, y, x``. h5py,
xarray, ncdump and MATLAB open every file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import numpy as np
import xarray as xr
from xarray.backends import H5NetCDFStore
from xarray.backends.common import ArrayWriter

from flowsim.errors import Damaged, InputError
from flowsim.files.atomic import NO_LOCKS, existing, whole
from flowsim.files.checksums import Seal
from flowsim.files.hdf5_chunks import (
    mark_sealed,
    read_in_parallel,
    require_seal,
    require_sizes,
    seal_hdf5,
)
from flowsim.files.hdf5_disk import Disk, on_disk
from flowsim.files.identify import described
from flowsim.files.watched import whole_hdf5

CHUNK_BYTES = 2**20
APART = ("checkpoint", "intervention", "flow", "trial", "time")
"""Dimensions of which a chunk holds one entry, unless more fit in."""
FORMAT = 1
"""The version of this format, in the attribute ``format``; a file without that attribute is of format 1."""
RESCALING = ("_FillValue", "missing_value", "scale_factor", "add_offset")
"""Attributes by which a reader would change the values of a variable."""
ALWAYS_KNOWN = ("flow", "time", "velocity")
"""Dimensions whose coordinates have no missing values."""
COMPRESSED = {"zlib": True, "complevel": 4, "shuffle": True}
SMALL = 2**12
"""Bytes of a variable up to which it is stored as it is: HDF5 notes nearly a kilobyte about chunks."""


def chunks(sizes: Mapping[Hashable, int], itemsize: int) -> tuple[int, ...]:
    """Sizes of the chunks of a variable: about 1 MB, with as many frames, then trials, as fit in.

    Smaller chunks are slow to read, larger ones waste memory.

    Parameters
    ----------
    sizes : mapping of dimension to int
    itemsize : int
        Bytes of a value.
    """
    lengths = {dim: 1 if dim in APART else size for dim, size in sizes.items()}
    chunk_bytes = math.prod(lengths.values()) * itemsize
    for dim in ("time", "trial"):
        if dim in sizes:
            lengths[dim] = min(sizes[dim], max(1, CHUNK_BYTES // chunk_bytes))
            chunk_bytes *= lengths[dim]
    return tuple(lengths.values())


def attributes(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """Attributes in types that netCDF has: truth values as 0 and 1, and what it has no type for as text (JSON
    for lists and mappings).
    """
    return {str(name): _attribute(value) for name, value in attrs.items()}


def _attribute(value: Any) -> Any:
    if isinstance(value, (bool, np.bool_)):
        return np.int8(value)
    if isinstance(value, (str, float, np.number)) or (isinstance(value, int) and abs(value) < 2**63):
        return value
    if isinstance(value, (list, tuple)) and value and all(isinstance(v, str) for v in value):
        return list(value)
    if isinstance(value, (list, tuple, np.ndarray)):
        try:
            array = np.asarray(value)
        except ValueError:  # rows of different lengths
            return json.dumps(value, default=str)
        if array.dtype.kind in "iuf":
            return array
        return array.astype(np.int8) if array.dtype.kind == "b" else json.dumps(array.tolist(), default=str)
    return json.dumps(value, default=str) if isinstance(value, dict) else str(value)


def storable(dataset: xr.Dataset) -> xr.Dataset:
    """The same dataset in types that netCDF has: levels of a MultiIndex as coordinates, categories as what
    they name, a missing number among objects as NaN and missing text as "", and `attributes`.

    Raises
    ------
    InputError
        If a name or a variable cannot be written.
    """
    for name in dataset.variables:
        if not isinstance(name, str) or not name or any(c.isspace() or c == "/" for c in name):
            raise InputError(
                f"expected names without spaces and '/', so that netCDF finds them; got {name!r}. Rename it"
            )
    levels = [dim for dim in dataset.dims if dim in dataset.indexes and dataset.indexes[dim].nlevels > 1]
    stored = dataset.reset_index(levels).assign_attrs()
    stored.attrs = attributes(dataset.attrs)
    coords = {name: _storable(str(name), coord.variable) for name, coord in stored.coords.items()}
    changed = {name: new for name, new in coords.items() if new is not stored[name].variable}
    stored = stored.assign_coords(changed)
    for variable in stored.data_vars.values():
        variable.attrs = attributes(variable.attrs)
    return stored


def _storable(name: str, variable: xr.Variable) -> xr.Variable:
    """A coordinate in types that netCDF has; the same object if it is."""
    rescaling = [attribute for attribute in RESCALING if attribute in variable.attrs]
    if rescaling:
        raise InputError(
            f"{name} has the attribute {rescaling[0]}, by which its values would be changed when they are "
            "read; apply it to the values and remove it"
        )
    attrs = attributes(variable.attrs)
    if isinstance(variable.dtype, np.dtype) and variable.dtype.kind != "O":
        same = all(attrs.get(str(key)) is value for key, value in variable.attrs.items())
        return variable if same else variable._replace(attrs=attrs)
    values = np.asarray(variable.values, object)
    known = [value for value in values.ravel() if value is not None and value == value]
    if all(isinstance(value, (int, float, np.number, np.bool_)) for value in known):
        return xr.Variable(variable.dims, values.astype(np.float64), attrs)
    if not all(isinstance(value, str) for value in known):
        kinds = ", ".join(sorted({type(value).__name__ for value in known}))
        raise InputError(f"expected {name} of numbers, text or dates, one kind of them; got {kinds}")
    text = np.array([value if isinstance(value, str) else "" for value in values.ravel()], object)
    return xr.Variable(variable.dims, text.reshape(values.shape), attrs)


def write(dataset: xr.Dataset, path: Path, attrs: Mapping[str, str]) -> None:
    """Write a dataset, with its provenance as attributes; the file appears whole or not at all.

    Raises
    ------
    InputError
        If the folder cannot be written to or has no room, or netCDF has no type for what is in the dataset.
    OSError
        If the file is not written completely for another reason.
    """
    dataset = storable(dataset.assign_attrs(attrs, format=FORMAT))
    encoding: dict[str, dict[str, Any]] = {
        str(name): {**COMPRESSED, "chunksizes": chunks(dict(v.sizes), v.dtype.itemsize)}
        for name, v in dataset.variables.items()
        if v.nbytes > SMALL and v.ndim and v.dtype.kind in "fiu"
    }
    with whole(path, dataset.nbytes) as temporary:
        store(dataset, temporary, encoding, to_be_sealed=True)
        with xr.open_dataset(temporary, engine="h5netcdf") as written:
            if written.sizes != dataset.sizes:
                raise OSError(f"{path} was not written completely; is the disk full?")
        seal_hdf5(temporary)


def store(
    dataset: xr.Dataset,
    path: Path,
    encoding: Mapping[str, Mapping[str, Any]],
    to_be_sealed: bool = False,
) -> None:
    """Write a dataset to a path, where a file is, also on a disk that has no room for it; see `Disk`.

    Parameters
    ----------
    dataset : Dataset
        Lazy variables are computed and written block by block.
    path : path
    encoding : mapping of variable to mapping
        How variables are stored, as in ``Dataset.to_netcdf``.
    to_be_sealed : bool
        Whether checksums are appended next; see `flowsim.files.checksums`.

    Raises
    ------
    OSError
        If the file is not written completely.
    """
    with on_disk(path) as disk, h5netcdf.File(disk, "w") as file:
        checked = dataset.assign({name: _checked(v, disk) for name, v in dataset.data_vars.items()})
        writer = ArrayWriter()
        checked.dump_to_store(H5NetCDFStore(file), writer=writer, encoding=dict(encoding))
        writer.sync()
        if to_be_sealed:
            mark_sealed(file._h5file)


def _checked(variable: xr.DataArray, disk: Disk) -> xr.DataArray:
    """A variable whose next block is not computed once the disk is full."""
    if variable.chunks is None:
        return variable

    def unless_full(block: np.ndarray) -> np.ndarray:
        disk.check()
        return block

    values = variable.data.map_blocks(unless_full, dtype=variable.dtype, meta=variable.data._meta)
    return variable.copy(data=values)


def read(path: str | Path, stage: str, variables: Mapping[str, Sequence[str]] | None = None) -> xr.Dataset:
    """Open a file lazily (dask-backed, in whole chunks of the file) and check that it is what it should be.

    Everything but its large variables is compared with the checksums of the file at once, each chunk of these
    when it is read. Chunks are decompressed by as many threads as dask has.

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
    dataset, seal = _opened(path)
    _check_stage(path, stage, dataset.attrs)
    for name, dims in (variables or {}).items():
        if name not in dataset or dataset[name].dims != tuple(dims):
            got = "nothing of that name"
            if name in dataset:
                got = f"({', '.join(map(str, dataset[name].dims))})"
            raise InputError(f"{path}: expected {name} ({', '.join(dims)}); found {got}")
    with h5py.File(path) as file:
        if seal is None:
            require_seal(path, file)
        require_sizes(path, file)
        _require_finite(path, dataset, file)
    return read_in_parallel(dataset, path, seal)


def _require_finite(path: Path, dataset: xr.Dataset, file: h5py.File) -> None:
    """Raise InputError if a coordinate is infinite, or one of flows, times or velocities is NaN.

    What is not known of trials and objects, such as a label, may be NaN.
    """
    for name, coordinate in dataset.coords.items():
        stored = file.get(str(name))
        if not isinstance(stored, h5py.Dataset) or stored.dtype.kind != "f":
            continue
        try:
            values = np.asarray(stored[()])
        except (OSError, RuntimeError) as error:
            raise damaged(path, error) from None
        dims = set(coordinate.dims)
        known = bool(dims & set(ALWAYS_KNOWN)) and not dims & {"trial", "object"}
        wrong = ~np.isfinite(values) if known else np.isinf(values)
        if wrong.any():
            where = np.argwhere(wrong)[0].tolist()
            raise InputError(
                f"{path}: expected {name} of finite numbers; it is {values[tuple(where)]} at {where}. Give "
                "what it is, or leave that entry out"
            )


def _opened(path: Path) -> tuple[xr.Dataset, Seal | None]:
    """A file opened lazily, and its seal if it has one."""
    try:
        seal = whole_hdf5(path)
        return xr.open_dataset(path, engine="h5netcdf", chunks={}), seal
    except InputError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise damaged(path, error) from None


def read_attributes(path: str | Path, stage: str) -> dict[str, Any]:
    """The attributes of a file alone, which is much faster than to `read` it.

    Raises
    ------
    InputError
        If the file is missing, damaged, or of another stage or format.
    """
    path = existing(path, f"a file of stage {stage}")
    try:
        whole_hdf5(path)
        with h5py.File(path, "r") as file:
            attrs = {name: _single(value) for name, value in file.attrs.items()}
    except InputError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise damaged(path, error) from None
    _check_stage(path, stage, attrs)
    return attrs


def _single(value: Any) -> Any:
    """An attribute as xarray reads it: the only one of an array is the value, nothing is an empty text."""
    if isinstance(value, h5py.Empty):
        return ""
    return value[0] if isinstance(value, np.ndarray) and value.shape == (1,) else value


def _check_stage(path: Path, stage: str, attrs: Mapping[Any, Any]) -> None:
    if str(attrs.get("format", FORMAT)) != str(FORMAT):
        raise InputError(
            f"{path}: expected a file of format {FORMAT}; this one is of format {attrs['format']}, by "
            "another version of flowsim. Use that version, or make the file again"
        )
    if attrs.get("stage", stage) != stage:
        raise InputError(
            f"{path}: expected a file of stage {stage}; this one is of stage {attrs['stage']}. Check the path"
        )


def damaged(path: str | Path, error: Exception) -> InputError:
    """The error to raise for a file that cannot be read because of ``error``.

    It never says to delete the file, which may be somebody else's: it says what the file is.
    """
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    if getattr(error, "errno", None) in NO_LOCKS:
        return InputError(
            f"{path}: expected a file on a file system that has locks; this one has none ({reason}). Copy "
            "it to another one, or let HDF5 do without them: export HDF5_USE_FILE_LOCKING=FALSE"
        )
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
    return Damaged(
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
