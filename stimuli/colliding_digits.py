"""Handwritten digits that collide: rigid bodies of equal mass that bounce off each other, and off walls if
there are any.

A digit's body is the rectangle around its ink, so that collisions can be seen. Two bodies that would overlap
in the next frame exchange the components of their velocities along the axis on which they were apart: the
elastic collision of equal masses. Speeds stay whole numbers of pixels, and energy and momentum are conserved
exactly (only energy where there are walls). To keep predicting a digit, a network with one state channel per
velocity must pass what it knows about it from one channel to another.
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

INK = 0.25
"""Brightness from which a pixel belongs to a digit's body."""
ATTEMPTS = 1000
"""To draw positions at which no bodies overlap."""


@checked
def generate(
    split: str,
    rng: np.random.Generator,
    *,
    source: Source = "bundled",
    height: Pixels = 22,
    width: Pixels = 22,
    objects: Few = 2,
    max_speed: WholeSpeed = 1,
    sweep_speed: WholeSpeed = 2,
    probe_speed: WholeSpeed = 1,
    along: Literal["both", "x"] = "both",
    walls: bool = False,
    trials: Count = 64,
    frames: Count = 12,
) -> xr.Dataset:
    """Make one file of trials.

    Parameters
    ----------
    split : {"train", "valid", "test", "sweep", "probe", "control"}
        As in `stimuli.moving_digits`; "sweep" varies the velocity of object 0 at frame 0.
    rng : numpy.random.Generator
    max_speed : int
        Velocities at frame 0 are drawn from {-max_speed..max_speed}^2, in px/frame.
    source, height, width, objects, sweep_speed, probe_speed, trials, frames
        As in `stimuli.moving_digits`.
    along : {"both", "x"}
        With "x", digits move to the left or right only, and meet more often.
    walls : bool
        Whether the frame has walls that reflect, instead of being a torus.

    Returns
    -------
    Dataset
        ``frames`` as in `stimuli.moving_digits`; per trial and object ``label`` and ``image``, and per trial,
        object and time ``velocity_vy``, ``velocity_vx`` (px/frame, of the step to the next frame) and
        ``position_y``, ``position_x`` (px, upper left corner); in "sweep" ``trained`` as there.

    Raises
    ------
    InputError
        If the split is unknown, the frame is too small for the digits, or they are too fast to collide.
    """
    images = digits(split, source)
    side = images.pixels.shape[-1]
    fastest = max_speed + (max(max_speed, sweep_speed) if split == "sweep" else max_speed)
    _check_room(images.pixels, (height, width), fastest, along)
    swept = box(sweep_speed)
    if along == "x":
        swept = swept[swept[:, 0] == 0]
    trials = number_of_trials(split, trials, swept)
    drawn = rng.integers(len(images.labels), size=(trials, objects))
    first_velocity = rng.integers(-max_speed, max_speed + 1, size=(trials, objects, 2))
    if along == "x":
        first_velocity[..., 0] = 0
    first_velocity = for_split(split, first_velocity, swept)
    bodies = extent(pixels(source, images.number[drawn]))
    shape = np.array((height, width))
    first_position = apart(rng, bodies, shape - (side if walls else 0), None if walls else shape)
    position, velocity = _simulated(first_position, first_velocity, bodies, frames, shape, side, walls)

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
        trained = within(first_velocity[:, 0], max_speed)
        truth["trained"] = truth_value(trained, "whether object 0 moves as in training")
    return stimulus(
        truth,
        render,
        frames=frames,
        frame_shape=(height, width),
        group=Translation(),
        flows=probes(probe_speed) if split == "probe" else None,
        settings={"source": source},
    )


def _check_room(images: np.ndarray, frame_shape: tuple[int, int], fastest: int, along: str) -> None:
    """Raise an error if digits whose speeds add up to ``fastest`` could meet on both sides of a torus at
    once, or pass through each other between two frames.
    """
    height, width = frame_shape
    side = images.shape[-1]
    _, size = extent(images)
    least = max(2 * side, 2 * int(size.max()) + 2 * fastest - 1)
    least_height = least if along == "both" else side
    if height < least_height or width < least:
        raise InputError(
            f"colliding_digits needs frames of at least {least_height}x{least} px, so that digits this fast "
            f"cannot meet on both sides at once; got {height}x{width}"
        )
    narrowest = int(size.min())
    if fastest > 2 * narrowest:
        raise InputError(
            f"digits as narrow as {narrowest} px would pass through each other between two frames at speeds "
            f"that add up to {fastest} px/frame; use max_speed (and sweep_speed) that add up to at most "
            f"{2 * narrowest}"
        )


