"""Handwritten digits that turn about the middle of the frame, each at its own constant angular velocity.

Digits lie on top of each other, turn by multiples of 10 degrees per frame, and have empty ground around them,
so that their ink stays on the frame. Every frame is sampled once, from the upright image. The data set
released with the paper has MNIST digits on frames of 28 px (``padding: 0``) that add up where they overlap
(``overlap: sum``), and starting angles that are not multiples of the step.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import torch
import xarray as xr
from pydantic import Field

from flowsim.flows.rotation import Rotation
from flowsim.scenes.canvas import frame_of, overlaid, turned
from flowsim.scenes.scene import Scene, stimulus, truth_value
from flowsim.scenes.sources.digits import Source, digits, pixels
from flowsim.scenes.velocities import for_split, multiples, number_of_trials
from flowsim.specification import Count, Few, Whole, checked

Angle = Annotated[float, Field(ge=0, le=180)]


@checked
def generate(
    split: str,
    rng: np.random.Generator,
    *,
    source: Source = "bundled",
    padding: Whole = 4,
    objects: Few = 2,
    step: Annotated[float, Field(ge=0.01, le=180)] = 10.0,
    max_speed: Angle = 20.0,
    sweep_speed: Angle = 40.0,
    probe_speed: Angle = 20.0,
    interpolation: Literal["bicubic", "bilinear"] = "bicubic",
    overlap: Literal["max", "sum", "over"] = "max",
    trials: Count = 64,
    frames: Count = 12,
) -> xr.Dataset:
    """Make one file of trials.

    Parameters
    ----------
    split : {"train", "valid", "test", "sweep", "probe", "control"}
        As in `stimuli.moving_digits`. In "sweep" object 0 visits every multiple of ``step`` up to
        ``sweep_speed``; the flows of "probe" are those up to ``probe_speed``, and a quarter turn per frame,
        which is exact.
    rng : numpy.random.Generator
        Decides images, starting angles and velocities.
    source : {"bundled", "mnist"}
        Digits of 8x8 or 28x28 px; see `flowsim.scenes.sources.digits`.
    padding : int
        Px of empty ground around the image on each side; a frame is that much larger than a digit.
    objects : int
        Digits in each trial.
    step, max_speed : float
        Angular velocities are multiples of ``step`` up to ``max_speed`` in size, in deg/frame; starting
        angles are multiples of ``step``.
    interpolation : {"bicubic", "bilinear"}
        How turned images are sampled; the result is limited to [0, 1].
    overlap, trials, frames
        As in `stimuli.moving_digits`.

    Returns
    -------
    Dataset
        ``frames`` as in `stimuli.moving_digits`; per trial and object ``label``, ``image``,
        ``velocity_omega`` (deg/frame, counter-clockwise as displayed) and ``angle`` (degrees, at frame 0); in
        "sweep" ``trained``.

    Raises
    ------
    InputError
        If the split is unknown.
    """
    images = digits(split, source)
    side = images.pixels.shape[-1] + 2 * padding
    known = multiples(max_speed, step)
    swept = multiples(sweep_speed, step)
    trials = number_of_trials(split, trials, swept)
    drawn = rng.integers(len(images.labels), size=(trials, objects))
    angle = step * rng.integers(max(1, round(360 / step)), size=(trials, objects))
    velocity = known[rng.integers(len(known), size=(trials, objects))]
    velocity = for_split(split, velocity, swept)
    each = ("trial", "object")
    truth = {
        "label": (each, images.labels[drawn], "", "digit"),
        "image": (each, images.number[drawn], "", "index in the source"),
        "velocity_omega": (each, velocity, "deg/frame", "angular velocity, counter-clockwise"),
        "angle": (each, angle, "degree", "angle at frame 0, counter-clockwise"),
    }
    if split == "sweep":
        trained = np.isin(velocity[:, 0], known)
        truth["trained"] = truth_value(trained, "whether object 0 turns as in training")
    omegas = {0.0, *multiples(probe_speed, step).tolist(), 90.0}
    flows = [(omega,) for omega in sorted(omegas, key=lambda omega: (abs(omega), omega))]
    return stimulus(
        truth,
        render,
        frames=frames,
        frame_shape=(side, side),
        group=Rotation(),
        flows=flows if split == "probe" else None,
        settings={"source": source, "interpolation": interpolation, "overlap": overlap},
    )


def render(scene: Scene, device: torch.device) -> torch.Tensor:
    """Frames (trial, time, y, x)."""
    images = pixels(scene.settings["source"], scene["image"])
    still = frame_of(images, scene.frame_shape, device, centred=True)
    angle = scene["angle"][..., None] + np.arange(scene.frames) * scene["velocity_omega"][..., None]
    scale = np.ones_like(angle[:, 0])
    layers = [
        turned(still[:, k], angle[:, k], scale, interpolation=scene.settings["interpolation"])
        for k in range(still.shape[1])
    ]
    return overlaid(layers, scene.settings["overlap"])
