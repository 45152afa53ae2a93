"""Frames as they are shown: dimensions by name, values in [0, 1], in the number type of the network."""

from __future__ import annotations

from itertools import chain

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from flowsim.errors import InputError
from flowsim.scenes.frame_values import checked_values

FRAMES = ("flow", "trial", "time", "y", "x")
COMPUTED = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""Types that a network may compute in; what is smaller, such as int8, only stores parameters."""


def stimulus_with_flows(stimulus: xr.Dataset) -> xr.Dataset:
    """The stimulus; with a dimension flow again if one flow of several was chosen by its number."""
    of_flow = [name for name, coord in stimulus.coords.items() if str(name).startswith("flow_")]
    if "flow" in stimulus.dims or not of_flow or any(stimulus[name].ndim for name in of_flow):
        return stimulus
    expanded = stimulus.expand_dims("flow")
    return expanded.assign_coords({name: stimulus[name].expand_dims("flow") for name in of_flow})


def frames_by_name(stimulus: xr.Dataset) -> xr.DataArray:
    """The frames (flow, trial, time, y, x) of a stimulus, whatever the order of its dimensions is.

    Raises
    ------
    InputError
        If they have other dimensions, or there are none, or they are not numbers.
    """
    if "frames" not in stimulus:
        raise InputError(
            f"expected a stimulus with a variable frames; it has {', '.join(map(str, stimulus.data_vars))}"
        )
    frames = stimulus.frames
    if "flow" not in stimulus.dims:
        frames = frames.expand_dims("flow")
    if set(frames.dims) != set(FRAMES):
        raise InputError(
            "expected frames (flow if there are several, trial, time, y, x); got "
            f"({', '.join(map(str, stimulus.frames.dims))}). Rename dimensions that have other names, "
            "choose entries of a missing one by a list or slice, make colour frames grey (mean over colour)"
        )
    if not frames.size:
        empty = ", ".join(str(dim) for dim in FRAMES if not frames.sizes[dim])
        raise InputError(f"expected frames to record; the stimulus has none (0 along {empty})")
    if frames.dtype.kind not in "biuf":
        raise InputError(f"expected frames of real numbers from 0 to 1; got {frames.dtype}")
    return frames.transpose(*FRAMES)


def number_type(network: nn.Module) -> tuple[torch.dtype, torch.device]:
    """The type and device of the frames that a network is shown: those of its first floating-point parameter
    or buffer, or else float32.
    """
    tensors = list(chain(network.parameters(), network.buffers()))
    dtype = next((tensor.dtype for tensor in tensors if tensor.dtype in COMPUTED), torch.float32)
    device = tensors[0].device if tensors else torch.device("cpu")
    return dtype, device


def to_network(frames: np.ndarray, network: nn.Module) -> Tensor:
    """Frames (trial, time, y, x) as a network sees them, (trial, time, channel, y, x); always a copy, since a
    network may write on its input.
    """
    dtype, device = number_type(network)
    return torch.from_numpy(checked_values(frames))[:, :, None].to(device, dtype, copy=True)
