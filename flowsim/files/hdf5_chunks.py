"""Write and read the chunks of large HDF5 variables by several threads.

The HDF5 library compresses or decompresses one chunk at a time, and no other thread can use the library
meanwhile. Here chunks go through the same filters (shuffle, then deflate) outside the library: `ChunkWriter`
compresses chunks by several threads while the next values are computed and hands them over as they are on
disk; `ChunkReader` takes them as they are on disk and decompresses them in the thread that asked for them.
The files are ordinary HDF5 files, which any program reads; variables that others wrote with other filters are
left to the library.
"""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
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
from h5py.h5d import StoreInfo

from flowsim.errors import Damaged, InputError
from flowsim.files.checksums import Seal, seal

Codec = Literal["gzip", "rounded", "none"]
"""How the values of a recording are stored: "gzip" (level 4, with shuffle), "rounded" (the same after
rounding to 10 bits of mantissa, as half precision has), or "none" (as they are).
"""
MANTISSA_BITS = 10
"""Of the codec "rounded"."""
BLOCKS_AHEAD = 1
"""Blocks that may wait to be written while the next is computed."""
LARGE = 2**20
"""Bytes on disk from which on the chunks of a variable have sums of their own, and are compared as they are
read.
"""
LARGEST_CHUNK = 2**27
"""Bytes of a chunk in memory, at most, if it is `EMPTY`: a few kilobytes may be compressed gigabytes."""
EMPTY = 100
"""How many times larger a variable is in memory than on disk that holds hardly anything."""
TOGETHER_BYTES = 2**20
"""Bytes of whole chunks that are read together, at most, along time and trial."""
MARK, SEALED = "NAME", b"sealed by flowsim"
"""An attribute of a sealed file. Of this name, netCDF-4 shows none and takes none over into copies."""


