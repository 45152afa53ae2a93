"""Recordings as Neurodata Without Borders (NWB 2): what a systems neuroscientist's tools expect of an
experiment.

The trials of all flows follow each other in one session: flow 0 trial 0, flow 0 trial 1, ... Each site is one
series (time, unit) through all of it, the trials table says where each begins and which flow and objects it
shows, and a table ``<site>_units`` says what each unit is. What lies on the frame alone (frames, prediction)
is a series of images.
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
from flowsim.exports.common import plain, require_chunks, room
from flowsim.exports.population import Population, sites
from flowsim.files.atomic import whole
from flowsim.files.netcdf import CHUNK_BYTES
from flowsim.files.pieces import PIECE_BYTES, pieces

START = datetime(2000, 1, 1, tzinfo=UTC)
"""A network has no wall clock; NWB wants one."""
TAKEN = {"id", "name", "description", "colnames", "columns", "start_time", "stop_time", "tags", "timeseries"}
"""Names that a column of a table cannot have."""
IMAGES = {
    "frames": ("luminance from 0 to 1", "Frames that were shown"),
    "prediction": (
        "luminance from 0 to 1",
        "Prediction of each frame before it was seen, NaN where there was none",
    ),
}
"""Unit and description."""
ORDER = "Trials follow each other without a gap; see the trials table"
STATED = {"units": "in {}", "long_name": "{}"}


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
    nwb, into = _packages(), Path(into)
    if not 0 < rate < math.inf:
        raise InputError(f"expected a rate above 0 frames per second; got {rate}")
    chosen = [Population(recording, site) for site in (sites(recording) if only is None else only)]
    if not chosen:
        raise InputError("expected a recording with some site over (flow, trial, time, ...); this has none")
    room(into, sum(of.values.nbytes for of in chosen))
    frames = chosen[0].frames
    steps = np.diff(frames) if len(frames) > 1 else np.array([1])
    if (steps != steps[0]).any():
        raise InputError(f"expected recorded frames at equal steps; got {frames.tolist()}")
    sampled = rate / float(steps[0])
    laws = {of.site: of.values.attrs["law"] for of in chosen if "law" in of.values.attrs}
    told = json.dumps({**plain(recording.attrs), **({"law": ", ".join(laws.values())} if laws else {})})
    file = nwb.NWBFile(
        session_description="Activity of an artificial recurrent network that watches moving stimuli, trial after "
        f"trial. Times are nominal: {rate:g} frames per second from an arbitrary date.",
        identifier=hashlib.sha256(json.dumps([told, [of.site for of in chosen], rate]).encode()).hexdigest(),
        session_start_time=START,
        notes=told,
        keywords=["artificial recurrent neural network", "visual motion"],
        subject=nwb.Subject(subject_id=chosen[0].model, description="artificial recurrent network"),
    )
    file.trials = _trials(nwb, chosen[0], sampled)
    tables = file.create_processing_module(
        "units", "What each unit of a series is, in the order of its columns"
    )
    for of in chosen:
        add = file.add_stimulus if of.site == "frames" else file.add_acquisition
        if tuple(of.place) == ("y", "x"):
            add(_images(nwb, of, sampled))
            continue
        add(_series(nwb, of, sampled))
        columns = [_column(nwb, name, values) for name, values in of.units.items()]
        ids = np.arange(int(np.prod(list(of.place.values()))))
        text = f"Units of the series {of.site}: row n is its column n"
        tables.add(nwb.DynamicTable(name=f"{of.site}_units", description=text, columns=columns, id=ids))
    with whole(into) as temporary:
        with h5py.File(temporary, "w") as h5, nwb.NWBHDF5IO(file=h5, mode="w") as writer:
            writer.write(file)
        where = {True: "stimulus/presentation", False: "acquisition"}
        require_chunks(temporary, [f"{where[of.site == 'frames']}/{of.site}/data" for of in chosen], into)


def _packages() -> SimpleNamespace:
    """What is used of pynwb and hdmf, loaded when it is."""
    try:
        import pynwb
        from hdmf.backends.hdf5 import H5DataIO
        from hdmf.common import DynamicTable, VectorData
        from hdmf.data_utils import DataChunkIterator
        from pynwb.epoch import TimeIntervals
        from pynwb.file import Subject
        from pynwb.image import ImageSeries
    except ImportError:
        raise InputError('to write NWB, install pynwb: pip install "flowsim[nwb]"') from None
    return SimpleNamespace(
        NWBFile=pynwb.NWBFile, NWBHDF5IO=pynwb.NWBHDF5IO, TimeSeries=pynwb.TimeSeries, H5DataIO=H5DataIO,
        DynamicTable=DynamicTable, VectorData=VectorData, DataChunkIterator=DataChunkIterator,
        TimeIntervals=TimeIntervals, Subject=Subject, ImageSeries=ImageSeries,
    )  # fmt: skip


def _trials(nwb: SimpleNamespace, of: Population, rate: float) -> Any:
    table, length = of.presentations, of.values.sizes["time"] / rate
    start = np.arange(len(table["flow"])) * length
    columns = [
        nwb.VectorData(name="start_time", description="of the trial, in s", data=start),
        nwb.VectorData(name="stop_time", description="of the trial, in s", data=start + length),
        *(_column(nwb, name, values) for name, values in table.items()),
    ]
    return nwb.TimeIntervals(name="trials", description="Every trial under every flow", columns=columns)


def _column(nwb: SimpleNamespace, name: str, values: xr.Variable) -> Any:
    stated = [text.format(values.attrs[key]) for key, text in STATED.items() if values.attrs.get(key)]
    axes = f"over ({', '.join(map(str, values.dims[1:]))})" if values.ndim > 1 else ""
    description = " ".join([*reversed(stated), axes]).strip() or f"index along {name}"
    data = values.values.tolist() if values.dtype.kind == "U" else values.values
    return nwb.VectorData(name=f"{name}_" if name in TAKEN else name, description=description, data=data)


def _series(nwb: SimpleNamespace, of: Population, rate: float) -> Any:
    units = int(np.prod(list(of.place.values())))
    sizes = ", ".join(f"{name} {size}" for name, size in of.place.items())
    data = _data(nwb, of, (units,), lambda frames: frames.reshape(len(frames), units))
    law = f"Declared law of the state: {of.values.attrs['law']}. " if "law" in of.values.attrs else ""
    return nwb.TimeSeries(
        name=of.site, data=data, unit="a.u.", rate=rate, starting_time=0.0,
        description=f"{law}Units are in the order of the table {of.site}_units: {sizes}, the last running fastest",
        comments=ORDER,
    )  # fmt: skip


def _images(nwb: SimpleNamespace, of: Population, rate: float) -> Any:
    height, width = of.place.values()
    data = _data(nwb, of, (width, height), lambda frames: frames.swapaxes(-1, -2))
    unit, text = IMAGES.get(of.site, ("a.u.", "Activity over the frame"))
    return nwb.ImageSeries(
        name=of.site, data=data, unit=unit, rate=rate, starting_time=0.0, format="raw",
        dimension=np.array([width, height], np.int32), description=f"{text}, (time, x, y)", comments=ORDER,
    )  # fmt: skip


def _data(
    nwb: SimpleNamespace, of: Population, one: tuple[int, ...], turn: Callable[[np.ndarray], np.ndarray]
) -> Any:
    """A site's samples (time, *one), read when written. Half precision, which NWB does not know, becomes
    single.
    """
    dtype = np.promote_types(of.values.dtype, np.float32) if of.values.dtype.kind == "f" else of.values.dtype
    each, samples = int(np.prod(one)) * dtype.itemsize, int(np.prod(of.values.shape[:3]))
    rows = max(1, min(samples, CHUNK_BYTES // each))
    cut = (rows, *one) if each <= CHUNK_BYTES else (1, CHUNK_BYTES // dtype.itemsize, *(1 for _ in one[1:]))

    def read() -> Iterator[np.ndarray]:
        for piece in pieces(of.values.data, max(PIECE_BYTES, each)):
            yield from turn(piece.reshape(-1, *of.place.values())).astype(dtype, copy=False)

    iterator = nwb.DataChunkIterator(data=read(), maxshape=(samples, *one), dtype=dtype, buffer_size=rows)
    return nwb.H5DataIO(iterator, chunks=cut, compression="gzip", compression_opts=1, shuffle=True)
