"""A recorded site as other packages think of it: a population of units, with what is known of each unit and
each trial.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from itertools import product
from typing import Literal

import numpy as np
import xarray as xr

from flowsim.errors import InputError
from flowsim.files.coordinates import variable

LEADING = ("flow", "trial", "time")
Time = int | Literal["mean"] | None
"""One recorded frame, the mean over frames, or all of them."""
Table = dict[str, xr.Variable]
"""Columns by name; the first axis of each is that of the table."""


def sites(recording: xr.Dataset) -> list[str]:
    """Names of what was recorded over (flow, trial, time, ...), the stimulus frames included."""
    return [str(name) for name, values in recording.data_vars.items() if values.dims[:3] == LEADING]


class Population:
    """One site of a recording.

    Attributes
    ----------
    site : str
        Its name.
    values : DataArray (flow, trial, time, *place)
        As recorded. A unit is one entry over place; the last axis runs fastest.
    frames : array (time)
        Which frames were recorded.
    place : dict of str to int
        The axes beside flow, trial and time, with their sizes.
    units : table (unit)
        What the recording says of each unit: velocity_vy, velocity_vx, channel, y, x. An axis of which it
        says nothing is counted from 0. Names do not begin with that of the site or with "unit_", as they do
        in a recording.
    presentations : table (presentation, ...)
        What the recording says of each flow and trial, the trials of a flow together: flow and trial, counted
        from 0, flow_vy, flow_vx, and the truth about objects, whose axes follow.
    model : str
        Name of the network that was recorded, with its seed, as far as the recording has them.

    Raises
    ------
    InputError
        If there is no such site, or the recording holds several runs.
    """

    def __init__(self, recording: xr.Dataset, site: str) -> None:
        if "run" in recording.dims:
            raise InputError(
                f"expected one recording; got {recording.sizes['run']} along run. Choose: isel(run=0)"
            )
        self.site = site
        self.values = variable(recording, site)
        dims = self.values.dims
        if dims[:3] != LEADING:
            known, came = ", ".join(sites(recording)), ", ".join(map(str, dims))
            raise InputError(
                f"expected a site over (flow, trial, time, ...), one of: {known}; {site} is over ({came})"
            )
        self.frames = recording["time"].values
        self.place: dict[Hashable, int] = {dim: recording.sizes[dim] for dim in dims[3:]}
        coords = {
            str(name): coord.variable.load().to_base_variable()
            for name, coord in recording.coords.items()
            if coord.dims
        }
        self.units = self._unit_table(coords)
        self.presentations = self._presentation_table(coords)
        name, seed = recording.attrs.get("network", "network"), recording.attrs.get("seed", "")
        self.model = f"{name}-seed{seed}" if seed != "" else str(name)

    def _unit_table(self, coords: Table) -> Table:
        """Columns in the order of the axes that they lie along."""
        described = {coord.dims[0] for coord in coords.values() if len(coord.dims) == 1}
        along = {name: coord for name, coord in coords.items() if set(coord.dims) <= set(self.place)}
        along |= {str(dim): self._count(dim) for dim in self.place if dim not in described}
        axes = list(self.place)
        order = sorted(along, key=lambda name: axes.index(along[name].dims[0]))
        named = {name.removeprefix(f"{self.site}_").removeprefix("unit_"): along[name] for name in order}
        return _flattened(named, self.place, "unit")

    def _presentation_table(self, coords: Table) -> Table:
        counts = {dim: self._count(dim) for dim in ("flow", "trial")}
        described = {name: coord for name, coord in coords.items() if {"flow", "trial"} & set(coord.dims)}
        leading: dict[Hashable, int] = {dim: self.values.sizes[dim] for dim in ("flow", "trial")}
        return _flattened({**counts, **described}, leading, "presentation")

    def _count(self, dim: Hashable) -> xr.Variable:
        """Whole numbers from 0 along one axis of the site."""
        return xr.Variable((dim,), np.arange(self.values.sizes[dim]))

    def at(self, time: Time) -> xr.Variable:
        """Values (presentation, unit, time), or (presentation, unit) at one time; lazy where the recording
        is.

        Raises
        ------
        InputError
            If that frame was not recorded.
        """
        values, frames = self.values.variable, self.frames.tolist()
        if time == "mean":  # over the frames that have a value: a prediction has none for the first
            values = values.astype(np.promote_types(values.dtype, np.float32)).mean("time", keep_attrs=True)
        elif time is not None:
            if time not in frames:
                recorded = ", ".join(map(str, frames))
                raise InputError(f"frame {time} was not recorded; expected mean, or one of {recorded}")
            values = values.isel(time=frames.index(time))
        each_flow = [values.isel(flow=i) for i in range(values.sizes["flow"])]
        joined = xr.Variable.concat(each_flow, "trial")  # not reshaped: chunks stay as they are
        if list(self.place) == ["unit"]:
            flat = joined
        elif self.place:
            flat = joined.stack(unit=list(self.place))
        else:
            flat = joined.expand_dims("unit")
        flat = flat.transpose("trial", "unit", ...)
        return xr.Variable(("presentation", *flat.dims[1:]), flat.data, values.attrs)


def columns(table: Table) -> Table:
    """Columns as vectors, one per object (its number ends the name), without those that change in time."""
    vectors = {}
    for name, values in table.items():
        axes = values.dims[1:]
        if "time" in axes:
            continue
        for index in product(*(range(values.sizes[axis]) for axis in axes)):
            vector = values.isel(dict(zip(axes, index, strict=True)))
            vectors["_".join(map(str, (name, *index)))] = vector
    return vectors


def _flattened(table: Mapping[str, xr.Variable], over: Mapping[Hashable, int], into: str) -> Table:
    """Variables over all axes of ``over``, which become one axis ``into``, the first; text as such."""
    flat_table = {}
    for name, values in table.items():
        rest = {dim: values.sizes[dim] for dim in values.dims if dim not in over}
        full = values.set_dims({**over, **rest}).transpose(*over, *rest)
        flat = full.stack(flat=list(over)).transpose("flat", ...)
        entries = flat.values.astype(str) if flat.dtype.kind == "O" else flat.values
        flat_table[name] = xr.Variable((into, *rest), entries, values.attrs)
    return flat_table
