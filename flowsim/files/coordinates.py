"""Dimensions and coordinates of the datasets that stages exchange: flows, velocity grids, and what a
recording holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from flowsim.errors import InputError
from flowsim.flows.find_groups import flow_groups
from flowsim.flows.flow import Flow
from flowsim.flows.group import FlowGroup, Velocity
from flowsim.flows.velocity_grid import VelocityGrid

STATE = ("flow", "trial", "time", "velocity", "channel", "y", "x")
ORIENTED = ("flow", "trial", "time", "velocity", "channel", "orientation", "y", "x")
UNITS = ("flow", "trial", "time", "unit")
"""Dimensions of a state that has the space of the frame, of one that also has orientations, and of one with
neither.
"""
OBJECT_VELOCITY = "object_velocity_"
"""How the name of a component of the velocity of each object begins in a recording."""


def velocity_coords(
    dim: str, group: FlowGroup, velocities: Sequence[Velocity], name: str | None = None
) -> dict[str, Any]:
    """Coordinates over ``dim`` that hold velocities of a group, one for each of its components.

    They are called ``<name>_<component>``, such as ``flow_vy``, with ``dim`` for a name if none is given.
    """
    values = np.array(velocities, dtype=np.float64).reshape(len(velocities), -1)
    long_name = "velocity of the flow" if dim == "flow" else "velocity of the channel"
    return {
        f"{name or dim}_{component}": (dim, of_component, {"units": unit, "long_name": long_name})
        for component, of_component, unit in zip(group.components, values.T, group.units, strict=True)
    }


def group(dataset: xr.Dataset, dim: str) -> FlowGroup:
    """The flow group of the velocities over "flow" or "velocity".

    It is the one that the attribute ``<dim>_group`` names, or else the one whose components the file has.

    Raises
    ------
    InputError
        If the attribute names no flow group, or is missing and no components fit.
    """
    groups = flow_groups()
    name = dataset.attrs.get(f"{dim}_group")
    fitting = _fitting_group(dataset, dim) if name is None else groups.get(name)
    if fitting is None:
        raise InputError(f"expected the attribute {dim}_group to be one of {', '.join(groups)}; got {name!r}")
    return fitting


def _fitting_group(dataset: xr.Dataset, dim: str) -> FlowGroup | None:
    """The group with the most components of which the file has all, if any."""
    fitting = [
        group
        for group in flow_groups().values()
        if all(f"{dim}_{component}" in dataset.coords for component in group.components)
    ]
    return max(fitting, key=lambda group: len(group.components), default=None)


def object_components(dataset: xr.Dataset) -> tuple[str, ...]:
    """Components of the velocity of objects that a recording holds, such as ("vy", "vx").

    They are those of one flow group: preferably of one of which the recording holds all components, then of
    the group of its flows. Empty if it holds none.
    """
    names = [str(name) for name in dataset.coords if str(name).startswith(OBJECT_VELOCITY)]
    recorded = {name.removeprefix(OBJECT_VELOCITY) for name in names}
    of_flows = flow_groups().get(dataset.attrs.get("flow_group", "")) or _fitting_group(dataset, "flow")

    def preference(group: FlowGroup) -> tuple[bool, bool, bool, int]:
        components = set(group.components)
        shared = components & recorded
        return bool(shared), components <= recorded, group == of_flows, len(shared)

    best = max(flow_groups().values(), key=preference)
    return tuple(component for component in best.components if component in recorded)


def component_unit(dataset: xr.Dataset, component: str) -> str:
    """Unit of a component of velocities: as the file has it, or else of the flow group with that component.

    Raises
    ------
    InputError
        If neither knows it.
    """
    if component in dataset.coords and "units" in dataset[component].attrs:
        return dataset[component].attrs["units"]
    for flow_group in flow_groups().values():
        if component in flow_group.components:
            return flow_group.units[flow_group.components.index(component)]
    raise InputError(
        f"expected the attribute units on {component}; there is none, and no flow group has this component"
    )


def flows(dataset: xr.Dataset) -> list[Flow]:
    """The flow of each entry along ``flow``."""
    return [Flow(group(dataset, "flow"), v) for v in _velocities(dataset, "flow")]


def grid(dataset: xr.Dataset) -> VelocityGrid:
    """The velocity grid of a recording's state.

    Its period is the attribute ``velocity_period``, or else that of the group on the frame.
    """
    velocity_group = group(dataset, "velocity")
    period = velocity_group.period((dataset.sizes["y"], dataset.sizes["x"]))
    if "velocity_period" in dataset.attrs:
        period = tuple(np.atleast_1d(dataset.attrs["velocity_period"]).tolist())
    return VelocityGrid(velocity_group, tuple(_velocities(dataset, "velocity")), period)


def _velocities(dataset: xr.Dataset, dim: str) -> list[Velocity]:
    """The velocity of each entry along "flow" or "velocity"."""
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
        variables = ", ".join(map(str, dataset.data_vars))
        raise InputError(
            f"expected the recording to hold {name!r}; it holds {variables}. Add {name!r} to its sites"
        )
    if dims and dataset[name].dims not in dims:
        actual = ", ".join(map(str, dataset[name].dims))
        expected = " or ".join(f"({', '.join(alternative)})" for alternative in dims)
        raise InputError(f"expected {name} {expected}; the recording has {name} ({actual})")
    return dataset[name]
