"""Handwritten digits that move over a torus, each with its own constant velocity.

The hidden structure that a network can use: every digit is one image transported by one flow. Digits pass
over each other. Velocities that are no whole pixels are band-limited shifts, held to [0, 1].
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import torch
import xarray as xr
from pydantic import Field

from flowsim.errors import InputError
from flowsim.flows.translation import Translation
from flowsim.scenes.canvas import degraded, frame_of, moved, overlaid
from flowsim.scenes.scene import Scene, of_trials, stimulus
from flowsim.scenes.sources.digits import Source, digits, pixels
from flowsim.scenes.velocities import box, probes, whole

Count = Annotated[int, Field(ge=1)]
Speed = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


def generate(
    split: str,
    rng: np.random.Generator,
    *,
    source: Source = "bundled",
    height: Count = 16,
    width: Count = 16,
    objects: Count = 2,
    labels: Annotated[list[int], Field(min_length=1)] | None = None,
    max_speed: Speed = 1,
    velocities: Annotated[list[tuple[float, float]], Field(min_length=1)] | Literal["real"] | None = None,
    sweep_speed: Speed = 2,
    probe_speed: Speed = 1,
    overlap: Literal["max", "sum", "over"] = "max",
    contrast: Share = 1.0,
    noise: Annotated[float, Field(ge=0)] = 0.0,
    occluder: Annotated[int, Field(ge=0)] = 0,
    trials: Count = 64,
    frames: Count = 12,
) -> xr.Dataset:
    """Make one file of trials.

    Parameters
    ----------
    split : {"train", "valid", "test", "sweep", "probe"}
        Which images are used (sweep and probe use test images), and what is varied. In "sweep", object 0
        visits every velocity of {-sweep_speed..sweep_speed}^2 while the others move as in training. In
        "probe", flow 0 is a reference, in which all objects of every other trial stand still, and the other
        flows, {-probe_speed..probe_speed}^2, are its exact transports.
    rng : numpy.random.Generator
        Decides images, positions and velocities.
    source : {"bundled", "mnist"}
        Digits of 8x8 or 28x28 px; see `flowsim.scenes.sources.digits`.
    height, width : int
        Size of a frame in px.
    objects : int
        Digits in each trial.
    labels : list of int, optional
        Show these digits only, object 0 each of them equally often: few trials then suffice to ask what tells
        them apart.
    max_speed : int
        Velocities are drawn from {-max_speed..max_speed}^2, in px/frame.
    velocities : list of (vy, vx), or "real", optional
        Draw from these instead, or evenly from all of [-max_speed, max_speed]^2.
    overlap : {"max", "sum", "over"}
        Where digits overlap the brighter wins, or they add up (to at most 1), or the later one hides the
        others.
    contrast : float
        Luminance of the brightest ink; the ground is 0.
    noise : float
        Standard deviation of Gaussian noise added to each pixel of each frame.
    occluder : int
        Width in px of a grey bar from top to bottom in the middle of the frame, behind which digits pass; 0
        for none.
    trials : int
        How many; in "sweep", how many of each velocity.
    frames : int
        How long each is.

    Returns
    -------
    Dataset
        ``frames`` (trial, time, y, x), or (flow, trial, time, y, x) for "probe", in [0, 1]; per trial and
        object ``label``, ``image`` (index in the source), ``velocity_vy``, ``velocity_vx`` (px/frame) and
        ``position_y``, ``position_x`` (px, upper left corner of the image at frame 0); in "sweep", per trial
        ``trained``: whether the velocity of object 0 is one of training.

    Raises
    ------
    InputError
        If the split or a label is unknown, or the digits do not fit on the frame.
    """
    images = digits(split, source)
    side = images.pixels.shape[-1]
    if min(height, width) < side:
        raise InputError(f"moving_digits needs frames of at least {side}x{side} px; got {height}x{width}")
    if not {*(labels or ())} <= {*images.labels.tolist()}:
        raise InputError(f"moving_digits knows digits with labels from 0 to 9; got labels {labels}")
    shown = (
        np.arange(len(images.labels)) if labels is None else np.flatnonzero(np.isin(images.labels, labels))
    )
    swept = box(sweep_speed)
    if split == "sweep":
        trials *= len(swept)
    drawn = shown[rng.integers(len(shown), size=(trials, objects))]
    every = np.arange(trials)
    turns = sum(divmod(every, len(swept))) if split == "sweep" else every // 2
    for label in (
        labels or ()
    ):  # in turn at each velocity, or at rest and in motion; no image twice before all were shown
        turn = np.take(labels, turns, mode="wrap") == label
        drawn[turn, 0] = np.resize(rng.permutation(np.flatnonzero(images.labels == label)), turn.sum())
    position = rng.integers((height, width), size=(trials, objects, 2))
    if velocities == "real":
        velocity = rng.uniform(-max_speed, max_speed, size=(trials, objects, 2))
    elif velocities:
        velocity = whole(np.array(velocities))[rng.integers(len(velocities), size=(trials, objects))]
    else:
        velocity = rng.integers(-max_speed, max_speed + 1, size=(trials, objects, 2))
    if split == "sweep":
        velocity[:, 0] = np.resize(swept, (trials, 2))
    if split == "probe":
        velocity[::2] = 0

    each = ("trial", "object")
    truth = {
        "label": (each, images.labels[drawn], "", "digit"),
        "image": (each, images.number[drawn], "", "index in the source"),
        "velocity_vy": (each, velocity[..., 0], "px/frame", "velocity, positive down"),
        "velocity_vx": (each, velocity[..., 1], "px/frame", "velocity, positive right"),
        "position_y": (each, position[..., 0], "px", "upper edge of the image at frame 0"),
        "position_x": (each, position[..., 1], "px", "left edge of the image at frame 0"),
    }
    if split == "sweep":
        known = velocities if velocities and velocities != "real" else box(max_speed)
        inside = abs(velocity[:, 0]).max(-1) <= max_speed
        trained = (
            inside if velocities == "real" else (velocity[:, 0, None] == np.array(known)).all(-1).any(-1)
        )
        truth["trained"] = of_trials(trained, "whether object 0 moves as in training")
    if noise:
        truth["noise_seed"] = (("trial",), rng.integers(2**31, size=trials), "", "of the noise on the frames")
    return stimulus(
        truth, render, frames=frames, frame_shape=(height, width), group=Translation(),
        flows=probes(probe_speed) if split == "probe" else None,
        settings={"source": source, "overlap": overlap, "contrast": contrast, "noise": noise, "occluder": occluder},
    )  # fmt: skip


def render(scene: Scene, device: torch.device) -> torch.Tensor:
    """Frames (trial, time, y, x)."""
    still = frame_of(pixels(scene.settings["source"], scene["image"]), scene.frame_shape, device)
    time = np.arange(scene.frames)[:, None]
    layers = []
    for k in range(still.shape[1]):
        position, velocity = (
            np.stack([scene[f"{name}y"][:, k], scene[f"{name}x"][:, k]], -1)[:, None]
            for name in ("position_", "velocity_v")
        )
        layers.append(moved(still[:, k], position + time * velocity))
    return degraded(overlaid(layers, scene.settings["overlap"]), scene)
