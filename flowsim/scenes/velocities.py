"""Velocities of stimuli: which ones a file visits, which ones are trained, and velocities by direction and
speed.
"""

from __future__ import annotations

import numpy as np

from flowsim.flows.group import Velocity
from flowsim.flows.translation import Translation
from flowsim.flows.velocity_grid import VelocityGrid


def box(max_speed: int) -> np.ndarray:
    """Every velocity of {-max_speed..max_speed}^2, (velocity, 2)."""
    return np.array(VelocityGrid.box(Translation(), max_speed).velocities)


def multiples(largest: float, step: float) -> np.ndarray:
    """Every multiple of ``step`` up to ``largest`` in size, (velocity,)."""
    most = int(round(largest / step, 6))
    return step * np.arange(-most, most + 1)


def heading(direction: np.ndarray, speed: np.ndarray) -> np.ndarray:
    """Velocities (..., 2) of a direction (degrees, 0 right, counter-clockwise as displayed) and a speed in
    px/frame.
    """
    angle = np.deg2rad(direction)
    return np.stack([-speed * np.sin(angle), speed * np.cos(angle)], -1).round(12) + 0.0


def as_whole_numbers(velocity: np.ndarray) -> np.ndarray:
    """Velocities as integers if all of them are whole numbers, else all as floats.

    `flowsim.scenes.canvas.moved` rolls by integers exactly, and interpolates for floats.
    """
    return velocity.astype(np.int64) if (velocity == velocity.round()).all() else velocity.astype(np.float64)


def probes(max_speed: int) -> list[Velocity]:
    """Flows of a probe: rest first, then the other velocities of {-max_speed..max_speed}^2."""
    return [(0, 0), *(tuple(v) for v in box(max_speed).tolist() if any(v))]


def number_of_trials(split: str, trials: int, swept: np.ndarray) -> int:
    """Trials of a file: in "sweep" so many of each swept velocity (velocity, ...), else so many in all."""
    return trials * len(swept) if split == "sweep" else trials


def for_split(split: str, velocity: np.ndarray, swept: np.ndarray) -> np.ndarray:
    """Velocities as a split has them, from velocities drawn as for training.

    In "sweep" object 0 visits the swept velocities in turn, trial by trial; in "probe" every other trial,
    from the first, is at rest; else they stay as they are.

    Parameters
    ----------
    split : str
    velocity : array (trial, object, ...)
    swept : array (velocity, ...)
    """
    velocity = velocity.copy()
    if split == "sweep":
        velocity[:, 0] = np.resize(swept, velocity[:, 0].shape)
    if split == "probe":
        velocity[::2] = 0
    return velocity


def within(velocity: np.ndarray, max_speed: float) -> np.ndarray:
    """Whether velocities (..., 2) lie in the square [-max_speed, max_speed]^2, (...,)."""
    return abs(velocity).max(-1) <= max_speed


def among(velocity: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Whether each velocity (trial, 2) is one of ``known`` (velocity, 2), exactly, (trial,)."""
    return (velocity[:, None] == known).all(-1).any(-1)
