"""What is in a file that turned out not to be the expected one, in words for an error message."""

from __future__ import annotations

import zipfile
from pathlib import Path

import h5py

from flowsim.errors import Damaged
from flowsim.files.watched import whole_hdf5

SIGNATURES = {
    b"\x89PNG": "a PNG picture",
    b"GIF8": "a GIF animation",
    b"%PDF": "a PDF document",
    b"\x1f\x8b": "a file compressed by gzip",
    b"CDF": "a netCDF-3 file",
    b"MATLAB 5.0": "a MATLAB file of version 5",
    b"\x93NUMPY": "a numpy array",
    b"RIFF": "a video or a sound",
}
"""How files of other programs begin."""


def described(path: str | Path) -> str:
    """What a file is, such as "a recording by flowsim", "an HDF5 file of another program" or "an empty file".

    Only its first bytes and its attributes are read; a file that cannot be read at all is "a file that cannot
    be read", with the reason.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            begin = file.read(16)
    except OSError as error:
        return f"a file that cannot be read ({error.strerror})"
    if not begin:
        return "an empty file"
    if begin.startswith(b"\x89HDF"):
        return _described_hdf5(path)
    for signature, name in SIGNATURES.items():
        if begin.startswith(signature):
            return name
    if zipfile.is_zipfile(path):
        return _described_zip(path)
    return "a text file" if _is_text(begin) else "a file of an unknown kind"


def _described_hdf5(path: Path) -> str:
    try:
        whole_hdf5(path)
        with h5py.File(path, "r") as file:
            stage = file.attrs.get("stage")
    except (OSError, RuntimeError, Damaged):
        return "an HDF5 file that is locked, damaged or not whole"
    if stage is None:
        return "an HDF5 file of another program"
    kinds = {"stimulus": "a stimulus", "recording": "a recording", "analysis": "results of an analysis"}
    return f"{kinds.get(str(stage), f'of stage {stage},')} by flowsim"


def _described_zip(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        weights = any(name.endswith("data.pkl") for name in archive.namelist())
    return "a file of torch" if weights else "a zip archive"


def _is_text(begin: bytes) -> bool:
    try:
        return begin.decode("utf-8", errors="strict").isprintable() or b"\n" in begin
    except UnicodeDecodeError:
        return False
