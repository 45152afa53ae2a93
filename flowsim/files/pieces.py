"""Large arrays piece by piece, in the order of the file: what reads them needs no more memory than a piece."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

PIECE_BYTES = 2**26


def pieces(array: Any, most: int = PIECE_BYTES) -> Iterator[np.ndarray]:
    """An array of numpy, dask or h5py as pieces, which one after the other are all of it in C order.

    Parameters
    ----------
    array : array
    most : int
        Bytes of one piece. As many whole chunks are read at once as it holds, so that few are read twice.
    """
    chunks = getattr(array, "chunks", None) or array.shape
    lengths = [max(1, chunk if isinstance(chunk, int) else max(chunk)) for chunk in chunks]
    for part in _parts(array.shape, lengths, max(1, most // array.dtype.itemsize)):
        yield np.ascontiguousarray(array[part])


def _parts(shape: Sequence[int], lengths: Sequence[int], room: int) -> Iterator[tuple[slice, ...]]:
    if not shape:
        yield ()
        return
    below = math.prod(shape[1:])
    if below > room:
        for first in range(shape[0]):
            yield from ((slice(first, first + 1), *rest) for rest in _parts(shape[1:], lengths[1:], room))
        return
    step = room // max(1, below)
    step -= step % lengths[0] if step > lengths[0] else 0
    for first in range(0, shape[0], step):
        yield (slice(first, min(first + step, shape[0])), *(slice(0, size) for size in shape[1:]))
