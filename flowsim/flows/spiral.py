"""Spirals: expansion and rotation about the centre of the frame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from flowsim.flows.group import FlowGroup, Velocity
from flowsim.flows.resampling import about_centre
from flowsim.flows.rotation import Rotation, turn_orientations

if TYPE_CHECKING:
    from torch import Tensor


@final
@dataclass(frozen=True)
class Spiral(FlowGroup):
    """Expansion and rotation about the image centre, which commute; positive grows and turns
    counter-clockwise.

    After t frames everything is exp(t expansion) times as large and as far from the centre, and turned by t
    omega. Sampled as `Rotation` is; what a growing frame loses at its edge does not come back.
    """

    name = "spiral"
    components = ("expansion", "omega")
    units = ("1/frame", "deg/frame")

    def act(self, x: Tensor, element: Velocity) -> Tensor:
        expansion, angle = element
        if not expansion:
            return Rotation().act(x, (angle,))
        return about_centre(x, angle, math.exp(expansion))

    def act_oriented(self, x: Tensor, element: Velocity) -> Tensor:
        return turn_orientations(self.act(x, element), element[1])

    def period(self, frame_shape: tuple[int, int]) -> Velocity:
        return (math.inf, 360)
