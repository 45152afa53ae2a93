r"""The finite set V of velocities that a network has state channels for, and which takes whose place.

A flow-equivariant network holds one state channel per velocity v of a finite set V. When its input flows by
u, the channel v takes the place of its *partner* v - u:

    h_t[psi(u) f](v) = psi_t(u) . h_t[f](v - u)                                  (transport+shift)

A channel whose partner lies outside V has no law; the share of channels with one is the *coverage*.

Source: Keller (2025), Flow Equivariant Recurrent Neural Networks: the flow equivariance of the FERNN.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Literal, final

from flowsim.errors import InputError
from flowsim.flows.flow import Flow
from flowsim.flows.group import FlowGroup, Velocity
from flowsim.flows.rotation import Rotation
from flowsim.flows.translation import Translation

if TYPE_CHECKING:
    from torch import Tensor


@final
@dataclass(frozen=True)
class VelocityGrid:
    """A finite set V of velocities of one flow group, in the order of the state's velocity dimension.

    Parameters
    ----------
    group : FlowGroup
    velocities : tuple of velocities
        (vy, vx) for translation, in px/frame.
    period : velocity, optional
        Displacements per frame that move nothing (on a torus, its size): velocities are compared modulo
        this. Without one, velocities are compared as they are.
    """

    group: FlowGroup
    velocities: tuple[Velocity, ...]
    period: Velocity | None = None

    def __post_init__(self) -> None:
        velocities = tuple(self.group.velocity(v) for v in self.velocities)
        object.__setattr__(self, "velocities", velocities)
        if not velocities:
            raise InputError("a velocity grid needs at least one velocity; got none")
        reduced: dict[Velocity, Velocity] = {}
        for v in velocities:
            other = reduced.setdefault(self._reduce(v), v)
            if other is not v:
                where = f" where everything repeats every {self.period}" if self.period else ""
                raise InputError(
                    f"a velocity grid lists each velocity once; {other} and {v} are the same{where}. "
                    "Leave one out, or use a smaller max_speed"
                )

    @classmethod
    def box(cls, group: FlowGroup, max_speed: int, period: Velocity | None = None) -> VelocityGrid:
        """Every velocity whose components are whole and at most ``max_speed`` in size: {-n..n}^d."""
        if max_speed < 0:
            raise InputError(f"max_speed must be 0 or more; got {max_speed}")
        speeds = range(-max_speed, max_speed + 1)
        return cls(group, tuple(product(speeds, repeat=len(group.components))), period)

    @classmethod
    def closed(cls, group: FlowGroup, period: Sequence[int]) -> VelocityGrid:
        """Every whole velocity modulo ``period``: closed under addition, so each channel has a partner."""
        return cls(group, tuple(product(*(range(int(p)) for p in period))), tuple(period))

    def __len__(self) -> int:
        return len(self.velocities)

    def _reduce(self, velocity: Iterable[float]) -> Velocity:
        """A velocity modulo the period, rounded so that equal ones compare equal."""
        components = tuple(velocity)
        period = self.period or (math.inf,) * len(components)
        return tuple(
            round(c % p, 9) % p if math.isfinite(p) else round(c, 9)
            for c, p in zip(components, period, strict=True)
        )

    def velocity_of(self, flow: Flow) -> Velocity | None:
        """The velocity of this grid's group that moves everything as ``flow`` does; None if there is none."""
        return self.group.counterpart(flow.group, flow.velocity)

    def partner(self, u: Velocity) -> tuple[int | None, ...]:
        """For each channel v, the index of the channel v - u, or None where that lies outside the grid."""
        index = {self._reduce(v): i for i, v in enumerate(self.velocities)}
        u = self.group.velocity(u)
        partners = []
        for v in self.velocities:
            difference = self._reduce(a - b for a, b in zip(v, u, strict=True))
            partners.append(index.get(difference))
        return tuple(partners)

    def coverage(self, u: Velocity) -> float:
        """Share of channels that have a partner under the flow u, from 0 to 1."""
        partners = self.partner(u)
        return sum(p is not None for p in partners) / len(partners)

    def shift(self, state: Tensor, u: Velocity, dim: int = 2) -> Tensor:
        """Put into each channel v the content of its partner v - u; NaN where it has none.

        Parameters
        ----------
        state : Tensor (trial, time, velocity, channel, y, x)
        u : velocity of the flow
        dim : int
            Position of the velocity dimension.
        """
        import torch

        if state.shape[dim] != len(self):
            raise InputError(
                f"expected {len(self)} velocity channels along dimension {dim}; got {state.shape[dim]}"
            )
        partners = self.partner(u)
        shifted = state.index_select(dim, torch.tensor([p or 0 for p in partners], device=state.device))
        missing = torch.tensor([p is None for p in partners], device=state.device)
        return shifted.masked_fill(missing.view(-1, *[1] * (state.ndim - dim % state.ndim - 1)), torch.nan)


def translation_grid(
    frame_shape: tuple[int, int],
    max_speed: int,
    velocities: list[tuple[float, float]] | Literal["closed"] | None,
) -> VelocityGrid:
    """The grid of translations that the arguments of a network's ``build`` stand for.

    Parameters
    ----------
    frame_shape : (int, int)
        Size (y, x) of a frame in px, after which everything repeats.
    max_speed : int
        {-max_speed..max_speed}^2, unless ``velocities`` are given.
    velocities : list of (vy, vx), or "closed"
        In px/frame; or every whole velocity of the torus.

    Raises
    ------
    InputError
        If it does not fit on the frame.
    """
    if velocities == "closed":
        return VelocityGrid.closed(Translation(), frame_shape)
    if velocities is not None:
        return VelocityGrid(Translation(), tuple(velocities), period=frame_shape)
    if 2 * max_speed + 1 > min(frame_shape) and max_speed:
        largest = (min(frame_shape) - 1) // 2
        raise InputError(
            f"the velocity grid {{-{max_speed}..{max_speed}}}^2 is too large for frames of "
            f"{frame_shape[0]}x{frame_shape[1]} pixels; use max_speed at most {largest} or larger frames"
        )
    return VelocityGrid.box(Translation(), max_speed, period=frame_shape)


def rotation_grid(
    max_speed: float, step: float, velocities: list[float] | Literal["closed"] | None
) -> VelocityGrid:
    """The grid of angular velocities that the arguments of a network's ``build`` stand for.

    Parameters
    ----------
    max_speed, step : float
        {-max_speed, ..., -step, 0, step, ..., max_speed}, in deg/frame, unless ``velocities`` are given.
    velocities : list of float, or "closed"
        In deg/frame; or every multiple of ``step`` on the circle.

    Raises
    ------
    InputError
        If the steps do not fit into max_speed, or for a closed grid into the circle.
    """
    circle = 360
    closed = velocities == "closed"
    if velocities is not None and velocities != "closed":
        return VelocityGrid(Rotation(), tuple((v,) for v in velocities), period=(circle,))
    whole = circle if closed else max_speed
    steps = round(whole / step)
    if abs(steps * step - whole) > 1e-9:
        rule = "max_speed must be a multiple of step"
        if closed:
            rule = f"a closed grid needs a step that divides {circle}"
        raise InputError(f"{rule}; got max_speed {max_speed} and step {step} (deg/frame)")
    numbers = range(steps) if closed else range(-steps, steps + 1)
    return VelocityGrid(Rotation(), tuple((n * step,) for n in numbers), period=(circle,))
