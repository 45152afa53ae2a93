"""Dimensions and coordinates of the datasets that stages exchange: flows, velocity grids, and what a
recording holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from flowsim.errors import InputError
from flowsim.flows.flow import Flow
from flowsim.flows.group import GROUPS, FlowGroup, Velocity
from flowsim.flows.velocity_grid import VelocityGrid

STATE = ("flow", "trial", "time", "velocity", "channel", "y", "x")
ORIENTED = ("flow", "trial", "time", "velocity", "channel", "orientation", "y", "x")
UNITS = ("flow", "trial", "time", "unit")
"""Dimensions of a state that has the space of the frame, of one that also has orientations, and of one with
neither.
"""


def velocity_coords(
    dim: str, group: FlowGroup, velocities: Sequence[Velocity], name: str | None = None
) -> dict[str, Any]:
    """Coordinates ``<name>_vy``, ``<name>_vx`` (components of the group) over ``dim``, the name if none is
    given.
    """
    values = np.array(velocities, dtype=np.float64).reshape(len(velocities), -1)
    long_name = f"velocity of the {dim}" if dim == "flow" else "velocity of the channel"
    return {
        f"{name or dim}_{component}": (dim, values[:, i], {"units": unit, "long_name": long_name})
        for i, (component, unit) in enumerate(zip(group.components, group.units, strict=True))
    }


def group(dataset: xr.Dataset, dim: str) -> FlowGroup:
    """The flow group of the velocities over "flow" or "velocity": the one the file names, or whose components
    it has.

    Raises
    ------
    InputError
        If it names another or has no velocities.
    """
    name = dataset.attrs.get(f"{dim}_group")
    if name in GROUPS:
        return GROUPS[name]
    fitting = [g for g in GROUPS.values() if all(f"{dim}_{c}" in dataset.coords for c in g.components)]
    if name is not None or not fitting:
        raise InputError(f"expected the attribute {dim}_group to be one of {', '.join(GROUPS)}; got {name!r}")
    return max(fitting, key=lambda g: len(g.components))


def flows(dataset: xr.Dataset) -> list[Flow]:
    """The flow of each entry along ``flow``."""
    return [Flow(group(dataset, "flow"), v) for v in _velocities(dataset, "flow")]


def grid(dataset: xr.Dataset) -> VelocityGrid:
    """The velocity grid of a recording's state, compared modulo the period that it names, or else the frame."""
    own = group(dataset, "velocity")
    period = own.period((dataset.sizes["y"], dataset.sizes["x"]))
    if "velocity_period" in dataset.attrs:
        period = tuple(np.atleast_1d(dataset.attrs["velocity_period"]).tolist())
    return VelocityGrid(own, tuple(_velocities(dataset, "velocity")), period)


def _velocities(dataset: xr.Dataset, dim: str) -> list[Velocity]:
    names = [f"{dim}_{c}" for c in group(dataset, dim).components]
    missing = [name for name in names if name not in dataset.coords]
    if missing:
        raise InputError(f"expected the coordinate(s) {', '.join(missing)} over {dim}; the file has none")
    return list(zip(*(dataset[name].values.tolist() for name in names), strict=True))


def variable(dataset: xr.Dataset, name: str, *dims: tuple[str, ...]) -> xr.DataArray:
    """A variable of a recording, with one of these dimensions if given.

    Raises
    ------
    InputError
        If it was not recorded, or has other dimensions.
    """
    if name not in dataset:
        held = ", ".join(map(str, dataset.data_vars))
        raise InputError(
            f"expected the recording to hold {name!r}; it holds {held}. Add {name!r} to its sites"
        )
    if dims and dataset[name].dims not in dims:
        came = ", ".join(map(str, dataset[name].dims))
        expected = " or ".join(f"({', '.join(over)})" for over in dims)
        raise InputError(f"expected {name} {expected}; the recording has {name} ({came})")
    return dataset[name]
