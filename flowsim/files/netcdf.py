"""The files that stages exchange: labelled arrays in netCDF-4 (HDF5), with their provenance.

Dimensions are always named, and ordered, ``flow, trial, time, velocity, channel, orientation, y, x``. h5py, xarray,
ncdump and MATLAB open every file.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from flowsim.errors import InputError
from flowsim.files.atomic import existing, whole

if TYPE_CHECKING:
    from flowsim.flows.group import Flow, FlowGroup, Velocity
    from flowsim.flows.velocity_grid import VelocityGrid

STATE = ("flow", "trial", "time", "velocity", "channel", "y", "x")
ORIENTED = ("flow", "trial", "time", "velocity", "channel", "orientation", "y", "x")
UNITS = ("flow", "trial", "time", "unit")
"""Dimensions of a state that has the space of the frame, of one that also has orientations, and of one with neither."""
CHUNK_BYTES = 2**20
FORMAT = 1
"""Of these files, as their attribute ``format``; files without one are of format 1."""
COMPRESSED = {"zlib": True, "complevel": 1, "shuffle": True}


def velocity_coords(
    dim: str, group: FlowGroup, velocities: Sequence[Velocity], name: str | None = None
) -> dict[str, Any]:
    """Coordinates ``<name>_vy``, ``<name>_vx`` (components of the group) over ``dim``, the name if none is given."""
    values = np.array(velocities, dtype=np.float64).reshape(len(velocities), -1)
    long_name = f"velocity of the {dim}" if dim == "flow" else "velocity of the channel"
    return {
        f"{name or dim}_{component}": (dim, values[:, i], {"units": unit, "long_name": long_name})
        for i, (component, unit) in enumerate(zip(group.components, group.units, strict=True))
    }


def group(dataset: xr.Dataset, dim: str) -> FlowGroup:
    """The flow group of the velocities over "flow" or "velocity": the one the file names, or whose components it has.

    Raises
    ------
    InputError
        If it names another or has no velocities.
    """
    from flowsim.flows.group import GROUPS

    name = dataset.attrs.get(f"{dim}_group")
    if name in GROUPS:
        return GROUPS[name]
    fitting = [g for g in GROUPS.values() if all(f"{dim}_{c}" in dataset.coords for c in g.components)]
    if name is not None or not fitting:
        raise InputError(f"expected the attribute {dim}_group to be one of {', '.join(GROUPS)}; got {name!r}")
    return max(fitting, key=lambda g: len(g.components))


def flows(dataset: xr.Dataset) -> list[Flow]:
    """The flow of each entry along ``flow``."""
    from flowsim.flows.group import Flow

    return [Flow(group(dataset, "flow"), v) for v in _velocities(dataset, "flow")]


def grid(dataset: xr.Dataset) -> VelocityGrid:
    """The velocity grid of a recording's state, compared modulo the period that it names, or else the frame."""
    from flowsim.flows.velocity_grid import VelocityGrid

    own = group(dataset, "velocity")
    period = own.period((dataset.sizes["y"], dataset.sizes["x"]))
    if "velocity_period" in dataset.attrs:
        period = tuple(np.atleast_1d(dataset.attrs["velocity_period"]).tolist())
    return VelocityGrid(own, tuple(_velocities(dataset, "velocity")), period)


def _velocities(dataset: xr.Dataset, dim: str) -> list[Velocity]:
    names = [f"{dim}_{c}" for c in group(dataset, dim).components]
    missing = [name for name in names if name not in dataset.coords]
    if missing:
        raise InputError(f"expected the coordinate(s) {', '.join(missing)} over {dim}; the file has none")
    return list(zip(*(dataset[name].values.tolist() for name in names), strict=True))


