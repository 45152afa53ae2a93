"""A stimulus from frames of one's own: arrays, a movie, or a folder of pictures or movies.

Given velocities, the library moves the frames: flow 0 is what was given, and the others are its transports,
exact for translations by whole pixels. The frame is a torus: what leaves it on one side comes in on the
other.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import torch
import xarray as xr
from torch import Tensor

from flowsim.errors import InputError
from flowsim.files.coordinates import velocity_coords
from flowsim.flows.group import FlowGroup, Velocity
from flowsim.flows.translation import Translation
from flowsim.scenes.frame_values import checked_values
from flowsim.scenes.scene import transports, trials_of_block
from flowsim.scenes.sources.movies import pictures_of, resized

OF_OBJECTS = ("label", "velocity_", "position_")
"""How names of truths begin that belong to an object of a trial."""


def from_frames(
    source: Any,
    *,
    flows: Sequence[Sequence[float]] | None = None,
    group: FlowGroup | None = None,
    truth: Mapping[str, Any] | None = None,
    length: int | None = None,
    frame_shape: tuple[int, int] | None = None,
) -> xr.Dataset:
    """A stimulus as those of ``stimuli/`` are, for `flowsim.record` and everything after it.

    Parameters
    ----------
    source : array, Tensor, or path
        Frames (trial, time, y, x) or (trial, time, channel, y, x) with one channel, from 0 to 1; or, with
        ``flows``, frames that are moved already, (flow, trial, time, y, x). A path is a movie or an animation
        (one trial), a folder of pictures (one trial, in the order of their names), or a folder of movies or
        of such folders (a trial each); pictures become grey and are scaled from 0 to 1.
    flows : sequence of velocities, optional
        Such as ``[(0, 0), (0, 1), (1, 0)]``, (vy, vx) in px/frame, positive down and right. Frames without an
        axis flow are moved by each of them, and rest comes first, whether it is named or not. Frames with
        that axis have been moved by them in this order, and rest is one of them.
    group : FlowGroup, optional
        To which the velocities belong; `flowsim.Translation` if not given.
    truth : mapping of name to array (trial, ...), optional
        What is known of each trial, by the names that analyses look for: ``label`` (whole numbers),
        ``velocity_vy``, ``velocity_vx`` (px/frame), ``trained`` (whether it moves as in training).
    length : int, optional
        Cut trials into pieces of so many frames, a trial each; what is left at the end is not used.
    frame_shape : (int, int), optional
        Resize frames to this size (y, x), by means over areas; they stay as they are if not given.

    Returns
    -------
    Dataset
        ``frames`` (trial, time, y, x), or (flow, trial, time, y, x) if there are flows, with the coordinates
        ``time`` (frame), ``flow_<component>`` over flow, and the truth; the attribute ``specification`` says
        what was given, with the SHA-256 of an array.

    Raises
    ------
    InputError
        If frames have other dimensions or values, or velocities or truths do not fit them.
    """
    group = group or Translation()
    said: dict[str, Any]
    velocities = None if flows is None else _velocities(flows, group)
    if isinstance(source, (str, Path)):
        given, said = pictures_of(Path(source), frame_shape, length), {"path": str(source)}
    else:
        given = _as_numpy(source)
        said = {"sha256": hashlib.sha256(np.ascontiguousarray(given).data).hexdigest()}
    said |= {"shape": list(given.shape), "dtype": str(given.dtype)}
    frames = _with_named_axes(given, velocities)
    frames = checked_values(_cut(frames, length))
    if frame_shape is not None and frames.shape[-2:] != tuple(frame_shape):
        frames = resized(frames, frame_shape)
    frames = frames.astype(frames.dtype.newbyteorder("="), copy=False)
    dims: tuple[str, ...] = ("trial", "time", "y", "x")
    coords: dict[str, Any] = {
        "time": ("time", np.arange(frames.shape[-3]), {"units": "frame", "long_name": "frame"})
    }
    moved: Any = frames
    if velocities is not None:
        dims = ("flow", *dims)
        if frames.ndim == 4:
            velocities = [_rest(group), *(v for v in velocities if any(v))]
            blocks = (trials_of_block(frames.shape[1:]), -1, -1, -1)
            moved = transports(da.from_array(frames, chunks=blocks), group, velocities)
        coords |= velocity_coords("flow", group, velocities)
    coords |= _truths(truth or {}, frames.shape[-4])
    wanted = {"length": length, "frame_shape": frame_shape, "flows": velocities, "group": group.name}
    attrs = {
        "flow_group": group.name,
        "specification": json.dumps({"from_frames": said | {k: v for k, v in wanted.items() if v}}),
    }
    return xr.Dataset({"frames": (dims, moved, {"units": "1", "long_name": "luminance"})}, coords, attrs)


def _as_numpy(source: Any) -> np.ndarray:
    """An array as numpy has it."""
    if isinstance(source, Tensor):
        source = source.detach().cpu()
        source = source.float() if source.dtype == torch.bfloat16 else source
        return source.numpy()
    if isinstance(source, (xr.Dataset, xr.DataArray)):
        raise InputError(
            f"expected an array, a tensor or a path; got xarray's {type(source).__name__}, whose axes have "
            "names already. Give its values, or record the stimulus as it is"
        )
    try:
        values = np.asarray(source)
    except ValueError:
        raise InputError(
            "expected frames (trial, time, y, x) of one size; the trials have several. Cut them to one"
        ) from None
    if values.dtype.kind not in "biuf":
        raise InputError(
            f"expected frames as an array of real numbers, a tensor or a path; got {type(source).__name__} "
            f"of {values.dtype}"
        )
    return values


def _with_named_axes(given: np.ndarray, velocities: Sequence[Velocity] | None) -> np.ndarray:
    """Frames (trial, time, y, x), or (flow, trial, time, y, x).

    Raises
    ------
    InputError
        If it is neither.
    """
    shape = tuple(given.shape)
    if given.ndim == 4:
        return given
    if given.ndim == 5 and given.shape[2] == 1:
        return given[:, :, 0]
    if given.ndim == 5 and velocities is not None and len(velocities) == len(given):
        if any(not any(velocity) for velocity in velocities):
            return given
        raise InputError(
            f"expected rest among the flows of frames that are moved already; got {velocities}. Name the "
            "flow that is not moved"
        )
    if given.ndim == 5 and velocities is not None:
        raise InputError(
            f"expected frames (flow, trial, time, y, x) with {len(velocities)} flows, as many as velocities; "
            f"got {shape}"
        )
    channel_wise = " A channel axis has one channel: make colour grey, by mean(2)" if given.ndim == 5 else ""
    raise InputError(
        f"expected frames (trial, time, y, x), (trial, time, 1, y, x), or (flow, trial, time, y, x) with "
        f"`flows`; got {shape}.{channel_wise or ' Add a missing axis, such as the one trial by frames[None]'}"
    )


def _cut(frames: np.ndarray, length: int | None) -> np.ndarray:
    """Trials (..., trial, time, y, x) cut into pieces of ``length`` frames."""
    if length is None:
        return frames
    whole = frames.shape[-3]
    if not 1 <= length <= whole:
        raise InputError(f"length: expected 1 to {whole} frames, as many as a trial has; got {length}")
    pieces = whole // length
    kept = frames[..., : pieces * length, :, :]
    return kept.reshape(*frames.shape[:-4], frames.shape[-4] * pieces, length, *frames.shape[-2:])


def _rest(group: FlowGroup) -> Velocity:
    return (0,) * len(group.components)


def _velocities(flows: Any, group: FlowGroup) -> list[Velocity]:
    """The velocities, each once.

    Raises
    ------
    InputError
        If they are not a list of velocities of the group, one comes twice, or none moves.
    """
    try:
        velocities = [group.velocity(tuple(float(c) for c in np.atleast_1d(v))) for v in flows]
    except (TypeError, ValueError, AttributeError):
        raise InputError(
            f"flows: expected a list of velocities ({', '.join(group.components)}), such as "
            f"{[_rest(group), tuple(range(1, 1 + len(group.components)))]}; got {flows!r}"
        ) from None
    if not all(math.isfinite(component) for velocity in velocities for component in velocity):
        raise InputError(f"flows: expected finite velocities; got {flows!r}")
    twice = [v for i, v in enumerate(velocities) if v in velocities[:i]]
    if twice or not any(any(v) for v in velocities):
        what = f"{twice[0]} comes twice" if twice else f"none of {velocities} moves anything"
        raise InputError(f"flows: expected each velocity once, and one that moves; {what}")
    return velocities


def _truths(truth: Mapping[str, Any], trials: int) -> dict[str, Any]:
    """Coordinates; what is of an object is over (trial, object)."""
    coords: dict[str, Any] = {}
    for name, given in truth.items():
        values = _as_numpy(given)
        values = values.astype(np.int8) if values.dtype.kind == "b" else values
        if not values.ndim or len(values) != trials:
            raise InputError(
                f"truth: expected {name} with a value for each of {trials} trials; got the shape "
                f"{values.shape}"
            )
        of_object = name.startswith(OF_OBJECTS)
        if of_object and values.ndim == 1:
            values = values[:, None]
        axes = ("trial", *(("object", "time") if of_object else (f"{name}_1", f"{name}_2")))
        if values.ndim > len(axes):
            raise InputError(f"truth: expected {name} {axes} at most; got the shape {values.shape}")
        unit = "px/frame" if name in ("velocity_vy", "velocity_vx") else ""
        coords[name] = (axes[: values.ndim], values, {"units": unit, "long_name": name.replace("_", " ")})
    return coords
