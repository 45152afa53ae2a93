"""Pieces of an array, in memory or in a file, are all of it in order."""

import h5py
import numpy as np
import pytest
import xarray as xr

from flowsim.files.pieces import pieces


@pytest.mark.parametrize("most", [1, 8, 100, 3 * 7 * 8, 10**6])
def test_pieces_are_all_of_an_array_in_order(most, tmp_path):
    values = np.random.default_rng(0).normal(size=(3, 5, 7))
    with h5py.File(tmp_path / "a.h5", "w") as h5:
        stored = h5.create_dataset("a", data=values, chunks=(1, 2, 7))
        for array in (values, stored, xr.DataArray(values).chunk({"dim_1": 2}).data):
            found = list(pieces(array, most))
            assert all(piece.nbytes <= max(most, 8) for piece in found)
            assert np.concatenate([piece.ravel() for piece in found]).tolist() == values.ravel().tolist()
    assert [piece.tolist() for piece in pieces(np.float64(3))] == [[3]]
    assert list(pieces(np.zeros((0, 4)))) == []
