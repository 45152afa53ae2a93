"""Translation: everything moves by the same number of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from flowsim.flows.group import FlowGroup, Velocity
from flowsim.flows.resampling import shift

if TYPE_CHECKING:
    from torch import Tensor


@final
@dataclass(frozen=True)
class Translation(FlowGroup):
    """Translation on a torus; velocities (vy, vx) in px/frame, positive down and right.

    Whole-pixel displacements are exact rolls. Others are band-limited shifts (each Fourier mode turned by
    its phase): an exact one-parameter group for any real displacement where a side is odd. On an even side
    the Nyquist mode cannot turn and stay real; it is scaled by cos(pi s) instead, so that there
    psi_s psi_t = psi_(s+t) holds only for what has no energy at Nyquist.
    """

    name = "translation"
    components = ("vy", "vx")
    units = ("px/frame", "px/frame")

    def act(self, x: Tensor, element: Velocity) -> Tensor:
        import torch

        dy, dx = element
        if float(dy).is_integer() and float(dx).is_integer():
            return torch.roll(x, (int(dy), int(dx)), (-2, -1))
        return shift(x, dy, dx)

    def period(self, frame_shape: tuple[int, int]) -> Velocity:
        return tuple(frame_shape)

    def displacement(self, element: Sequence[Any]) -> tuple[Any, Any]:
        dy, dx = element
        return dy, dx

    @property
    def plane(self) -> tuple[complex, ...]:
        """As displayed: positive vy is down, positive vx right."""
        return (-1j, 1)
