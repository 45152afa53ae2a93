"""The truth about the trials of a stimulus, and the frames that are rendered from it.

A generator in ``stimuli/`` draws the truth: what there is, where, and how it moves. Its ``render`` makes
frames from that truth and from nothing else, on any device. Frames are therefore the same whether they are
rendered block by block while a stimulus file is written, batch by batch where a network trains
(`flowsim.training.batches`), or again from the coordinates of a file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import dask
import dask.array as da
import numpy as np
import torch
import xarray as xr
from torch import Tensor

from flowsim.files.coordinates import velocity_coords
from flowsim.flows.flow import Flow
from flowsim.flows.group import FlowGroup, Velocity

BLOCK_BYTES = 2**24
"""Frames are rendered in blocks of about this size."""
Truth = Mapping[str, tuple[Sequence[str], np.ndarray, str, str]]
"""Dimensions (the first is trial), values, unit and description by name."""


@dataclass(frozen=True)
class Scene:
    """The truth about some trials: all that ``render`` needs.

    Attributes
    ----------
    values : mapping of str to array (trial, ...)
        The coordinates of a stimulus.
    frames : int
        Number of frames of a trial.
    frame_shape : (int, int)
    settings : mapping
        What is the same in all trials, as plain values.
    """

    values: Mapping[str, np.ndarray]
    frames: int
    frame_shape: tuple[int, int]
    settings: Mapping[str, Any]

    @classmethod
    def of(cls, stimulus: xr.Dataset) -> Scene:
        """The scene of a stimulus, from its coordinates and attributes."""
        values = {str(name): c.values for name, c in stimulus.coords.items() if c.dims[:1] == ("trial",)}
        shape = (stimulus.sizes["y"], stimulus.sizes["x"])
        return cls(values, stimulus.sizes["time"], shape, json.loads(stimulus.attrs["scene"]))

    def __getitem__(self, name: str) -> np.ndarray:
        return self.values[name]

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    def part(self, chosen: slice) -> Scene:
        """Some of the trials."""
        values = {name: of_all[chosen] for name, of_all in self.values.items()}
        return Scene(values, self.frames, self.frame_shape, self.settings)


Render = Callable[[Scene, torch.device], Tensor]
"""Frames (trial, time, y, x) of a scene, in float32, on a device."""


def stimulus(
    truth: Truth,
    render: Render,
    *,
    frames: int,
    frame_shape: tuple[int, int],
    group: FlowGroup,
    flows: Sequence[Velocity] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """A stimulus as every generator returns it.

    Parameters
    ----------
    truth : mapping of name to (dimensions, values, unit, description)
        Becomes its coordinates. Dimensions are ("trial",), ("trial", "object"), ("trial", "object", "time"),
        ...
    render : callable
        Called when frames are read, for as many trials as fit into a block.
    frames : int
        Number of frames of a trial.
    frame_shape : (int, int)
    group : FlowGroup
        To which the flows belong.
    flows : sequence of velocities, optional
        Of a probe: flow 0 is the reference and moves nothing; the others are its transports, limited to
        [0, 1] where interpolation overshoots.
    settings : mapping, optional
        See `Scene`.

    Returns
    -------
    Dataset
        ``frames`` (trial, time, y, x), or (flow, trial, time, y, x) if there are flows, in [0, 1], rendered
        when they are read.
    """
    values = {name: entry[1] for name, entry in truth.items()}
    scene = Scene(values, frames, frame_shape, dict(settings or {}))
    rendered: Any = _lazily_rendered(scene, render)
    dims: tuple[str, ...] = ("trial", "time", "y", "x")
    coords: dict[str, Any] = {"time": ("time", np.arange(frames), {"units": "frame", "long_name": "frame"})}
    for name, (over, of_all, unit, long_name) in truth.items():
        coords[name] = (over, of_all, {"units": unit, "long_name": long_name})
    if flows is not None:
        rendered = transports(rendered, group, flows)
        dims = ("flow", *dims)
        coords |= velocity_coords("flow", group, flows)
    attrs = {"flow_group": group.name, "scene": json.dumps(scene.settings)}
    return xr.Dataset({"frames": (dims, rendered, {"units": "1", "long_name": "luminance"})}, coords, attrs)


def truth_value(is_so: np.ndarray, description: str) -> tuple[tuple[str, ...], np.ndarray, str, str]:
    """An entry of a truth: whether something holds in each trial, as 0 or 1, since netCDF has no booleans."""
    return ("trial",), is_so.astype(np.int8), "", description


def transports(frames: da.Array, group: FlowGroup, flows: Sequence[Velocity]) -> da.Array:
    """Frames (trial, time, y, x), in blocks of trials, moved along each flow: (flow, trial, time, y, x).

    They are limited to [0, 1], where interpolation overshoots.
    """
    moved: Any = partial(da.map_blocks, _transported, frames, dtype=frames.dtype)
    return da.stack([moved(flow=Flow(group, v)) for v in flows])


def trials_of_block(trial_shape: Sequence[int]) -> int:
    """How many trials (time, y, x) are in a block of about `BLOCK_BYTES`."""
    return max(1, BLOCK_BYTES // (4 * math.prod(trial_shape)))


def _lazily_rendered(scene: Scene, render: Render) -> da.Array:
    """Frames (trial, time, y, x) of a scene, rendered in blocks of trials when they are read."""
    trials_at_once = trials_of_block((scene.frames, *scene.frame_shape))
    blocks = []
    for first in range(0, len(scene), trials_at_once):
        part = scene.part(slice(first, first + trials_at_once))
        frames = dask.delayed(_rendered, pure=False)(render, part)
        blocks.append(da.from_delayed(frames, (len(part), scene.frames, *scene.frame_shape), np.float32))
    return da.concatenate(blocks)


def _rendered(render: Render, scene: Scene) -> np.ndarray:
    return render(scene, torch.device("cpu")).numpy()


def _transported(reference: np.ndarray, flow: Flow) -> np.ndarray:
    return flow.transport(torch.from_numpy(reference)).clamp(0, 1).numpy()