def chunks(sizes: Mapping[Hashable, int], itemsize: int) -> tuple[int, ...]:
    """How to cut a variable: into about a MB, as many frames, then trials, as that holds.

    Smaller chunks are slow to read, larger ones waste memory.
    """
    cut = {d: 1 if d in ("flow", "trial", "time") else size for d, size in sizes.items()}
    size = math.prod(cut.values()) * itemsize
    for d in ("time", "trial"):
        if d in sizes:
            cut[d] = min(sizes[d], max(1, CHUNK_BYTES // size))
            size *= cut[d]
    return tuple(cut.values())


def write(dataset: xr.Dataset, path: Path, attrs: Mapping[str, str]) -> None:
    """Write a dataset, with its provenance as attributes; the file appears whole or not at all."""
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
    """Open a file lazily (dask-backed, chunked as stored) and check that it is what it should be.

    Parameters
    ----------
    path : path
    stage : str
        The stage that made it: "stimulus", "recording" or "analysis".
    variables : mapping of name to dimensions, optional
        Variables that must be there. Dimensions are required in this order.

    Raises
    ------
    InputError
        If the file is missing, damaged, of another stage, or lacks a variable.
    """
    path = existing(path, f"a file of stage {stage}")
    try:
        dataset = xr.open_dataset(path, engine="h5netcdf", chunks={})
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise damaged(path, error) from None
    if int(dataset.attrs.get("format", FORMAT)) != FORMAT:
        raise InputError(
            f"{path}: expected a file of format {FORMAT}; this one is of format {dataset.attrs['format']}, by another "
            "version of flowsim. Use that one, or make it again"
        )
    if dataset.attrs.get("stage", stage) != stage:
        raise InputError(f"{path}: expected a file of stage {stage}; this one is of stage {dataset.attrs['stage']}")
    for name, dims in (variables or {}).items():
        if name not in dataset or dataset[name].dims != tuple(dims):
            came = f"({', '.join(map(str, dataset[name].dims))})" if name in dataset else "nothing of that name"
            raise InputError(f"{path}: expected {name} ({', '.join(dims)}); found {came}")
    return dataset


def variable(dataset: xr.Dataset, name: str, *dims: tuple[str, ...]) -> xr.DataArray:
    """A variable of a recording, with one of these dimensions if given.

    Raises
    ------
    InputError
        If it was not recorded, or has other dimensions.
    """
    if name not in dataset:
        held = ", ".join(map(str, dataset.data_vars))
        raise InputError(f"expected the recording to hold {name!r}; it holds {held}. Add {name!r} to its sites")
    if dims and dataset[name].dims not in dims:
        came = ", ".join(map(str, dataset[name].dims))
        expected = " or ".join(f"({', '.join(over)})" for over in dims)
        raise InputError(f"expected {name} {expected}; the recording has {name} ({came})")
    return dataset[name]


def scored(recording: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """Squared error (flow, trial, time, y, x) and shown frames, from the first frame after the context, in float64.

    The coordinate ``ahead`` over time counts predicted frames from 1.

    Raises
    ------
    InputError
        If frames or predictions were not recorded, none lies after the context, or a prediction is not a number.
    """
    prediction, shown = variable(recording, "prediction"), variable(recording, "frames")
    if "context" not in recording.attrs:
        raise InputError("expected the attribute context, the number of frames seen; the recording has none")
    context = int(recording.attrs["context"])
    after = recording.time.values >= context
    if not after.any():
        raise InputError(
            f"expected frames after the context of {context}; the recording has {after.size} frames in all. Record "
            "with a shorter context or a longer stimulus"
        )
    ahead = ("time", recording.time.values[after] - context + 1, {"units": "frame", "long_name": "predicted frame"})
    shown = shown.isel(time=after).astype("float64").assign_coords(ahead=ahead)
    error = (prediction.isel(time=after).astype("float64") - shown) ** 2
    if not bool(np.isfinite(error).all()):
        raise InputError("predictions hold values that are no numbers; the network diverged. Train it again")
    return error, shown


def swept(recording: xr.Dataset, trained_speed: float | None = None) -> tuple[pd.DataFrame, np.ndarray]:
    """The velocity of object 0 in each trial, one column per component, and in which trials it was one of training.

    Where it changes over time, that of frame 0 counts.

    Raises
    ------
    InputError
        If the recording does not tell.
    """
    held = [c for c in ("vy", "vx", "omega", "expansion") if f"object_velocity_{c}" in recording.coords]
    if not held:
        raise InputError("expected the velocity of each object (object_velocity_vy, _vx); the recording has none")
    velocity = {}
    for component in ("vy", "vx") if {"vy", "vx"} <= set(held) else held[:1]:
        of_all = recording[f"object_velocity_{component}"].isel(object=0)
        velocity[component] = (of_all.isel(time=0) if "time" in of_all.dims else of_all).values
    table = pd.DataFrame(velocity)
    if trained_speed is not None:
        return table, (table.abs().max(axis=1) <= trained_speed).to_numpy()
    if "trained" not in recording.coords:
        raise InputError("the recording does not say which velocities were trained (trained); give trained_speed")
    return table, recording.trained.values.astype(bool)


def damaged(path: str | Path, error: Exception) -> InputError:
    """The error to raise for a file whose content cannot be read."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return InputError(
        f"{path}: expected a whole HDF5 file, but it cannot be read ({reason}); delete it and make it again"
    )


def load(dataset: xr.Dataset, path: str | Path) -> xr.Dataset:
    """All of a lazily opened file.

    Raises
    ------
    InputError
        If the file turns out to be damaged.
    """
    try:
        return dataset.load()
    except (OSError, RuntimeError) as error:
        raise damaged(path, error) from None
