r"""Where objects are that keep their velocities, and what they cover.

An object at the velocity v is what stays at its place when one moves along with it, and so the pixels that
are bright in every frame once its motion is undone,

    L(x) = min over t of psi_{-t}(v) . f_t (x),        mask = L > half-way between the least and the largest L

which is the object's ink as it is at time 0, whatever has passed before it: a brighter object leaves it as it
is, and a grey occluder limits its luminance. Objects of one velocity are one: nothing tells them apart.

Source: Wang and Adelson (1994), Representing moving images with layers, for the idea of layers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from flowsim.errors import InputError
from flowsim.files import coordinates
from flowsim.flows.flow import Flow
from flowsim.flows.translation import Translation
from flowsim.flows.velocity_grid import VelocityGrid
from flowsim.measures import ground_truth
from flowsim.measures.moved_copies import moved

VISIBLE = 1e-3
"""Luminance by which an object has to differ from its ground."""


@dataclass(frozen=True)
class MovingObjects:
    """Objects of a recording.

    Attributes
    ----------
    velocity : array (flow, trial, object, component)
        Under each flow, in px/frame.
    mask : array of bool (trial, object, y, x)
        What each covers at time 0, which is the same under all flows; nothing where nothing stays in place
        at its velocity.
    """

    velocity: np.ndarray
    mask: np.ndarray

    @property
    def seen(self) -> np.ndarray:
        """Whether each covers something, and not everything (trial, object)."""
        covered = self.mask.mean((-2, -1))
        return (covered > 0) & (covered < 1)

    def place(self, flow: int, trial: int, which: int, time: float) -> np.ndarray:
        """How much of each pixel (y, x) an object covers at a time, from 0 to 1."""
        import torch

        velocity = tuple(self.velocity[flow, trial, which].tolist())
        mask = torch.from_numpy(self.mask[trial, which].astype(np.float64))
        return Flow(Translation(), velocity).act(mask, time).clamp(0, 1).numpy()


def moving_objects(recording: xr.Dataset) -> MovingObjects:
    """The objects of a recording.

    Parameters
    ----------
    recording : Dataset
        With ``frames`` (flow, trial, time, y, x), and ``object_velocity_vy``, ``object_velocity_vx`` (trial,
        object).

    Raises
    ------
    InputError
        If frames were not recorded, or objects do not translate at known velocities that they keep.
    """
    true = ground_truth.true_velocities(recording)
    if true is None or true[0] != Translation():
        raise InputError(
            "expected objects that translate at known velocities (object_velocity_vy, _vx) which they keep; "
            "the recording has none, or their velocities change. Record such a stimulus, as moving_digits is"
        )
    velocity = true[1]
    frames = coordinates.variable(recording, "frames").isel(flow=0)
    frames = frames.transpose("trial", "time", "y", "x")
    times = recording.time.values
    still = np.full((*velocity.shape[1:3], *frames.shape[-2:]), np.inf)
    for frame, time in enumerate(times.tolist()):
        of_time = np.asarray(frames[:, frame].values, np.float64)
        for which in range(still.shape[1]):
            np.minimum(still[:, which], moved(of_time, velocity[0, :, which], -time), out=still[:, which])
    low, high = still.min((-2, -1), keepdims=True), still.max((-2, -1), keepdims=True)
    return MovingObjects(velocity, (still > (low + high) / 2) & (high - low > VISIBLE))


def translating_grid(recording: xr.Dataset) -> VelocityGrid:
    """The velocity grid of a state whose channels have velocities of translation.

    Raises
    ------
    InputError
        If it is of another group.
    """
    grid = coordinates.grid(recording)
    if grid.group != Translation():
        raise InputError(
            f"expected a state with velocity channels of translation; they are of {grid.group.name}. Record "
            "a network whose channels translate"
        )
    return grid


def shortest(displacement: np.ndarray, grid: VelocityGrid) -> np.ndarray:
    """Velocities (..., component), or differences, the shortest way around where a grid is periodic."""
    period = np.array(grid.period or (np.inf,) * displacement.shape[-1], float)
    turns = np.round(displacement / period)
    return displacement - np.where(np.isfinite(period), period, 0) * turns


def apart(a: np.ndarray, b: np.ndarray, grid: VelocityGrid) -> np.ndarray:
    """Distance (...) in px/frame of velocities (..., component), the shortest way around; see `shortest`."""
    return np.linalg.norm(shortest(a - b, grid), axis=-1)
