"""HDF5 files are looked through by a process that is watched, before this one opens them.

The HDF5 library loops for ever in some files whose structure is damaged, and crashes in others. A file that
ends in checksums (`flowsim.files.checksums`) is known to be whole; any other is first looked through apart.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from flowsim.errors import Damaged
from flowsim.files.checksums import Seal, sealed

SECONDS = 60
"""How long a look at names, sizes and attributes may take."""
LOOK = """
import h5py, sys
with h5py.File(sys.argv[1]) as file:
    dict(file.attrs)
    file.visititems(lambda _, item: dict(item.attrs) and None)
"""
_seen: set[tuple[str, int, int]] = set()


def whole_hdf5(path: Path) -> Seal | None:
    """The seal of an HDF5 file that can be opened without harm; None if it has none.

    Whatever else is wrong with a file, its reader says.

    Raises
    ------
    Damaged
        If the file is not what was written, or the HDF5 library comes to no end in it.
    """
    seal = sealed(path)
    status = path.stat()
    key = os.path.realpath(path), status.st_mtime_ns, status.st_size
    if seal is not None or key in _seen or not _begins_as_hdf5(path):
        return seal
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", LOOK, str(path)], capture_output=True, timeout=SECONDS, check=False
        )
        crashed = done.returncode < 0
    except subprocess.TimeoutExpired:
        crashed = True
    if crashed:
        raise Damaged(
            f"{path}: expected a whole HDF5 file; the HDF5 library comes to no end in it, or crashes, so it "
            "is damaged. If flowsim made it, make it again; if not, get a whole copy"
        )
    _seen.add(key)
    return None


def _begins_as_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x89HDF"
