"""Handwritten digits that move over a torus, each with its own constant velocity.

The hidden structure that a network can use: every digit is one image transported by one flow. Digits pass
over each other (the brighter pixel wins).
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import xarray as xr
from pydantic import Field

from flowsim.canvas import box, move, place, probe
from flowsim.dataset import stimulus
from flowsim.errors import InputError
from flowsim.flow import Translation
from flowsim.sources import digits

Count = Annotated[int, Field(ge=1)]
Speed = Annotated[int, Field(ge=0)]


def generate(
    split: str,
    rng: np.random.Generator,
    *,
    height: Count = 16,
    width: Count = 16,
    objects: Count = 2,
    max_speed: Speed = 1,
    sweep_speed: Speed = 2,
    probe_speed: Speed = 1,
    trials: Count = 64,
    frames: Count = 12,
) -> xr.Dataset:
    """Make one file of trials.

    Parameters
    ----------
    split : {"train", "valid", "test", "sweep", "probe"}
        Which images are used (sweep and probe use test images), and what is varied. In "sweep", object 0
        visits every velocity of {-sweep_speed..sweep_speed}^2 while the others move as in training. In "probe",
        flow 0 is a reference, in which all objects of every other trial stand still, and the other flows,
        {-probe_speed..probe_speed}^2, are its exact transports.
    rng : numpy.random.Generator
        Decides images, positions and velocities.
    height, width : int
        Size of a frame in px.
    objects : int
        Digits in each trial.
    max_speed : int
        Velocities are drawn from {-max_speed..max_speed}^2, in px/frame.
    trials : int
        How many; in "sweep", how many of each velocity.
    frames : int
        How long each is.

    Returns
    -------
    Dataset
        ``frames`` (trial, time, y, x), or (flow, trial, time, y, x) for "probe", in [0, 1]; per trial and
        object ``label``, ``image`` (index in the source), ``velocity_vy``, ``velocity_vx`` (px/frame) and
        ``position_y``, ``position_x`` (px, upper left corner of the image at frame 0).

    Raises
    ------
    InputError
        If the split is unknown or the digits do not fit on the frame.
    """
    source = digits(split)
    side = source.pixels.shape[-1]
    if min(height, width) < side:
        raise InputError(f"moving_digits needs frames of at least {side}x{side} px; got {height}x{width}")
    swept = box(sweep_speed)
    if split == "sweep":
        trials *= len(swept)
    drawn = rng.integers(len(source.labels), size=(trials, objects))
    position = rng.integers((height, width), size=(trials, objects, 2))
    velocity = rng.integers(-max_speed, max_speed + 1, size=(trials, objects, 2))
    if split == "sweep":
        velocity[:, 0] = np.resize(swept, (trials, 2))
    if split == "probe":
        velocity[::2] = 0

    still = place(source.pixels[drawn], position, (height, width))
    moving, flows = move(still, velocity, frames).amax(1), None
    if split == "probe":
        moving, flows = probe(moving, probe_speed)
    per_object = {
        "label": (source.labels[drawn], "", "digit"),
        "image": (source.number[drawn], "", "index in the source"),
        "velocity_vy": (velocity[..., 0], "px/frame", "velocity, positive down"),
        "velocity_vx": (velocity[..., 1], "px/frame", "velocity, positive right"),
        "position_y": (position[..., 0], "px", "upper edge of the image at frame 0"),
        "position_x": (position[..., 1], "px", "left edge of the image at frame 0"),
    }
    return stimulus(moving.numpy(), Translation(), flows, per_object)
