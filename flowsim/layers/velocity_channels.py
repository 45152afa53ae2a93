r"""Velocity channels: how a state gains them, moves with them and loses them again.

Tensors with velocity channels are (trial, velocity, channel, y, x). With V = {0} all of this is trivial and
a flow-equivariant network is an ordinary one.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from flowsim.flows.flow import Flow
from flowsim.flows.velocity_grid import VelocityGrid


def advance(state: Tensor, grid: VelocityGrid) -> Tensor:
    """psi_1(v) on each velocity channel v: where the state will be one frame later.

    Parameters
    ----------
    state : Tensor (trial, velocity, channel, y, x)
    grid : VelocityGrid

    Source: Keller (2025), the flow-equivariant recurrence.
    """
    moved = [
        Flow(grid.group, v).act(channel) for v, channel in zip(grid.velocities, state.unbind(1), strict=True)
    ]
    return torch.stack(moved, 1)


def lift(drive: Tensor) -> Tensor:
    """The trivial lift: the same drive (trial, channel, y, x) for every velocity, by broadcasting."""
    return drive.unsqueeze(1)


def pool_max(state: Tensor) -> Tensor:
    """Maximum over velocity, to (trial, channel, y, x)."""
    return state.amax(1)


POOLS: dict[str, Callable[[Tensor], Tensor]] = {
    "max": pool_max,
    "mean": lambda state: state.mean(1),
    "sum": lambda state: state.sum(1),
}
"""Pooling over velocity, to (trial, channel, y, x): blind to the shift, so that only transport is left."""
