"""Dots in depth, seen by an observer who moves: optic flow by translation, expansion, rotation, and their
mixture.

A dot at depth Z, x px from the middle of the frame, moves from one frame to the next as

    Z' = Z - expansion,     x' = R(omega) (Z x + v) / Z'

so that at depth 1 the scene moves by v, grows at the rate of expansion (the observer walks forward) and turns
by omega (the observer rolls the other way); dots twice as far away move half as fast, but turn as much. A dot
that leaves the frame or the range of depths is born again anywhere in both.

Source: Longuet-Higgins and Prazdny (1980), The interpretation of a moving retinal image.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import torch
import xarray as xr
from pydantic import Field

from flowsim.errors import InputError
from flowsim.flows.translation import Translation
from flowsim.scenes.canvas import splatted
from flowsim.scenes.scene import Scene, stimulus, truth_value
from flowsim.scenes.velocities import box, number_of_trials, probes, within
from flowsim.specification import Amount, Count, Pixels, WholeSpeed, checked
from flowsim.splits import check_split

Motion = Literal["translation", "expansion", "rotation", "mixture"]
MOTIONS = ("translation", "expansion", "rotation", "mixture")
"""In the order of the numbers in the coordinate ``motion``."""


@checked
def generate(
    split: str,
    rng: np.random.Generator,
    *,
    height: Pixels = 24,
    width: Pixels = 24,
    density: Annotated[float, Field(gt=0, le=1)] = 0.08,
    depth: Annotated[float, Field(ge=1)] = 3.0,
    motions: Annotated[list[Motion], Field(min_length=1)] | None = None,
    max_speed: Amount = 1.0,
    max_expansion: Annotated[float, Field(ge=0, lt=1)] = 0.1,
    max_rotation: Amount = 10.0,
    sweep_speed: WholeSpeed = 2,
    probe_speed: WholeSpeed = 1,
    trials: Count = 64,
    frames: Count = 12,
) -> xr.Dataset:
    """Make one file of trials.

    Parameters
    ----------
    split : {"train", "valid", "test", "sweep", "probe", "control"}
        Dots are drawn anew for each. In "sweep" every trial is a translation, and visits every velocity of
        {-sweep_speed..sweep_speed}^2. In "probe" flow 0 is a reference, in which the observer of every other
        trial rests, and the other flows, {-probe_speed..probe_speed}^2, are its exact transports, as of a
        torus.
    rng : numpy.random.Generator
    height, width : int
        Size of a frame in px.
    density : float
        Dots per square px.
    depth : float
        Dots lie at depths from 1 to this.
    motions : list of {"translation", "expansion", "rotation", "mixture"}, optional
        The kinds of self-motion that occur; all if not given. A mixture has all three at once.
    max_speed, max_expansion, max_rotation : float
        Velocities of the scene at depth 1 are drawn evenly from [-max_speed, max_speed]^2 px/frame, rates of
        expansion from [-max_expansion, max_expansion] 1/frame, angular velocities from [-max_rotation,
        max_rotation] deg/frame.
    trials : int
        How many; in "sweep", how many of each velocity.
    frames : int
        How long each is.

    Returns
    -------
    Dataset
        ``frames`` as in `stimuli.moving_digits`; per trial and object (one, the scene) ``velocity_vy``,
        ``velocity_vx`` (px/frame, at depth 1), ``velocity_expansion`` (1/frame, at depth 1),
        ``velocity_omega`` (deg/frame, counter-clockwise) and ``motion`` (0 to 3, see `MOTIONS`); per trial,
        dot and time ``position_y``, ``position_x`` (px), ``depth``, and ``age`` (frames since the dot was
        born; it did not move from where it was a frame ago if that is 0); in "sweep" ``trained``.

    Raises
    ------
    InputError
        If the split is unknown, or there is motion along the line of sight in a scene without depth.
    """
    check_split(split)
    expands = max_expansion > 0 and {"expansion", "mixture"} & set(motions or MOTIONS)
    if depth == 1 and expands and split != "sweep":
        raise InputError(
            "optic_flow by expansion needs a scene with depth; got depth 1. Use more, or other motions"
        )
    swept = box(sweep_speed)
    trials = number_of_trials(split, trials, swept)
    kinds = np.array([MOTIONS.index(m) for m in motions or MOTIONS])
    motion = kinds[rng.integers(len(kinds), size=trials)]
    velocity = rng.uniform(-max_speed, max_speed, size=(trials, 2))
    expansion = rng.uniform(-max_expansion, max_expansion, size=trials)
    omega = rng.uniform(-max_rotation, max_rotation, size=trials)
    if split == "sweep":
        motion[:] = MOTIONS.index("translation")
        velocity = np.resize(swept, (trials, 2)).astype(float)
    amounts = {"translation": velocity, "expansion": expansion, "rotation": omega}
    for kind, amount in amounts.items():
        amount[(motion != MOTIONS.index(kind)) & (motion != MOTIONS.index("mixture"))] = 0
        if split == "probe":
            amount[::2] = 0
    dots = max(1, round(density * height * width))
    position, depths, age = _move(rng, (height, width), dots, frames, depth, velocity, expansion, omega)
    one = ("trial", "object")
    always = ("trial", "dot", "time")
    truth = {
        "velocity_vy": (one, velocity[:, :1], "px/frame", "velocity of the scene at depth 1, positive down"),
        "velocity_vx": (one, velocity[:, 1:], "px/frame", "velocity of the scene at depth 1, positive right"),
        "velocity_expansion": (one, expansion[:, None], "1/frame", "rate of expansion at depth 1"),
        "velocity_omega": (one, omega[:, None], "deg/frame", "angular velocity, counter-clockwise"),
        "motion": (one, motion[:, None], "", ", ".join(f"{i} {name}" for i, name in enumerate(MOTIONS))),
        "position_y": (always, position[..., 0], "px", "place of a dot from the top"),
        "position_x": (always, position[..., 1], "px", "place of a dot from the left"),
        "depth": (always, depths, "", "depth of a dot, in the unit in which the nearest is 1"),
        "age": (always, age, "frame", "since the dot was born"),
    }
    if split == "sweep":
        trained = within(velocity, max_speed) & (MOTIONS.index("translation") in kinds)
        truth["trained"] = truth_value(trained, "whether the velocity is within training's")
    return stimulus(
        truth,
        render,
        frames=frames,
        frame_shape=(height, width),
        group=Translation(),
        flows=probes(probe_speed) if split == "probe" else None,
    )


def _move(
    rng: np.random.Generator,
    shape: tuple[int, int],
    dots: int,
    frames: int,
    deepest: float,
    velocity: np.ndarray,
    expansion: np.ndarray,
    omega: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions (trial, dot, time, 2), depths and ages (trial, dot, time) of dots that are seen in motion."""
    trials = len(velocity)
    corner = (np.array(shape) - 1) / 2
    angle = np.deg2rad(omega)[:, None]
    cos = np.cos(angle)
    sin = np.sin(angle)

    def born() -> tuple[np.ndarray, np.ndarray]:
        return rng.uniform(-corner, corner, (trials, dots, 2)), rng.uniform(1, deepest, (trials, dots))

    place, depth = born()
    age = np.zeros((trials, dots), np.int64)
    history = []
    for _ in range(frames):
        history.append(((place + corner).astype(np.float32), depth.astype(np.float32), age.astype(np.int16)))
        nearer = depth - expansion[:, None]
        down, right = np.moveaxis(place * depth[..., None] + velocity[:, None], -1, 0)
        # a dot that reaches the eye divides by 0, and is born again
        with np.errstate(divide="ignore", invalid="ignore"):
            ahead = np.stack([cos * down - sin * right, sin * down + cos * right], -1) / nearer[..., None]
        gone = (nearer < 1) | (nearer > deepest) | ~(abs(ahead) <= corner).all(-1)
        new_place, new_depth = born()
        place = np.where(gone[..., None], new_place, ahead)
        depth = np.where(gone, new_depth, nearer)
        age = np.where(gone, 0, age + 1)
    positions, depths, ages = zip(*history, strict=True)
    return np.stack(positions, 2), np.stack(depths, 2), np.stack(ages, 2)


def render(scene: Scene, device: torch.device) -> torch.Tensor:
    """Frames (trial, time, y, x)."""
    places = np.stack([scene["position_y"], scene["position_x"]], -1)
    position = torch.from_numpy(places).to(device, torch.float32)
    return splatted(position, torch.ones_like(position[..., 0]), scene.frame_shape, torus=False).clamp_(0, 1)