def _simulated(
    position: np.ndarray,
    velocity: np.ndarray,
    bodies: Bodies,
    frames: int,
    shape: np.ndarray,
    side: int,
    walls: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Positions and velocities (trial, object, time, 2) from those at frame 0, (trial, object, 2)."""
    positions, velocities = [], []
    for _ in range(frames):
        velocity = collide(position, velocity, bodies, shape, side, walls)
        positions.append(position)
        velocities.append(velocity)
        position = position + velocity if walls else (position + velocity) % shape
    return np.stack(positions, 2), np.stack(velocities, 2)


def render(scene: Scene, device: torch.device) -> torch.Tensor:
    """Frames (trial, time, y, x)."""
    still = frame_of(pixels(scene.settings["source"], scene["image"]), scene.frame_shape, device)
    position = np.stack([scene["position_y"], scene["position_x"]], -1)
    return overlaid([moved(still[:, k], position[:, k]) for k in range(still.shape[1])], "max")


Bodies = tuple[np.ndarray, np.ndarray]
"""The middle of every body in its image, in half px from the corner, and its size in px, (..., 2) each."""


def extent(images: np.ndarray) -> Bodies:
    """The rectangle around the ink of images (..., y, x)."""
    middle, size = [], []
    for other in (-1, -2):  # along y, then x
        ink = (images >= INK).any(other)
        first, last = ink.argmax(-1), ink.shape[-1] - 1 - ink[..., ::-1].argmax(-1)
        middle.append(first + last)
        size.append(last - first + 1)
    return np.stack(middle, -1), np.stack(size, -1)


def distance(position: np.ndarray, bodies: Bodies, torus: np.ndarray | None) -> np.ndarray:
    """Distances along y and x between the middles of bodies, in half px, (trial, object, object, 2).

    On a torus, of this size, it is the shorter way round.
    """
    middle = 2 * position + bodies[0]
    between = middle[:, None, :] - middle[:, :, None]
    return abs(between if torus is None else (between + torus) % (2 * torus) - torus)


def touching(bodies: Bodies) -> np.ndarray:
    """The distance below which two bodies overlap, in half px, (trial, object, object, 2)."""
    return bodies[1][:, None, :] + bodies[1][:, :, None]


def overlapping(position: np.ndarray, bodies: Bodies, torus: np.ndarray | None) -> np.ndarray:
    """Which bodies overlap, (trial, object, object)."""
    overlap = (distance(position, bodies, torus) < touching(bodies)).all(-1)
    return overlap & ~np.eye(position.shape[1], dtype=bool)


def apart(rng: np.random.Generator, bodies: Bodies, room: np.ndarray, torus: np.ndarray | None) -> np.ndarray:
    """Positions (trial, object, 2) at which no bodies overlap: those that do are drawn again.

    Raises
    ------
    InputError
        If they still overlap after many attempts.
    """
    position = rng.integers(room, size=bodies[0].shape)
    for _ in range(ATTEMPTS):
        overlap = overlapping(position, bodies, torus).any((1, 2))
        if not overlap.any():
            return position
        position[overlap] = rng.integers(room, size=position[overlap].shape)
    objects = position.shape[1]
    raise InputError(
        f"{objects} digits do not fit side by side on the frame; use fewer objects or larger frames"
    )


def collide(
    position: np.ndarray, velocity: np.ndarray, bodies: Bodies, shape: np.ndarray, side: int, walls: bool
) -> np.ndarray:
    """Velocities (trial, object, 2) of the next step, after all bounces.

    A bounce may lead to another in the same step, so they are settled in rounds. Where three digits or two
    and a wall meet at once, bodies may still overlap for a frame.
    """
    torus = None if walls else shape
    objects = position.shape[1]
    before = distance(position, bodies, torus)
    for _ in range(2 * objects):
        velocity = reflected(position, velocity, shape - side) if walls else velocity.copy()
        ahead = position + velocity
        nearer = distance(ahead, bodies, torus) < before
        exchange = overlapping(ahead, bodies, torus)[..., None] & (before >= touching(bodies)) & nearer
        if not exchange.any():
            break
        for i in range(objects):
            for j in range(i + 1, objects):
                velocity_i = velocity[:, i].copy()
                velocity_j = velocity[:, j].copy()
                velocity[:, i] = np.where(exchange[:, i, j], velocity_j, velocity_i)
                velocity[:, j] = np.where(exchange[:, i, j], velocity_i, velocity_j)
    return reflected(position, velocity, shape - side) if walls else velocity


def reflected(position: np.ndarray, velocity: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Velocities (trial, object, 2), turned round where the next step would leave the room, a size in px."""
    ahead = position + velocity
    return np.where((ahead < 0) | (ahead > room), -velocity, velocity)
