"""Read large variables chunk by chunk, decompressed by several threads: the counterpart of `flowsim.files.hdf5_chunks`.

The HDF5 library decompresses one chunk at a time, and nobody else can use it meanwhile. Here a chunk is taken as it is
on disk, and the filters (deflate, then shuffle) are undone outside of the library, so that dask's threads help.
"""

from __future__ import annotations

import zlib
from itertools import product
from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import numpy as np
import xarray as xr


class Stored:
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
            tuple(0 if isinstance(k, int) else slice(None, None, r.step) for k, r in zip(key, asked, strict=True))
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
    """Is it floating-point, cut into chunks, with no filters but shuffle and deflate, and to be taken as it is?"""
    filters = variable.shuffle + (variable.compression == "gzip")
    plain = variable.id.get_create_plist().get_nfilters() == filters and variable.dtype.kind == "f"
    scaled = {"scale_factor", "add_offset", "missing_value"} & set(variable.attrs)
    return bool(variable.chunks) and plain and not scaled and bool(np.isnan(variable.attrs.get("_FillValue", np.nan)))


def unlocked(opened: xr.Dataset, path: str | Path) -> xr.Dataset:
    """A dataset opened lazily from a file, where threads need not wait for each other.

    Parameters
    ----------
    opened : Dataset
        Of dask arrays chunked as stored.
    path : path
    """
    with h5py.File(path) as file:
        names = [str(n) for n in opened.data_vars if isinstance(file.get(n), h5py.Dataset) and readable(file[n])]
    stored = {name: Stored(path, name) for name in names}
    arrays = {name: da.from_array(s, s.chunks, name=False, fancy=False, meta=np.empty((0,) * s.ndim, s.dtype))
              for name, s in stored.items()}  # fmt: skip
    result = opened.assign({name: opened[name].copy(data=array) for name, array in arrays.items()})

    def close() -> None:
        for own in stored.values():
            own.close()
        opened.close()

    result.set_close(close)
    return result
