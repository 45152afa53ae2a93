"""Record what a network does: its state after every frame and its prediction of every frame, streamed to HDF5.

A recording is self-contained: it carries the frames that were shown, the ground truth about them, the law that
the network declares and its learning curve, so that an analysis needs nothing else.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import numpy as np
import torch
import xarray as xr

from flowsim.dataset import chunks, read, velocity_coords
from flowsim.errors import InputError
from flowsim.files import whole
from flowsim.network import Network

SITES = ("state", "prediction")
TRIALS_AT_ONCE = 32
MEMORY = 2**28
"""Bytes of recorded values that are held at once, at most, beside those of one trial."""


def record(
    network: Network,
    stimulus: xr.Dataset,
    into: str | Path,
    *,
    context: int | None = None,
    sites: Sequence[str] = SITES,
    trials: int | None = None,
    every: int = 1,
    channels: int | None = None,
    dtype: str = "float32",
    curve: Mapping[str, Sequence[float]] | None = None,
    attrs: Mapping[str, Any] | None = None,
    announce: Callable[[str], None] = lambda _: None,
    report: Callable[[int, int], None] = lambda *_: None,
) -> None:
    """Show a stimulus to a network and write a recording.

    Ground truth about objects (trial, object) is named ``object_label``, ``object_velocity_vy``, ... in a
    recording, where ``velocity_vy`` (velocity) is the velocity of a state channel.

    Parameters
    ----------
    network : Network
    stimulus : Dataset
        As a generator in ``stimuli/`` returns it.
    into : path
        The file; it appears whole or not at all.
    context : int, optional
        How many frames the network sees before it goes on by itself; all if not given.
    sites : sequence of "state" and "prediction"
    trials, channels : int, optional
        Record the first so many; all if not given. A state that has not the space of the frame is recorded as
        (flow, trial, time, unit), and ``channels`` are its first units.
    every : int
        Record every n-th frame.
    dtype : str
        Of what is stored; the network computes in its own.
    curve : mapping, optional
        A learning curve to carry along, as variables ``curve_<name>`` (checkpoint).
    attrs : mapping, optional
        Attributes of the file.
    announce, report : callables
        Told the size before writing, and the trials done and in all while writing.

    Raises
    ------
    InputError
        If a site is unknown, the stimulus has other frames than the network, or the disk has too little room.
    """
    into = Path(into)
    unknown = set(sites) - set(SITES)
    if unknown or not sites:
        raise InputError(f"unknown site {', '.join(unknown) or '(none)'}; expected some of: {', '.join(SITES)}")
    layout = Layout(network, stimulus, trials, every, channels, dtype, sites)
    announce(f"recording {layout}")
    _check_room(into, layout.bytes)
    with whole(into) as temporary:
        with h5netcdf.File(temporary, "w") as file:
            layout.create(file, {**(attrs or {}), "context": context or stimulus.sizes["time"]})
            for name, values in (curve or {}).items():
                if "checkpoint" not in file.dimensions:
                    file.dimensions["checkpoint"] = len(values)
                file.create_variable(f"curve_{name}", ("checkpoint",), data=np.asarray(values, np.float64))
            _stream(network, stimulus, file, layout, context, report)
        read(temporary, "recording")


def open_recording(path: str | Path) -> xr.Dataset:
    """Open a recording lazily, dask-backed and chunked as stored.

    Raises
    ------
    InputError
        If it is missing, damaged or no recording.
    """
    return read(path, "recording")


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
        start = network.top(network.start(1))
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
        self.space = start.shape[3:] == shape
        if self.space:
            self.sizes |= {"velocity": start.shape[1], "channel": min(channels or start.shape[2], start.shape[2])}
        else:
            self.sizes |= {"unit": min(channels or start[0].numel(), start[0].numel())}
        frame = ("flow", "trial", "time", "y", "x")
        place = ("velocity", "channel", "y", "x") if self.space else ("unit",)
        state = ("flow", "trial", "time", *place)
        every_variable = {"frames": frame, "prediction": frame, "state": state}
        self.variables = {name: dims for name, dims in every_variable.items() if name == "frames" or name in sites}
        self.bytes = sum(self._count(dims) * self.dtype.itemsize for dims in self.variables.values())

    def _count(self, dims: Sequence[str]) -> int:
        return int(np.prod([self.sizes[d] for d in dims]))

    def __str__(self) -> str:
        parts = [f"{n} {'x'.join(str(self.sizes[d]) for d in dims)}" for n, dims in self.variables.items()]
        return f"{', '.join(parts)} as {self.dtype}: {self.bytes / 1e6:.1f} MB before compression"

    def thin(self, state: torch.Tensor) -> torch.Tensor:
        """What is recorded of a state (trial, velocity, channel, y, x): all, or flattened (trial, unit)."""
        if self.space:
            return state[:, :, : self.sizes["channel"]]
        return state.flatten(1)[:, : self.sizes["unit"]]

    def cut(self, dims: Sequence[str]) -> tuple[int, ...]:
        """Chunks of one variable."""
        return chunks({d: self.sizes[d] for d in dims}, self.dtype.itemsize)

    @property
    def trials_at_once(self) -> int:
        """As many as `MEMORY` holds, and at least one."""
        per_trial = self.bytes // (self.sizes["flow"] * self.sizes["trial"])
        return max(1, min(TRIALS_AT_ONCE, MEMORY // per_trial))

    def create(self, file: h5netcdf.File, attrs: Mapping[str, Any]) -> None:
        """Everything but the recorded values."""
        file.dimensions = self.sizes
        group = self.network.grid.group
        for name, value in {**attrs, "flow_group": group.name}.items():
            file.attrs[name] = value
        coords: dict[str, Any] = {"time": ("time", self.times, {"units": "frame"})}
        if self.space:
            coords |= velocity_coords("velocity", group, self.network.grid.velocities)
        if "flow" not in self.stimulus.dims:
            coords |= velocity_coords("flow", group, [(0,) * len(group.components)])
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
            variable.attrs["coordinates"] = " ".join(name for name in coords if name != "time")
        if "state" in self.variables and self.network.law is not None:
            file["state"].attrs["law"] = str(self.network.law)


def storable(values: np.ndarray) -> np.ndarray:
    """The same values in a type that netCDF knows: whole numbers for truth values, objects for text."""
    return values.astype({"b": np.int8, "U": object}.get(values.dtype.kind, values.dtype))


@torch.no_grad()
def _stream(
    network: Network,
    stimulus: xr.Dataset,
    file: h5netcdf.File,
    layout: Layout,
    context: int | None,
    report: Callable[[int, int], None],
) -> None:
    frames = stimulus.frames if "flow" in stimulus.dims else stimulus.frames.expand_dims("flow")
    parameter = next(network.parameters())
    total = layout.sizes["flow"] * layout.sizes["trial"]
    for flow in range(layout.sizes["flow"]):
        for first in range(0, layout.sizes["trial"], layout.trials_at_once):
            chosen = slice(first, min(first + layout.trials_at_once, layout.sizes["trial"]))
            shown = frames[flow, chosen].values
            seen = torch.from_numpy(shown)[:, :context, None].to(parameter)
            recorded: dict[str, list[np.ndarray]] = {site: [] for site in layout.sites}
            blank = torch.full((len(shown), 1, *shown.shape[2:]), torch.nan)
            for step in network.steps(seen, stimulus.sizes["time"] - seen.shape[1]):
                if step.time not in layout.times:
                    continue
                predicted = blank if step.prediction is None else step.prediction
                for site, value in (("state", layout.thin(step.state)), ("prediction", predicted[:, 0])):
                    if site in recorded:  # a copy: a view would keep the whole state in memory
                        recorded[site].append(value.cpu().numpy().astype(layout.dtype, copy=True))
            file["frames"][flow, chosen] = shown[:, layout.times]
            for site, values in recorded.items():
                file[site][flow, chosen] = np.stack(values, 1)
            report(flow * layout.sizes["trial"] + chosen.stop, total)


def _check_room(into: Path, needed: int) -> None:
    into.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(into.parent).free
    if needed > free:
        raise InputError(
            f"{into}: the recording may need {needed / 1e6:.0f} MB, the disk has {free / 1e6:.0f} MB free; "
            "record fewer trials, frames (every) or channels"
        )
