"""One site of a recording under the names of a Brain-Score assembly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import numpy as np
import xarray as xr

from flowsim.exports.common import plain, require_chunks, room, stimuli, stimulus_set
from flowsim.exports.population import Population, Time, columns
from flowsim.files.atomic import whole
from flowsim.files.netcdf import COMPRESSED, chunks

FRAME_NAMES = {"y": "channel_y", "x": "channel_x"}
"""What an assembly calls the places of a unit on the frame."""


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
    of = Population(recording, site)
    values = of.at(time)
    renamed = dict(
        zip(("presentation", "unit", "time"), ("presentation", "neuroid", "time_bin"), strict=True)
    )
    coords: dict[str, Any] = {}
    ids = stimuli(of)
    for name, entry in {"stimulus_id": ids, "image_id": ids, **columns(of.presentations)}.items():
        coords[name] = ("presentation", entry.values, entry.attrs)
    number = np.arange(values.sizes["unit"])
    coords["neuroid_id"] = ("neuroid", np.array([f"{of.model}.{site}.{n}" for n in number]))
    coords["neuroid_num"] = ("neuroid", number)
    coords |= {
        n: ("neuroid", np.full(len(number), text)) for n, text in (("model", of.model), ("layer", site))
    }
    for name, entry in of.units.items():
        coords[FRAME_NAMES.get(name, name)] = ("neuroid", entry.values, entry.attrs)
    if "time" in values.dims:
        for name, edge in (("time_bin_start", of.frames), ("time_bin_end", of.frames + 1)):
            coords[name] = ("time_bin", edge, {"units": "frame"})
    attrs = {**plain(recording.attrs), **values.attrs, "stimulus_set_identifier": stimulus_set(recording)}
    return xr.DataArray(values.data, coords, [renamed[str(d)] for d in values.dims], site, attrs)


def write_assembly(assembly: xr.DataArray, into: Path) -> None:
    """Write an assembly as netCDF-4, chunk by chunk; the file appears whole or not at all."""
    room(into, assembly.nbytes)
    names = {"presentation": "trial", "time_bin": "time"}
    cut = chunks({names.get(str(d), d): size for d, size in assembly.sizes.items()}, assembly.dtype.itemsize)
    name = assembly.name or "assembly"
    with whole(into) as temporary:
        encoding = {name: {**COMPRESSED, "chunksizes": cut}}
        with dask.config.set(
            scheduler="synchronous"
        ):  # a thread still at work would make the file again after an error
            assembly.to_dataset(name=name, promote_attrs=True).to_netcdf(
                temporary, engine="h5netcdf", encoding=encoding
            )
        require_chunks(temporary, [str(name)], into)