@dataclass(frozen=True)
class Filters:
    """The HDF5 filters of a variable, in the order in which they are applied to a chunk.

    Parameters
    ----------
    shuffle : bool
        Store the first bytes of all values, then the second bytes, and so on.
    level : int, optional
        Of deflate (gzip); not compressed if not given.
    """

    shuffle: bool = False
    level: int | None = None

    @classmethod
    def of(cls, variable: h5py.Dataset) -> Filters | None:
        """The filters of a variable of a file; None if it has any other."""
        deflate = variable.compression == "gzip"
        filters = cls(bool(variable.shuffle), variable.compression_opts if deflate else None)
        count = variable.id.get_create_plist().get_nfilters()
        return filters if count == filters.shuffle + deflate else None

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of `h5py` and `h5netcdf` for a new variable with these filters."""
        if self.level is None:
            return {"shuffle": True} if self.shuffle else {}
        return {"compression": "gzip", "compression_opts": self.level, "shuffle": self.shuffle}

    def apply(self, chunk: np.ndarray) -> bytes:
        """The content of a chunk on disk."""
        content = np.ascontiguousarray(chunk)
        if self.shuffle:
            content = content.view(np.uint8).reshape(-1, chunk.itemsize).T
        return content.tobytes() if self.level is None else zlib.compress(content.tobytes(), self.level)

    def undo(self, content: bytes, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
        """The chunk with this content on disk.

        Raises
        ------
        zlib.error
            If it cannot be decompressed.
        """
        plain = np.frombuffer(
            content if self.level is None else self._inflated(content, shape, dtype), np.uint8
        )
        if self.shuffle:
            shuffled = plain.reshape(dtype.itemsize, -1)
            plain = np.empty(shuffled.shape[::-1], np.uint8)
            for k, kth_bytes in enumerate(shuffled):  # twice as fast as a transpose
                plain[:, k] = kth_bytes
        return plain.reshape(-1).view(dtype).reshape(shape)

    @staticmethod
    def _inflated(content: bytes, shape: tuple[int, ...], dtype: np.dtype) -> bytes:
        """Decompressed content, which is never longer than the chunk."""
        size = math.prod(shape) * dtype.itemsize
        stream = zlib.decompressobj()
        plain = stream.decompress(content, size)
        if len(plain) != size or not (stream.eof or not stream.decompress(stream.unconsumed_tail, 1)):
            raise zlib.error(f"expected {size} bytes")
        return plain


CODECS: dict[str, Filters] = {
    "gzip": Filters(shuffle=True, level=4),
    "rounded": Filters(shuffle=True, level=4),
    "none": Filters(),
}
"""The filters of each `Codec`."""


def rounded(values: np.ndarray) -> np.ndarray:
    """Floating-point values rounded to `MANTISSA_BITS` of mantissa, half to even; they compress better."""
    dropped_bits = np.finfo(values.dtype).nmant - MANTISSA_BITS
    if dropped_bits <= 0:
        return values
    bits = values.view(f"u{values.itemsize}")
    unsigned = bits.dtype.type
    below_half = unsigned((1 << (dropped_bits - 1)) - 1)
    last_bit = (bits >> unsigned(dropped_bits)) & unsigned(1)
    mask = unsigned(~((1 << dropped_bits) - 1) & ((1 << 8 * values.itemsize) - 1))
    result = ((bits + below_half + last_bit) & mask).view(values.dtype)
    return np.where(np.isfinite(values), result, values)


class ChunkWriter:
    """Writes blocks of variables in the background; use as a context manager.

    Parameters
    ----------
    file : h5netcdf.File
        With its variables (..., flow, trial, time, ...), created with the filters of the codec.
    codec : Codec
    check : callable
        Raises an error if the disk is full; called before each variable of a block is written.
    """

    def __init__(self, file: h5netcdf.File, codec: Codec, check: Callable[[], None]) -> None:
        self.file = file
        self.codec = codec
        self.check = check
        self.compressors = ThreadPoolExecutor(max(1, min(8, os.cpu_count() or 1)))
        self.writer = ThreadPoolExecutor(1)
        self.pending: list[Future[None]] = []

    def __enter__(self) -> ChunkWriter:
        return self

    def put(self, blocks: dict[str, np.ndarray], start: tuple[int, ...]) -> None:
        """Write blocks (flow, trial, time, ...) of some variables.

        ``start`` is where they begin along the dimensions of the variables up to trial: those before flow, of
        which a block has one entry each, flow and trial.

        Returns before they are written, unless too many blocks wait.
        """
        while len(self.pending) > BLOCKS_AHEAD:
            self.pending.pop(0).result()
        self.pending.append(self.writer.submit(self._write, blocks, start))

    def _write(self, blocks: dict[str, np.ndarray], start: tuple[int, ...]) -> None:
        for name, values in blocks.items():
            self.check()  # blocks that wait when the disk is full are not written any more
            self._store(name, values, start)

    def _store(self, name: str, values: np.ndarray, start: tuple[int, ...]) -> None:
        variable = self.file[name]._h5ds
        if self.codec == "rounded":
            values = rounded(values)
        values = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
        values = values.reshape((1,) * (len(start) - 2) + values.shape)
        filters = CODECS[self.codec]
        begins_within_chunk = any(k % length for k, length in zip(start, variable.chunks, strict=False))
        if filters == Filters() or begins_within_chunk:
            ends = (first + size for first, size in zip(start, values.shape, strict=False))
            variable[tuple(map(slice, start, ends))] = values
            return
        first = (*start, *(0,) * (values.ndim - len(start)))
        corners = list(_corners(values.shape, variable.chunks))
        contents = self.compressors.map(partial(_content, values, variable.chunks, filters), corners)
        for corner, content in zip(corners, contents, strict=True):
            variable.id.write_direct_chunk(tuple(map(sum, zip(first, corner, strict=True))), content)

    def finish(self) -> None:
        """Wait until everything is written."""
        for block in self.pending:
            block.result()
        self.pending = []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for block in self.pending:
            block.cancel()
        self.writer.shutdown(wait=True, cancel_futures=True)
        self.compressors.shutdown(wait=True, cancel_futures=True)


def _corners(shape: tuple[int, ...], chunk_shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Indices of the first value of every chunk."""
    return product(*(range(0, size, step) for size, step in zip(shape, chunk_shape, strict=True)))


def _content(
    values: np.ndarray, chunk_shape: tuple[int, ...], filters: Filters, corner: tuple[int, ...]
) -> bytes:
    """One chunk as it is on disk; 0 beyond the end of the variable."""
    chunk = values[tuple(slice(c, c + step) for c, step in zip(corner, chunk_shape, strict=True))]
    if chunk.shape != chunk_shape:
        padded = np.zeros(chunk_shape, values.dtype)
        padded[tuple(map(slice, chunk.shape))] = chunk
        chunk = padded
    return filters.apply(chunk)


