"""Write large variables chunk by chunk: compressed by several threads, while the next activity is being computed.

The HDF5 library compresses one chunk at a time, and nobody else can use it meanwhile. Here chunks go through the same
filters (shuffle, then deflate) outside of it, and are handed over as they are on disk; any HDF5 program reads them.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import product
from types import TracebackType
from typing import Any, Literal

import h5netcdf
import h5py
import numpy as np

from flowsim.files.checksums import PREFIX

Codec = Literal["gzip", "rounded", "none"]
"""gzip 1 with shuffle; the same after rounding to 10 bits of mantissa (those of half precision), or uncompressed."""
LEVEL, BITS = 1, 10
FILTERS: dict[str, dict[str, Any]] = {
    "gzip": {"compression": "gzip", "compression_opts": LEVEL, "shuffle": True},
    "rounded": {"compression": "gzip", "compression_opts": LEVEL, "shuffle": True},
    "none": {},
}
AHEAD = 1
"""Blocks that may wait to be written while the next is computed."""


def rounded(values: np.ndarray) -> np.ndarray:
    """Floating-point values rounded to `BITS` bits of mantissa, to even; they compress better."""
    drop = np.finfo(values.dtype).nmant - BITS
    if drop <= 0:
        return values
    whole = values.view(f"u{values.itemsize}")
    half = whole.dtype.type((1 << (drop - 1)) - 1)
    even = (whole >> whole.dtype.type(drop)) & whole.dtype.type(1)
    mask = whole.dtype.type(~((1 << drop) - 1) & ((1 << 8 * values.itemsize) - 1))
    done = ((whole + half + even) & mask).view(values.dtype)
    return np.where(np.isfinite(values), done, values)


class Writer:
    """Writes blocks of variables in the background; use as a context manager.

    Blocks of a variable come in the order of the file, so that a checksum can be taken along the way. When a block
    cannot be written, ``make_room`` is called before HDF5 tries to close what it was writing to.
    """

    def __init__(self, file: h5netcdf.File, codec: Codec, make_room: Callable[[], None]) -> None:
        self.file, self.codec, self.make_room = file, codec, make_room
        self.failed = False
        self.digests: dict[str, Any] = {}
        self.packers = ThreadPoolExecutor(max(1, min(8, os.cpu_count() or 1)))
        self.writer = ThreadPoolExecutor(1)
        self.pending: list[Future[None]] = []

    def __enter__(self) -> Writer:
        return self

    def put(self, blocks: dict[str, np.ndarray], flow: int, first: int) -> None:
        """Write blocks (trial, time, ...) of some variables at one flow, from trial ``first`` on; returns at once."""
        while len(self.pending) > AHEAD:
            self.pending.pop(0).result()
        self.pending.append(self.writer.submit(self._write, blocks, flow, first))

    def _write(self, blocks: dict[str, np.ndarray], flow: int, first: int) -> None:
        for name, values in blocks.items() if not self.failed else ():
            stored = self.file[name]._h5ds
            try:
                self._store(name, stored, values, flow, first)
            except OSError:
                self.failed = True  # what waits must not fill the room that is made
                self.make_room()
                raise

    def _store(self, name: str, stored: h5py.Dataset, values: np.ndarray, flow: int, first: int) -> None:
        values = rounded(values) if self.codec == "rounded" else values
        values = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
        self.digests.setdefault(name, hashlib.sha256()).update(values)
        if self.codec == "none" or any(first % c for c in stored.chunks[1:2]):
            stored[flow, first : first + len(values)] = values
            return
        chunk = stored.chunks[1:]
        corners = list(_corners(values.shape, chunk))
        packed = self.packers.map(partial(_packed, values, chunk), corners)
        for corner, content in zip(corners, packed, strict=True):
            stored.id.write_direct_chunk((flow, first + corner[0], *corner[1:]), content)

    def finish(self) -> None:
        """Wait until all is written, and leave checksums as attributes of the file."""
        for waiting in self.pending:
            waiting.result()
        self.pending = []
        for name, digest in self.digests.items():
            self.file.attrs[f"{PREFIX}{name}"] = digest.hexdigest()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for waiting in self.pending:
            waiting.cancel()
        self.writer.shutdown(wait=True, cancel_futures=True)
        self.packers.shutdown(wait=True, cancel_futures=True)


def _corners(shape: tuple[int, ...], chunk: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    return product(*(range(0, size, step) for size, step in zip(shape, chunk, strict=True)))


def _packed(values: np.ndarray, chunk: tuple[int, ...], corner: tuple[int, ...]) -> bytes:
    """One chunk as the filters leave it; what lies beyond the variable is 0."""
    part = values[tuple(slice(c, c + step) for c, step in zip(corner, chunk, strict=True))]
    if part.shape != chunk:
        whole = np.zeros(chunk, values.dtype)
        whole[tuple(map(slice, part.shape))] = part
        part = whole
    shuffled = np.ascontiguousarray(part).view(np.uint8).reshape(-1, part.itemsize).T
    return zlib.compress(shuffled.tobytes(), LEVEL)
