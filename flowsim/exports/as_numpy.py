"""A recording as numpy arrays in one ``.npz``."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from flowsim.exports.common import plain, room
from flowsim.files.atomic import whole
from flowsim.files.pieces import pieces


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
        header = {
            "descr": np.lib.format.dtype_to_descr(array.dtype),
            "fortran_order": False,
            "shape": array.shape,
        }
        np.lib.format.write_array_header_1_0(entry, header)
        for piece in pieces(array):
            entry.write(piece.data)