class ChunkReader:
    """A chunked variable of an HDF5 file, for `dask.array.from_array`; can be sent to other processes.

    Parameters
    ----------
    path : path
    name : str
        Of a variable for which `has_plain_chunks` is true.
    seal : Seal, optional
        With which chunks are compared as they are read.
    """

    def __init__(self, path: str | Path, name: str, seal: Seal | None = None) -> None:
        self.seal = seal
        self.path = os.path.realpath(path)
        self.name = name
        self._open_variable: h5py.Dataset | None = None
        self._places: dict[tuple[int, ...], int] = {}
        variable = self.variable
        self.shape: tuple[int, ...] = variable.shape
        self.dtype: np.dtype = variable.dtype
        self.ndim: int = variable.ndim
        self.chunks: tuple[int, ...] = variable.chunks
        filters = Filters.of(variable)
        assert filters is not None, "has_plain_chunks is asked first"
        self.filters = filters

    @property
    def variable(self) -> h5py.Dataset:
        """The variable; its file is opened in this process when first needed, and stays open."""
        if self._open_variable is None:
            self._open_variable = h5py.File(self.path)[self.name]
        return self._open_variable

    def _place(self, corner: tuple[int, ...]) -> int:
        """Where in the file the chunk with its first value at ``corner`` lies; all are looked up at once,
        since the library goes through all of them for each.
        """
        if not self._places:
            self._places = {info.chunk_offset: info.byte_offset for info in stored_chunks(self.variable)}
        return self._places[corner]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open_variable": None, "_places": {}}

    def close(self) -> None:
        """Close the file; it is opened again if needed."""
        if self._open_variable is not None:
            self._open_variable.file.close()
        self._open_variable = None

    def __getitem__(self, key: tuple[int | slice, ...]) -> np.ndarray:
        """Values at whole numbers and slices, one for each dimension.

        Raises
        ------
        Damaged
            If it is not what was written.
        OSError
            If the file is damaged.
        """
        indices = [
            range(k, k + 1) if isinstance(k, int) else range(*k.indices(size))
            for k, size in zip(key, self.shape, strict=True)
        ]
        bounds = [(min(index), max(index) + 1) if index else (0, 0) for index in indices]
        values = self._box(bounds)
        steps = [
            0 if isinstance(k, int) else slice(None, None, index.step)
            for k, index in zip(key, indices, strict=True)
        ]
        return values[tuple(steps)]

    def _box(self, bounds: list[tuple[int, int]]) -> np.ndarray:
        """All values from a first index to an end along each dimension."""
        values = np.empty([end - first for first, end in bounds], self.dtype)
        if not values.size:
            return values
        corners = product(
            *(
                range(first // length * length, end, length)
                for (first, end), length in zip(bounds, self.chunks, strict=True)
            )
        )
        for corner in corners:
            in_values, in_chunk = [], []
            for (first, end), chunk_first, length in zip(bounds, corner, self.chunks, strict=True):
                start = max(first, chunk_first)
                stop = min(end, chunk_first + length)
                in_values.append(slice(start - first, stop - first))
                in_chunk.append(slice(start - chunk_first, stop - chunk_first))
            values[tuple(in_values)] = self._chunk(corner)[tuple(in_chunk)]
        return values

    def _chunk(self, corner: tuple[int, ...]) -> np.ndarray:
        """The chunk whose first value is at ``corner``; may lack what lies beyond the variable."""
        try:
            skipped_filters, content = self.variable.id.read_direct_chunk(corner)
        except (OSError, RuntimeError, ValueError):
            skipped_filters, content = None, b""
        if self.seal is not None and content:
            self.seal.compare(self.name, self._place(corner), content)
        if skipped_filters != 0:
            # a chunk that was never written, is damaged, or was written by another program without some of
            # the filters: the library gives its values, or says what is wrong
            part = tuple(
                slice(first, first + length) for first, length in zip(corner, self.chunks, strict=True)
            )
            return np.asarray(self.variable[part])
        try:
            return self.filters.undo(content, self.dtype, self.chunks)
        except zlib.error as error:
            raise OSError(f"{self.path}: a chunk of {self.name} cannot be decompressed ({error})") from None


def stored_chunks(variable: h5py.Dataset) -> list[StoreInfo]:
    """Where each chunk of a variable lies in the file, in one pass."""
    infos: list[StoreInfo] = []
    variable.id.chunk_iter(infos.append)
    return infos


def is_channel(dim: Hashable) -> bool:
    """Whether a dimension of a recording is of channels: of a state, or of another site."""
    return str(dim) == "channel" or str(dim).endswith("_channel")


def has_plain_chunks(variable: h5py.Dataset) -> bool:
    """Whether `ChunkReader` can read a variable: floating-point numbers in chunks, with no other filters than
    `Filters` has, and stored as they are (not scaled, and missing values as NaN).
    """
    if not variable.chunks or variable.dtype.kind != "f" or Filters.of(variable) is None:
        return False
    scaled = {"scale_factor", "add_offset", "missing_value"} & set(variable.attrs)
    return not scaled and bool(np.isnan(variable.attrs.get("_FillValue", np.nan)))


def mark_sealed(file: h5py.File) -> None:
    """Say within a file that is being written that it will be sealed: without a seal, it was changed."""
    file.attrs[MARK] = np.bytes_(SEALED)


def seal_hdf5(path: Path) -> None:
    """Seal a netCDF-4 file that is complete and marked, with a sum of each chunk of its large variables."""
    parts = {}
    with h5py.File(path) as file:
        for name, variable in file.items():
            if isinstance(variable, h5py.Dataset) and has_plain_chunks(variable):
                stored = variable.id
                if stored.get_storage_size() >= LARGE:
                    parts[name] = [(info.byte_offset, info.size) for info in stored_chunks(variable)]
    seal(path, parts)


def require_seal(path: Path, file: h5py.File) -> None:
    """Raise `Damaged` if a file without a seal says that it was sealed."""
    if file.attrs.get(MARK) == SEALED:
        raise Damaged(
            f"{path}: expected checksums at its end, as flowsim wrote it; it has none, so it was changed or "
            "cut since. Make it again; to use what you changed on purpose, save it by xarray as another file"
        )


def require_sizes(path: Path, file: h5py.File) -> None:
    """Raise InputError if chunks of a file unpack to much more than `LARGEST_CHUNK`."""
    for name, variable in file.items():
        if not isinstance(variable, h5py.Dataset) or not variable.chunks:
            continue
        size = math.prod(variable.chunks) * variable.dtype.itemsize
        if size > LARGEST_CHUNK and variable.nbytes > EMPTY * variable.id.get_storage_size():
            megabytes = f"{size / 1e6:,.0f} MB each in {path.stat().st_size / 1e6:.1f} MB of file"
            raise InputError(
                f"{path}: expected chunks of at most {LARGEST_CHUNK / 1e6:.0f} MB; those of {name} unpack "
                f"to {megabytes}. Store it in smaller chunks (h5repack -l)"
            )


def read_together(dims: Sequence[Hashable], reader: ChunkReader) -> tuple[int, ...]:
    """Sizes of the blocks in which dask reads a variable: chunks with all channels, and with as many frames,
    then trials, as `TOGETHER_BYTES` hold. A task for each small chunk would take longer than to read it.
    """
    sizes = dict(zip(dims, reader.shape, strict=True))
    lengths = dict(zip(dims, reader.chunks, strict=True))
    lengths |= {dim: size for dim, size in sizes.items() if is_channel(dim)}
    for dim in ("time", "trial"):
        if dim in lengths:
            chunks = max(1, TOGETHER_BYTES // (math.prod(lengths.values()) * reader.dtype.itemsize))
            lengths[dim] = min(sizes[dim], lengths[dim] * chunks)
    return tuple(lengths.values())


def read_in_parallel(opened: xr.Dataset, path: str | Path, seal: Seal | None = None) -> xr.Dataset:
    """A dataset opened lazily from a file, with its variables read by `ChunkReader` where that is possible.

    Parameters
    ----------
    opened : Dataset
        Of dask arrays.
    path : path
    seal : Seal, optional
        Of the file.
    """
    with h5py.File(path) as file:
        names = [
            str(name)
            for name in opened.data_vars
            if isinstance(file.get(name), h5py.Dataset) and has_plain_chunks(file[name])
        ]
    readers = {name: ChunkReader(path, name, seal) for name in names}
    arrays = {
        name: da.from_array(
            reader,
            read_together(opened[name].dims, reader),
            name=False,
            fancy=False,
            meta=np.empty((0,) * reader.ndim, reader.dtype),
        )
        for name, reader in readers.items()
    }
    result = opened.assign({name: opened[name].copy(data=array) for name, array in arrays.items()})

    def close() -> None:
        for reader in readers.values():
            reader.close()
        opened.close()

    result.set_close(close)
    return result
