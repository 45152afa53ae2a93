"""One pass over a variable that need not fit into memory: block by block, as it is stored, on several cores.

A block holds all flows of some trials and frames. What is asked of a block is asked where dask computes: in
threads of this process, or on the cluster of a ``dask.distributed.Client`` that is open. Only answers come
back, and these should be small. Blocks of an array that is in memory are taken in turn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate
from typing import TypeVar

import dask
import numpy as np
import xarray as xr
from dask.system import CPU_COUNT

from flowsim.progress import steps

Answer = TypeVar("Answer")
Place = dict[str, slice]
"""Which trials and frames."""
MOST, AT_MOST, AHEAD = 2**25, 2**28, 2**29
"""Bytes of a block, of one whose chunks are larger than that, and of all blocks that are asked together."""


def mapped(
    values: xr.DataArray, ask: Callable[[np.ndarray, Place], Answer]
) -> Iterator[tuple[Place, Answer]]:
    """Where each block is, and what ``ask`` says of it, in the order of trials, then frames.

    Parameters
    ----------
    values : DataArray (flow, trial, time, ...)
    ask : callable
        Of a block (flow, trial, time, ...) and its place. A cluster must be able to import it.
    """
    array = values.variable
    places = _places(array)
    block = max((array.isel(place).nbytes for place in places[:1]), default=1)
    together = max(1, min(8 * CPU_COUNT, AHEAD // max(1, block)))

    def answers() -> Iterator[tuple[Place, Answer]]:
        if array.chunks is None:
            yield from ((place, ask(array.isel(place).data, place)) for place in places)
            return
        for first in range(0, len(places), together):
            some = places[first : first + together]
            around = {
                d: slice(min(p[d].start for p in some), max(p[d].stop for p in some))
                for d in ("trial", "time")
            }
            (near,) = dask.optimize(
                array.isel(around)
            )  # or else each block would carry the graph of the whole array
            tasks = []
            for place in some:
                within = {
                    d: slice(p.start - around[d].start, p.stop - around[d].start) for d, p in place.items()
                }
                tasks.append(dask.delayed(partial(_answer, ask, place))(near.isel(within).data))
            yield from zip(some, dask.compute(*tasks), strict=True)

    return steps(answers(), len(places), "blocks")


def _answer(ask: Callable[[np.ndarray, Place], Answer], place: Place, block: np.ndarray) -> Answer:
    return ask(block, place)


def _places(values: xr.Variable) -> list[Place]:
    """Blocks along trial and time, of whole chunks where these are not too large."""
    lengths = {d: values.chunksizes.get(d, (1,) * values.sizes[d]) for d in ("trial", "time")}
    cell = values.nbytes // max(1, values.sizes["trial"] * values.sizes["time"])
    column = cell * math.prod(max(of) for of in lengths.values())
    cells = max(1, (column if MOST < column <= AT_MOST else MOST) // max(1, cell))
    times = cuts(lengths["time"], cells)
    trials = cuts(lengths["trial"], max(1, cells // max((t.stop - t.start for t in times), default=1)))
    return [{"trial": trial, "time": time} for trial in trials for time in times]


def cuts(lengths: Sequence[int], most: int) -> list[slice]:
    """Neighbouring chunks together, as long as they are no longer than ``most``; longer ones are cut."""
    parts, start, last = [], 0, 0
    for stop in accumulate(lengths):
        if stop - start > most and last > start:
            parts.append(slice(start, last))
            start = last
        while stop - start > most:
            parts.append(slice(start, start + most))
            start += most
        last = stop
    return [*parts, slice(start, last)] if last > start else parts
