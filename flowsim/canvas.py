"""Putting images on frames and setting frames in motion: what stimuli made of moving images share."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from flowsim.flow import Flow, Translation, Velocity
from flowsim.grid import VelocityGrid


def place(images: np.ndarray, position: np.ndarray, frame_shape: tuple[int, int]) -> Tensor:
    """Images on empty frames, upper left corner at a whole ``position``, wrapped around the torus.

    Parameters
    ----------
    images : array (trial, object, y, x)
    position : array (trial, object, 2)
        (y, x) in px.
    frame_shape : (int, int)

    Returns
    -------
    Tensor (trial, object, y, x)
    """
    trials, objects, height, width = images.shape
    rows = (position[..., 0, None] + np.arange(height)) % frame_shape[0]
    columns = (position[..., 1, None] + np.arange(width)) % frame_shape[1]
    frames = np.zeros((trials, objects, *frame_shape), np.float32)
    trial, obj = np.ogrid[:trials, :objects]
    frames[trial[..., None, None], obj[..., None, None], rows[..., :, None], columns[..., None, :]] = images
    return torch.from_numpy(frames)


def move(still: Tensor, velocity: np.ndarray, frames: int) -> Tensor:
    """Each frame (trial, object, y, x) transported by its own velocity, (trial, object, time, y, x)."""
    moving = still.new_empty((*still.shape[:2], frames, *still.shape[2:]))
    for v in np.unique(velocity.reshape(-1, 2), axis=0):
        chosen = torch.from_numpy((velocity == v).all(-1))
        repeated = still[chosen][:, None].expand(-1, frames, -1, -1)
        moving[chosen] = Flow(Translation(), (int(v[0]), int(v[1]))).transport(repeated)
    return moving


def box(max_speed: int) -> np.ndarray:
    """Every velocity of {-max_speed..max_speed}^2, (velocity, 2)."""
    return np.array(VelocityGrid.box(Translation(), max_speed).velocities)


def probe(reference: Tensor, max_speed: int) -> tuple[Tensor, list[Velocity]]:
    """Exact transports of a reference (trial, time, y, x) by {-max_speed..max_speed}^2; flow 0 is the reference.

    Returns
    -------
    Tensor (flow, trial, time, y, x)
    list of velocities
        Of the flows.
    """
    flows: list[Velocity] = [(0, 0), *(tuple(v) for v in box(max_speed).tolist() if any(v))]
    return torch.stack([Flow(Translation(), v).transport(reference) for v in flows]), flows
