"""A recorded site as other packages think of it: a population of units, and what is known of each and of each
trial.
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
    """What was recorded over (flow, trial, time, ...), the shown frames included."""
    return [str(name) for name, values in recording.data_vars.items() if values.dims[:3] == LEADING]


class Population:
    """One site of a recording.

    Attributes
    ----------
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
        Name of the network that was recorded, with its seed, as far as the recording knows them.

    Raises
    ------
    InputError
        If there is no such site, or the recording is several.
    """

    def __init__(self, recording: xr.Dataset, site: str) -> None:
        if "run" in recording.dims:
            raise InputError(
                f"expected one recording; got {recording.sizes['run']} along run. Choose: isel(run=0)"
            )
        self.values, self.site = variable(recording, site), site
        dims = self.values.dims
        if dims[:3] != LEADING:
            known, came = ", ".join(sites(recording)), ", ".join(map(str, dims))
            raise InputError(
                f"expected a site over (flow, trial, time, ...), one of: {known}; {site} is over ({came})"
            )
        self.frames = recording["time"].values
        sizes = {d: recording.sizes[d] for d in dims}
        self.place: dict[Hashable, int] = {d: sizes[d] for d in dims[3:]}
        told = {str(n): c.variable.load().to_base_variable() for n, c in recording.coords.items() if c.dims}
        said = {v.dims[0] for v in told.values() if len(v.dims) == 1}
        counted = {d: xr.Variable((d,), np.arange(s)) for d, s in sizes.items()}
        each = {n: v for n, v in told.items() if set(v.dims) <= set(self.place)}
        each |= {str(d): counted[d] for d in self.place if d not in said}
        order = sorted(each, key=lambda name: list(self.place).index(each[name].dims[0]))
        named = {name.removeprefix(f"{site}_").removeprefix("unit_"): each[name] for name in order}
        self.units = _flat(named, self.place, "unit")
        of_trials = {n: v for n, v in told.items() if {"flow", "trial"} & set(v.dims)}
        leading: dict[Hashable, int] = {d: sizes[d] for d in LEADING[:2]}
        self.presentations = _flat({d: counted[d] for d in LEADING[:2]} | of_trials, leading, "presentation")
        name, seed = recording.attrs.get("network", "network"), recording.attrs.get("seed", "")
        self.model = f"{name}-seed{seed}" if seed != "" else str(name)

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
        flows = [
            values.isel(flow=i) for i in range(values.sizes["flow"])
        ]  # joined, not reshaped: chunks stay as they are
        joined = xr.Variable.concat(flows, "trial")
        if list(self.place) == ["unit"]:
            flat = joined
        else:
            flat = joined.stack(unit=list(self.place)) if self.place else joined.expand_dims("unit")
        flat = flat.transpose("trial", "unit", ...)
        return xr.Variable(("presentation", *flat.dims[1:]), flat.data, values.attrs)


def columns(table: Table) -> Table:
    """Columns as vectors: one per object, numbered at the end of its name; what changes in time is left out."""
    found = {}
    for name, values in table.items():
        axes = values.dims[1:]
        if "time" in axes:
            continue
        for at in product(*(range(values.sizes[d]) for d in axes)):
            found["_".join(map(str, (name, *at)))] = values.isel(dict(zip(axes, at, strict=True)))
    return found


def _flat(told: Mapping[str, xr.Variable], over: Mapping[Hashable, int], into: str) -> Table:
    """Variables over all of ``over``, flattened into one axis, the first; text as such."""
    table = {}
    for name, values in told.items():
        rest = {d: values.sizes[d] for d in values.dims if d not in over}
        full = values.set_dims({**over, **rest}).transpose(*over, *rest)
        flat = full.stack(flat=list(over)).transpose("flat", ...)
        data = flat.values.astype(str) if flat.dtype.kind == "O" else flat.values
        table[name] = xr.Variable((into, *rest), data, values.attrs)
    return table
