r"""The law by which a state follows the world, declared by a network or measured.

When the input flows by u, the state may be transported, its velocity channels may shift, or both:

    h_t[psi(u) f](v) = psi_t(u) . h_t[f](v - u)                                  (transport+shift)

`flowsim.flows.velocity_grid` says which channel v - u is, and which channels have none.

Source: Keller (2025), Flow Equivariant Recurrent Neural Networks: the flow equivariance of the FERNN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from flowsim.errors import InputError
from flowsim.flows.flow import Flow, transport
from flowsim.flows.velocity_grid import VelocityGrid

if TYPE_CHECKING:
    from torch import Tensor

ORIENTED = 7
"""Dimensions of a state with orientations, (trial, time, velocity, channel, orientation, y, x)."""


@final
@dataclass(frozen=True)
class Law:
    """How a state follows when the input flows by u: it is transported, its channels shift, both or neither.

    Prints as, and is read from, "invariant", "transport", "shift" or "transport+shift".
    """

    transport: bool
    shift: bool

    def __str__(self) -> str:
        parts = ["transport"] * self.transport + ["shift"] * self.shift
        return "+".join(parts) or "invariant"

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

    def predict(
        self, state: Tensor, flow: Flow, grid: VelocityGrid, times: Sequence[float] | None = None
    ) -> Tensor:
        """The state under psi(u) f that this law predicts from the state under f.

        Parameters
        ----------
        state : Tensor (trial, time, velocity, channel, y, x), with orientation before y if there are any
            The state on the reference input f.
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
        import torch

        if self.transport:
            act = flow.act_oriented if state.ndim == ORIENTED else flow.act
            state = transport(act, state, times)
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
