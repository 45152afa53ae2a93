r"""The recurrence of the FERNN at every velocity, without moving a state in memory first.

    h_t(v) = a( W * psi_1(v) . h_(t-1)(v) + U * f_t )

The copy that a circular convolution needs moves the state as well (`flowsim.layers.padded_gather`). The state
is kept in groups of a few velocities, each small enough that what is gathered, convolved and activated stays
in the cache, and each a tensor of its own, so that a step neither joins nor splits them. The backward pass
copies again instead of keeping copies: of each step its output is stored, and which velocity held the
maximum; and one copy of the gradient serves both the state and the weights,

    dE/dh(v) = psi_1(-v) . W^T * g(v),     dE/dW = sum_v of the correlation of h(v) with psi_1(-v) . g(v),

where g is the gradient before the activation. Forward mode differentiates too (``jvp``).

Memory is laid out (velocity, trial, y, x, channel), whatever the order of the dimensions. Whole-pixel
velocities only. `flowsim.layers.velocity_channels.advance` and `flowsim.layers.cells.RNN` are the same in
plain steps, and what this is tested against.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual

from flowsim.flows.group import Velocity
from flowsim.layers.circular import convolve
from flowsim.layers.padded_gather import (
    adjoint,
    as_autocast,
    convolved,
    gathered,
    inward,
    outward,
    weight_gradient,
)

GROUP = 3 * 2**20
"""Bytes of state in a group of velocities on a CPU; a GPU takes all velocities at once."""
DERIVATIVES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "relu": lambda gradient, output: torch.ops.aten.threshold_backward(gradient, output, 0),
    "tanh": torch.ops.aten.tanh_backward,
    "linear": lambda gradient, _: gradient,
}
IN_PLACE = {"relu": torch.relu_, "tanh": torch.tanh_, "linear": lambda x: x}
Groups = tuple[Tensor, ...]
Velocities = tuple[Velocity, ...]


def recur(
    state: Sequence[Tensor],
    weight: Tensor,
    drive: Sequence[Tensor],
    velocities: Sequence[Velocity],
    activation: str,
    pooled: bool = False,
) -> tuple[Groups, Tensor]:
    """One step: the state after the next frame, from the state before it and the frame's drive.

    Parameters
    ----------
    state : sequence of Tensor (trial, velocity, channel, y, x)
        Groups of velocities, in order; one alone is split as pays. One of velocity size 1 is the same at
        every velocity, as at the start.
    weight : Tensor (channel, channel, y, x)
        The kernel W, of odd size.
    drive : sequence of Tensor (trial, velocity or 1, channel, y, x)
        U * f_t: one, the same for all velocities or with one for each, or a group for each group of the
        state.
    velocities : sequence of (int, int)
        Of all of the state's velocities, in px/frame.
    activation : {"relu", "tanh", "linear"}
    pooled : bool
        Whether the maximum is wanted.

    Returns
    -------
    tuple of Tensor (trial, velocity, channel, y, x)
        The state after the frame, in groups.
    Tensor (trial, channel, y, x)
        Its maximum over velocity once it is advanced again, see `flowsim.layers.fused_recurrence`: taken on
        the way, while all is at hand. Empty unless ``pooled``.
    """
    moves = tuple(velocities)
    several = (
        state if len(state) > 1 else drive if len(drive) > 1 else grouped(_everywhere(state[0], len(moves)))
    )
    sizes = [group.shape[1] for group in several]
    drive = drive[0].split(sizes, 1) if len(drive) == 1 and drive[0].shape[1] == len(moves) else drive
    if len(state) == 1 and state[0].shape[1] < len(moves):
        found = _from_one(state[0], weight, drive, members(sizes, moves), activation)
        return found, maximum_when_advanced(found, moves) if pooled else weight.new_empty(0)
    state = state[0].split(sizes, 1) if len(state) == 1 else state
    on_the_way = pooled and len(moves) > 1
    weight, *both = as_autocast(weight, *drive, *state)
    winner = on_the_way and differentiated(weight, *both)
    *groups, highest = _Recurrence.apply(
        weight, moves, activation, on_the_way, winner, len(drive), *map(outward, both)
    )
    found = tuple(map(inward, groups))
    if on_the_way:
        highest = highest.permute(0, 3, 1, 2)
    elif pooled:
        highest = maximum_when_advanced(found, moves)
    return found, highest


def _everywhere(state: Tensor, velocities: int) -> Tensor:
    """(trial, velocity or 1, channel, y, x) at each velocity."""
    return state.expand(-1, velocities, -1, -1, -1)


def grouped(state: Tensor) -> Groups:
    """A state (trial, velocity, channel, y, x) in groups of velocities."""
    if state.device.type != "cpu":
        return (state,)
    groups = math.ceil(state.numel() * state.element_size() / GROUP)
    return state.tensor_split(min(max(1, groups), state.shape[1]), 1)


def _from_one(
    state: Tensor, weight: Tensor, drive: Sequence[Tensor], velocities: Sequence[Velocities], activation: str
) -> Groups:
    """The step from a state that is the same at every velocity: one convolution for them all."""
    recurrent = outward(convolve(state[:, 0], weight)[:, None])
    act, drive = IN_PLACE[activation], [outward(own) for own in drive]
    if state.stride()[-2:] == (0, 0):  # nor does it change when it moves
        return tuple(inward(act(recurrent + own)) for own in drive)
    moved = [torch.cat([recurrent.roll((int(vy), int(vx)), (2, 3)) for vy, vx in own]) for own in velocities]
    drive = drive * (len(moved) // len(drive))
    return tuple(inward(act(one.add_(own))) for one, own in zip(moved, drive, strict=True))


class _Recurrence(torch.autograd.Function):
    """`recur` on groups (velocity, trial, y, x, channel): ``drives`` of the drive first, then those of the
    state.
    """

    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, velocities: Velocities, activation: str, pooled: bool, winner: bool, drives: int,
        *groups: Tensor,
    ) -> Groups:  # fmt: skip
        drive, state = groups[:drives], groups[drives:]
        ctx.velocities, ctx.activation = members(map(len, state), velocities), activation
        ctx.drives, ctx.shared, ctx.pooled = drives, drives == len(drive[0]) == 1, pooled
        side, output, highest = weight.shape[-1] // 2, [], Highest(weight, winner)
        for number, (group, own) in enumerate(zip(state, ctx.velocities, strict=True)):
            after = convolved(gathered(group, own, side), weight).contiguous().view(group.shape)
            IN_PLACE[activation](after.add_(drive[number % drives]))
            if pooled:
                highest.take(after, own)
            output.append(after)
        won = highest.winner.to(torch.int16)
        ctx.save_for_backward(weight, won, *state, *output)
        ctx.save_for_forward(weight, won, *state, *output)
        ctx.set_materialize_grads(False)
        if not pooled:
            ctx.mark_non_differentiable(highest.value)
        return *output, highest.value

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        weight, winner, *groups = ctx.saved_tensors
        *to_output, to_highest = gradients
        side, flipped, slope = weight.shape[-1] // 2, adjoint(weight), DERIVATIVES[ctx.activation]
        exact = torch.promote_types(weight.dtype, torch.float32)  # to add up in, where the state is shorter
        to_weight, first, winner = torch.zeros_like(flipped, dtype=exact), 0, winner.float()
        to_drive: list[Tensor | None] = [None] * ctx.drives
        to_state: list[Tensor | None] = [None] * len(to_output)
        for number, (own, gradient) in enumerate(zip(ctx.velocities, to_output, strict=True)):
            state, output = groups[number], groups[len(to_output) + number]
            if to_highest is not None:
                won = handed_back(to_highest, winner, first, own)
                gradient = won if gradient is None else won.add_(gradient)
            first += len(own)
            if gradient is None:
                continue
            inner = slope(gradient, output).contiguous()
            backwards = gathered(inner, opposite(own), side)
            if ctx.needs_input_grad[0]:
                to_weight += weight_gradient(backwards, state.flatten(0, 1), flipped)
            if ctx.needs_input_grad[6 + ctx.drives + number]:
                to_state[number] = convolved(backwards, flipped).contiguous().view(state.shape)
            if ctx.shared:
                inner = inner.sum(0, keepdim=True, dtype=exact)
            driven = to_drive[number % ctx.drives]
            to_drive[number % ctx.drives] = inner if driven is None else driven + inner
        to_drive = [own if own is None else own.to(weight.dtype) for own in to_drive]
        return adjoint(to_weight).to(weight.dtype), None, None, None, None, None, *to_drive, *to_state

    @staticmethod
    def jvp(ctx: Any, along_weight: Tensor | None, *along: Any) -> tuple[Tensor | None, ...]:
        weight, winner, *groups = ctx.saved_tensors
        count, side, found = len(ctx.velocities), weight.shape[-1] // 2, []
        along_drive, along_state = along[5 : 5 + ctx.drives], along[5 + ctx.drives :]
        for number, own in enumerate(ctx.velocities):
            state, output = groups[number], groups[count + number]
            total = torch.zeros_like(output)
            for moved, kernel in ((along_state[number], weight), (state, along_weight)):
                if moved is not None and kernel is not None:
                    total += convolved(gathered(moved.contiguous(), own, side), kernel).reshape(output.shape)
            if (driven := along_drive[number % ctx.drives]) is not None:
                total += driven
            found.append(DERIVATIVES[ctx.activation](total, output))
        return *found, winning(found, winner, ctx.velocities) if ctx.pooled else None


def maximum_when_advanced(state: Sequence[Tensor], velocities: Sequence[Velocity]) -> Tensor:
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
    """The maximum over velocities that come one group after the other, moved, and the first velocity that
    attains it.

    Over places (trial, y, x, channel); ``winner`` counts velocities in the order in which they came, in
    float32. It stays empty where nothing is ``differentiated``.
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
    own = torch.ops.aten.hardtanh_backward(
        gradient.contiguous().expand_as(away), away, -0.5, 0.5
    )  # 0 where away
    return _moved(own, opposite(velocities))


def winning(along: Sequence[Tensor], winner: Tensor, velocities: Sequence[Velocities]) -> Tensor:
    """Of groups (velocity, trial, y, x, channel), moved, the value at the velocity that won, (trial, y, x,
    channel).
    """
    found, number = torch.zeros_like(along[0][0]), 0
    for group, own in zip(along, velocities, strict=True):
        for moved in _moved(group, own):
            found = torch.where(winner == number, moved, found)
            number += 1
    return found


class _Maximum(torch.autograd.Function):
    """`maximum_when_advanced` on groups (velocity, trial, y, x, channel)."""

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
