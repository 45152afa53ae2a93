r"""The velocities that a network carries, and the law by which its state follows the world.

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
from typing import final

import torch
from torch import Tensor

from flowsim.errors import InputError
from flowsim.flows.group import Flow, FlowGroup, Rotation, Spiral, Velocity, transport

ORIENTED = 7
"""Dimensions of a state with orientations, (trial, time, velocity, channel, orientation, y, x)."""


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
        """Every whole velocity modulo ``period``: closed under addition, so that each channel has a partner."""
        return cls(group, tuple(product(*(range(int(p)) for p in period))), tuple(period))

    def __len__(self) -> int:
        return len(self.velocities)

    def _reduce(self, velocity: Iterable[float]) -> Velocity:
        components = tuple(velocity)
        period = self.period or (math.inf,) * len(components)
        return tuple(
            round(c % p, 9) % p if math.isfinite(p) else round(c, 9) for c, p in zip(components, period, strict=True)
        )

    def velocity_of(self, flow: Flow) -> Velocity | None:
        """The velocity of this grid's group that moves everything as ``flow`` does; None where there is none."""
        if flow.group == self.group:
            return flow.velocity
        if isinstance(self.group, Spiral) and isinstance(flow.group, Rotation):
            return (0, *flow.velocity)
        if isinstance(self.group, Rotation) and isinstance(flow.group, Spiral) and not flow.velocity[0]:
            return flow.velocity[1:]
        return None if any(flow.velocity) else (0,) * len(self.group.components)

    def partner(self, u: Velocity) -> tuple[int | None, ...]:
        """For each channel v, the index of the channel v - u, or None where that lies outside the grid."""
        index = {self._reduce(v): i for i, v in enumerate(self.velocities)}
        u = self.group.velocity(u)
        return tuple(index.get(self._reduce(a - b for a, b in zip(v, u, strict=True))) for v in self.velocities)

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
        if state.shape[dim] != len(self):
            raise InputError(f"expected {len(self)} velocity channels along dimension {dim}; got {state.shape[dim]}")
        partners = self.partner(u)
        shifted = state.index_select(dim, torch.tensor([p or 0 for p in partners], device=state.device))
        missing = torch.tensor([p is None for p in partners], device=state.device)
        return shifted.masked_fill(missing.view(-1, *[1] * (state.ndim - dim % state.ndim - 1)), torch.nan)


@final
@dataclass(frozen=True)
class Law:
    """How a state answers when the input flows by u: it is transported, its channels shift, both or neither.

    Prints as, and is read from, "invariant", "transport", "shift" or "transport+shift".
    """

    transport: bool
    shift: bool

    def __str__(self) -> str:
        return "+".join(n for n, on in (("transport", self.transport), ("shift", self.shift)) if on) or "invariant"

    @classmethod
    def parse(cls, text: str) -> Law:
        """The law with this name.

        Raises
        ------
        InputError
            If there is no such law.
        """
        for law in LAWS:
            if str(law) == text:
                return law
        raise InputError(f"expected one of the laws {', '.join(map(str, LAWS))}; got {text!r}")

    def predict(self, state: Tensor, flow: Flow, grid: VelocityGrid, times: Sequence[float] | None = None) -> Tensor:
        """The state under psi(u) f that this law predicts from the state under f.

        Parameters
        ----------
        state : Tensor (trial, time, velocity, channel, y, x) or (trial, time, velocity, channel, orientation, y, x)
            What the network did on the reference input f.
        flow : Flow
            The flow psi(u) applied to the input.
        grid : VelocityGrid
            The velocities along the state's velocity dimension.
        times : sequence of float, optional
            See `Flow.transport`.

        Returns
        -------
        Tensor of the same shape, NaN in channels that have no partner (only where the law shifts).
        """
        if self.transport:
            state = transport(flow.act_oriented if state.ndim == ORIENTED else flow.act, state, times)
        if not self.shift:
            return state
        u = grid.velocity_of(flow)
        return torch.full_like(state, torch.nan) if u is None else grid.shift(state, u)

    def coverage(self, flow: Flow, grid: VelocityGrid) -> float:
        """Share of channels about which this law says something."""
        if not self.shift:
            return 1.0
        u = grid.velocity_of(flow)
        return 0.0 if u is None else grid.coverage(u)


LAWS = (Law(False, False), Law(True, False), Law(False, True), Law(True, True))
