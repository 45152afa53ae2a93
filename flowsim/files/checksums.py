"""Is a recording still as it was written? Checksums show damage that leaves the file readable, such as a
flipped bit.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import h5py
import numpy as np
import xarray as xr

from flowsim.errors import InputError
from flowsim.files.pieces import pieces

PREFIX = "checksum_"
"""Attributes ``checksum_<variable>``: SHA-256 of the values in C order, little-endian."""


def verify(recording: xr.Dataset, path: str | Path) -> None:
    """Read every variable that has a checksum, piece by piece, and compare.

    Parameters
    ----------
    recording : Dataset
        Opened from ``path``; its attributes are the checksums.
    path : path

    Raises
    ------
    InputError
        If a variable cannot be read or is not as it was written, or the file has no checksums.
    """
    checked = [name for name in recording.variables if f"{PREFIX}{name}" in recording.attrs]
    if not checked:
        raise InputError(
            f"{path}: expected checksums (checksum_<variable>); the file has none, so it cannot be verified"
        )
    for name in checked:
        digest = hashlib.sha256()
        try:
            with h5py.File(path) as file:
                for values in pieces(file[str(name)]):
                    digest.update(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).data)
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"{path}: {name} cannot be read ({str(error).splitlines()[0]}); the file is damaged. "
                "Record it again"
            ) from None
        if digest.hexdigest() != recording.attrs[f"{PREFIX}{name}"]:
            raise InputError(f"{path}: {name} is not what was written; the file is damaged. Record it again")
