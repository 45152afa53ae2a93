"""What a probe showed, and the state under it at coarse grain: what decoders and geometries are computed from.

A map over space is resampled to n x n pixels by its n^2 lowest Fourier modes (n odd), as a function on the torus: the
best band-limited account of it, linear, equivariant to transport, and with the inner products of the low-passed map.
With n = 1 it is the mean over space, which does not change when the map is transported.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from flowsim.errors import InputError
from flowsim.files import netcdf
from flowsim.flows.group import Flow
from flowsim.flows.velocity_grid import VelocityGrid
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
        With ``state`` (flow, trial, time, velocity, channel[, orientation], y, x), or (flow, trial, time, unit).
    pixels : int
        Odd; a side that has fewer keeps as many as it has, or one less if they are even.
    trials : int, optional
        Only the first of them.
    seed : int
        Of the choice of channels, or units, if `IN_ALL` or `A_FRAME` does not hold them all.

    Returns
    -------
    DataArray (flow, trial, time, velocity, channel[, orientation], y, x) or (flow, trial, time, unit)
        In memory, of the precision that was recorded, or float32 if that was less. Attribute ``kept`` is the share of
        channels, or units, and if it is not 1, ``thinned`` says so in words.

    Raises
    ------
    InputError
        If there is no such state, or it holds values that are no numbers.
    """
    state = netcdf.variable(recording, "state", netcdf.STATE, netcdf.ORIENTED, netcdf.UNITS)
    state = state.isel(trial=slice(trials)).reset_coords(drop=True)
    spatial, dtype = state.dims != netcdf.UNITS, np.promote_types(state.dtype, np.float32)
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
    ask = partial(_resampled, weights=np.kron(down, across) if spatial else None, shape=tuple(sizes.values())[3:])
    for place, part in mapped(state, ask):
        values[:, place["trial"], place["time"]] = part
    return xr.DataArray(values, dims=list(sizes), attrs=attrs)


def _resampled(block: np.ndarray, place: Place, *, weights: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    """A block (flow, trial, time, ...), whose maps over space become weighted sums."""
    if weights is not None:
        flat = block.reshape(-1, weights.shape[1])
        most = max(1, PIECE // weights.shape[1])
        rows = [flat[i : i + most].astype(np.float64) @ weights.T for i in range(0, len(flat), most)]
        result = np.concatenate(rows).reshape(*block.shape[:3], *shape)
    else:
        result = block
    if not np.isfinite(result).all():
        raise InputError("states hold values that are no numbers; the network diverged. Train it again")
    return result.astype(np.promote_types(block.dtype, np.float32), copy=False)


def thinned(results: xr.Dataset) -> str:
    """What a figure is to say of the channels that were left out; nothing if none were."""
    kept = float(results.kept.min())
    return "" if kept == 1 else f", a random {kept:.2g} of channels"


def _resample(size: int, pixels: int) -> np.ndarray:
    """Matrix (coarse, fine) of a band-limited resampling of a circle; rows sum to 1."""
    kept = min(pixels, size - 1 + size % 2)
    waves = np.arange(-(kept // 2), kept // 2 + 1)
    apart = np.arange(kept)[:, None] / kept - np.arange(size) / size
    return np.cos(2 * np.pi * waves * apart[..., None]).sum(-1) / size


def labels(recording: xr.Dataset, trials: int | None = None) -> np.ndarray | None:
    """Label (trial) of object 0; None where the recording does not tell."""
    if "object_label" not in recording.coords:
        return None
    return recording.object_label.isel(object=0, missing_dims="ignore").isel(trial=slice(trials)).values


def velocities(recording: xr.Dataset) -> np.ndarray:
    """Velocity (flow, component) of each flow, in the units of its group."""
    return np.array([flow.velocity for flow in netcdf.flows(recording)], np.float64)


def positions(recording: xr.Dataset, trials: int | None = None) -> np.ndarray | None:
    """Position (flow, trial, time, axis) of object 0 under each flow, as a phase around the torus in radians.

    It starts where recorded, moves at the object's own velocity (or as recorded over time), and with the flow.

    Returns
    -------
    array, or None
        Where there is no such thing: flows that do not translate, no frame, or objects that the recording does not
        place on it.
    """
    translates = {"flow_vy", "flow_vx"} <= set(recording.coords)
    places = [f"object_position_{axis}" for axis in "yx"]
    if not translates or not {*places} <= set(recording.coords) or not {"y", "x"} <= set(recording.sizes):
        return None
    if "observer_y" in recording.coords:  # positions in a world, seen through a window that moves
        return None
    time, phases = recording.time.values, []
    for axis, place in zip("yx", places, strict=True):
        start = recording[place].isel(object=0, trial=slice(trials))
        if "time" in start.dims:
            own = start.transpose("trial", "time").values
        else:
            speed = recording.get(f"object_velocity_v{axis}")
            if speed is None or "time" in speed.dims:
                return None
            own = start.values[:, None] + speed.isel(object=0, trial=slice(trials)).values[:, None] * time
        moved = own + recording[f"flow_v{axis}"].values[:, None, None] * time
        phases.append(2 * np.pi * moved / recording.sizes[axis])
    return np.stack(phases, -1)


def carried(state: xr.DataArray, fitted: Flow, tested: Flow, grid: VelocityGrid) -> xr.DataArray:
    """The state under ``tested`` put where the law of shift says that it was under ``fitted``; NaN without a partner.

    Parameters
    ----------
    state : DataArray (flow, trial, velocity, ...)
        Means over space, which transport does not change.
    fitted, tested : Flow
    grid : VelocityGrid
    """
    apart = Flow(tested.group, tuple(b - a for a, b in zip(fitted.velocity, tested.velocity, strict=True)))
    u = grid.velocity_of(apart)
    partner = (None,) * len(grid) if u is None else grid.partner(u)
    moved = xr.full_like(state, np.nan)
    for now, before in enumerate(partner):
        if before is not None:
            moved[:, :, before] = state[:, :, now].values
    return moved
