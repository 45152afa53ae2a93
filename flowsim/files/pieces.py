"""Read an array that does not fit into memory one piece after the other, in the order of the file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

PIECE_BYTES = 2**26


def pieces(array: Any, most: int = PIECE_BYTES) -> Iterator[np.ndarray]:
    """Consecutive pieces of an array, which one after the other are all of its values in C order.

    Parameters
    ----------
    array : array of numpy, dask or h5py
    most : int
        Bytes of a piece, at most. Where a piece has several chunks they are whole, so that few chunks are
        read twice.

    Yields
    ------
    array
        With as many dimensions as the whole array.
    """
    chunks = getattr(array, "chunks", None) or array.shape
    chunk_shape = [max(1, chunk if isinstance(chunk, int) else max(chunk)) for chunk in chunks]
    for part in _parts(array.shape, chunk_shape, max(1, most // array.dtype.itemsize)):
        yield np.ascontiguousarray(array[part])


def _parts(shape: Sequence[int], chunk_shape: Sequence[int], most: int) -> Iterator[tuple[slice, ...]]:
    """Slices of consecutive parts of an array of this shape, with at most so many values each."""
    if not shape:
        yield ()
        return
    row_size = math.prod(shape[1:])
    if row_size > most:
        for row in range(shape[0]):
            for rest in _parts(shape[1:], chunk_shape[1:], most):
                yield (slice(row, row + 1), *rest)
        return
    rows = most // max(1, row_size)
    if rows > chunk_shape[0]:
        rows -= rows % chunk_shape[0]
    whole_rows = [slice(0, size) for size in shape[1:]]
    for first in range(0, shape[0], rows):
        yield (slice(first, min(first + rows, shape[0])), *whole_rows)
