"""Blocks cover a variable once, are as large as they may be, and lie where they say."""

from functools import partial

import dask
import numpy as np
import pytest
import xarray as xr

from flowsim.files import coordinates
from flowsim.measures import block_map


def content(block, place):
    """A block, computed."""
    return np.asarray(block)


@pytest.mark.parametrize("chunks", [None, {"trial": 1, "time": 1}, {"trial": 2, "time": 3}, {"time": 2}])
@pytest.mark.parametrize("block_bytes", [1, 200, 2**25])
def test_blocks_lie_where_they_say_and_cover_everything_once(chunks, block_bytes, rng, monkeypatch):
    monkeypatch.setattr(block_map, "BLOCK_BYTES", block_bytes)
    values = xr.DataArray(rng.random((2, 5, 7, 3)), dims=coordinates.UNITS)
    covered = np.zeros((5, 7), int)
    starts = []
    for place, block in block_map.mapped(values if chunks is None else values.chunk(chunks), content):
        np.testing.assert_array_equal(block, values.isel(place))
        covered[place["trial"], place["time"]] += 1
        starts.append((place["trial"].start, place["time"].start))
    assert (covered == 1).all()
    assert starts == sorted(starts)


def test_chunks_larger_than_a_block_stay_whole_as_long_as_they_may(monkeypatch):
    monkeypatch.setattr(block_map, "BLOCK_BYTES", 100)
    values = xr.DataArray(np.zeros((1, 4, 6, 10)), dims=coordinates.UNITS).chunk(trial=2, time=3)
    assert len(list(block_map.mapped(values, content))) == 4
    monkeypatch.setattr(block_map, "CHUNK_BYTES", 200)
    assert len(list(block_map.mapped(values, content))) == 24


def test_chunks_are_joined_and_cut():
    cuts = partial(map, lambda part: (part.start, part.stop))
    assert list(cuts(block_map.cuts((2, 2, 2, 1), 4))) == [(0, 4), (4, 7)]
    assert list(cuts(block_map.cuts((2, 2, 2), 1))) == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6)]
    assert list(cuts(block_map.cuts((5, 1, 2), 4))) == [(0, 4), (4, 8)]
    assert list(cuts(block_map.cuts((3,), 9))) == [(0, 3)]
    assert block_map.cuts((), 3) == []
    large = xr.DataArray(np.empty((3, 100, 50, 1000), np.float32), dims=coordinates.UNITS)
    blocks = list(block_map.mapped(large, lambda block, place: block.nbytes))
    assert len(blocks) > 1
    assert max(answer for _, answer in blocks) <= block_map.BLOCK_BYTES


def test_what_is_computed_together_does_not_grow_with_cores(monkeypatch):
    monkeypatch.setattr(block_map, "CPU_COUNT", 64)
    monkeypatch.setattr(block_map, "BLOCK_BYTES", 8000)
    monkeypatch.setattr(block_map, "TOGETHER_BYTES", 2 * 8000)
    compute = dask.compute
    together = []

    def counted(*tasks, **where):
        together.append(len(tasks))
        return compute(*tasks, **where)

    monkeypatch.setattr(dask, "compute", counted)
    large = xr.DataArray(np.ones((1, 6, 1, 1000)), dims=coordinates.UNITS).chunk(trial=1)
    assert len(list(block_map.mapped(large, lambda block, place: None))) == 6
    assert together == [2, 2, 2]
