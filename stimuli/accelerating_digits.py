"""Handwritten digits whose velocities change: they accelerate, switch velocity, or swing to and fro.

The velocity v(t) of the step from frame t to t + 1 is one of the paths of `flowsim.flows.path`: v + t a,
constant pieces, or amplitude cos(2 pi t / period). No law of constant velocities holds for long. Steps of a
fraction of a pixel are band-limited shifts, limited to [0, 1].
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
from flowsim.scenes.scene import Scene, stimulus, truth_value
from flowsim.scenes.sources.digits import Source, digits, pixels
from flowsim.scenes.velocities import box, for_split, number_of_trials, probes, within
from flowsim.specification import Amount, Count, Few, Pixels, WholeSpeed, checked


@checked
def generate(
    split: str,
    rng: np.random.Generator,
    *,
    source: Source = "bundled",
    height: Pixels = 16,
    width: Pixels = 16,
    objects: Few = 2,
    motion: Literal["acceleration", "piecewise", "harmonic"] = "acceleration",
    max_speed: WholeSpeed = 1,
    max_acceleration: Amount = 0.2,
    piece: Count = 4,
    period: Annotated[float, Field(ge=2)] = 8.0,
    sweep_speed: WholeSpeed = 2,
    probe_speed: WholeSpeed = 1,
    overlap: Literal["max", "sum", "over"] = "max",
    trials: Count = 64,
    frames: Count = 12,
) -> xr.Dataset:
    """Make one file of trials.

    Parameters
    ----------
    split : {"train", "valid", "test", "sweep", "probe", "control"}
        As in `stimuli.moving_digits`; "sweep" varies the velocity of object 0 at frame 0.
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
        Frames of one swing, at least 2.

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
    trials = number_of_trials(split, trials, swept)
    drawn = rng.integers(len(images.labels), size=(trials, objects))
    start = rng.integers((height, width), size=(trials, objects, 2))
    pieces = -(-frames // piece)
    piece_velocity = rng.integers(-max_speed, max_speed + 1, size=(trials, objects, pieces, 2))
    acceleration = rng.uniform(-max_acceleration, max_acceleration, size=(trials, objects, 1, 2))
    piece_velocity[:, :, 0] = for_split(split, piece_velocity[:, :, 0], swept)
    if split == "probe":
        piece_velocity[::2] = 0
        acceleration[::2] = 0
    time = np.arange(frames)[:, None]
    first_velocity = piece_velocity[:, :, :1]
    if motion == "acceleration":
        velocity = first_velocity + time * acceleration
    elif motion == "piecewise":
        velocity = piece_velocity[:, :, time[:, 0] // piece]
    else:
        velocity = first_velocity * np.cos(2 * np.pi * time / period)
    position = start[:, :, None] + np.cumsum(velocity, 2) - velocity
    each = ("trial", "object")
    always = ("trial", "object", "time")
    step = "velocity of the step to the next frame"
    truth = {
        "label": (each, images.labels[drawn], "", "digit"),
        "image": (each, images.number[drawn], "", "index in the source"),
        "velocity_vy": (always, velocity[..., 0], "px/frame", f"{step}, positive down"),
        "velocity_vx": (always, velocity[..., 1], "px/frame", f"{step}, positive right"),
        "position_y": (always, position[..., 0], "px", "upper edge of the image"),
        "position_x": (always, position[..., 1], "px", "left edge of the image"),
    }
    if split == "sweep":
        trained = within(first_velocity[:, 0, 0], max_speed)
        truth["trained"] = truth_value(trained, "whether object 0 starts as in training")
    return stimulus(
        truth,
        render,
        frames=frames,
        frame_shape=(height, width),
        group=Translation(),
        flows=probes(probe_speed) if split == "probe" else None,
        settings={"source": source, "overlap": overlap},
    )


def render(scene: Scene, device: torch.device) -> torch.Tensor:
    """Frames (trial, time, y, x)."""
    still = frame_of(pixels(scene.settings["source"], scene["image"]), scene.frame_shape, device)
    position = np.stack([scene["position_y"], scene["position_x"]], -1)
    layers = [moved(still[:, k], position[:, k]) for k in range(still.shape[1])]
    return overlaid(layers, scene.settings["overlap"])
