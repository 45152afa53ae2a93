"""Random dots of which some move together: the random-dot kinematogram.

A share of the dots, the ``coherence``, moves at one velocity, the signal; the others are noise. The rules are
named as in Scase, Braddick and Raymond (1996), What is noise for the motion system? Dots live on a torus; a
dot between pixels is divided among its four neighbours. If every step of every dot is a whole number of
pixels, dots are single pixels.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import torch
import xarray as xr
from pydantic import Field

from flowsim.flows.translation import Translation
from flowsim.scenes.canvas import splatted
from flowsim.scenes.scene import Scene, stimulus, truth_value
from flowsim.scenes.velocities import box, for_split, heading, number_of_trials, probes
from flowsim.specification import Amount, Count, Pixels, Share, Whole, WholeSpeed, checked
from flowsim.splits import check_split


@checked
def generate(
    split: str,
    rng: np.random.Generator,
    *,
    height: Pixels = 16,
    width: Pixels = 16,
    density: Annotated[float, Field(gt=0, le=1)] = 0.08,
    dot_size: Count = 1,
    coherence: Share = 1.0,
    directions: Annotated[list[float], Field(min_length=1)] | None = None,
    speeds: Annotated[list[Amount], Field(min_length=1)] | None = None,
    signal_rule: Literal["same", "different"] = "same",
    noise_rule: Literal["position", "walk", "direction"] = "position",
    dot_life: Whole = 0,
    sweep_speed: WholeSpeed = 2,
    probe_speed: WholeSpeed = 1,
    trials: Count = 64,
    frames: Count = 12,
) -> xr.Dataset:
    """Make one file of trials.

    Parameters
    ----------
    split : {"train", "valid", "test", "sweep", "probe", "control"}
        Dots are drawn anew for each. In "sweep" the signal visits every velocity of
        {-sweep_speed..sweep_speed}^2. In "probe" flow 0 is a reference, in which the signal of every other
        trial stands still, and the other flows, {-probe_speed..probe_speed}^2, are its exact transports.
    rng : numpy.random.Generator
    height, width : int
        Size of a frame in px.
    density : float
        Dots per square px.
    dot_size : int
        Side of a square dot in px.
    coherence : float
        Share of the dots that are signal, from 0 to 1, rounded to a whole number of dots.
    directions : list of float, optional
        The signal's direction is one of these, in degrees, 0 to the right, counter-clockwise as displayed; 0,
        90, 180 and 270 if not given.
    speeds : list of float, optional
        Its speed is one of these, in px/frame; 1 if not given.
    signal_rule : {"same", "different"}
        Whether the same dots are signal throughout, or other dots at every step.
    noise_rule : {"position", "walk", "direction"}
        A noise dot jumps to a random place at every step, or steps at the signal's speed in a random
        direction of every step, or in one random direction of its own.
    dot_life : int
        Frames after which a dot is born again somewhere else; 0 for never. Ages at frame 0 are drawn evenly.
    trials : int
        How many; in "sweep", how many of each velocity.
    frames : int
        How long each is.

    Returns
    -------
    Dataset
        ``frames`` (trial, time, y, x), or (flow, trial, time, y, x) for "probe", in [0, 1]; of the signal,
        over (trial, object) with one object, ``velocity_vy``, ``velocity_vx`` and ``speed`` (px/frame) and
        ``direction``; of the dots, over (trial, dot, time), ``position_y``, ``position_x`` (px) and
        ``signal``, whether the dot makes its next step with the signal: it is a signal dot and does not die;
        per trial ``coherence``, the share of the dots that are signal after rounding.
        In "sweep", ``trained`` as in `stimuli.moving_digits`.

    Raises
    ------
    InputError
        If the split is unknown.
    """
    check_split(split)
    angles = np.array(directions or [0, 90, 180, 270])
    known = np.concatenate([heading(angles, np.full(len(angles), speed)) for speed in speeds or [1]])
    swept = box(sweep_speed)
    trials = number_of_trials(split, trials, swept)
    velocity = known[rng.integers(len(known), size=(trials, 1))]
    velocity = for_split(split, velocity, swept)[:, 0]
    # whole steps from whole places keep every dot on one pixel; if any step is not whole, all dots start
    # between pixels in every split, so that sharpness does not give away signal dots or novel velocities
    on_pixels = not (known % 1).any() and (noise_rule == "position" or coherence == 1)
    dots = max(1, round(density * height * width))
    position, signal = _walk(
        rng,
        velocity,
        dots=dots,
        frames=frames,
        frame_shape=(height, width),
        coherence=coherence,
        signal_rule=signal_rule,
        noise_rule=noise_rule,
        dot_life=dot_life,
        on_pixels=on_pixels,
    )

    one = ("trial", "object")
    all_dots = ("trial", "dot", "time")
    direction = np.rad2deg(np.arctan2(-velocity[:, 0], velocity[:, 1])) % 360
    description = "direction of the signal, 0 right, counter-clockwise"
    truth = {
        "velocity_vy": (one, velocity[:, :1], "px/frame", "velocity of the signal, positive down"),
        "velocity_vx": (one, velocity[:, 1:], "px/frame", "velocity of the signal, positive right"),
        "speed": (one, np.hypot(*velocity.T)[:, None], "px/frame", "speed of the signal"),
        "direction": (one, direction[:, None], "degree", description),
        "position_y": (all_dots, position[..., 0], "px", "place of a dot from the top"),
        "position_x": (all_dots, position[..., 1], "px", "place of a dot from the left"),
        "signal": (all_dots, signal.astype(np.int8), "", "whether the dot steps with the signal"),
        "coherence": (
            ("trial",),
            np.full(len(velocity), signal_dots(coherence, dots) / dots),
            "1",
            "share of the dots that are signal, a whole number of them",
        ),
    }
    if split == "sweep":
        trained = np.isclose(velocity[:, None], known).all(-1).any(-1)
        truth["trained"] = truth_value(trained, "whether the signal moves as in training")
    return stimulus(
        truth,
        render,
        frames=frames,
        frame_shape=(height, width),
        group=Translation(),
        flows=probes(probe_speed) if split == "probe" else None,
        settings={"dot_size": dot_size},
    )


def signal_dots(coherence: float, dots: int) -> int:
    """How many of the dots are signal."""
    return round(coherence * dots)


def _walk(
    rng: np.random.Generator,
    velocity: np.ndarray,
    *,
    dots: int,
    frames: int,
    frame_shape: tuple[int, int],
    coherence: float,
    signal_rule: str,
    noise_rule: str,
    dot_life: int,
    on_pixels: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Positions (trial, dot, time, 2), and whether each dot makes its next step with the signal (trial, dot,
    time); ``velocity`` (trial, 2) is that of the signal.
    """
    trials = len(velocity)
    speed = np.hypot(*velocity.T)[:, None]
    is_signal = np.arange(dots) < signal_dots(coherence, dots)
    is_signal = rng.permuted(np.broadcast_to(is_signal, (trials, dots)), axis=1)
    constant_direction = rng.uniform(0, 360, (trials, dots))
    age = rng.integers(max(dot_life, 1), size=(trials, dots))

    def anywhere() -> np.ndarray:
        place = rng.integers(frame_shape, size=(trials, dots, 2))
        return place if on_pixels else (place + rng.random(place.shape)) % frame_shape

    position = anywhere()
    positions, signals = [], []
    for _ in range(frames):
        if signal_rule == "different" and signals:
            is_signal = rng.permuted(is_signal, axis=1)
        direction = constant_direction
        if noise_rule == "walk":
            direction = rng.uniform(0, 360, (trials, dots))
        step = np.where(is_signal[..., None], velocity[:, None], heading(direction, speed))
        ahead = (position + step) % frame_shape
        age = age + 1
        dies = (dot_life > 0) & (age == dot_life)
        age[dies] = 0
        positions.append(position.astype(np.float32))
        signals.append(is_signal & ~dies)
        jumps = dies | (~is_signal & (noise_rule == "position"))
        position = np.where(jumps[..., None], anywhere(), ahead)
    return np.stack(positions, 2), np.stack(signals, 2)


def render(scene: Scene, device: torch.device) -> torch.Tensor:
    """Frames (trial, time, y, x)."""
    places = np.stack([scene["position_y"], scene["position_x"]], -1)
    position = torch.from_numpy(places).to(device, torch.float32)
    frames = splatted(position, torch.ones_like(position[..., 0]), scene.frame_shape)
    size = scene.settings["dot_size"]
    if size > 1:  # sum over the rows of a square, then over its columns
        frames = sum(torch.roll(frames, down, -2) for down in range(size))
        frames = sum(torch.roll(frames, right, -1) for right in range(size))
    return frames.clamp_(0, 1)
