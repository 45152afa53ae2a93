"""Apply a function to a variable that need not fit into memory: block by block, as it is stored, on several
cores.

A block holds all flows of some trials and frames. The function runs where dask computes: in threads of
this process, or on a cluster (see `flowsim.measures.dask_cluster`), where one worker reads the whole of a
block. Only what the function returns comes back, so that should be small. Results come in the order of
blocks, so that sums of them are the same to the bit wherever they were computed. Blocks of an array that is
in memory are taken in turn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate
from typing import Any, TypeVar

import cloudpickle
import dask
import dask.array as da
import numpy as np
import xarray as xr
from dask.system import CPU_COUNT

from flowsim.measures.dask_cluster import client_of_cluster
from flowsim.progress import steps

Result = TypeVar("Result")
Place = dict[str, slice]
"""Where a block lies: which trials and frames it holds."""
BLOCK_BYTES = 2**25
"""Size of a block, where whole chunks of the file fit into it."""
CHUNK_BYTES = 2**28
"""Size up to which larger chunks are blocks as they are; chunks beyond it are cut to `BLOCK_BYTES`."""
TOGETHER_BYTES = 2**29
"""Size of all blocks that are computed at the same time in this process."""
BLOCKS_PER_CORE = 8
"""How many blocks are computed at the same time, if they are small."""


def mapped(
    values: xr.DataArray, function: Callable[[np.ndarray, Place], Result]
) -> Iterator[tuple[Place, Result]]:
    """Where each block lies, and what ``function`` returns for it, in the order of trials, then frames.

    Parameters
    ----------
    values : DataArray (flow, trial, time, ...)
    function : callable
        Of a block (flow, trial, time, ...) and its place. A cluster must be able to import it, or to unpickle
        it by cloudpickle.
    """
    array = values.variable
    places = _places(array)
    results = _in_turn if array.chunks is None else _by_dask
    return steps(results(array, places, function), len(places), "blocks")


def _in_turn(
    array: xr.Variable, places: list[Place], function: Callable[[np.ndarray, Place], Result]
) -> Iterator[tuple[Place, Result]]:
    """Blocks of an array in memory, one after the other."""
    for place in places:
        yield place, function(array.isel(place).data, place)


def _by_dask(
    array: xr.Variable, places: list[Place], function: Callable[[np.ndarray, Place], Result]
) -> Iterator[tuple[Place, Result]]:
    """Blocks of a lazy array, as many at the same time as memory allows."""
    client = client_of_cluster()
    if client is None:
        block_bytes = max((array.isel(place).nbytes for place in places[:1]), default=1)
        together = min(BLOCKS_PER_CORE * CPU_COUNT, TOGETHER_BYTES // max(1, block_bytes))
        task = _here
    else:  # each worker has memory of its own, and as many blocks at a time as it has threads
        together = BLOCKS_PER_CORE * sum(client.nthreads().values())
        task = _elsewhere
    for first in range(0, len(places), max(1, together)):
        batch = places[first : first + max(1, together)]
        around = _around(batch)
        # Without this, each block would carry the graph of the whole array.
        (part,) = dask.optimize(array.isel(around))
        tasks = [task(function, place, part.isel(_within(place, around)).data) for place in batch]
        yield from zip(batch, dask.compute(*tasks, scheduler=client), strict=True)


def _here(function: Callable[[np.ndarray, Place], Result], place: Place, block: da.Array) -> Any:
    """A task of this process for one block, whose chunks are tasks too."""
    return dask.delayed(partial(_of_block, function, place))(block)


def _elsewhere(function: Callable[[np.ndarray, Place], Result], place: Place, block: da.Array) -> Any:
    """A task for one worker of a cluster: chunks as tasks would be read by several and sent to each other."""
    (alone,) = dask.optimize(block)
    return dask.delayed(_unpickled_and_computed)(cloudpickle.dumps((function, place, alone)))


def _unpickled_and_computed(content: bytes) -> Any:
    """What `_elsewhere` has packed, computed in the thread that calls this."""
    function, place, block = cloudpickle.loads(content)
    return function(block.compute(scheduler="synchronous"), place)


def _of_block(function: Callable[[np.ndarray, Place], Result], place: Place, block: np.ndarray) -> Result:
    """``function`` with the block as its last argument, which is what dask computes."""
    return function(block, place)


def _around(places: list[Place]) -> Place:
    """The smallest place that holds all of these."""
    return {
        dim: slice(min(place[dim].start for place in places), max(place[dim].stop for place in places))
        for dim in ("trial", "time")
    }


def _within(place: Place, around: Place) -> Place:
    """A place counted from the start of one that holds it."""
    return {
        dim: slice(part.start - around[dim].start, part.stop - around[dim].start)
        for dim, part in place.items()
    }


def _places(values: xr.Variable) -> list[Place]:
    """Blocks along trial and time, of whole chunks where these are not too large."""
    chunks = {dim: values.chunksizes.get(dim, (1,) * values.sizes[dim]) for dim in ("trial", "time")}
    frame_bytes = values.nbytes // max(1, values.sizes["trial"] * values.sizes["time"])
    chunk_bytes = frame_bytes * math.prod(max(lengths) for lengths in chunks.values())
    block_bytes = chunk_bytes if BLOCK_BYTES < chunk_bytes <= CHUNK_BYTES else BLOCK_BYTES
    frames = max(1, block_bytes // max(1, frame_bytes))
    times = cuts(chunks["time"], frames)
    longest = max((part.stop - part.start for part in times), default=1)
    trials = cuts(chunks["trial"], max(1, frames // longest))
    return [{"trial": trial, "time": time} for trial in trials for time in times]


def cuts(lengths: Sequence[int], most: int) -> list[slice]:
    """Parts of a dimension that is stored in chunks of these lengths, each at most ``most`` long.

    Neighbouring chunks are joined as far as that allows; longer ones are cut.
    """
    parts = []
    start = 0
    last = 0
    for stop in accumulate(lengths):
        if stop - start > most and last > start:
            parts.append(slice(start, last))
            start = last
        while stop - start > most:
            parts.append(slice(start, start + most))
            start += most
        last = stop
    if last > start:
        parts.append(slice(start, last))
    return parts
