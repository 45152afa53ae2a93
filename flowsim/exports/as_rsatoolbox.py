"""One site of a recording as a dataset of rsatoolbox."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from flowsim.errors import InputError
from flowsim.exports.common import plain_attributes, presentation_names, require_room
from flowsim.exports.population import Population, Time, columns
from flowsim.files.atomic import whole

ENDINGS = (".h5", ".hdf5")
OPTIONS = ("site", "time")


def write(recording: xr.Dataset, into: Path, *, site: str = "state", time: Time = None) -> None:
    """Write one site; see `to_rsatoolbox`."""
    write_rsatoolbox(to_rsatoolbox(recording, site, time), into)


def to_rsatoolbox(recording: xr.Dataset, site: str = "state", time: Time = None) -> dict[str, Any]:
    """One site as the arguments of a dataset of rsatoolbox (0.3), in memory.

    ``rsatoolbox.data.TemporalDataset(**to_rsatoolbox(recording))`` has every frame, and
    ``rsatoolbox.data.Dataset(**to_rsatoolbox(recording, time=5))``, or ``time="mean"``, one value of each
    unit.

    Parameters
    ----------
    recording : Dataset
    site : str
    time : int, "mean" or None

    Returns
    -------
    dict
        ``measurements`` (observation, channel[, time]); ``obs_descriptors``: ``stimulus``, which names each
        flow and trial, and what else `to_assembly` has over presentation; ``channel_descriptors``:
        velocity_vy, velocity_vx, channel, y, x of each unit; ``time_descriptors``, where there is time:
        ``time`` in frames; ``descriptors``: ``model``, ``site`` and the attributes of the recording, lists as
        JSON.

    Raises
    ------
    InputError
        If there is no such site or frame.
    """
    population = Population(recording, site)
    values = population.at(time)
    attrs = {**plain_attributes(recording.attrs), **plain_attributes(values.attrs)}
    texts = {name: json.dumps(value) if isinstance(value, list) else value for name, value in attrs.items()}
    observations = {"stimulus": presentation_names(population), **columns(population.presentations)}
    arguments = {
        "measurements": values.values,
        "descriptors": {"model": population.model, "site": site, **texts},
        "obs_descriptors": {name: column.values for name, column in observations.items()},
        "channel_descriptors": {name: column.values for name, column in population.units.items()},
    }
    if "time" in values.dims:
        arguments["time_descriptors"] = {"time": population.frames}
    return arguments


def write_rsatoolbox(arguments: Mapping[str, Any], into: Path) -> None:
    """Write a dataset in rsatoolbox's own HDF5, for ``rsatoolbox.data.load_dataset``; whole or not at all.

    Raises
    ------
    InputError
        If rsatoolbox is not installed, or a descriptor is text that its files cannot hold.
    """
    try:
        from rsatoolbox.data import Dataset, TemporalDataset
    except ImportError:
        raise InputError("to write a file of rsatoolbox, install it: pip install rsatoolbox") from None
    require_room(into, arguments["measurements"].nbytes)
    for name, values in {**arguments["obs_descriptors"], **arguments["channel_descriptors"]}.items():
        if values.dtype.kind == "U" and not all(map(str.isascii, values.tolist())):
            raise InputError(
                f"{name} holds text beyond ASCII, which files of rsatoolbox cannot; drop it before the export"
            )
    dataset_class = TemporalDataset if "time_descriptors" in arguments else Dataset
    dataset = dataset_class(**arguments)
    content = io.BytesIO()
    dataset.save(content, file_type="hdf5")
    with whole(into, content.getbuffer().nbytes) as temporary:
        temporary.write_bytes(content.getbuffer())
