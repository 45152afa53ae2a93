"""What a generator in ``stimuli/`` draws, before anybody looks at it, and the frames that follow from it.

A generator draws the truth: what there is, where, and how it moves. Its ``render`` makes frames of that truth
and of nothing else, on any device. So a stimulus file, whose frames are rendered block by block while they
are written, the batches of `flowsim.training.batches`, rendered where a network trains, and frames drawn
again from a file's coordinates are the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
    """The truth about some trials.

    Attributes
    ----------
    values : mapping of str to array (trial, ...)
        The coordinates of a stimulus.
    frames : int
        How many.
    frame_shape : (int, int)
    settings : mapping
        What else ``render`` has to know, as plain values.
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
        few = {name: values[chosen] for name, values in self.values.items()}
        return Scene(few, self.frames, self.frame_shape, self.settings)


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
    frames, frame_shape
        Number and size (y, x) of frames.
    group : FlowGroup
        To which the flows belong.
    flows : sequence of velocities, optional
        Of a probe: flow 0 is the reference and moves nothing; the others are its transports, held to [0, 1]
        where interpolation overshoots.
    settings : mapping, optional
        See `Scene`.

    Returns
    -------
    Dataset
        ``frames`` (trial, time, y, x), with ``flow`` before them if there are flows, in [0, 1], made when
        read.
    """
    values = {name: entry[1] for name, entry in truth.items()}
    scene = Scene(values, frames, frame_shape, dict(settings or {}))
    every = 4 * frames * frame_shape[0] * frame_shape[1]
    at_once = max(1, BLOCK_BYTES // every)
    blocks = []
    for first in range(0, len(scene), at_once):
        part = scene.part(slice(first, first + at_once))
        made = dask.delayed(_rendered, pure=False)(render, part)
        blocks.append(da.from_delayed(made, (len(part), frames, *frame_shape), np.float32))
    reference = da.concatenate(blocks)
    dims: tuple[str, ...] = ("trial", "time", "y", "x")
    coords: dict[str, Any] = {"time": ("time", np.arange(frames), {"units": "frame", "long_name": "frame"})}
    for name, (over, of_all, unit, long_name) in truth.items():
        coords[name] = (over, of_all, {"units": unit, "long_name": long_name})
    if flows is not None:
        reference = da.stack(
            [reference.map_blocks(_transported, Flow(group, v), dtype=np.float32) for v in flows]
        )
        dims = ("flow", *dims)
        coords |= velocity_coords("flow", group, flows)
    attrs = {"flow_group": group.name, "scene": json.dumps(scene.settings)}
    return xr.Dataset({"frames": (dims, reference, {"units": "1", "long_name": "luminance"})}, coords, attrs)


def of_trials(is_so: np.ndarray, description: str) -> tuple[tuple[str, ...], np.ndarray, str, str]:
    """An entry of a truth: of each trial, whether something is so; netCDF has no truth values."""
    return ("trial",), is_so.astype(np.int8), "", description


def _rendered(render: Render, scene: Scene) -> np.ndarray:
    return render(scene, torch.device("cpu")).numpy()


def _transported(reference: np.ndarray, flow: Flow) -> np.ndarray:
    return flow.transport(torch.from_numpy(reference)).clamp(0, 1).numpy()
