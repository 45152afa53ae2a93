"""Recordings as other packages take them: numpy, a Brain-Score assembly, a dataset of rsatoolbox.
(`flowsim.exports.as_nwb`: NWB.)

Each is a renaming; no value is changed. What makes them needs none of those packages.
"""

from __future__ import annotations

import json
import math
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dask
import h5py
import numpy as np
import xarray as xr

from flowsim.errors import InputError
from flowsim.exports.population import Population, Time, columns
from flowsim.files.atomic import whole
from flowsim.files.checksums import PREFIX
from flowsim.files.netcdf import COMPRESSED, chunks
from flowsim.files.pieces import pieces

FRAME_NAMES = {"y": "channel_y", "x": "channel_x"}
"""What an assembly calls the places of a unit on the frame."""


def to_numpy(recording: xr.Dataset, into: str | Path) -> None:
    """Write all of a recording as one ``.npz``, for numpy.load without pickles.

    It holds every variable and every coordinate by its name, and two texts in JSON: ``dimensions``, the names of the
    axes of each, and ``attributes``, those of the file (under "") and of each variable: units, law, provenance. Text is
    of fixed length. Not compressed; memory stays bounded.

    Parameters
    ----------
    recording : Dataset
        As `flowsim.open_recording` gives it.
    into : path
        The file; it appears whole or not at all.

    Raises
    ------
    InputError
        If the disk has too little room.
    """
    into = Path(into)
    room(into, recording.nbytes)
    variables = recording.variables
    attributes = {"": plain(recording.attrs), **{str(n): plain(v.attrs) for n, v in variables.items()}}
    told = {"dimensions": {str(n): v.dims for n, v in variables.items()}, "attributes": attributes}
    with whole(into) as temporary:
        with zipfile.ZipFile(temporary, "w") as archive:
            for name, values in variables.items():
                text = values.dtype.kind == "O"
                _store(archive, str(name), np.asarray(values.values, str) if text else values.data)
            for name, text_of in told.items():
                _store(archive, name, np.array(json.dumps(text_of)))
        expected = sum(v.nbytes for v in recording.data_vars.values())
        with zipfile.ZipFile(temporary) as written:
            if sum(entry.file_size for entry in written.infolist()) < expected:
                raise OSError(f"{into} was not written completely; is the disk full?")


def _store(archive: zipfile.ZipFile, name: str, array: Any) -> None:
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as entry:
        header = {"descr": np.lib.format.dtype_to_descr(array.dtype), "fortran_order": False, "shape": array.shape}
        np.lib.format.write_array_header_1_0(entry, header)
        for piece in pieces(array):
            entry.write(piece.data)


def to_assembly(recording: xr.Dataset, site: str = "state", time: Time = None) -> xr.DataArray:
    """One site under the names of Brain-Score's NeuroidAssembly, lazily where the recording is lazy.

    Names as in github.com/brain-score: brainio (``assemblies.py``: `NeuroidAssembly.validate`), and the extraction of
    activations in vision (``model_helpers/activations/core.py``: `_package_layer`). Coordinates are plain, no
    MultiIndex, so that netCDF can hold them; ``NeuroidAssembly(assembly.compute())`` makes the indices. A frame is the
    unit of time (Brain-Score has ms). ``channel_y`` and ``channel_x`` are row and column (that extraction calls the
    first and second axis of space channel_x and channel_y).

    Parameters
    ----------
    recording : Dataset
    site : str
    time : int, "mean" or None
        One recorded frame, or the mean over frames that have a value: the assembly then has no time_bin.

    Returns
    -------
    DataArray (presentation, neuroid[, time_bin])
        Over presentation: ``stimulus_id`` (and the same as ``image_id``, its older name), ``flow``, ``trial``, the
        flow's velocity, and the truth about each trial and object (``object_label_0`` is that of the first object;
        what changes in time is left out). Over neuroid: ``neuroid_id`` (model.layer.number), ``neuroid_num``,
        ``model``, ``layer`` (the site), ``velocity_vy``, ``velocity_vx``, ``channel``, ``channel_y``, ``channel_x``.
        Over time_bin: ``time_bin_start``, ``time_bin_end`` (frame; the state after frame t is in the bin from t to
        t + 1).

    Raises
    ------
    InputError
        If there is no such site or frame.
    """
    of = Population(recording, site)
    values = of.at(time)
    renamed = dict(zip(("presentation", "unit", "time"), ("presentation", "neuroid", "time_bin"), strict=True))
    coords: dict[str, Any] = {}
    ids = stimuli(of)
    for name, entry in {"stimulus_id": ids, "image_id": ids, **columns(of.presentations)}.items():
        coords[name] = ("presentation", entry.values, entry.attrs)
    number = np.arange(values.sizes["unit"])
    coords["neuroid_id"] = ("neuroid", np.array([f"{of.model}.{site}.{n}" for n in number]))
    coords["neuroid_num"] = ("neuroid", number)
    coords |= {n: ("neuroid", np.full(len(number), text)) for n, text in (("model", of.model), ("layer", site))}
    for name, entry in of.units.items():
        coords[FRAME_NAMES.get(name, name)] = ("neuroid", entry.values, entry.attrs)
    if "time" in values.dims:
        for name, edge in (("time_bin_start", of.frames), ("time_bin_end", of.frames + 1)):
            coords[name] = ("time_bin", edge, {"units": "frame"})
    attrs = {**plain(recording.attrs), **values.attrs, "stimulus_set_identifier": stimulus_set(recording)}
    return xr.DataArray(values.data, coords, [renamed[str(d)] for d in values.dims], site, attrs)


