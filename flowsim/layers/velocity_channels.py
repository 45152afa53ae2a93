r"""Velocity channels: how a state gains them, moves with them and loses them again.

Tensors with velocity channels are (trial, velocity, channel, y, x). With V = {0} all of this is trivial and
a flow-equivariant network is an ordinary one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from flowsim.flows.flow import Flow
from flowsim.flows.group import Velocity
from flowsim.flows.translation import Translation
from flowsim.flows.velocity_grid import VelocityGrid
from flowsim.layers.padded_gather import gathered, inward, outward


def advance(state: Tensor, grid: VelocityGrid) -> Tensor:
    """psi_1(v) on each velocity channel v: where the state will be one frame later.

    Velocities that translate by whole pixels move in one copy, which lies in memory with the velocity first
    and the channel last; any that translate in two matrix products; others one after the other, as
    `flowsim.Flow.act` does.

    Parameters
    ----------
    state : Tensor (trial, velocity, channel, y, x)
    grid : VelocityGrid

    Source: Keller (2025), the flow-equivariant recurrence.
    """
    pixels = whole_pixels(grid)
    if pixels is None and isinstance(grid.group, Translation):
        return shifted(state, grid.velocities)
    if pixels is None:
        flows = (Flow(grid.group, v) for v in grid.velocities)
        return torch.stack([flow.act(x) for flow, x in zip(flows, state.unbind(1), strict=True)], 1)
    return moved(state, pixels)


def moved(state: Tensor, pixels: tuple[Velocity, ...]) -> Tensor:
    """Each velocity of (trial, velocity, channel, y, x) moved by its own pixels (y, x), in one copy."""
    if not any(map(any, pixels)):
        return state
    return inward(_Moved.apply(outward(state), pixels))


def whole_pixels(grid: VelocityGrid) -> tuple[tuple[int, int], ...] | None:
    """By how many pixels (y, x) each velocity moves a frame per step; None unless all move by whole ones."""
    moves = [grid.group.displacement(velocity) for velocity in grid.velocities]
    if any(move is None or any(not float(pixels).is_integer() for pixels in move) for move in moves):
        return None
    return tuple((int(move[0]), int(move[1])) for move in moves if move)


def shifted(state: Tensor, velocities: tuple[Velocity, ...]) -> Tensor:
    """Each velocity of (trial, velocity, channel, y, x) translated by itself, band-limited.

    One matrix product along y and one along x, of the velocities that have a part along it; Fourier
    transforms take three times as long.
    """
    exact = torch.promote_types(state.dtype, torch.float32)
    shape = (state.shape[-2], state.shape[-1])
    with torch.autocast(state.device.type, enabled=False):
        h = outward(state).to(exact)
        channels = []
        for channel, (vy, vx) in zip(h.unbind(), velocities, strict=True):
            if vy:
                down = _shift(vy, shape[0], exact, state.device)
                channel = (down @ channel.flatten(2)).view(channel.shape)
            if vx:
                channel = _shift(vx, shape[1], exact, state.device) @ channel
            channels.append(channel)
        moved = torch.stack(channels)
    return inward(moved.to(state.dtype))


@lru_cache(256)
def _shift(pixels: float, length: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """What translates a line of so many pixels: a matrix (pixel after, pixel before)."""
    unit_frames = torch.eye(length, dtype=torch.float64)[:, :, None]
    return Translation().act(unit_frames, (pixels, 0.0))[..., 0].T.to(device, dtype)


class _Moved(torch.autograd.Function):
    """Each velocity of (velocity, trial, y, x, channel) moved by its own pixels; the gradient moves back."""

    @staticmethod
    def forward(ctx: Any, state: Tensor, pixels: tuple[Velocity, ...]) -> Tensor:
        ctx.pixels = pixels
        return gathered(state, pixels, 0).permute(0, 2, 3, 1).view(state.shape)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        back = tuple((-y, -x) for y, x in ctx.pixels)
        return _Moved.apply(gradient.contiguous(), back), None

    @staticmethod
    def jvp(ctx: Any, along: Tensor, _pixels: None) -> Tensor:
        return _Moved.apply(along.contiguous(), ctx.pixels)


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
