"""Dimensions, coordinates and variables of a recording, and how they are cut into chunks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import h5netcdf
import h5py
import numpy as np
import xarray as xr

from flowsim.errors import InputError
from flowsim.files import coordinates, netcdf
from flowsim.files.checkpoints import AT_CHECKPOINT
from flowsim.files.hdf5_chunks import CODECS, Codec, is_channel, mark_sealed
from flowsim.flows.flow import Flow
from flowsim.flows.group import FlowGroup
from flowsim.flows.law import Law
from flowsim.flows.velocity_grid import VelocityGrid
from flowsim.recording.blank import Withheld
from flowsim.recording.interventions import PREFIX, Asked, Intervention, planned
from flowsim.recording.shown import FRAMES
from flowsim.recording.thinning import Thinning

TRIALS_AT_ONCE = 32
"""Trials in a block, at most."""
MEMORY = 2**27
"""Bytes in a block, at most, except where one trial has more."""
FLOW_BYTES = 2**19
"""Bytes of flows in a chunk, at most, except where one frame of one channel has more under one flow."""
CHUNK_BYTES = 2**17
"""Bytes up to which a chunk of fewer takes in channels, frames and trials: gzip looks back 32 kB, and does
not find the copies under other flows if these lie between.
"""
PLAIN_SITES = ("state", "prediction", "logits")
"""Sites whose dimensions have plain names; those of other sites begin with the name of the site."""
BLANK = "blank_"
"""How the name of what a site does while the input is withheld begins."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """The dimensions, coordinates and variables of a recording.

    Parameters
    ----------
    stimulus : Dataset
    sites : mapping of name to Thinning
        What is recorded at each site.
    flows : sequence of int
        Which flows of the stimulus are recorded.
    trials : int
        How many trials are recorded, from the first.
    times : array of int (time,)
        Which frames are recorded.
    withheld : Withheld, optional
        Which frames are withheld when each trial is shown once more.
    checkpoints : sequence of int
        Sequences seen at those moments of the training at which the network is recorded too.
    grid : VelocityGrid
        Velocities of the state.
    law : Law, optional
        That the network declares of its state.
    dtype : numpy.dtype
    codec : Codec
    frame_bytes : int
        Bytes of one frame of one trial of all activity before it is thinned.
    interventions : sequence of Intervention
        Under which activity is recorded besides.
    intervened : sequence of str
        The sites whose activity that is.
    """

    stimulus: xr.Dataset
    sites: Mapping[str, Thinning]
    flows: Sequence[int]
    trials: int
    times: np.ndarray
    withheld: Withheld | None = None
    checkpoints: Sequence[int] = ()
    grid: VelocityGrid
    law: Law | None
    dtype: np.dtype
    codec: Codec
    frame_bytes: int
    interventions: Sequence[Intervention] = ()
    intervened: Sequence[str] = ()

    @cached_property
    def _dimensions(self) -> tuple[dict[str, int], dict[str, tuple[str, ...]]]:
        """Sizes of all dimensions, and the dimensions of each variable.

        A dimension has a plain name only if its size fits: a state of another size than the frame, say, has
        the dimensions ``state_y`` and ``state_x``.
        """
        sizes = {
            "flow": len(self.flows),
            "trial": self.trials,
            "time": len(self.times),
            "y": self.stimulus.sizes["y"],
            "x": self.stimulus.sizes["x"],
        }
        variables: dict[str, tuple[str, ...]] = {"frames": ("flow", "trial", "time", "y", "x")}
        for site, thinning in self.sites.items():
            site_sizes = {}
            for axis, size in thinning.dims.items():
                fits = sizes.get(axis, size) == size
                plain = fits and (site in PLAIN_SITES or axis in ("y", "x"))
                site_sizes[axis if plain else f"{site}_{axis}"] = size
            sizes |= site_sizes
            variables[site] = ("flow", "trial", "time", *site_sizes)
        if self.withheld is not None:
            variables |= {f"{BLANK}{site}": variables[site] for site in self.sites}
        if self.checkpoints:
            sizes["checkpoint"] = len(self.checkpoints)
            of_network = {name: dims for name, dims in variables.items() if name != "frames"}
            variables |= {
                f"{name}{AT_CHECKPOINT}": ("checkpoint", *dims) for name, dims in of_network.items()
            }
        if self.interventions:
            sizes["intervention"] = len(self.interventions)
            variables |= {f"{PREFIX}{site}": ("intervention", *variables[site]) for site in self.intervened}
        return sizes, variables

    @property
    def sizes(self) -> dict[str, int]:
        """Of every dimension."""
        return self._dimensions[0]

    @property
    def variables(self) -> dict[str, tuple[str, ...]]:
        """Dimensions of ``frames`` and of each site."""
        return self._dimensions[1]

    @cached_property
    def bytes(self) -> int:
        """Of all recorded values, before compression."""
        return self._bytes_of(self.variables.values())

    @property
    def bytes_at_checkpoints(self) -> int:
        """Of those of them that are of moments of the training."""
        return self._bytes_of(dims for dims in self.variables.values() if dims[0] == "checkpoint")

    def _bytes_of(self, variables: Iterable[tuple[str, ...]]) -> int:
        counts = [int(np.prod([self.sizes[d] for d in dims])) for dims in variables]
        return sum(counts) * self.dtype.itemsize

    @cached_property
    def _bytes_per_trial(self) -> int:
        """Of all recorded values of one trial under one flow."""
        return self.bytes // (self.sizes["flow"] * self.sizes["trial"])

    @cached_property
    def flows_at_once(self) -> int:
        """Flows in a block: as many as `MEMORY` holds."""
        return min(self.sizes["flow"], max(1, MEMORY // self._bytes_per_trial))

    @cached_property
    def trials_at_once(self) -> int:
        """Trials in a block: as many as `MEMORY` holds under `flows_at_once`, and of one frame of all
        activity before it is thinned.
        """
        most = MEMORY // max(self._bytes_per_trial * self.flows_at_once, self.frame_bytes)
        return min(self.sizes["trial"], TRIALS_AT_ONCE, max(1, most))

    def __str__(self) -> str:
        shapes = [
            f"{name} {'x'.join(str(self.sizes[d]) for d in dims)}" for name, dims in self.variables.items()
        ]
        return f"{', '.join(shapes)} as {self.dtype}: {self.bytes / 1e6:.1f} MB before compression"

    def chunks(self, dims: tuple[str, ...]) -> tuple[int, ...]:
        """Sizes of the chunks of one variable: one frame of one channel, and as many flows as fit in, then
        channels, frames and trials.

        Where a law holds, what a channel does under one flow is a moved copy of what it does under another.
        In one chunk they are compressed together, to 39 to 64 % of what they need apart.
        """
        lengths = {d: 1 if d in netcdf.APART or is_channel(d) else self.sizes[d] for d in dims}
        blocks = {"flow": self.flows_at_once, "trial": self.trials_at_once}
        for dim in ("flow", *filter(is_channel, dims), "time", "trial"):
            limit = FLOW_BYTES if dim == "flow" else CHUNK_BYTES
            most = limit // (math.prod(lengths.values()) * self.dtype.itemsize)
            lengths[dim] = _cut(self.sizes[dim], blocks.get(dim, self.sizes[dim]), max(1, most))
        return tuple(lengths.values())

    def create(self, file: h5netcdf.File, attrs: Mapping[str, Any]) -> None:
        """Write everything but the recorded values to an empty file."""
        file.dimensions = self.sizes
        about = {**self._grid_attributes(), **attrs, **self._group_attributes()}
        about |= self.withheld.attributes if self.withheld is not None else {}
        for name, value in about.items():
            file.attrs[name] = value
        file.attrs["format"] = netcdf.FORMAT
        mark_sealed(file._h5file)
        coords = self._coordinates()
        for name, (dims, values, coord_attrs) in coords.items():
            write_coordinate(file, name, dims, values, coord_attrs)
        for name, dims in self.variables.items():
            variable = file.create_variable(
                name,
                dims,
                self.dtype,
                chunks=self.chunks(dims),
                fillvalue=np.nan,
                **CODECS[self.codec].options,
            )
            variable.attrs["coordinates"] = " ".join(name for name in coords if name not in self.sizes)
        if "state" in self.variables and self.law is not None:
            file["state"].attrs["law"] = str(self.law)
        for name in self.variables:
            if name.endswith(AT_CHECKPOINT):
                file[name].attrs.update(condition="checkpoint", long_name="at moments of the training")
                if name == f"state{AT_CHECKPOINT}" and self.law is not None:
                    file[name].attrs["law"] = str(self.law)
            elif self.withheld is not None and name.startswith(BLANK):
                file[name].attrs.update(condition="blank", long_name=self.withheld.words)
            elif self.interventions and name.startswith(PREFIX):
                file[name].attrs.update(condition="intervention", long_name="after each intervention")

    @property
    def flow_group(self) -> FlowGroup:
        """The group of the stimulus's flows; that of the state's velocities if the stimulus names none."""
        if "flow" in self.stimulus.dims or "flow_group" in self.stimulus.attrs:
            return coordinates.group(self.stimulus, "flow")
        return self.grid.group

    def _grid_attributes(self) -> dict[str, Any]:
        if "velocity" not in self.sizes or self.grid.period is None:
            return {}
        return {"velocity_period": np.array(self.grid.period, np.float64)}

    def _group_attributes(self) -> dict[str, str]:
        groups = {"flow_group": self.flow_group.name}
        if "velocity" in self.sizes:
            groups["velocity_group"] = self.grid.group.name
        return groups

    def _coordinates(self) -> dict[str, Any]:
        """(dimensions, values, attributes) by name."""
        coords = self._axis_coordinates()
        for site, thinning in self.sites.items():
            coords |= self._unit_coordinates(site, thinning)
        if self.interventions:
            names = np.array([one.name for one in self.interventions], object)
            frames = np.array([one.at for one in self.interventions])
            words = {"units": "frame", "long_name": "frame after which what is carried is replaced"}
            coords["intervention"] = ("intervention", names, {})
            coords["intervention_time"] = ("intervention", frames, words)
        if "flow" not in self.stimulus.dims:
            group = self.flow_group
            coords |= coordinates.velocity_coords("flow", group, [(0,) * len(group.components)])
        return coords | self._truth({*coords, *self.sizes, *self.variables})

    def _axis_coordinates(self) -> dict[str, Any]:
        """Times, orientations and velocities."""
        coords: dict[str, Any] = {"time": ("time", self.times, {"units": "frame"})}
        if "orientation" in self.sizes:
            angles = 360 / self.sizes["orientation"] * np.arange(self.sizes["orientation"])
            attributes = {"units": "degree", "long_name": "orientation, counter-clockwise"}
            coords["orientation"] = ("orientation", angles, attributes)
        if "velocity" in self.sizes:
            coords |= coordinates.velocity_coords("velocity", self.grid.group, self.grid.velocities)
        if self.withheld is not None:
            attributes = {"units": "1", "long_name": "whether the input is withheld"}
            coords["blank"] = ("time", self.withheld.whether(self.times), attributes)
        if self.checkpoints:
            attributes = {"units": "1", "long_name": "sequences seen in training"}
            coords["sequences"] = ("checkpoint", np.array(self.checkpoints, np.int64), attributes)
        return coords

    def _unit_coordinates(self, site: str, thinning: Thinning) -> dict[str, Any]:
        """Where the recorded units of a site were before a subset was drawn."""
        coords: dict[str, Any] = {}
        unit = "unit" if site in PLAIN_SITES else f"{site}_unit"
        for axis, index in thinning.unit_indices().items():
            attributes = {"units": "", "long_name": f"index of the unit along {axis}"}
            coords[f"{unit}_{axis}"] = (unit, index, attributes)
            if axis == "velocity":
                velocities = [self.grid.velocities[i] for i in index]
                coords |= coordinates.velocity_coords(unit, self.grid.group, velocities, f"{unit}_velocity")
        return coords

    def _truth(self, taken: set[str]) -> dict[str, Any]:
        """The coordinates of the stimulus: those of objects as ``object_<name>``, and velocities of a whole
        trial as ``trial_<name>``, since ``velocity_<component>`` belongs to the state. What has a name of the
        recording's own (``taken``) is called ``stimulus_<name>``, and so are dimensions.

        Raises
        ------
        InputError
            If two would have the same name.
        """
        recorded: dict[str, Any] = {"trial": slice(self.trials), "time": self.times}
        if "flow" in self.stimulus.dims:
            recorded["flow"] = list(self.flows)
        coords = {}
        for name, coord in self.stimulus.isel(recorded).coords.items():
            if name == "time" and np.array_equal(coord, self.times):
                continue
            prefix = ""
            if "object" in coord.dims:
                prefix = "object_"
            elif str(name).startswith("velocity_"):
                prefix = "trial_"
            called = f"{prefix}{name}"
            own = name in ("flow", "trial", "y", "x") and coord.dims == (name,)
            if called in taken and not own:
                called = f"stimulus_{name}"
            if called in coords or (called in taken and not own):
                raise InputError(
                    f"two coordinates would be called {called} in the recording; rename the stimulus's {name}"
                )
            dims = [
                f"stimulus_{dim}" if dim in self.sizes and dim not in FRAMES else dim for dim in coord.dims
            ]
            coords[called] = (tuple(dims), *storable(coord.variable))
        return coords


def _cut(size: int, block: int, most: int) -> int:
    """Length of the chunks along a dimension that is written in blocks: at most ``most``, and so that each
    chunk lies in one block.
    """
    if block < size:
        return max(length for length in range(1, min(block, most) + 1) if block % length == 0)
    return math.ceil(size / math.ceil(size / most))


def with_interventions(
    layout: Layout, asked: Asked | None, sites: Sequence[str] | None, context: int
) -> Layout:
    """The layout of a recording with interventions.

    Parameters
    ----------
    layout : Layout
        Without any.
    asked : mapping of name to settings, optional
    sites : sequence of str, optional
        Whose activity is recorded; all if not given.
    context : int
        How many frames the network is shown.

    Raises
    ------
    InputError
        If an intervention makes no sense, or activity of a site that is not recorded is asked for.
    """
    if not asked:
        return layout
    known = list(layout.sites)
    unknown = [name for name in sites or () if name not in known]
    taken = [name for name in known if name.startswith(PREFIX)]
    if unknown or taken:
        raise InputError(
            f"intervened_sites: expected some of the recorded sites {', '.join(known)}, whose names do not "
            f"begin with {PREFIX}; got {', '.join(unknown or taken)}"
        )
    group = layout.flow_group
    flows = [Flow(group, (0,) * len(group.components))]
    if "flow" in layout.stimulus.dims:
        flows = coordinates.flows(layout.stimulus)[: len(layout.flows)]
    interventions = planned(
        asked,
        flows=flows,
        trials=layout.trials,
        times=layout.times.tolist(),
        context=context,
        frame_shape=(layout.stimulus.sizes["y"], layout.stimulus.sizes["x"]),
    )
    return replace(layout, interventions=interventions, intervened=known if sites is None else list(sites))


def write_coordinate(
    file: h5netcdf.File, name: str, dims: str | tuple[str, ...], values: np.ndarray, attrs: Mapping[str, Any]
) -> None:
    """Write a coordinate to a file, with the dimensions that it has not yet."""
    over = (dims,) if isinstance(dims, str) else dims
    for dim, size in zip(over, values.shape, strict=True):
        if dim not in file.dimensions:
            file.dimensions[dim] = size
    values = np.asarray(values)
    dtype = h5py.string_dtype() if values.dtype.kind == "O" else values.dtype
    file.create_variable(name, over, dtype, data=values).attrs.update(attrs)


def storable(variable: xr.Variable) -> tuple[np.ndarray, dict[str, Any]]:
    """Values and attributes of a variable in types that netCDF has: int8 for truth values, objects for text,
    numbers since a date for dates.
    """
    values = variable.values
    if values.dtype.kind in "mMO":
        encoded = xr.conventions.encode_cf_variable(variable)
        return encoded.values, netcdf.attributes(encoded.attrs)
    stored = values.astype({"b": np.int8, "U": object}.get(values.dtype.kind, values.dtype))
    return stored, dict(variable.attrs)