def to_rsatoolbox(recording: xr.Dataset, site: str = "state", time: Time = None) -> dict[str, Any]:
    """One site as the arguments of a dataset of rsatoolbox (0.3), in memory.

    ``rsatoolbox.data.TemporalDataset(**to_rsatoolbox(recording))`` has every frame, and
    ``rsatoolbox.data.Dataset(**to_rsatoolbox(recording, time=5))``, or ``time="mean"``, one value of each unit.

    Parameters
    ----------
    recording : Dataset
    site : str
    time : int, "mean" or None

    Returns
    -------
    dict
        ``measurements`` (observation, channel[, time]); ``obs_descriptors``: ``stimulus``, which names each flow and
        trial, and what else `to_assembly` has over presentation; ``channel_descriptors``: velocity_vy, velocity_vx,
        channel, y, x of each unit; ``time_descriptors``, where there is time: ``time`` in frames; ``descriptors``:
        ``model``, ``site`` and the attributes of the recording, lists as JSON.

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
        "obs_descriptors": {n: v.values for n, v in {"stimulus": stimuli(of), **columns(of.presentations)}.items()},
        "channel_descriptors": {name: entry.values for name, entry in of.units.items()},
    }
    if "time" in values.dims:
        arguments["time_descriptors"] = {"time": of.frames}
    return arguments


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
            raise InputError(f"{name} holds text beyond ASCII, which files of rsatoolbox cannot; drop it before")
    made = (TemporalDataset if "time_descriptors" in arguments else Dataset)(**arguments)
    with whole(into) as temporary:
        made.save(str(temporary), file_type="hdf5")


def require_chunks(temporary: Path, names: Sequence[str], into: Path) -> None:
    """Raise an OSError if some chunks of these arrays are not in a file that is to become ``into``."""
    with h5py.File(temporary) as file:
        for name in names:
            shape, cut = file[name].shape, file[name].chunks
            if file[name].id.get_num_chunks() < math.prod(-(-n // c) for n, c in zip(shape, cut, strict=True)):
                raise OSError(f"{into} was not written completely: {name} has gaps; is the disk full?")


def stimuli(of: Population) -> xr.Variable:
    """A name for each presentation, the same in all recordings of a stimulus: flow0-trial3."""
    pairs = zip(of.presentations["flow"].values, of.presentations["trial"].values, strict=True)
    return xr.Variable(("presentation",), np.array([f"flow{flow}-trial{trial}" for flow, trial in pairs]))


def stimulus_set(recording: xr.Dataset) -> str:
    """The SHA-256 of the stimulus file, as the recording has it; "" where it does not."""
    before = json.loads(recording.attrs.get("recording") or "{}")  # an export's own input is the recording
    inputs = before.get("inputs") or json.loads(recording.attrs.get("inputs") or "{}")
    return next((value for name, value in inputs.items() if not name.endswith(".pt")), "")


def plain(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """Attributes as JSON can hold them, without checksums, which are those of the recording's file."""
    kept = {str(name): value for name, value in attrs.items() if not str(name).startswith(PREFIX)}
    return {n: v.tolist() if isinstance(v, np.ndarray | np.generic) else v for n, v in kept.items()}


def room(into: Path, needed: int) -> None:
    """Raise an InputError if a file may need more bytes than the disk has."""
    folder = next(parent for parent in into.absolute().parents if parent.exists())
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{into}: the export may need {needed / 1e6:.0f} MB, the disk has {free / 1e6:.0f} MB free; "
            "export one site, or fewer trials or frames"
        )
