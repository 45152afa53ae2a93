"""One site of a recording under the names of a Brain-Score assembly."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import dask
import numpy as np
import xarray as xr

from flowsim.exports.common import (
    plain_attributes,
    presentation_names,
    require_chunks,
    require_room,
    stimulus_set,
)
from flowsim.exports.population import Population, Time, columns
from flowsim.files.atomic import whole
from flowsim.files.netcdf import COMPRESSED, chunks, store

ENDINGS = (".nc", ".h5")
OPTIONS = ("site", "time")
ASSEMBLY_DIMS = {"presentation": "presentation", "unit": "neuroid", "time": "time_bin"}
"""What an assembly calls the axes of a population."""
FRAME_NAMES = {"y": "channel_y", "x": "channel_x"}
"""What an assembly calls the places of a unit on the frame."""


def write(recording: xr.Dataset, into: Path, *, site: str = "state", time: Time = None) -> None:
    """Write one site; see `to_assembly`."""
    write_assembly(to_assembly(recording, site, time), into)


def to_assembly(recording: xr.Dataset, site: str = "state", time: Time = None) -> xr.DataArray:
    """One site under the names of Brain-Score's NeuroidAssembly, lazily where the recording is lazy.

    Names as in github.com/brain-score: brainio (``assemblies.py``: `NeuroidAssembly.validate`), and the
    extraction of activations in vision (``model_helpers/activations/core.py``: `_package_layer`). Coordinates
    are plain, no MultiIndex, so that netCDF can hold them; ``NeuroidAssembly(assembly.compute())`` makes the
    indices. A frame is the unit of time (Brain-Score has ms). ``channel_y`` and ``channel_x`` are row and
    column (that extraction calls the first and second axis of space channel_x and channel_y).

    Parameters
    ----------
    recording : Dataset
    site : str
    time : int, "mean" or None
        One recorded frame, or the mean over frames that have a value: the assembly then has no time_bin.

    Returns
    -------
    DataArray (presentation, neuroid[, time_bin])
        Over presentation: ``stimulus_id`` (and the same as ``image_id``, its older name), ``flow``,
        ``trial``, the flow's velocity, and the truth about each trial and object (``object_label_0`` is that
        of the first object; what changes in time is left out). Over neuroid: ``neuroid_id``
        (model.layer.number), ``neuroid_num``, ``model``, ``layer`` (the site), ``velocity_vy``,
        ``velocity_vx``, ``channel``, ``channel_y``, ``channel_x``. Over time_bin: ``time_bin_start``,
        ``time_bin_end`` (frame; the state after frame t is in the bin from t to t + 1).

    Raises
    ------
    InputError
        If there is no such site or frame.
    """
    population = Population(recording, site)
    values = population.at(time)
    coords = {**_presentation_coords(population), **_neuroid_coords(population)}
    if "time" in values.dims:
        start, unit = population.frames, {"units": "frame"}
        coords["time_bin_start"] = ("time_bin", start, unit)
        coords["time_bin_end"] = ("time_bin", start + 1, unit)
    attrs = {**plain_attributes(recording.attrs), **values.attrs}
    attrs["stimulus_set_identifier"] = stimulus_set(recording)
    dims = [ASSEMBLY_DIMS[str(dim)] for dim in values.dims]
    return xr.DataArray(values.data, coords, dims, site, attrs)


def _presentation_coords(population: Population) -> dict[str, Any]:
    names = presentation_names(population)
    table = {"stimulus_id": names, "image_id": names, **columns(population.presentations)}
    return {name: ("presentation", column.values, column.attrs) for name, column in table.items()}


def _neuroid_coords(population: Population) -> dict[str, Any]:
    numbers = np.arange(int(np.prod(list(population.place.values()))))
    names = [f"{population.model}.{population.site}.{number}" for number in numbers]
    coords: dict[str, Any] = {
        "neuroid_id": ("neuroid", np.array(names)),
        "neuroid_num": ("neuroid", numbers),
        "model": ("neuroid", np.full(len(numbers), population.model)),
        "layer": ("neuroid", np.full(len(numbers), population.site)),
    }
    for name, column in population.units.items():
        coords[FRAME_NAMES.get(name, name)] = ("neuroid", column.values, column.attrs)
    return coords


def write_assembly(assembly: xr.DataArray, into: Path) -> None:
    """Write an assembly as netCDF-4, chunk by chunk; the file appears whole or not at all."""
    require_room(into, assembly.nbytes)
    dims = {"presentation": "trial", "time_bin": "time"}  # as `chunks` knows them
    sizes: dict[Hashable, int] = {dims.get(str(dim), dim): size for dim, size in assembly.sizes.items()}
    name = str(assembly.name or "assembly")
    encoding = {name: {**COMPRESSED, "chunksizes": chunks(sizes, assembly.dtype.itemsize)}}
    dataset = assembly.to_dataset(name=name, promote_attrs=True)
    with whole(into, assembly.nbytes) as temporary:
        # With threads, one still at work could write the file again after an error.
        with dask.config.set(scheduler="synchronous"):
            store(dataset, temporary, encoding)
        require_chunks(temporary, [name], into)
