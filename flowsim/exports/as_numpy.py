"""A recording as numpy arrays in one ``.npz``."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from flowsim.exports.common import plain_attributes, require_room
from flowsim.files import coordinates
from flowsim.files.atomic import whole
from flowsim.files.pieces import pieces

ENDINGS = (".npz",)
OPTIONS = ("site",)


def write(recording: xr.Dataset, into: Path, *, site: str | None = None) -> None:
    """Write one site with its coordinates, or all of a recording; see `to_numpy`."""
    if site is not None:
        coordinates.variable(recording, site)  # raises if there is no such site
        recording = recording[[site]]
    to_numpy(recording, into)


def to_numpy(recording: xr.Dataset, into: str | Path) -> None:
    """Write all of a recording as one ``.npz``, for numpy.load without pickles.

    It holds every variable and every coordinate by its name, and two texts in JSON: ``dimensions``, the names
    of the axes of each, and ``attributes``, those of the file (under "") and of each variable: units, law,
    provenance. Text is of fixed length. Not compressed; memory stays bounded.

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
    require_room(into, recording.nbytes)
    variables = recording.variables
    dimensions = {str(name): values.dims for name, values in variables.items()}
    attributes = {"": plain_attributes(recording.attrs)}
    attributes |= {str(name): plain_attributes(values.attrs) for name, values in variables.items()}
    with whole(into, recording.nbytes) as temporary:
        with temporary.open("wb") as file, zipfile.ZipFile(file, "w") as archive:
            for name, values in variables.items():
                is_text = values.dtype.kind == "O"
                _store(archive, str(name), np.asarray(values.values, str) if is_text else values.data)
            _store(archive, "dimensions", np.array(json.dumps(dimensions)))
            _store(archive, "attributes", np.array(json.dumps(attributes)))
        expected = sum(values.nbytes for values in recording.data_vars.values())
        with zipfile.ZipFile(temporary) as archive:
            if sum(entry.file_size for entry in archive.infolist()) < expected:
                raise OSError(f"{into} was not written completely; is the disk full?")


def _store(archive: zipfile.ZipFile, name: str, array: Any) -> None:
    """Write one array into an archive, piece by piece."""
    header = {
        "descr": np.lib.format.dtype_to_descr(array.dtype),
        "fortran_order": False,
        "shape": array.shape,
    }
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as entry:
        np.lib.format.write_array_header_1_0(entry, header)
        for piece in pieces(array):
            entry.write(piece.data)
