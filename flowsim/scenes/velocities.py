"""Sets of velocities for stimuli, and velocities by direction and speed."""

from __future__ import annotations

import numpy as np

from flowsim.flows.group import Velocity
from flowsim.flows.translation import Translation
from flowsim.flows.velocity_grid import VelocityGrid


def box(max_speed: int) -> np.ndarray:
    """Every velocity of {-max_speed..max_speed}^2, (velocity, 2)."""
    return np.array(VelocityGrid.box(Translation(), max_speed).velocities)


def probes(max_speed: int) -> list[Velocity]:
    """Flows of a probe: rest first, then the other velocities of {-max_speed..max_speed}^2."""
    return [(0, 0), *(tuple(v) for v in box(max_speed).tolist() if any(v))]


def whole(velocity: np.ndarray) -> np.ndarray:
    """As whole numbers if all of them are, else all as floats; see `moved`."""
    return velocity.astype(np.int64) if (velocity == velocity.round()).all() else velocity.astype(np.float64)


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
