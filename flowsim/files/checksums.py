"""Is a file still as it was written? Checksums show damage that leaves it readable, such as a flipped bit.

Every file of a stage ends in a seal, after all that HDF5 or zip knows of: a sum of each chunk of its large
variables, which is compared when the chunk is read, and one sum of everything else (coordinates, attributes,
structure, the sums of chunks), which is compared before anything else is read. Other programs do not see a
seal, and one that changes a file in place removes it.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
import xarray as xr

from flowsim.errors import Damaged, InputError
from flowsim.files.pieces import pieces

PREFIX = "checksum_"
"""Attributes ``checksum_<variable>`` of recordings of format 1: SHA-256 of the values in C order,
little-endian.
"""
MAGIC = b"flowseal"
END = struct.Struct("<QQ32s8s")
"""The last bytes of a sealed file: where its content ends, the bytes of the table of parts, SHA-256 of all
but the parts, and `MAGIC`.
"""
BLOCK = 2**20
Parts = Mapping[str, Iterable[tuple[int, int]]]
"""First byte and number of bytes of each chunk, by variable."""


@dataclass(frozen=True)
class Seal:
    """What a file says of its own content.

    Attributes
    ----------
    path : Path
    parts : mapping of str to list of (int, int, int)
        First byte, number of bytes and CRC-32 of each chunk of the large variables.
    """

    path: Path
    parts: Mapping[str, list[tuple[int, int, int]]]

    @cached_property
    def by_place(self) -> dict[int, int]:
        """The sum of each chunk by its first byte."""
        return {first: crc for parts in self.parts.values() for first, _, crc in parts}

    def __reduce__(self) -> tuple[Any, ...]:
        """In another process, a seal is read from the file again: of a large file it has millions of sums."""
        return _read_again, (os.path.realpath(self.path),)

    def compare(self, name: str, first: int, content: bytes) -> None:
        """Raise `Damaged` unless a chunk of a variable, as it is in the file, is what was written."""
        if first in self.by_place and self.by_place[first] != zlib.crc32(content):
            raise _not_as_written(self.path, name)

    def compare_all(self) -> None:
        """Read all chunks, and raise `Damaged` unless they are what was written."""
        with self.path.open("rb") as file:
            for name, parts in self.parts.items():
                for first, size, crc in parts:
                    file.seek(first)
                    if zlib.crc32(file.read(size)) != crc:
                        raise _not_as_written(self.path, name)


def seal(path: Path, parts: Parts | None = None) -> None:
    """Append a seal to a file that is complete.

    Parameters
    ----------
    path : Path
    parts : mapping of str to (first byte, number of bytes), optional
        Chunks of variables that are not to be read whenever the file is opened.
    """
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        summed = {
            name: [(first, size, _crc(file, first, size)) for first, size in sorted(places)]
            for name, places in (parts or {}).items()
        }
        table = json.dumps(summed, separators=(",", ":")).encode()
        digest = _digest(file, end, summed, table)
        file.seek(end)
        file.write(table + END.pack(end, len(table), digest, MAGIC))


def sealed(path: str | Path) -> Seal | None:
    """The seal of a file, once all but its large variables is compared with it; None if the file has none.

    Raises
    ------
    Damaged
        If the file is not what was written.
    """
    path = Path(path)
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - END.size))
        tail = file.read()
        if len(tail) < END.size or not tail.endswith(MAGIC):
            _require_end_of_hdf5(path, file, size)
            return None
        end, table_size, digest, _ = END.unpack(tail)
        if end + table_size + END.size != size:
            raise _not_as_written(path)
        file.seek(end)
        table = file.read(table_size)
        try:
            parts = {name: [(a, b, c) for a, b, c in of_name] for name, of_name in json.loads(table).items()}
            found = _digest(file, end, parts, table)
        except (ValueError, TypeError, AttributeError):
            raise _not_as_written(path) from None
    if found != digest:
        raise _not_as_written(path)
    return Seal(path, parts)


def _read_again(path: str) -> Seal:
    """The seal of a file that had one when it was first opened, in another process."""
    status = os.stat(path)
    return _seal_of(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4)
def _seal_of(path: str, changed: int, size: int) -> Seal:
    """The seal of a file, kept until the file changes."""
    seal = sealed(path)
    if seal is None:
        raise _not_as_written(Path(path))
    return seal


def _digest(file: BinaryIO, end: int, parts: Mapping[str, list[tuple[int, int, int]]], table: bytes) -> bytes:
    """SHA-256 of everything before ``end`` but the parts, and of the table of these."""
    digest = hashlib.sha256(end.to_bytes(8, "little"))
    at = 0
    inside = sorted((first, size) for places in parts.values() for first, size, _ in places)
    for first, size in [*inside, (end, 0)]:
        if not at <= first <= end:
            raise ValueError("chunks that overlap")
        file.seek(at)
        while at < first:
            content = file.read(min(BLOCK, first - at))
            if not content:
                raise ValueError("the file ends before its content")
            digest.update(content)
            at += len(content)
        at = first + size
    digest.update(table)
    return digest.digest()


def _crc(file: BinaryIO, first: int, size: int) -> int:
    file.seek(first)
    return zlib.crc32(file.read(size))


def _not_as_written(path: Path, name: str = "") -> Damaged:
    """The error to raise; ``name`` is that of the variable, if it is known."""
    if not name:
        return Damaged(
            f"{path}: expected a whole HDF5 file, but it cannot be read (a coordinate, an attribute, a value "
            "or its structure is not what was written). If flowsim made it, make it again; if not, get a "
            "whole copy"
        )
    return Damaged(
        f"{path}: {name} is not what was written; the file is damaged. Record it again, or get a whole copy"
    )


def _require_end_of_hdf5(path: Path, file: BinaryIO, size: int) -> None:
    """Raise `Damaged` if an HDF5 file goes on after its end by what is no seal (it was one once)."""
    file.seek(0)
    begin = file.read(64)
    if len(begin) < 64 or not begin.startswith(b"\x89HDF\r\n\x1a\n"):
        return
    at = {0: 40, 1: 44, 2: 28, 3: 28}.get(begin[8])
    offset_size = begin[13] if begin[8] < 2 else begin[9]
    if at is not None and offset_size == 8 and int.from_bytes(begin[at : at + 8], "little") < size:
        raise Damaged(
            f"{path}: expected a whole HDF5 file, but it cannot be read (no checksums at its end). "
            "If flowsim made it, make it again; if not, get a whole copy"
        )


def verify(recording: xr.Dataset, path: str | Path) -> None:
    """Read everything that has a checksum, and compare.

    Parameters
    ----------
    recording : Dataset
        Opened from ``path``; its attributes are the checksums of a file of format 1.
    path : path

    Raises
    ------
    InputError
        If something cannot be read or is not as it was written, or the file has no checksums.
    """
    found = sealed(path)
    if found is not None:
        found.compare_all()
        return
    checked = [name for name in recording.variables if f"{PREFIX}{name}" in recording.attrs]
    if not checked:
        raise InputError(
            f"{path}: expected checksums (at its end, or attributes checksum_<variable>); the file has none, "
            "so it cannot be verified"
        )
    for name in checked:
        digest = hashlib.sha256()
        try:
            with h5py.File(path) as file:
                for values in pieces(file[str(name)]):
                    digest.update(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).data)
        except (OSError, RuntimeError) as error:
            raise Damaged(
                f"{path}: {name} cannot be read ({str(error).splitlines()[0]}); the file is damaged. "
                "Record it again"
            ) from None
        if digest.hexdigest() != recording.attrs[f"{PREFIX}{name}"]:
            raise _not_as_written(Path(path), str(name))
