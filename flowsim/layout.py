"""What a recording holds: dimensions, coordinates and variables, and how they are cut into chunks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import h5netcdf
import h5py
import numpy as np
import torch
import xarray as xr

from flowsim import dataset
from flowsim.errors import InputError
from flowsim.network import Network

TRIALS_AT_ONCE = 32
MEMORY = 2**28
"""Bytes of recorded values that are held at once, at most, beside those of one trial."""


class Layout:
    """The dimensions, coordinates and variables of a recording."""

    def __init__(
        self,
        network: Network,
        stimulus: xr.Dataset,
        trials: int | None,
        every: int,
        channels: int | None,
        dtype: str,
        sites: Sequence[str],
    ) -> None:
        start = network.top(network.start(1))  # (trial, velocity, channel, ..., y, x)
        shape = (stimulus.sizes["y"], stimulus.sizes["x"])
        if shape != network.frame_shape:
            raise InputError(f"the network expects frames {network.frame_shape}; the stimulus has {shape}")
        self.network, self.stimulus, self.dtype, self.sites = network, stimulus, np.dtype(dtype), sites
        self.times = np.arange(0, stimulus.sizes["time"], every)
        self.sizes = {
            "flow": stimulus.sizes.get("flow", 1),
            "trial": min(trials or stimulus.sizes["trial"], stimulus.sizes["trial"]),
            "time": len(self.times),
            "y": shape[0],
            "x": shape[1],
        }
        self.space = start.shape[-2:] == shape
        place: tuple[str, ...] = ("unit",)
        if self.space:
            self.sizes |= {"velocity": start.shape[1], "channel": min(channels or start.shape[2], start.shape[2])}
            place = ("velocity", "channel", "y", "x")
            if start.ndim == len(place) + 2:
                self.sizes["orientation"] = start.shape[3]
                place = ("velocity", "channel", "orientation", "y", "x")
        else:
            self.sizes |= {"unit": min(channels or start[0].numel(), start[0].numel())}
        frame = ("flow", "trial", "time", "y", "x")
        state = ("flow", "trial", "time", *place)
        if "logits" in sites:
            self.sizes["class"] = network.logits(network.start(1)).shape[1]
        logits = ("flow", "trial", "time", "class")
        every_variable = {"frames": frame, "prediction": frame, "state": state, "logits": logits}
        self.variables = {name: dims for name, dims in every_variable.items() if name == "frames" or name in sites}
        self.bytes = sum(self._count(dims) * self.dtype.itemsize for dims in self.variables.values())

    def _count(self, dims: Sequence[str]) -> int:
        return int(np.prod([self.sizes[d] for d in dims]))

    def __str__(self) -> str:
        parts = [f"{n} {'x'.join(str(self.sizes[d]) for d in dims)}" for n, dims in self.variables.items()]
        return f"{', '.join(parts)} as {self.dtype}: {self.bytes / 1e6:.1f} MB before compression"

    def thin(self, state: torch.Tensor) -> torch.Tensor:
        """What is recorded of a state: as many channels as are asked for, or flattened (trial, unit)."""
        if self.space:
            return state[:, :, : self.sizes["channel"]]
        return state.flatten(1)[:, : self.sizes["unit"]]

    def cut(self, dims: Sequence[str]) -> tuple[int, ...]:
        """Chunks of one variable."""
        return dataset.chunks({d: self.sizes[d] for d in dims}, self.dtype.itemsize)

    @property
    def trials_at_once(self) -> int:
        """As many as `MEMORY` holds, and at least one."""
        per_trial = self.bytes // (self.sizes["flow"] * self.sizes["trial"])
        return max(1, min(TRIALS_AT_ONCE, MEMORY // per_trial))

    def create(self, file: h5netcdf.File, attrs: Mapping[str, Any]) -> None:
        """Everything but the recorded values."""
        file.dimensions = self.sizes
        group, shown = self.network.grid.group, self.network.grid.group
        if "flow" in self.stimulus.dims or "flow_group" in self.stimulus.attrs:
            shown = dataset.group(self.stimulus, "flow")
        groups = {"flow_group": shown.name, **({"velocity_group": group.name} if self.space else {})}
        if self.space and self.network.grid.period is not None:
            file.attrs["velocity_period"] = np.array(self.network.grid.period, np.float64)
        for name, value in {**attrs, **groups}.items():
            file.attrs[name] = value
        coords: dict[str, Any] = {"time": ("time", self.times, {"units": "frame"})}
        if "orientation" in self.sizes:
            angles = 360 / self.sizes["orientation"] * np.arange(self.sizes["orientation"])
            attributes = {"units": "degree", "long_name": "orientation, counter-clockwise"}
            coords["orientation"] = ("orientation", angles, attributes)
        if self.space:
            coords |= dataset.velocity_coords("velocity", group, self.network.grid.velocities)
        if "flow" not in self.stimulus.dims:
            coords |= dataset.velocity_coords("flow", shown, [(0,) * len(shown.components)])
        thin = {"trial": slice(self.sizes["trial"]), "time": self.times}
        for key, coord in self.stimulus.isel(thin).coords.items():
            if key == "time":
                continue
            owner = "object_" if "object" in coord.dims else "trial_" if str(key).startswith("velocity_") else ""
            coords[f"{owner}{key}"] = (coord.dims, storable(coord.values), coord.attrs)
        for name, (dims, values, coord_attrs) in coords.items():
            over = (dims,) if isinstance(dims, str) else dims
            for dim, size in zip(over, values.shape, strict=True):
                if dim not in file.dimensions:
                    file.dimensions[dim] = size
            dtype = h5py.string_dtype() if values.dtype.kind == "O" else values.dtype
            file.create_variable(name, over, dtype, data=values).attrs.update(coord_attrs)
        codec = {"compression": "gzip", "compression_opts": 1, "shuffle": True, "fillvalue": np.nan}
        for name, over in self.variables.items():
            variable = file.create_variable(name, over, self.dtype, chunks=self.cut(over), **codec)
            variable.attrs["coordinates"] = " ".join(name for name in coords if name not in self.sizes)
        if "state" in self.variables and self.network.law is not None:
            file["state"].attrs["law"] = str(self.network.law)


def storable(values: np.ndarray) -> np.ndarray:
    """The same values in a type that netCDF knows: whole numbers for truth values, objects for text."""
    return values.astype({"b": np.int8, "U": object}.get(values.dtype.kind, values.dtype))
