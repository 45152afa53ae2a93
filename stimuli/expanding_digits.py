"""Handwritten digits that loom and recede: everything grows about a focus, each digit at its own constant
rate.

After t frames a digit is exp(t expansion) times as large and as far from the focus. Halfway through a trial
it has the size of its image. Every frame is sampled once, bicubically, without smoothing: a digit that
becomes very small is aliased.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import torch
import xarray as xr
from pydantic import Field

from flowsim.errors import InputError
from flowsim.flows.spiral import Spiral
from flowsim.scenes.canvas import frame_of, moved, overlaid, turned
from flowsim.scenes.scene import Scene, stimulus, truth_value
from flowsim.scenes.sources.digits import Source, digits, pixels
from flowsim.scenes.velocities import for_split, multiples, number_of_trials
from flowsim.specification import Count, Few, Pixels, Share, checked

Rate = Share


@checked
def generate(
    split: str,
    rng: np.random.Generator,
    *,
    source: Source = "bundled",
    height: Pixels = 24,
    width: Pixels = 24,
    objects: Few = 2,
    step: Annotated[float, Field(ge=1e-4, le=1)] = 0.05,
    max_rate: Rate = 0.1,
    sweep_rate: Rate = 0.15,
    probe_rate: Rate = 0.05,
    focus: Literal["centre", "random"] = "centre",
    overlap: Literal["max", "sum", "over"] = "max",
    trials: Count = 64,
    frames: Count = 12,
) -> xr.Dataset:
    """Make one file of trials.

    Parameters
    ----------
    split : {"train", "valid", "test", "sweep", "probe", "control"}
        As in `stimuli.moving_digits`. In "sweep" object 0 visits every multiple of ``step`` up to
        ``sweep_rate``; the flows of "probe" are those up to ``probe_rate``, about the centre.
    rng : numpy.random.Generator
        Decides images, places, rates and foci.
    source : {"bundled", "mnist"}
        Digits of 8x8 or 28x28 px; see `flowsim.scenes.sources.digits`.
    height, width : int
        Size of a frame in px.
    objects : int
        Digits in each trial.
    step, max_rate : float
        Rates of expansion are multiples of ``step`` up to ``max_rate`` in size, in 1/frame; positive looms.
    focus : {"centre", "random"}
        The point that stays: the middle of the frame, or anywhere in its middle half, for each trial.
    overlap, trials, frames
        As in `stimuli.moving_digits`.

    Returns
    -------
    Dataset
        ``frames`` as in `stimuli.moving_digits`; per trial and object ``label``, ``image``,
        ``velocity_expansion`` (1/frame), ``scale`` (at frame 0, 1 being the size of the image) and
        ``position_y``, ``position_x`` (px, upper left corner of the image where its scale is 1); per trial
        ``focus_y``, ``focus_x`` (px); in "sweep" ``trained``.

    Raises
    ------
    InputError
        If the split is unknown or the digits do not fit on the frame.
    """
    images = digits(split, source)
    side = images.pixels.shape[-1]
    if min(height, width) < side:
        raise InputError(f"expanding_digits needs frames of at least {side}x{side} px; got {height}x{width}")
    known = multiples(max_rate, step)
    swept = multiples(sweep_rate, step)
    trials = number_of_trials(split, trials, swept)
    drawn = rng.integers(len(images.labels), size=(trials, objects))
    position = rng.integers((height - side + 1, width - side + 1), size=(trials, objects, 2))
    rate = known[rng.integers(len(known), size=(trials, objects))]
    middle = np.array([(height - 1) / 2, (width - 1) / 2])
    point = np.tile(middle, (trials, 1))
    if focus == "random":
        point = rng.uniform(middle / 2, 1.5 * middle, size=(trials, 2))
    rate = for_split(split, rate, swept)
    each = ("trial", "object")
    truth = {
        "label": (each, images.labels[drawn], "", "digit"),
        "image": (each, images.number[drawn], "", "index in the source"),
        "velocity_expansion": (each, rate, "1/frame", "rate of expansion, positive looms"),
        "scale": (each, np.exp(-rate * (frames - 1) / 2), "", "size at frame 0 relative to the image"),
        "position_y": (each, position[..., 0], "px", "upper edge of the image at scale 1"),
        "position_x": (each, position[..., 1], "px", "left edge of the image at scale 1"),
        "focus_y": (("trial",), point[:, 0], "px", "point that stays, from the top"),
        "focus_x": (("trial",), point[:, 1], "px", "point that stays, from the left"),
    }
    if split == "sweep":
        trained = np.isin(rate[:, 0], known)
        truth["trained"] = truth_value(trained, "whether object 0 expands as in training")
    flows = [(0.0, 0.0), *((float(v), 0.0) for v in multiples(probe_rate, step) if v)]
    return stimulus(
        truth,
        render,
        frames=frames,
        frame_shape=(height, width),
        group=Spiral(),
        flows=flows if split == "probe" else None,
        settings={"source": source, "overlap": overlap},
    )


def render(scene: Scene, device: torch.device) -> torch.Tensor:
    """Frames (trial, time, y, x)."""
    images = frame_of(pixels(scene.settings["source"], scene["image"]), scene.frame_shape, device)
    position = np.stack([scene["position_y"], scene["position_x"]], -1)
    focus = np.stack([scene["focus_y"], scene["focus_x"]], -1)
    growth = np.exp(np.arange(scene.frames) * scene["velocity_expansion"][..., None])
    scale = scene["scale"][..., None] * growth
    layers = []
    for k in range(images.shape[1]):
        still = moved(images[:, k], position[:, k, None])[:, 0]
        layers.append(turned(still, np.zeros_like(scale[:, k]), scale[:, k], focus))
    return overlaid(layers, scene.settings["overlap"])
