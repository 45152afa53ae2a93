"""Handwritten digits that move over a torus, each with its own constant velocity.

The hidden structure that a network can use: every digit is one image transported by one flow. Digits pass
over each other. Velocities of a fraction of a pixel are band-limited shifts, limited to [0, 1].
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import torch
import xarray as xr
from pydantic import Field

from flowsim.errors import InputError
from flowsim.flows.translation import Translation
from flowsim.scenes.canvas import behind, degraded, frame_of, moved, overlaid
from flowsim.scenes.scene import Scene, stimulus, truth_value
from flowsim.scenes.sources.digits import Source, digits, pixels
from flowsim.scenes.velocities import (
    among,
    as_whole_numbers,
    box,
    for_split,
    number_of_trials,
    probes,
    within,
)
from flowsim.specification import Amount, Count, Few, Pixels, Share, Whole, WholeSpeed, checked


@checked
def generate(
    split: str,
    rng: np.random.Generator,
    *,
    source: Source = "bundled",
    height: Pixels = 16,
    width: Pixels = 16,
    objects: Few = 2,
    labels: Annotated[list[int], Field(min_length=1)] | None = None,
    max_speed: WholeSpeed = 1,
    velocities: Annotated[list[tuple[float, float]], Field(min_length=1)] | Literal["real"] | None = None,
    tracked: bool = False,
    sweep_speed: WholeSpeed = 2,
    probe_speed: WholeSpeed = 1,
    overlap: Literal["max", "sum", "over"] = "max",
    contrast: Share = 1.0,
    noise: Amount = 0.0,
    occluder: Whole = 0,
    trials: Count = 64,
    frames: Count = 12,
) -> xr.Dataset:
    """Make one file of trials.

    Parameters
    ----------
    split : {"train", "valid", "test", "sweep", "probe", "control"}
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
        Show these digits only, and as object 0 each of them equally often: few trials are then enough to
        study what distinguishes them.
    max_speed : int
        Velocities are drawn from {-max_speed..max_speed}^2, in px/frame.
    velocities : list of (vy, vx), or "real", optional
        Draw from these instead, or evenly from all of [-max_speed, max_speed]^2.
    tracked : bool
        The observer's eye follows object 0: its velocity is taken from all, so that it stands still and the
        others move relative to it. What an ordinary network makes of that is what it can make of motion that
        somebody else has compensated, of one object. Not for split sweep, whose objects 0 have to move.
    overlap : {"max", "sum", "over"}
        Where digits overlap, the brighter wins, or they add up (to at most 1), or the later one hides the
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
        ``position_y``, ``position_x`` (px, upper left corner of the image at frame 0); with an occluder, per
        trial, object and frame ``hidden``, the share of the digit's ink that is behind it; in "sweep", per
        trial ``trained``: whether the velocity of object 0 is one of training.

    Raises
    ------
    InputError
        If the split or a label is unknown, the digits do not fit on the frame, or a sweep is tracked.
    """
    if tracked and split == "sweep":
        raise InputError(
            "moving_digits: in split sweep object 0 visits every velocity; it cannot be tracked as well. "
            "Leave out tracked, or sweep"
        )
    images = digits(split, source)
    side = images.pixels.shape[-1]
    if min(height, width) < side:
        raise InputError(f"moving_digits needs frames of at least {side}x{side} px; got {height}x{width}")
    if not {*(labels or ())} <= {*images.labels.tolist()}:
        raise InputError(f"moving_digits knows digits with labels from 0 to 9; got labels {labels}")
    swept = box(sweep_speed)
    trials = number_of_trials(split, trials, swept)
    if labels is None:
        drawn = rng.integers(len(images.labels), size=(trials, objects))
    else:
        rounds, velocity_number = divmod(np.arange(trials), len(swept) if split == "sweep" else 2)
        # labels take turns at each velocity of a sweep, or from one pair of rest and motion to the next
        turn = rounds + velocity_number if split == "sweep" else rounds
        label_of_trial = np.take(labels, turn, mode="wrap")
        drawn = _balanced(rng, images.labels, labels, label_of_trial, objects)
    position = rng.integers((height, width), size=(trials, objects, 2))
    velocity = for_split(split, _velocities(rng, (trials, objects), velocities, max_speed), swept)
    if tracked:
        velocity = velocity - velocity[:, :1]

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
        if velocities == "real":
            trained = within(velocity[:, 0], max_speed)
        else:
            trained = among(velocity[:, 0], np.array(velocities or box(max_speed)))
        truth["trained"] = truth_value(trained, "whether object 0 moves as in training")
    if occluder:
        ink = pixels(source, images.number[drawn]).sum(-2)
        share = _hidden(ink, position[..., 1], velocity[..., 1], frames, behind(occluder, width))
        truth["hidden"] = (("trial", "object", "time"), share, "1", "share of the ink behind the occluder")
    if noise:
        truth["noise_seed"] = (("trial",), rng.integers(2**31, size=trials), "", "of the noise on the frames")
    settings = {
        "source": source,
        "overlap": overlap,
        "contrast": contrast,
        "noise": noise,
        "occluder": occluder,
    }
    return stimulus(
        truth,
        render,
        frames=frames,
        frame_shape=(height, width),
        group=Translation(),
        flows=probes(probe_speed) if split == "probe" else None,
        settings=settings,
    )


def _velocities(
    rng: np.random.Generator,
    size: tuple[int, int],
    velocities: list[tuple[float, float]] | Literal["real"] | None,
    max_speed: int,
) -> np.ndarray:
    """Velocities (trial, object, component) of trials that are no sweep; see `generate`."""
    if velocities == "real":
        return rng.uniform(-max_speed, max_speed, size=(*size, 2))
    if velocities:
        return as_whole_numbers(np.array(velocities))[rng.integers(len(velocities), size=size)]
    return rng.integers(-max_speed, max_speed + 1, size=(*size, 2))


def _balanced(
    rng: np.random.Generator,
    labels: np.ndarray,
    wanted: list[int],
    label_of_trial: np.ndarray,
    objects: int,
) -> np.ndarray:
    """Numbers of images (trial, object) with wanted labels only, object 0 with the label of its trial.

    No image is shown twice as object 0 before all images of its label were shown.
    """
    allowed = np.flatnonzero(np.isin(labels, wanted))
    drawn = allowed[rng.integers(len(allowed), size=(len(label_of_trial), objects))]
    for label in wanted:
        chosen = label_of_trial == label
        images = rng.permutation(np.flatnonzero(labels == label))
        drawn[chosen, 0] = np.resize(images, chosen.sum())
    return drawn


def _hidden(
    ink: np.ndarray, left: np.ndarray, speed: np.ndarray, frames: int, occluded: np.ndarray
) -> np.ndarray:
    """Share of the ink (trial, object, time) that lies behind an occluder.

    Parameters
    ----------
    ink : array (trial, object, column)
        Of each column of the image.
    left, speed : arrays (trial, object)
        Left edge of the image at frame 0 in px, and its velocity to the right in px/frame.
    frames : int
    occluded : array of bool (x)
        Which columns of the frame are occluded.
    """
    edge = left[..., None] + speed[..., None] * np.arange(frames)
    column = np.round(edge).astype(int)[..., None] + np.arange(ink.shape[-1])
    hidden = occluded[column % len(occluded)] * ink[:, :, None]
    return hidden.sum(-1) / ink.sum(-1)[..., None]


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
