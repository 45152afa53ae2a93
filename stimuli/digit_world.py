"""A world larger than the window: digits move in it, and so does an observer, by known actions.

The world is a torus, of which a frame shows what lies in the observer's window. A digit that leaves the
window goes on moving and comes back elsewhere: to predict where, a network has to keep a map and to know its
own actions. The actions are coordinates of the file, and networks that take them (``self_motion``) are given
them in training and recording.

After: Lillemark, Keller et al. (2026), Flow Equivariant World Models.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import xarray as xr

from flowsim.errors import InputError
from flowsim.flows.translation import Translation
from flowsim.scenes.canvas import frame_of, moved, overlaid
from flowsim.scenes.scene import Scene, stimulus, truth_value
from flowsim.scenes.sources.digits import Source, digits, pixels
from flowsim.scenes.velocities import box, for_split, number_of_trials, probes, within
from flowsim.specification import Count, Few, Pixels, WholeSpeed, checked


@checked
def generate(
    split: str,
    rng: np.random.Generator,
    *,
    source: Source = "bundled",
    height: Pixels = 16,
    width: Pixels = 16,
    world_height: Pixels = 24,
    world_width: Pixels = 24,
    objects: Few = 3,
    max_speed: WholeSpeed = 1,
    max_action: WholeSpeed = 1,
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
        As in `stimuli.moving_digits`; the observer rests in the same trials of the reference as the digits.
        The flows of "probe" transport the frame as a torus of its own; they are flows of the world only if
        the window shows the whole world.
    rng : numpy.random.Generator
    source, objects, sweep_speed, probe_speed, overlap, trials, frames
        As in `stimuli.moving_digits`.
    height, width, world_height, world_width : int
        Size of the window and of the world in px.
    max_speed : int
        Velocities of digits in the world are drawn from {-max_speed..max_speed}^2, in px/frame.
    max_action : int
        The observer's steps, a new one for each frame, are drawn from {-max_action..max_action}^2, in px.

    Returns
    -------
    Dataset
        ``frames`` as in `stimuli.moving_digits`; per trial and object ``label``, ``image``, ``velocity_vy``,
        ``velocity_vx`` (px/frame, in the world) and ``position_y``, ``position_x`` (px, upper left corner of
        the image in the world at frame 0); per trial and time ``action_vy``, ``action_vx`` (px, the
        observer's step since the frame before; 0 at frame 0) and ``observer_y``, ``observer_x`` (px, upper
        left corner of the window in the world); in "sweep" ``trained``.

    Raises
    ------
    InputError
        If the split is unknown, a digit does not fit into the window, or the window into the world.
    """
    images = digits(split, source)
    side = images.pixels.shape[-1]
    if min(height, width) < side or world_height < height or world_width < width:
        raise InputError(
            f"digit_world needs a window of at least {side}x{side} px in a world no smaller; got a window "
            f"{height}x{width} in a world {world_height}x{world_width}"
        )
    swept = box(sweep_speed)
    trials = number_of_trials(split, trials, swept)
    drawn = rng.integers(len(images.labels), size=(trials, objects))
    position = rng.integers((world_height, world_width), size=(trials, objects, 2))
    velocity = rng.integers(-max_speed, max_speed + 1, size=(trials, objects, 2))
    action = rng.integers(-max_action, max_action + 1, size=(trials, frames, 2))
    action[:, 0] = 0
    if split == "probe":
        action[::2] = 0
    observer = np.cumsum(action, 1) % (world_height, world_width)
    velocity = for_split(split, velocity, swept)
    each = ("trial", "object")
    always = ("trial", "time")
    step = "step of the observer since the frame before"
    truth = {
        "label": (each, images.labels[drawn], "", "digit"),
        "image": (each, images.number[drawn], "", "index in the source"),
        "velocity_vy": (each, velocity[..., 0], "px/frame", "velocity in the world, positive down"),
        "velocity_vx": (each, velocity[..., 1], "px/frame", "velocity in the world, positive right"),
        "position_y": (each, position[..., 0], "px", "upper edge of the image in the world at frame 0"),
        "position_x": (each, position[..., 1], "px", "left edge of the image in the world at frame 0"),
        "action_vy": (always, action[..., 0], "px", f"{step}, positive down"),
        "action_vx": (always, action[..., 1], "px", f"{step}, positive right"),
        "observer_y": (always, observer[..., 0], "px", "upper edge of the window in the world"),
        "observer_x": (always, observer[..., 1], "px", "left edge of the window in the world"),
    }
    if split == "sweep":
        trained = within(velocity[:, 0], max_speed)
        truth["trained"] = truth_value(trained, "whether object 0 moves as in training")
    return stimulus(
        truth,
        render,
        frames=frames,
        frame_shape=(height, width),
        group=Translation(),
        flows=probes(probe_speed) if split == "probe" else None,
        settings={"source": source, "overlap": overlap, "world": [world_height, world_width]},
    )


def render(scene: Scene, device: torch.device) -> torch.Tensor:
    """Frames (trial, time, y, x)."""
    world = tuple(scene.settings["world"])
    still = frame_of(pixels(scene.settings["source"], scene["image"]), world, device)
    position, velocity, observer = (
        np.stack([scene[f"{name}y"], scene[f"{name}x"]], -1)
        for name in ("position_", "velocity_v", "observer_")
    )
    time = np.arange(scene.frames)[:, None]
    in_window = position[:, :, None] + time * velocity[:, :, None] - observer[:, None]
    layers = [moved(still[:, k], in_window[:, k]) for k in range(still.shape[1])]
    height, width = scene.frame_shape
    return overlaid(layers, scene.settings["overlap"])[..., :height, :width].contiguous()
