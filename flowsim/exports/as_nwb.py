"""A recording as Neurodata Without Borders (NWB 2), which a systems neuroscientist's tools read.

The trials of all flows follow each other in one session: flow 0 trial 0, flow 0 trial 1, ... Each site is one
series (time, unit) through the whole session. The trials table says where each trial begins and which flow
and objects it shows; a table ``<site>_units`` says what each unit is. A site that lies on the frame alone
(frames, prediction) is a series of images.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import xarray as xr

from flowsim.errors import InputError
from flowsim.exports.common import plain_attributes, require_chunks, require_room
from flowsim.exports.population import Population, sites
from flowsim.files.atomic import whole
from flowsim.files.hdf5_disk import Disk, on_disk
from flowsim.files.netcdf import CHUNK_BYTES
from flowsim.files.pieces import PIECE_BYTES, pieces

ENDINGS = (".nwb",)
OPTIONS = ("site", "rate")
START = datetime(2000, 1, 1, tzinfo=UTC)
"""A network has no wall clock; NWB needs one."""
RESERVED = {
    *("id", "name", "description", "colnames", "columns"),
    *("start_time", "stop_time", "tags", "timeseries"),
}
"""Names that a column of a table cannot have."""
IMAGES = {
    "frames": ("luminance from 0 to 1", "Frames that were shown"),
    "prediction": (
        "luminance from 0 to 1",
        "Prediction of each frame before it was seen, NaN where there was none",
    ),
}
"""Unit and description of a series of images."""
ORDER = "Trials follow each other without a gap; see the trials table"
FOLDERS = {"frames": "stimulus/presentation"}
"""Where a site lies in the file, if not in acquisition."""


def write(recording: xr.Dataset, into: Path, *, site: str | None = None, rate: float = 1.0) -> None:
    """Write one site, or all; see `to_nwb`."""
    to_nwb(recording, into, only=None if site is None else [site], rate=rate)


def to_nwb(
    recording: xr.Dataset, into: str | Path, *, only: Sequence[str] | None = None, rate: float = 1.0
) -> None:
    """Write a recording as NWB, chunk by chunk, compressed.

    Parameters
    ----------
    recording : Dataset
        As `flowsim.open_recording` gives it.
    into : path
        The file; it appears whole or not at all.
    only : sequence of str, optional
        The sites to write, the shown frames among them; all if not given. ``frames`` become
        stimulus/presentation, the others acquisition. Units are numbered with the last axis of the site (x)
        running fastest, then y, channel, (orientation,) velocity.
    rate : float
        Frames per second of the nominal clock. With every n-th frame recorded, series have n times fewer
        samples.

    Raises
    ------
    InputError
        If pynwb is not installed, a site is unknown, recorded frames are not evenly spaced, the rate is not
        above 0, or the disk has too little room.
    """
    nwb = _packages()
    into = Path(into)
    if not 0 < rate < math.inf:
        raise InputError(f"expected a rate above 0 frames per second; got {rate}")
    populations = [Population(recording, site) for site in (sites(recording) if only is None else only)]
    if not populations:
        raise InputError("expected a recording with some site over (flow, trial, time, ...); this has none")
    size = sum(population.values.nbytes for population in populations)
    require_room(into, size)
    arrays = [f"{FOLDERS.get(p.site, 'acquisition')}/{p.site}/data" for p in populations]
    with whole(into, size) as temporary:
        with (
            on_disk(temporary) as disk,
            h5py.File(disk, "w") as h5,
            nwb.NWBHDF5IO(file=h5, mode="w") as writer,
        ):
            writer.write(_content(nwb, recording, populations, rate, disk))
        require_chunks(temporary, arrays, into)


def _content(
    nwb: SimpleNamespace, recording: xr.Dataset, populations: Sequence[Population], rate: float, disk: Disk
) -> Any:
    """A session with all its series, which are read while they are written to ``disk``."""
    samples_per_second = rate / _frames_per_sample(populations[0])
    file = _session(nwb, recording, populations, rate)
    file.trials = _trials(nwb, populations[0], samples_per_second)
    tables = file.create_processing_module(
        "units", "What each unit of a series is, in the order of its columns"
    )
    for population in populations:
        add = file.add_stimulus if population.site == "frames" else file.add_acquisition
        if tuple(population.place) == ("y", "x"):
            add(_images(nwb, population, samples_per_second, disk))
        else:
            add(_series(nwb, population, samples_per_second, disk))
            tables.add(_unit_table(nwb, population))
    return file


def _packages() -> SimpleNamespace:
    """The classes of pynwb and hdmf that are used here."""
    try:
        import pynwb
        from hdmf.backends.hdf5 import H5DataIO
        from hdmf.common import DynamicTable, VectorData
        from hdmf.data_utils import DataChunkIterator
        from pynwb.epoch import TimeIntervals
        from pynwb.file import Subject
        from pynwb.image import ImageSeries
    except ImportError:
        raise InputError("to write NWB, install pynwb: pip install pynwb") from None
    return SimpleNamespace(
        NWBFile=pynwb.NWBFile,
        NWBHDF5IO=pynwb.NWBHDF5IO,
        TimeSeries=pynwb.TimeSeries,
        H5DataIO=H5DataIO,
        DynamicTable=DynamicTable,
        VectorData=VectorData,
        DataChunkIterator=DataChunkIterator,
        TimeIntervals=TimeIntervals,
        Subject=Subject,
        ImageSeries=ImageSeries,
    )


def _frames_per_sample(population: Population) -> float:
    """How many frames of the stimulus one recorded frame stands for."""
    frames = population.frames
    steps = np.diff(frames) if len(frames) > 1 else np.array([1])
    if (steps != steps[0]).any():
        raise InputError(f"expected recorded frames at equal steps; got {frames.tolist()}")
    return float(steps[0])


def _session(
    nwb: SimpleNamespace, recording: xr.Dataset, populations: Sequence[Population], rate: float
) -> Any:
    """The file, still without data."""
    attrs = plain_attributes(recording.attrs)
    laws = {p.site: p.values.attrs["law"] for p in populations if "law" in p.values.attrs}
    if laws:
        attrs["law"] = ", ".join(laws.values())
    notes = json.dumps(attrs)
    identity = json.dumps([notes, [population.site for population in populations], rate])
    return nwb.NWBFile(
        session_description="Activity of an artificial recurrent network that watches moving stimuli, trial "
        f"after trial. Times are nominal: {rate:g} frames per second from an arbitrary date.",
        identifier=hashlib.sha256(identity.encode()).hexdigest(),
        session_start_time=START,
        notes=notes,
        keywords=["artificial recurrent neural network", "visual motion"],
        subject=nwb.Subject(subject_id=populations[0].model, description="artificial recurrent network"),
    )


def _trials(nwb: SimpleNamespace, population: Population, rate: float) -> Any:
    table = population.presentations
    length = population.values.sizes["time"] / rate
    start = np.arange(len(table["flow"])) * length
    columns = [
        nwb.VectorData(name="start_time", description="of the trial, in s", data=start),
        nwb.VectorData(name="stop_time", description="of the trial, in s", data=start + length),
        *(_column(nwb, name, values) for name, values in table.items()),
    ]
    return nwb.TimeIntervals(name="trials", description="Every trial under every flow", columns=columns)


def _unit_table(nwb: SimpleNamespace, population: Population) -> Any:
    return nwb.DynamicTable(
        name=f"{population.site}_units",
        description=f"Units of the series {population.site}: row n is its column n",
        columns=[_column(nwb, name, values) for name, values in population.units.items()],
        id=np.arange(_unit_count(population)),
    )


def _unit_count(population: Population) -> int:
    return int(np.prod(list(population.place.values())))


def _column(nwb: SimpleNamespace, name: str, values: xr.Variable) -> Any:
    """One column of a table; its description is the attributes ``long_name`` and ``units``."""
    parts = []
    if values.attrs.get("long_name"):
        parts.append(values.attrs["long_name"])
    if values.attrs.get("units"):
        parts.append(f"in {values.attrs['units']}")
    if values.ndim > 1:
        parts.append(f"over ({', '.join(map(str, values.dims[1:]))})")
    return nwb.VectorData(
        name=f"{name}_" if name in RESERVED else name,
        description=" ".join(parts) or f"index along {name}",
        data=values.values.tolist() if values.dtype.kind == "U" else values.values,
    )


def _series(nwb: SimpleNamespace, population: Population, rate: float, disk: Disk) -> Any:
    site, attrs, units = population.site, population.values.attrs, _unit_count(population)
    sizes = ", ".join(f"{axis} {size}" for axis, size in population.place.items())
    order = f"Units are in the order of the table {site}_units: {sizes}, the last running fastest"
    law = f"Declared law of the state: {attrs['law']}. " if "law" in attrs else ""
    return nwb.TimeSeries(
        name=site,
        data=_samples(nwb, population, (units,), lambda block: block.reshape(len(block), units), disk),
        unit="a.u.",
        rate=rate,
        starting_time=0.0,
        description=f"{law}{order}",
        comments=ORDER,
    )


def _images(nwb: SimpleNamespace, population: Population, rate: float, disk: Disk) -> Any:
    height, width = population.place.values()
    unit, text = IMAGES.get(population.site, ("a.u.", "Activity over the frame"))
    return nwb.ImageSeries(
        name=population.site,
        data=_samples(nwb, population, (width, height), lambda block: block.swapaxes(-1, -2), disk),
        unit=unit,
        rate=rate,
        starting_time=0.0,
        format="raw",
        dimension=np.array([width, height], np.int32),
        description=f"{text}, (time, x, y)",
        comments=ORDER,
    )


def _samples(
    nwb: SimpleNamespace,
    population: Population,
    shape: tuple[int, ...],
    arranged: Callable[[np.ndarray], np.ndarray],
    disk: Disk,
) -> Any:
    """A site's samples (time, *shape), read when they are written.

    Half precision, which NWB does not know, becomes single. ``arranged`` brings samples (time, *place) into
    that shape. None are read any more once ``disk`` is full.
    """
    values = population.values
    dtype = np.promote_types(values.dtype, np.float32) if values.dtype.kind == "f" else values.dtype
    sample_bytes = int(np.prod(shape)) * dtype.itemsize
    count = int(np.prod(values.shape[:3]))
    rows = max(1, min(count, CHUNK_BYTES // sample_bytes))
    if sample_bytes <= CHUNK_BYTES:
        chunk = (rows, *shape)
    else:  # a part of one sample
        chunk = (1, CHUNK_BYTES // dtype.itemsize, *(1 for _ in shape[1:]))

    def read() -> Iterator[np.ndarray]:
        for piece in pieces(values.data, max(PIECE_BYTES, sample_bytes)):
            disk.check()
            block = piece.reshape(-1, *population.place.values())
            yield from arranged(block).astype(dtype, copy=False)

    iterator = nwb.DataChunkIterator(data=read(), maxshape=(count, *shape), dtype=dtype, buffer_size=rows)
    return nwb.H5DataIO(iterator, chunks=chunk, compression="gzip", compression_opts=1, shuffle=True)
