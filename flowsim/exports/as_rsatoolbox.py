"""One site of a recording as a dataset of rsatoolbox."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from flowsim.errors import InputError
from flowsim.exports.common import plain, room, stimuli
from flowsim.exports.population import Population, Time, columns
from flowsim.files.atomic import whole


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
    of = Population(recording, site)
    values = of.at(time)
    attrs = {**plain(recording.attrs), **plain(values.attrs)}
    told = {name: json.dumps(value) if isinstance(value, list) else value for name, value in attrs.items()}
    arguments = {
        "measurements": values.values,
        "descriptors": {"model": of.model, "site": site, **told},
        "obs_descriptors": {
            n: v.values for n, v in {"stimulus": stimuli(of), **columns(of.presentations)}.items()
        },
        "channel_descriptors": {name: entry.values for name, entry in of.units.items()},
    }
    if "time" in values.dims:
        arguments["time_descriptors"] = {"time": of.frames}
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
        raise InputError('to write a file of rsatoolbox, install it: pip install "flowsim[rsa]"') from None
    room(into, arguments["measurements"].nbytes)
    for name, values in {**arguments["obs_descriptors"], **arguments["channel_descriptors"]}.items():
        if values.dtype.kind == "U" and not all(map(str.isascii, values.tolist())):
            raise InputError(
                f"{name} holds text beyond ASCII, which files of rsatoolbox cannot; drop it before"
            )
    made = (TemporalDataset if "time_descriptors" in arguments else Dataset)(**arguments)
    with whole(into) as temporary:
        made.save(str(temporary), file_type="hdf5")
