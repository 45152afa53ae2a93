r"""Motion whose velocity changes: a path t -> v(t), and what it does to frames.

    psi_t = exp(v(t-1)) ... exp(v(1)) exp(v(0)),     psi_0 = 1

that is, v(t) carries the world from frame t to frame t + 1. A flow-equivariant network has channels for
constant velocities only. Under a path its law holds up to the first change of velocity, and breaks after it:
a probe of where.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from flowsim.errors import InputError
from flowsim.flows.flow import transport
from flowsim.flows.group import FlowGroup, Velocity

if TYPE_CHECKING:
    from torch import Tensor


@final
@dataclass(frozen=True)
class Path:
    """A flow group and a velocity for each step; acts like a `flowsim.Flow`.

    Attributes
    ----------
    group : FlowGroup
    velocity_at : callable
        The velocity of the step from frame t to t + 1, for t = 0, 1, ...

    Examples
    --------
    >>> from flowsim import Translation
    >>> accelerating(Translation(), (0, 1), (0, 1)).displacement(3)
    (0, 6)
    """

    group: FlowGroup
    velocity_at: Callable[[int], Velocity]

    def displacement(self, t: float) -> Velocity:
        """The element of the algebra that the path has summed up to after t steps, in the unit of the group.

        Raises
        ------
        InputError
            If t is not a whole number from 0: a path has a beginning, and no time between its steps.
        """
        if t < 0 or not float(t).is_integer():
            raise InputError(f"a path is defined at t = 0, 1, 2, ...; got {t}")
        steps = [self.group.velocity(self.velocity_at(s)) for s in range(int(t))]
        return tuple(sum(c) for c in zip(*steps, strict=True)) if steps else (0,) * len(self.group.components)

    def act(self, x: Tensor, t: float = 1) -> Tensor:
        """psi_t x on the last two dimensions (..., y, x)."""
        return self.group.act(x, self.displacement(t))

    def act_oriented(self, x: Tensor, t: float = 1) -> Tensor:
        """psi_t x on the last three dimensions (..., orientation, y, x)."""
        return self.group.act_oriented(x, self.displacement(t))

    def transport(self, frames: Tensor, times: Sequence[float] | None = None) -> Tensor:
        """psi_t f_t, for frames or states (trial, time, ..., y, x); see `flowsim.Flow.transport`."""
        return transport(self.act, frames, times)


def accelerating(group: FlowGroup, velocity: Velocity, acceleration: Velocity) -> Path:
    """v(t) = velocity + t acceleration, in the unit of the group per frame."""
    return Path(group, lambda t: tuple(v + t * a for v, a in zip(velocity, acceleration, strict=True)))


def piecewise(group: FlowGroup, pieces: Sequence[tuple[int, Velocity]]) -> Path:
    """Constant velocities one after the other: (frames, velocity) each; the last goes on for ever.

    Raises
    ------
    InputError
        If there is no piece.
    """
    if not pieces:
        raise InputError("a piecewise path needs at least one piece (frames, velocity); got none")

    def velocity_at(t: int) -> Velocity:
        for frames, velocity in pieces:
            if t < frames:
                return velocity
            t -= frames
        return pieces[-1][1]

    return Path(group, velocity_at)


def harmonic(group: FlowGroup, amplitude: Velocity, period: float) -> Path:
    """v(t) = amplitude cos(2 pi t / period), back where it began after each period of whole frames."""
    return Path(group, lambda t: tuple(a * math.cos(2 * math.pi * t / period) for a in amplitude))
