"""What a probe showed, and the state under it at coarse grain: what decoders and geometries are computed
from.

A map over space is resampled to n x n pixels by its n^2 lowest Fourier modes (n odd), as a function on the
torus: the best band-limited account of it, linear, equivariant to transport, and with the inner products of
the low-passed map. With n = 1 it is the mean over space, which does not change when the map is transported.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from flowsim.errors import CannotJudge
from flowsim.files import coordinates
from flowsim.measures.block_map import Place, mapped

IN_ALL, A_FRAME = 2**29, 2**26
"""Bytes that coarse states may take, in all and at each frame in the mean."""
PIECE = 2**18
"""Values that are resampled at once."""


def coarse(recording: xr.Dataset, pixels: int, trials: int | None = None, seed: int = 0) -> xr.DataArray:
    """The state with each map over space resampled to ``pixels`` x ``pixels``; read block by block.

    Parameters
    ----------
    recording : Dataset
        With ``state`` (flow, trial, time, velocity, channel[, orientation], y, x), or (flow, trial, time,
        unit).
    pixels : int
        Odd; a side that has fewer keeps as many as it has, or one less if they are even.
    trials : int, optional
        Only the first of them.
    seed : int
        Of the choice of channels, or units, if `IN_ALL` or `A_FRAME` does not hold them all.

    Returns
    -------
    DataArray (flow, trial, time, velocity, channel[, orientation], y, x) or (flow, trial, time, unit)
        In memory, of the precision that was recorded, or float32 if that was less. Attribute ``kept`` is the
        share of channels, or units, and if it is not 1, ``thinned`` says so in words.

    Raises
    ------
    InputError
        If there is no such state, or it contains NaN or infinity.
    """
    state = coordinates.variable(
        recording, "state", coordinates.STATE, coordinates.ORIENTED, coordinates.UNITS
    )
    state = state.isel(trial=slice(trials)).reset_coords(drop=True)
    spatial, dtype = state.dims != coordinates.UNITS, np.promote_types(state.dtype, np.float32)
    down, across = (_resample(state.sizes[d], pixels) if spatial else np.ones((1, 1)) for d in "yx")
    sizes = dict(state.sizes) | ({"y": len(down), "x": len(across)} if spatial else {})
    kind = "channel" if spatial else "unit"
    recorded, one = sizes[kind], math.prod(sizes.values()) // sizes[kind] * dtype.itemsize
    kept = max(1, min(recorded, IN_ALL // max(1, one), A_FRAME * sizes["time"] // max(1, one)))
    attrs: dict[str, Any] = {"kept": kept / recorded}
    if kept < recorded:
        sizes[kind] = kept
        state = state.isel({kind: np.sort(np.random.default_rng(seed).permutation(recorded)[:kept])})
        attrs["thinned"] = f"a random {kept} of {recorded} {kind}s"
    values = np.empty(tuple(sizes.values()), dtype)
    ask = partial(
        _resampled, weights=np.kron(down, across) if spatial else None, shape=tuple(sizes.values())[3:]
    )
    for place, part in mapped(state, ask):
        values[:, place["trial"], place["time"]] = part
    return xr.DataArray(values, dims=list(sizes), attrs=attrs)


def _resampled(
    block: np.ndarray, place: Place, *, weights: np.ndarray | None, shape: tuple[int, ...]
) -> np.ndarray:
    """A block (flow, trial, time, ...), whose maps over space become weighted sums."""
    if weights is not None:
        flat = block.reshape(-1, weights.shape[1])
        most = max(1, PIECE // weights.shape[1])
        rows = [flat[i : i + most].astype(np.float64) @ weights.T for i in range(0, len(flat), most)]
        result = np.concatenate(rows).reshape(*block.shape[:3], *shape)
    else:
        result = block
    if not np.isfinite(result).all():
        raise CannotJudge("the state contains NaN or infinity: the network diverged; train it again")
    return result.astype(np.promote_types(block.dtype, np.float32), copy=False)


def _resample(size: int, pixels: int) -> np.ndarray:
    """Matrix (coarse, fine) of a band-limited resampling of a circle; rows sum to 1."""
    kept = min(pixels, size - 1 + size % 2)
    waves = np.arange(-(kept // 2), kept // 2 + 1)
    apart = np.arange(kept)[:, None] / kept - np.arange(size) / size
    return np.cos(2 * np.pi * waves * apart[..., None]).sum(-1) / size
