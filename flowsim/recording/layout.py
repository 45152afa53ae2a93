"""What a recording holds: dimensions, coordinates and variables, and how they are cut into chunks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import h5netcdf
import h5py
import numpy as np
import xarray as xr

from flowsim.files import coordinates, netcdf
from flowsim.files.hdf5_chunks import FILTERS, Codec
from flowsim.flows.translation import Translation
from flowsim.flows.velocity_grid import VelocityGrid
from flowsim.network import Network
from flowsim.recording.thinning import Thinned

TRIALS_AT_ONCE = 32
MEMORY = 2**27
"""Bytes of recorded values in a block, at most, beside those of one trial."""
PLAIN = ("state", "prediction", "logits")
"""Sites whose dimensions have plain names; those of others begin with the name of the site."""


class Layout:
    """The dimensions, coordinates and variables of a recording.

    Attributes
    ----------
    sizes : mapping
        Of every dimension.
    variables : mapping
        Dimensions of ``frames`` and of each site.
    trials_at_once : int
        As many as `MEMORY` holds of what is recorded, and of one frame of all activity before it is thinned.
    """

    def __init__(
        self,
        network: Any,
        stimulus: xr.Dataset,
        sites: Mapping[str, Thinned],
        flows: list[int],
        trials: int | None,
        every: int,
        dtype: str,
        codec: Codec,
        own_state: bool,
        whole_bytes: int,
    ) -> None:
        self.stimulus, self.sites, self.flows, self.codec = stimulus, sites, flows, codec
        self.dtype = np.dtype(dtype)
        own = isinstance(network, Network) and own_state  # what is declared is declared of it alone
        self.grid = network.grid if own else VelocityGrid(Translation(), ((0, 0),))
        self.law = network.law if own else None
        self.times = np.arange(0, stimulus.sizes["time"], every)
        shape = {"y": stimulus.sizes["y"], "x": stimulus.sizes["x"]}
        self.sizes = {
            "flow": len(flows),
            "trial": min(trials or stimulus.sizes["trial"], stimulus.sizes["trial"]),
            "time": len(self.times),
            **shape,
        }
        self.variables: dict[str, tuple[str, ...]] = {"frames": ("flow", "trial", "time", "y", "x")}
        for name, thinned in sites.items():
            named = {self._dimension(name, axis, size): size for axis, size in thinned.dims.items()}
            self.sizes |= named
            self.variables[name] = ("flow", "trial", "time", *named)
        self.bytes = sum(self._count(dims) * self.dtype.itemsize for dims in self.variables.values())
        per_trial = self.bytes // (self.sizes["flow"] * self.sizes["trial"])
        self.trials_at_once = max(1, min(TRIALS_AT_ONCE, MEMORY // max(per_trial, whole_bytes)))

    def _dimension(self, site: str, axis: str, size: int) -> str:
        fits = (
            self.sizes.get(axis, size) == size
        )  # a state of another size than the frame has dimensions of its own
        return axis if fits and (site in PLAIN or axis in ("y", "x")) else f"{site}_{axis}"

    def _count(self, dims: tuple[str, ...]) -> int:
        return int(np.prod([self.sizes[d] for d in dims]))

    def __str__(self) -> str:
        parts = [f"{n} {'x'.join(str(self.sizes[d]) for d in dims)}" for n, dims in self.variables.items()]
        return f"{', '.join(parts)} as {self.dtype}: {self.bytes / 1e6:.1f} MB before compression"

    def cut(self, dims: tuple[str, ...]) -> tuple[int, ...]:
        """Chunks of one variable."""
        return netcdf.chunks({d: self.sizes[d] for d in dims}, self.dtype.itemsize)

    def create(self, file: h5netcdf.File, attrs: Mapping[str, Any]) -> None:
        """Everything but the recorded values."""
        file.dimensions = self.sizes
        shown = self.grid.group
        if "flow" in self.stimulus.dims or "flow_group" in self.stimulus.attrs:
            shown = coordinates.group(self.stimulus, "flow")
        groups = {"flow_group": shown.name}
        if "velocity" in self.sizes:
            groups["velocity_group"] = self.grid.group.name
            if self.grid.period is not None:
                file.attrs["velocity_period"] = np.array(self.grid.period, np.float64)
        for name, value in {**attrs, **groups, "format": netcdf.FORMAT}.items():
            file.attrs[name] = value
        coords = self._coordinates(shown)
        for name, (dims, values, coord_attrs) in coords.items():
            over = (dims,) if isinstance(dims, str) else dims
            for dim, size in zip(over, values.shape, strict=True):
                if dim not in file.dimensions:
                    file.dimensions[dim] = size
            dtype = h5py.string_dtype() if values.dtype.kind == "O" else values.dtype
            file.create_variable(name, over, dtype, data=values).attrs.update(coord_attrs)
        for name, over in self.variables.items():
            options = {"chunks": self.cut(over), "fillvalue": np.nan, **FILTERS[self.codec]}
            variable = file.create_variable(name, over, self.dtype, **options)
            variable.attrs["coordinates"] = " ".join(name for name in coords if name not in self.sizes)
        if "state" in self.variables and self.law is not None:
            file["state"].attrs["law"] = str(self.law)

    def _coordinates(self, shown: Any) -> dict[str, Any]:
        """Times, velocities, places of units, and the ground truth."""
        coords: dict[str, Any] = {"time": ("time", self.times, {"units": "frame"})}
        if "orientation" in self.sizes:
            angles = 360 / self.sizes["orientation"] * np.arange(self.sizes["orientation"])
            attributes = {"units": "degree", "long_name": "orientation, counter-clockwise"}
            coords["orientation"] = ("orientation", angles, attributes)
        if "velocity" in self.sizes:
            coords |= coordinates.velocity_coords("velocity", self.grid.group, self.grid.velocities)
        for site, thinned in self.sites.items():
            unit = "unit" if site in PLAIN else f"{site}_unit"
            for axis, index in thinned.places().items():
                attributes = {"units": "", "long_name": f"index of the unit along {axis}"}
                coords[f"{unit}_{axis}"] = (unit, index, attributes)
                if axis == "velocity":
                    of_units = [self.grid.velocities[i] for i in index]
                    coords |= coordinates.velocity_coords(unit, self.grid.group, of_units, f"{unit}_velocity")
        if "flow" not in self.stimulus.dims:
            coords |= coordinates.velocity_coords("flow", shown, [(0,) * len(shown.components)])
        thin: dict[str, Any] = {"trial": slice(self.sizes["trial"]), "time": self.times}
        if "flow" in self.stimulus.dims:
            thin["flow"] = self.flows
        for key, coord in self.stimulus.isel(thin).coords.items():
            if key == "time":
                continue
            owner = (
                "object_" if "object" in coord.dims else "trial_" if str(key).startswith("velocity_") else ""
            )
            coords[f"{owner}{key}"] = (coord.dims, storable(coord.values), coord.attrs)
        return coords


def storable(values: np.ndarray) -> np.ndarray:
    """The same values in a type that netCDF knows: whole numbers for truth values, objects for text."""
    return values.astype({"b": np.int8, "U": object}.get(values.dtype.kind, values.dtype))
