"""Handwritten digits whose velocities change: they accelerate, switch velocity, or swing to and fro.

The velocity v(t) of the step from frame t to t + 1 is one of the paths of `flowsim.flows.path`: v + t a,
constant pieces, or amplitude cos(2 pi t / period). No law of constant velocities holds for long. Steps that
are no whole pixels are band-limited shifts, held to [0, 1].
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import torch
import xarray as xr
from pydantic import Field

from flowsim.errors import InputError
from flowsim.flows.translation import Translation
from flowsim.scenes.canvas import frame_of, moved, overlaid
from flowsim.scenes.scene import Scene, of_trials, stimulus
from flowsim.scenes.sources.digits import Source, digits, pixels
from flowsim.scenes.velocities import box, probes

Count = Annotated[int, Field(ge=1)]
Speed = Annotated[int, Field(ge=0)]


def generate(
    split: str,
    rng: np.random.Generator,
    *,
    source: Source = "bundled",
    height: Count = 16,
    width: Count = 16,
    objects: Count = 2,
    motion: Literal["acceleration", "piecewise", "harmonic"] = "acceleration",
    max_speed: Speed = 1,
    max_acceleration: Annotated[float, Field(ge=0)] = 0.2,
    piece: Count = 4,
    period: Annotated[float, Field(gt=0)] = 8.0,
    sweep_speed: Speed = 2,
    probe_speed: Speed = 1,
    overlap: Literal["max", "sum", "over"] = "max",
    trials: Count = 64,
    frames: Count = 12,
) -> xr.Dataset:
    """Make one file of trials.

    Parameters
    ----------
    split : {"train", "valid", "test", "sweep", "probe"}
        As in `stimuli.moving_digits`; in "sweep" the velocity of object 0 at frame 0 is what is varied.
    rng : numpy.random.Generator
    source, height, width, objects, sweep_speed, probe_speed, overlap, trials, frames
        As in `stimuli.moving_digits`.
    motion : {"acceleration", "piecewise", "harmonic"}
        How velocities change: at a constant rate, every so often, or to and fro.
    max_speed : int
        Velocities at frame 0, those of the later pieces, and amplitudes are drawn from
        {-max_speed..max_speed}^2, in px/frame.
    max_acceleration : float
        Accelerations are drawn evenly from [-max_acceleration, max_acceleration]^2, in px/frame^2.
    piece : int
        Frames from one change of velocity to the next.
    period : float
        Frames of one swing.

    Returns
    -------
    Dataset
        ``frames`` as in `stimuli.moving_digits`; per trial and object ``label`` and ``image``, and per trial,
        object and time ``velocity_vy``, ``velocity_vx`` (px/frame, of the step to the next frame) and
        ``position_y``, ``position_x`` (px, upper left corner); in "sweep" ``trained``.

    Raises
    ------
    InputError
        If the split is unknown or the digits do not fit on the frame.
    """
    images = digits(split, source)
    side = images.pixels.shape[-1]
    if min(height, width) < side:
        raise InputError(
            f"accelerating_digits needs frames of at least {side}x{side} px; got {height}x{width}"
        )
    swept = box(sweep_speed)
    if split == "sweep":
        trials *= len(swept)
    drawn = rng.integers(len(images.labels), size=(trials, objects))
    start = rng.integers((height, width), size=(trials, objects, 2))
    pieces = -(-frames // piece)
    velocity = rng.integers(-max_speed, max_speed + 1, size=(trials, objects, pieces, 2))
    acceleration = rng.uniform(-max_acceleration, max_acceleration, size=(trials, objects, 1, 2))
    if split == "sweep":
        velocity[:, 0, 0] = np.resize(swept, (trials, 2))
    if split == "probe":
        velocity[::2], acceleration[::2] = 0, 0
    time = np.arange(frames)[:, None]
    first = velocity[:, :, :1]
    if motion == "acceleration":
        path = first + time * acceleration
    elif motion == "piecewise":
        path = velocity[:, :, time[:, 0] // piece]
    else:  # a float even where it is whole
        path = first * np.cos(2 * np.pi * time / period)
    position = start[:, :, None] + np.cumsum(path, 2) - path
    each, always = ("trial", "object"), ("trial", "object", "time")
    truth = {
        "label": (each, images.labels[drawn], "", "digit"),
        "image": (each, images.number[drawn], "", "index in the source"),
        "velocity_vy": (
            always,
            path[..., 0],
            "px/frame",
            "velocity of the step to the next frame, positive down",
        ),
        "velocity_vx": (
            always,
            path[..., 1],
            "px/frame",
            "velocity of the step to the next frame, positive right",
        ),
        "position_y": (always, position[..., 0], "px", "upper edge of the image"),
        "position_x": (always, position[..., 1], "px", "left edge of the image"),
    }
    if split == "sweep":
        trained = abs(first[:, 0, 0]).max(-1) <= max_speed
        truth["trained"] = of_trials(trained, "whether object 0 starts as in training")
    return stimulus(
        truth, render, frames=frames, frame_shape=(height, width), group=Translation(),
        flows=probes(probe_speed) if split == "probe" else None, settings={"source": source, "overlap": overlap},
    )  # fmt: skip


def render(scene: Scene, device: torch.device) -> torch.Tensor:
    """Frames (trial, time, y, x)."""
    still = frame_of(pixels(scene.settings["source"], scene["image"]), scene.frame_shape, device)
    where = np.stack([scene["position_y"], scene["position_x"]], -1)
    return overlaid(
        [moved(still[:, k], where[:, k]) for k in range(still.shape[1])], scene.settings["overlap"]
    )
