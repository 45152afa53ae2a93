"""Write large variables chunk by chunk: compressed by several threads, while the next activity is being
computed.

The HDF5 library compresses one chunk at a time, and nobody else can use it meanwhile. Here chunks go through
the same filters (shuffle, then deflate) outside of it, and are handed over as they are on disk; any HDF5
program reads them.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import dask.array as da
import h5netcdf
import h5py
import numpy as np
import xarray as xr

from flowsim.files.checksums import PREFIX

Codec = Literal["gzip", "rounded", "none"]
"""gzip 1 with shuffle; the same after rounding to 10 bits of mantissa (those of half precision), or
uncompressed.
"""
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

    Blocks of a variable come in the order of the file, so that a checksum can be taken along the way. When a
    block cannot be written, ``make_room`` is called before HDF5 tries to close what it was writing to.
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
        """Write blocks (trial, time, ...) of some variables at one flow, from trial ``first`` on; returns at
        once.
        """
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


class ChunkReader:
    """A chunked variable of an HDF5 file, for `dask.array.from_array`; may be sent to other processes.

    Parameters
    ----------
    path : path
    name : str
        One that `readable` accepts.
    """

    def __init__(self, path: str | Path, name: str) -> None:
        self.path, self.name = str(Path(path).resolve()), name
        self._held: h5py.Dataset | None = None
        held = self.held
        self.shape, self.dtype, self.ndim, self.chunks = held.shape, held.dtype, held.ndim, held.chunks
        self.deflated, self.shuffled = held.compression is not None, held.shuffle

    @property
    def held(self) -> h5py.Dataset:
        """The variable of the file, which stays open in this process."""
        if self._held is None:
            self._held = h5py.File(self.path)[self.name]
        return self._held

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_held": None}

    def close(self) -> None:
        """Close the file; it is opened again if needed."""
        if self._held is not None:
            self._held.file.close()
        self._held = None

    def __getitem__(self, key: tuple[int | slice, ...]) -> np.ndarray:
        """Values at whole numbers and slices, one for each dimension.

        Raises
        ------
        OSError
            If the file is damaged.
        """
        asked = [range(k, k + 1) if isinstance(k, int) else range(*k.indices(n))
                 for k, n in zip(key, self.shape, strict=True)]  # fmt: skip
        bounds = [(min(r), max(r) + 1) if r else (0, 0) for r in asked]
        values = np.empty([high - low for low, high in bounds], self.dtype)
        steps = [range(low // c * c, high, c) for (low, high), c in zip(bounds, self.chunks, strict=True)]
        for corner in product(*steps) if values.size else ():
            into, part = [], []
            for (low, high), first, c in zip(bounds, corner, self.chunks, strict=True):
                start, stop = max(low, first), min(high, first + c)
                into.append(slice(start - low, stop - low))
                part.append(slice(start - first, stop - first))
            values[tuple(into)] = self._chunk(corner)[tuple(part)]
        return values[
            tuple(
                0 if isinstance(k, int) else slice(None, None, r.step)
                for k, r in zip(key, asked, strict=True)
            )
        ]

    def _chunk(self, corner: tuple[int, ...]) -> np.ndarray:
        try:
            skipped, content = self.held.id.read_direct_chunk(corner)
        except (OSError, RuntimeError, ValueError):
            skipped, content = 1, b""
        if skipped:  # never written, or by another program: the library knows; or it says what is wrong
            part = tuple(slice(first, first + c) for first, c in zip(corner, self.chunks, strict=True))
            return np.asarray(self.held[part])
        try:
            plain = np.frombuffer(zlib.decompress(content) if self.deflated else content, np.uint8)
        except zlib.error as error:
            raise OSError(f"{self.path}: a chunk of {self.name} cannot be decompressed ({error})") from None
        if self.shuffled:
            planes = plain.reshape(self.dtype.itemsize, -1)
            plain = np.empty(planes.shape[::-1], np.uint8)
            for k, plane in enumerate(planes):  # twice as fast as a transpose
                plain[:, k] = plane
        return plain.reshape(-1).view(self.dtype).reshape(self.chunks)


def readable(variable: h5py.Dataset) -> bool:
    """Is it floating-point, cut into chunks, with no filters but shuffle and deflate, and to be taken as it
    is?
    """
    filters = variable.shuffle + (variable.compression == "gzip")
    plain = variable.id.get_create_plist().get_nfilters() == filters and variable.dtype.kind == "f"
    scaled = {"scale_factor", "add_offset", "missing_value"} & set(variable.attrs)
    return (
        bool(variable.chunks)
        and plain
        and not scaled
        and bool(np.isnan(variable.attrs.get("_FillValue", np.nan)))
    )


def read_in_parallel(opened: xr.Dataset, path: str | Path) -> xr.Dataset:
    """A dataset opened lazily from a file, where threads need not wait for each other.

    Parameters
    ----------
    opened : Dataset
        Of dask arrays chunked as stored.
    path : path
    """
    with h5py.File(path) as file:
        names = [
            str(n) for n in opened.data_vars if isinstance(file.get(n), h5py.Dataset) and readable(file[n])
        ]
    stored = {name: ChunkReader(path, name) for name in names}
    arrays = {name: da.from_array(s, s.chunks, name=False, fancy=False, meta=np.empty((0,) * s.ndim, s.dtype))
              for name, s in stored.items()}  # fmt: skip
    result = opened.assign({name: opened[name].copy(data=array) for name, array in arrays.items()})

    def close() -> None:
        for own in stored.values():
            own.close()
        opened.close()

    result.set_close(close)
    return result
