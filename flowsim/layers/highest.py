r"""The maximum over velocity of a state that has moved on, without moving the state in memory first.

    max_v psi_1(v) . h_(t-1)(v)

is what the prediction of frame t is decoded from. Its gradient goes to the first velocity that attains it. States come
in groups of velocities, see `flowsim.layers.fused_recurrence`. `flowsim.layers.velocity_channels.advance` and
`flowsim.layers.velocity_channels.pool_max` are the same in plain steps, and what this is tested against.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual

from flowsim.flows.group import Velocity
from flowsim.layers.padded_gather import gathered, outward

Velocities = tuple[Velocity, ...]


def pool_max(state: Sequence[Tensor], velocities: Sequence[Velocity]) -> Tensor:
    """Maximum over velocity of the advanced state, (trial, channel, y, x), from the state before it.

    Parameters
    ----------
    state : sequence of Tensor (trial, velocity, channel, y, x)
        Groups of velocities, in order; one alone of velocity size 1 is the same at every velocity.
    velocities : sequence of (int, int)
        Of all of them, in px/frame.
    """
    if len(velocities) == 1:
        (vy, vx), alone = velocities[0], state[0][:, 0]
        return alone.roll((int(vy), int(vx)), (-2, -1)) if vy or vx else alone
    if len(state) == 1:
        state = [state[0].expand(-1, len(velocities), -1, -1, -1)]
    return _Maximum.apply(tuple(velocities), differentiated(*state), *map(outward, state)).permute(0, 3, 1, 2)


def members(sizes: Iterable[int], velocities: Velocities) -> list[Velocities]:
    """The velocities of each group, of so many each."""
    left = iter(velocities)
    return [tuple(islice(left, size)) for size in sizes]


def opposite(velocities: Velocities) -> Velocities:
    """The way back."""
    return tuple((-vy, -vx) for vy, vx in velocities)


class Highest:
    """The maximum over velocities that come one group after the other, moved, and the first velocity that attains it.

    Over places (trial, y, x, channel); ``winner`` counts velocities in the order in which they came, in float32. It
    stays empty where nothing is ``differentiated``.
    """

    def __init__(self, like: Tensor, differentiated: bool) -> None:
        self.seen, self.value, self.winner = 0, like.new_empty(0), like.new_empty(0, dtype=torch.float32)
        self.differentiated = differentiated

    def take(self, state: Tensor, velocities: Velocities) -> None:
        """The next velocities, (velocity, trial, y, x, channel)."""
        for moved in _moved(state, velocities):
            if not self.seen:
                self.value = moved.clone()
                self.winner = self.winner.new_zeros(moved.shape if self.differentiated else 0)
            else:
                if self.differentiated:
                    higher = torch.gt(moved, self.value, out=torch.empty_like(self.winner))
                    torch.maximum(self.winner, higher.mul_(self.seen), out=self.winner)
                torch.maximum(self.value, moved, out=self.value)
            self.seen += 1


def differentiated(*tensors: Tensor) -> bool:
    """Whether a derivative may be asked of what is computed from these: backward or forward."""
    return torch.is_grad_enabled() or any(unpack_dual(tensor).tangent is not None for tensor in tensors)


def _moved(state: Tensor, velocities: Velocities) -> Tensor:
    """Each velocity (velocity, trial, y, x, channel) moved by itself."""
    return gathered(state.contiguous(), velocities, 0).permute(0, 2, 3, 1).view(state.shape)


def handed_back(gradient: Tensor, winner: Tensor, first: int, velocities: Velocities) -> Tensor:
    """To velocities from number ``first`` on, (velocity, trial, y, x, channel), from the maximum's gradient.

    ``winner`` is in float32: comparing integers would take longer than all else here.
    """
    number = torch.arange(first, first + len(velocities), dtype=winner.dtype, device=winner.device)
    away = (winner - number[:, None, None, None, None]).to(gradient.dtype)  # 0 at the winner, else at least 1
    own = torch.ops.aten.hardtanh_backward(gradient.contiguous().expand_as(away), away, -0.5, 0.5)  # 0 where away
    return _moved(own, opposite(velocities))


def winning(along: Sequence[Tensor], winner: Tensor, velocities: Sequence[Velocities]) -> Tensor:
    """Of groups (velocity, trial, y, x, channel), moved, the value at the velocity that won, (trial, y, x, channel)."""
    found, number = torch.zeros_like(along[0][0]), 0
    for group, own in zip(along, velocities, strict=True):
        for moved in _moved(group, own):
            found = torch.where(winner == number, moved, found)
            number += 1
    return found


class _Maximum(torch.autograd.Function):
    """`pool_max` on groups (velocity, trial, y, x, channel)."""

    @staticmethod
    def forward(ctx: Any, velocities: Velocities, differentiated: bool, *groups: Tensor) -> Tensor:
        highest, ctx.velocities = Highest(groups[0], differentiated), members(map(len, groups), velocities)
        for group, own in zip(groups, ctx.velocities, strict=True):
            highest.take(group, own)
        winner = highest.winner.to(torch.int16)
        ctx.save_for_backward(winner)
        ctx.save_for_forward(winner)
        return highest.value

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (winner,), found, first = ctx.saved_tensors, [], 0
        for own in ctx.velocities:
            found.append(handed_back(gradient, winner.float(), first, own))
            first += len(own)
        return None, None, *found

    @staticmethod
    def jvp(ctx: Any, _velocities: None, _differentiated: None, *along: Tensor) -> Tensor:
        (winner,) = ctx.saved_tensors
        return winning(along, winner, ctx.velocities)
