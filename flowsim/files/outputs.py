"""Nothing that is written destroys what is read, or what is somebody else's."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py

from flowsim.errors import InputError
from flowsim.files.atomic import lock_of, temporary_of
from flowsim.files.identify import described

MARK = "flowsim"
"""What pictures that flowsim draws name as the software that made them."""
FIRST_BYTES = 4096
"""In which a file of text, or a picture, says by what it was made."""


def protect(*written: tuple[Path, str], read: Sequence[Path] = ()) -> None:
    """Refuse to write where something lies that would be lost. Every command asks this before it works.

    Parameters
    ----------
    *written : (path, str)
        Each file that is written, and its kind: a name of `KINDS`. A file of the same kind by flowsim may be
        made anew, and an empty file be filled.
    read : sequence of path
        The files that are read. They are known by any name: links, hard links, other spellings.

    Raises
    ------
    InputError
        If a file that is written, or what lies beside it while it is, is one that is read; if two that are
        written are the same; if there is a folder, or a file of another kind.
    """
    for number, (path, kind) in enumerate(written):
        others = [(other, "is read") for other in read]
        others += [(other, "is written too") for other, _ in written[:number]]
        for place in (path, temporary_of(path), lock_of(path)):
            for other, use in others:
                if _is_same(place, other):
                    called = "" if str(other) == str(path) else f", as {other},"
                    raise InputError(
                        f"{path}: expected a place for {kind}; this file{called} {use} by the same command. "
                        "Choose another name"
                    )
        _check_kind(path, kind)


def _is_same(path: Path, other: Path) -> bool:
    """Whether two paths are one file, by whatever names."""
    try:
        if os.path.samefile(path, other):
            return True
    except OSError:  # one of them is not there
        pass
    return os.path.realpath(path) == os.path.realpath(other)


def _check_kind(path: Path, kind: str) -> None:
    """Raise an InputError if there is something else than a file of this kind."""
    expected = f"{path}: expected a place for {kind}"
    if path.is_dir():
        raise InputError(f"{expected}; this is a folder. Give the name of a file in it")
    if not path.exists():
        return
    if not path.is_file():
        raise InputError(f"{expected}; this is no ordinary file. Choose another name")
    try:
        mine = not path.stat().st_size or KINDS[kind](path)
    except (OSError, RuntimeError, ValueError, KeyError, zipfile.BadZipFile):  # damaged, or not as it seems
        mine = False
    if not mine:
        raise InputError(
            f"{expected}, or one by flowsim to be made anew; there is {described(path)}. Choose another "
            "name, or move it away"
        )


def _hdf5_of(stage: str) -> Callable[[Path], bool]:
    """Whether a file is HDF5 of this stage."""

    def check(path: Path) -> bool:
        with h5py.File(path, "r") as file:
            return file.attrs.get("stage") == stage

    return check


def _torch_of(kind: str) -> Callable[[Path], bool]:
    """Whether a file of torch says that it is of this kind; it is not loaded."""

    def check(path: Path) -> bool:
        with zipfile.ZipFile(path) as archive:
            name = next(name for name in [*archive.namelist(), ""] if name.endswith("data.pkl") or not name)
            begin = archive.read(name)[:200]
        return b"format" in begin and b"kind" in begin and kind.encode() in begin

    return check


def _begins_with(signature: bytes, mark: bytes, within: int = FIRST_BYTES) -> Callable[[Path], bool]:
    """Whether a file begins with a signature, and has a mark soon after it."""

    def check(path: Path) -> bool:
        with path.open("rb") as file:
            begin = file.read(within)
        return begin.startswith(signature) and mark in begin

    return check


def _is_export(path: Path) -> bool:
    """Whether a file is an export of a recording, in any format."""
    if zipfile.is_zipfile(path):
        import numpy as np

        with np.load(path) as arrays:
            return '"recording"' in str(arrays["attributes"])
    with h5py.File(path, "r") as file:
        texts = [file.attrs, *(file[name].attrs for name in file)]
        notes = file["general/notes"][()].decode() if "general/notes" in file else ""
        stages = [json.loads(notes).get("stage")] if notes else [attrs.get("stage") for attrs in texts]
    return "export" in stages


KINDS: dict[str, Callable[[Path], bool]] = {
    "a stimulus": _hdf5_of("stimulus"),
    "a recording": _hdf5_of("recording"),
    "results of an analysis": _hdf5_of("analysis"),
    "weights": _torch_of("weights"),
    "a checkpoint": _torch_of("checkpoint"),
    "an export": _is_export,
    "a drawing (SVG)": _begins_with(b"<?xml", b"<dc:title>flowsim"),
    "a picture (PNG)": _begins_with(b"\x89PNG", b"Software\0flowsim"),
    "an animation (GIF)": _begins_with(b"GIF8", b"\x07flowsim\0"),
    "a table (CSV)": _begins_with(b"run,network,seed,variable", b"value"),
    "a comparison (CSV)": _begins_with(b"analysis,answer,network,n_a", b"verdict"),
    "a report": _begins_with(b"<!doctype html>", b'<meta name="generator" content="flowsim">'),
    "a page of stimuli": _begins_with(b"# Stimuli", b"<!-- Made by `python -m flowsim gallery"),
    "a schema": _begins_with(b"{", b"An experiment of flowsim", 2**24),
}
"""How files that flowsim makes are known, by their kinds."""
