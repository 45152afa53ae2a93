"""Is what a recording holds still what was written? Its checksums say, where a flipped bit leaves a readable
file.
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

    Raises
    ------
    InputError
        If a variable cannot be read or is not what was written, or the file has no checksums.
    """
    named = [name for name in recording.variables if f"{PREFIX}{name}" in recording.attrs]
    if not named:
        raise InputError(
            f"{path}: expected checksums (checksum_<variable>); the file has none, so nothing can be told"
        )
    for name in named:
        digest = hashlib.sha256()
        try:
            with h5py.File(path) as file:
                for values in pieces(file[str(name)]):
                    digest.update(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).data)
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"{path}: {name} cannot be read ({str(error).splitlines()[0]}); the file is damaged. Record it again"
            ) from None
        if digest.hexdigest() != recording.attrs[f"{PREFIX}{name}"]:
            raise InputError(f"{path}: {name} is not what was written; the file is damaged. Record it again")
