r"""The same trials with motion taken out of them, one part after the other: what controls are shown.

Who names what moves may know it from the motion, or from a single frame. In split "control" every trial,
drawn as in test, is shown under `CONDITIONS` that keep the frames and change what follows what. With f the
frames of a trial, v the velocity of the picture (of the one object, or of the camera), and p(t) an order of
frames, frame t of a condition is

    psi_(t - p(t))(v) . f_p(t)

that is, the posture of frame p(t) at the place that v gives it at t. So the picture goes on moving as it did
while postures come in another order, or one of them stays. Where v is not known (no velocity, several
objects, one that changes in time, or an observer who moves), frames stay where they were.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import dask
import dask.array as da
import numpy as np
import torch
import xarray as xr

from flowsim.files.coordinates import group
from flowsim.flows.group import FlowGroup

Order = Callable[[np.random.Generator, int, int], np.ndarray]
"""Which frame (trial, time) of its trial each frame shows, for so many trials and frames."""


class Condition(NamedTuple):
    """What is shown of a trial.

    Attributes
    ----------
    order : callable
        See `Order`.
    moves : bool
        Whether the picture goes on moving at its velocity.
    """

    order: Order
    moves: bool = True


def _as_it_was(rng: np.random.Generator, trials: int, frames: int) -> np.ndarray:
    return np.tile(np.arange(frames), (trials, 1))


def _backwards(rng: np.random.Generator, trials: int, frames: int) -> np.ndarray:
    return _as_it_was(rng, trials, frames)[:, ::-1]


def _in_random_order(rng: np.random.Generator, trials: int, frames: int) -> np.ndarray:
    return rng.permuted(_as_it_was(rng, trials, frames), axis=1)


def _the_middle_one(rng: np.random.Generator, trials: int, frames: int) -> np.ndarray:
    return np.full((trials, frames), frames // 2)


CONDITIONS = {
    "intact": Condition(_as_it_was),
    "reversed": Condition(_backwards),
    "shuffled": Condition(_in_random_order),
    "one_posture": Condition(_the_middle_one),
    "one_frame": Condition(_the_middle_one, moves=False),
}
"""By name, in the order of a file. One posture is left out where the velocity of the picture is not known: it
would be one frame.
"""


def drawn(
    generate: Callable[..., xr.Dataset], split: str, rng: np.random.Generator, **arguments: Any
) -> xr.Dataset:
    """One file of trials, as a family's ``generate`` draws it; in split "control" under every condition."""
    stimulus = generate(split, rng, **arguments)
    return under_conditions(stimulus, rng) if split == "control" else stimulus


def under_conditions(stimulus: xr.Dataset, rng: np.random.Generator) -> xr.Dataset:
    """Every trial under every condition.

    Parameters
    ----------
    stimulus : Dataset
        With frames (trial, time, y, x), as a generator returns it.
    rng : numpy.random.Generator
        Draws the random order of the frames of each trial.

    Returns
    -------
    Dataset
        With frames (flow, trial, time, y, x), made when they are read, and the coordinate ``condition``
        (flow), whose attribute ``flag_meanings`` names its values; all else is as it was, and true of the
        first condition, "intact".
    """
    velocity = velocity_of_picture(stimulus)
    names = [name for name in CONDITIONS if velocity is not None or name != "one_posture"]
    frames = stimulus.frames.transpose("trial", "time", "y", "x")
    trials, count = frames.shape[:2]
    blocks = da.asarray(frames.data).rechunk({1: -1, 2: -1, 3: -1})
    versions = []
    for name in names:
        order = CONDITIONS[name].order(rng, trials, count)
        later = np.arange(count) - order
        components = 1 if velocity is None else velocity.shape[1]
        element = np.zeros((trials, count, components), np.int64)
        if velocity is not None and CONDITIONS[name].moves:
            element = later[..., None] * velocity[:, None]
        versions.append(_shown(blocks, order, element, stimulus))
    values = [list(CONDITIONS).index(name) for name in names]
    attrs = {
        "units": "",
        "long_name": "what is shown of each trial",
        "flag_values": np.array(values, np.int8),
        "flag_meanings": " ".join(names),
    }
    return stimulus.assign(
        frames=(("flow", *frames.dims), da.stack(versions), stimulus.frames.attrs)
    ).assign_coords(condition=("flow", np.array(values, np.int8), attrs))


def velocity_of_picture(stimulus: xr.Dataset) -> np.ndarray | None:
    """Velocity (trial, component) of the one thing that moves, in the units of its group; None where it is
    not known, or changes in time.
    """
    components = [f"velocity_{component}" for component in group(stimulus, "flow").components]
    seen_by_observer = "observer_y" in stimulus.coords or "action_vy" in stimulus.coords
    if seen_by_observer or not {*components} <= set(stimulus.coords):
        return None
    by_component = [stimulus[name] for name in components]
    if any("time" in of.dims or of.sizes.get("object", 1) > 1 for of in by_component):
        return None
    velocity = np.stack([of.isel(object=0, missing_dims="ignore").values for of in by_component], -1)
    return velocity if np.isfinite(velocity).all() else None


def _shown(blocks: da.Array, order: np.ndarray, element: np.ndarray, stimulus: xr.Dataset) -> da.Array:
    """Frames (trial, time, y, x) in an ``order`` (trial, time), each moved by its ``element`` (trial, time,
    component) of the group of the stimulus.
    """
    of_group = group(stimulus, "flow")
    parts, first = [], 0
    for number, size in enumerate(blocks.chunks[0]):
        chosen = slice(first, first + size)
        made = dask.delayed(_moved, pure=False)(
            blocks.blocks[number], order[chosen], element[chosen], of_group
        )
        parts.append(da.from_delayed(made, (size, *blocks.shape[1:]), blocks.dtype))
        first += size
    return da.concatenate(parts)


def _moved(frames: np.ndarray, order: np.ndarray, element: np.ndarray, of_group: FlowGroup) -> np.ndarray:
    shown = torch.from_numpy(np.take_along_axis(frames, order[..., None, None], 1))
    distinct, which = np.unique(element.reshape(-1, element.shape[-1]), axis=0, return_inverse=True)
    for number, by in enumerate(distinct.tolist()):
        if any(by):
            moves = torch.from_numpy(which.reshape(order.shape) == number)
            shown[moves] = of_group.act(shown[moves], tuple(by)).clamp(0, 1)
    return shown.numpy()
