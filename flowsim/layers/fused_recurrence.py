r"""The recurrence of the FERNN at every velocity, without moving a state in memory first.

    h_t(v) = a( W * psi_1(v) . h_(t-1)(v) + U * f_t )

The copy that a circular convolution needs moves the state as well (`flowsim.layers.padded_gather`). The state
is held in groups of a few velocities, each small enough to stay in the cache while it is gathered, convolved
and activated, and each a tensor of its own, so that a step neither joins nor splits them. The backward pass
copies again instead of storing copies: each step stores its output, and which velocity held the maximum. One
copy of the gradient serves both the state and the weights,

    dE/dh(v) = psi_1(-v) . W^T * g(v),     dE/dW = sum_v of the correlation of h(v) with psi_1(-v) . g(v),

where g is the gradient before the activation. Forward mode differentiates too (``jvp``). With ReLU in float32
on a CPU all of a step happens in C with fewer multiplications, where there is a compiler
(`flowsim.layers.winograd`); second derivatives and ``jvp`` go the plain way there, too.

Memory is laid out (velocity, trial, y, x, channel), whatever the order of the dimensions. Whole-pixel
velocities only. `flowsim.layers.velocity_channels.advance` and `flowsim.layers.cells.RNN` do the same in
plain steps; tests compare with them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import Any

import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual

from flowsim.flows.group import Velocity
from flowsim.layers import winograd
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

Groups = tuple[Tensor, ...]
Velocities = tuple[Velocity, ...]
GROUP = 3 * 2**20
"""Bytes of state in a group of velocities on a CPU; a GPU takes all velocities at once."""
DERIVATIVES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "relu": lambda gradient, output: torch.ops.aten.threshold_backward(gradient, output, 0),
    "tanh": torch.ops.aten.tanh_backward,
    "linear": lambda gradient, _: gradient,
}
"""From the gradient of an activation's output, and that output, to the gradient of its input."""
IN_PLACE = {"relu": torch.relu_, "tanh": torch.tanh_, "linear": lambda x: x}


def recur(
    state: Sequence[Tensor],
    weight: Tensor,
    drive: Sequence[Tensor],
    velocities: Sequence[Velocity],
    activation: str,
    pooled: bool = False,
    time: Tensor | None = None,
) -> tuple[Groups, Tensor]:
    """One step: the state after the next frame, from the state before it and the frame's drive.

    Parameters
    ----------
    state : sequence of Tensor (trial, velocity, channel, y, x)
        Groups of velocities, in order; one alone is split as pays. One of velocity size 1 is the same at
        every velocity, and one that also has size 1 along y and x is the same at every place (`uniform`), as
        at the start.
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
    time : Tensor (trial,), optional
        The number of the frame, the same for all trials, on the CPU. Without it a law is exact to rounding
        only, not to the bit.

    Returns
    -------
    tuple of Tensor (trial, velocity, channel, y, x)
        The state after the frame, in groups.
    Tensor (trial, channel, y, x)
        Its maximum over velocity once it is advanced again, as by `maximum_when_advanced`, but taken while
        all of it is in the cache. Empty unless ``pooled``.
    """
    moves = tuple(velocities)
    is_uniform = len(state) == 1 and uniform(state[0])
    if is_uniform:
        state = [state[0].expand(-1, -1, -1, *drive[0].shape[-2:])]
    sizes = _sizes_of_groups(state, drive, len(moves))
    if len(drive) == 1 and drive[0].shape[1] == len(moves):
        drive = drive[0].split(sizes, 1)
    if len(state) == 1 and state[0].shape[1] < len(moves):
        groups = _from_same_at_every_velocity(
            state[0], weight, drive, members(sizes, moves), activation, is_uniform
        )
        return groups, maximum_when_advanced(groups, moves) if pooled else weight.new_empty(0)
    if len(state) == 1:
        state = state[0].split(sizes, 1)
    weight, *tensors = as_autocast(weight, *drive, *state)
    pools_now = pooled and len(moves) > 1
    tensors = [outward(tensor) for tensor in tensors]
    step = _Step(
        drives=len(drive),
        velocities=tuple(members(sizes, moves)),
        activation=activation,
        pooled=pools_now,
        finds_winner=pools_now and differentiated(weight, *tensors),
        in_c=activation == "relu" and winograd.fits(weight, *reversed(tensors)),
        time=time,
    )
    *outputs, highest = _Recurrence.apply(step, weight, *tensors)
    groups = tuple(map(inward, outputs))
    if pools_now:
        return groups, highest.permute(0, 3, 1, 2)
    return groups, maximum_when_advanced(groups, moves) if pooled else highest


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
    groups = tuple(members([group.shape[1] for group in state], tuple(velocities)))
    return _Maximum.apply(groups, differentiated(*state), *map(outward, state)).permute(0, 3, 1, 2)


def uniform(state: Tensor) -> bool:
    """Whether a state (trial, velocity, channel, y, x) is marked as the same at every velocity and place.

    The mark is its size of 1 along velocity, y and x. The same everywhere, it does not change when it moves.
    """
    return state.shape[1] == 1 and state.shape[-2:] == (1, 1)


def grouped(state: Tensor) -> Groups:
    """A state (trial, velocity, channel, y, x) in groups of velocities."""
    if state.device.type != "cpu":
        return (state,)
    groups = math.ceil(state.numel() * state.element_size() / GROUP)
    return state.tensor_split(min(max(1, groups), state.shape[1]), 1)


def _sizes_of_groups(state: Sequence[Tensor], drive: Sequence[Tensor], velocities: int) -> list[int]:
    """How many velocities each group has: as the state or the drive is split, or if neither is, as pays."""
    if len(state) > 1:
        groups = state
    elif len(drive) > 1:
        groups = drive
    else:
        groups = grouped(state[0].expand(-1, velocities, -1, -1, -1))
    return [group.shape[1] for group in groups]


def members(sizes: Iterable[int], velocities: Velocities) -> list[Velocities]:
    """The velocities of each group, from how many each has."""
    remaining = iter(velocities)
    return [tuple(islice(remaining, size)) for size in sizes]


def opposite(velocities: Velocities) -> Velocities:
    """The velocities that lead back."""
    return tuple((-vy, -vx) for vy, vx in velocities)


def differentiated(*tensors: Tensor) -> bool:
    """Whether anything computed from these may be differentiated, in backward or forward mode."""
    return torch.is_grad_enabled() or any(unpack_dual(tensor).tangent is not None for tensor in tensors)


def _from_same_at_every_velocity(
    state: Tensor,
    weight: Tensor,
    drive: Sequence[Tensor],
    velocities: Sequence[Velocities],
    activation: str,
    is_uniform: bool,
) -> Groups:
    """The step from a state of velocity size 1: one convolution for all velocities."""
    activate = IN_PLACE[activation]
    recurrent = outward(convolve(state[:, 0], weight)[:, None])
    drive = [outward(group) for group in drive]
    if is_uniform:  # it does not change when it moves, and so is the same wherever the drive is
        return tuple(inward(activate(recurrent + group)) for group in drive)
    outputs = []
    for number, moves in enumerate(velocities):
        moved = torch.cat([recurrent.roll((int(vy), int(vx)), (2, 3)) for vy, vx in moves])
        outputs.append(inward(activate(moved.add_(drive[number % len(drive)]))))
    return tuple(outputs)


@dataclass(frozen=True)
class _Step:
    """All about a step of `_Recurrence` but its tensors.

    Attributes
    ----------
    drives : int
        Groups of the drive: one for each group of the state, or one for all.
    velocities : tuple of tuples of velocities
        Of each group of the state.
    activation : str
    pooled : bool
        Whether the maximum is taken.
    finds_winner : bool
        Whether the velocity that holds the maximum is stored, for derivatives.
    in_c : bool
        Whether it is computed by `flowsim.layers.winograd`.
    time : Tensor (trial,) or None
        The number of the frame.
    """

    drives: int
    velocities: tuple[Velocities, ...]
    activation: str
    pooled: bool
    finds_winner: bool
    in_c: bool
    time: Tensor | None

    def ways(self, later: int = 0) -> Iterable[winograd.Way]:
        """Of each group, so many frames later."""
        return (winograd.Way.of_frame(self.time, moves, later) for moves in self.velocities)

    def drive_and_state(self, groups: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
        """What belongs to the groups of the drive, and what to those of the state, in that order."""
        return groups[: self.drives], groups[self.drives :]

    def state_and_output(self, groups: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
        """What belongs to the groups of the state before, and what to those after, in that order."""
        return groups[: len(self.velocities)], groups[len(self.velocities) :]


class _Recurrence(torch.autograd.Function):
    """`recur` on groups (velocity, trial, y, x, channel), first those of the drive and then of the state."""

    @staticmethod
    def forward(ctx: Any, step: _Step, weight: Tensor, *groups: Tensor) -> Groups:
        drive, state = step.drive_and_state(groups)
        ctx.step = step
        ctx.shares_drive = step.drives == len(drive[0]) == 1
        take = _stepped_in_c if step.in_c else _stepped
        outputs, highest, winner = take(step, weight, drive, state)
        ctx.save_for_backward(weight, winner, *state, *outputs)
        ctx.save_for_forward(weight, winner, *state, *outputs)
        ctx.set_materialize_grads(False)
        if not step.pooled:
            ctx.mark_non_differentiable(highest)
        return *outputs, highest

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        step: _Step = ctx.step
        _, needs_weight, *needs_groups = ctx.needs_input_grad
        _, needs_state = step.drive_and_state(needs_groups)
        saved = ctx.saved_tensors  # once: what is recomputed for it is gone then
        in_c = step.in_c and winograd.can_hand_back(saved, gradients)
        differentiate = _gradients_in_c if in_c else _gradients
        return None, *differentiate(step, saved, gradients, ctx.shares_drive, needs_weight, needs_state)

    @staticmethod
    def jvp(ctx: Any, _step: None, along_weight: Tensor | None, *along: Any) -> tuple[Tensor | None, ...]:
        step: _Step = ctx.step
        weight, winner, *groups = ctx.saved_tensors
        state, output = step.state_and_output(groups)
        along_drive, along_state = step.drive_and_state(along)
        side = weight.shape[-1] // 2
        along_output = []
        for number, moves in enumerate(step.velocities):
            total = torch.zeros_like(output[number])
            for moved, kernel in ((along_state[number], weight), (state[number], along_weight)):
                if moved is not None and kernel is not None:
                    images = gathered(moved.contiguous(), moves, side)
                    total += convolved(images, kernel).reshape(total.shape)
            driven = along_drive[number % step.drives]
            if driven is not None:
                total += driven
            along_output.append(DERIVATIVES[step.activation](total, output[number]))
        along_highest = winning(along_output, winner, step.velocities) if step.pooled else None
        return *along_output, along_highest


def _stepped(
    step: _Step, weight: Tensor, drive: Sequence[Tensor], state: Sequence[Tensor]
) -> tuple[list[Tensor], Tensor, Tensor]:
    """The state after a step in groups, its maximum, and in int16 which velocity holds it."""
    side = weight.shape[-1] // 2
    highest = Highest(weight, step.finds_winner)
    outputs = []
    for number, (group, moves) in enumerate(zip(state, step.velocities, strict=True)):
        after = convolved(gathered(group, moves, side), weight).contiguous().view(group.shape)
        IN_PLACE[step.activation](after.add_(drive[number % step.drives]))
        if step.pooled:
            highest.take(after, moves)
        outputs.append(after)
    return outputs, highest.value, highest.winner.to(torch.int16)


def _stepped_in_c(
    step: _Step, weight: Tensor, drive: Sequence[Tensor], state: Sequence[Tensor]
) -> tuple[list[Tensor], Tensor, Tensor]:
    """The same as `_stepped`."""
    kernel = winograd.transformed(weight)
    highest = weight.new_empty(state[0].shape[1:] if step.pooled else 0)
    winner = highest.new_empty(highest.shape if step.finds_winner else 0, dtype=torch.int16)
    maximum = (highest if step.pooled else None, winner if step.finds_winner else None)
    outputs = []
    for number, (way, (_, first)) in enumerate(zip(step.ways(), _numbered(step.velocities), strict=True)):
        driven = drive[number % step.drives]
        outputs.append(winograd.step(state[number], kernel, driven, way, *maximum, first))
    return outputs, highest, winner


def _gradients(
    step: _Step,
    saved: Sequence[Tensor],
    gradients: Sequence[Tensor | None],
    shares_drive: bool,
    needs_weight: bool,
    needs_state: Sequence[bool],
) -> tuple[Tensor | None, ...]:
    """Gradients of the weight, and of the groups of the drive and of the state, from those of what `_stepped`
    returns.
    """
    weight, winner, *groups = saved
    state, output = step.state_and_output(groups)
    *to_output, to_highest = gradients
    side = weight.shape[-1] // 2
    flipped = adjoint(weight)
    slope = DERIVATIVES[step.activation]
    exact = torch.promote_types(weight.dtype, torch.float32)  # to sum in, where the state is shorter
    winner = winner.float()
    to_weight = torch.zeros_like(flipped, dtype=exact)
    to_drive: list[Tensor | None] = [None] * step.drives
    to_state: list[Tensor | None] = [None] * len(state)
    for number, (moves, first) in enumerate(_numbered(step.velocities)):
        gradient = to_output[number]
        if to_highest is not None:
            of_winner = handed_back(to_highest, winner, first, moves)
            gradient = of_winner if gradient is None else of_winner.add_(gradient)
        if gradient is None:
            continue
        inner = slope(gradient, output[number]).contiguous()
        backwards = gathered(inner, opposite(moves), side)
        if needs_weight:
            to_weight += weight_gradient(backwards, state[number].flatten(0, 1), flipped)
        if needs_state[number]:
            to_state[number] = convolved(backwards, flipped).contiguous().view(state[number].shape)
        if shares_drive:
            inner = inner.sum(0, keepdim=True, dtype=exact)
        summed = to_drive[number % step.drives]
        to_drive[number % step.drives] = inner if summed is None else summed + inner
    to_drive = [None if gradient is None else gradient.to(weight.dtype) for gradient in to_drive]
    return adjoint(to_weight).to(weight.dtype), *to_drive, *to_state


def _gradients_in_c(
    step: _Step,
    saved: Sequence[Tensor],
    gradients: Sequence[Tensor | None],
    shares_drive: bool,
    needs_weight: bool,
    needs_state: Sequence[bool],
) -> tuple[Tensor | None, ...]:
    """The same as `_gradients`."""
    weight, winner, *groups = saved
    state, output = step.state_and_output(groups)
    *to_output, to_highest = (None if gradient is None else gradient.contiguous() for gradient in gradients)
    kernel = winograd.transformed(adjoint(weight))
    sums = winograd.new_sums(weight) if needs_weight else None
    to_drive: list[Tensor | None] = [None] * step.drives
    to_state: list[Tensor | None] = [None] * len(state)
    if shares_drive:
        to_drive = [torch.zeros_like(output[0][:1])]
    ways = step.ways(later=-1)  # tiles are those of the state before
    for number, (way, (_, first)) in enumerate(zip(ways, _numbered(step.velocities), strict=True)):
        if to_output[number] is None and to_highest is None:
            continue
        to_state[number], inner = winograd.step_back(
            *(to_output[number], to_highest, winner, output[number], state[number], kernel, way, first),
            *(to_drive[0] if shares_drive else None, sums, needs_state[number]),
        )
        if inner is not None:
            summed = to_drive[number % step.drives]
            to_drive[number % step.drives] = inner if summed is None else summed + inner
    to_weight = None if sums is None else adjoint(winograd.kernel_gradient(sums.sum(0)))
    return to_weight, *to_drive, *to_state


class _Maximum(torch.autograd.Function):
    """`maximum_when_advanced` on groups (velocity, trial, y, x, channel), from the velocities of each."""

    @staticmethod
    def forward(ctx: Any, velocities: tuple[Velocities, ...], finds_winner: bool, *groups: Tensor) -> Tensor:
        ctx.velocities = velocities
        highest = Highest(groups[0], finds_winner)
        for group, moves in zip(groups, velocities, strict=True):
            highest.take(group, moves)
        winner = highest.winner.to(torch.int16)
        ctx.save_for_backward(winner)
        ctx.save_for_forward(winner)
        return highest.value

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (winner,) = ctx.saved_tensors
        to_groups = [
            handed_back(gradient, winner.float(), first, moves) for moves, first in _numbered(ctx.velocities)
        ]
        return None, None, *to_groups

    @staticmethod
    def jvp(ctx: Any, _velocities: None, _finds_winner: None, *along: Tensor) -> Tensor:
        (winner,) = ctx.saved_tensors
        return winning(along, winner, ctx.velocities)


class Highest:
    """The maximum over moved velocities that come one group after the other, and the first velocity to attain
    it.

    Parameters
    ----------
    like : Tensor
        Of the dtype and on the device of the state.
    finds_winner : bool
        Whether to find the velocity, too.

    Attributes
    ----------
    value : Tensor (trial, y, x, channel)
        The maximum; empty before the first velocity.
    winner : Tensor (trial, y, x, channel)
        The number of the velocity that holds it, counted in the order in which they came, in float32. Empty
        unless ``finds_winner``.
    seen : int
        How many velocities have come.
    """

    def __init__(self, like: Tensor, finds_winner: bool) -> None:
        self.finds_winner = finds_winner
        self.seen = 0
        self.value = like.new_empty(0)
        self.winner = like.new_empty(0, dtype=torch.float32)

    def take(self, state: Tensor, velocities: Velocities) -> None:
        """Take in the next velocities of a state (velocity, trial, y, x, channel)."""
        for moved in _moved(state, velocities):
            if not self.seen:
                self.value = moved.clone()
                self.winner = self.winner.new_zeros(moved.shape if self.finds_winner else 0)
            else:
                if self.finds_winner:
                    higher = torch.gt(moved, self.value, out=torch.empty_like(self.winner))
                    torch.maximum(self.winner, higher.mul_(self.seen), out=self.winner)
                torch.maximum(self.value, moved, out=self.value)
            self.seen += 1


def handed_back(gradient: Tensor, winner: Tensor, first: int, velocities: Velocities) -> Tensor:
    """The gradient with respect to some velocities of a state, from that of the maximum.

    Parameters
    ----------
    gradient, winner : Tensor (trial, y, x, channel)
        Of the maximum. ``winner`` is in float32: comparing integers would take longer than all else here.
    first : int
        Number of the first of the velocities.
    velocities : tuple of velocities

    Returns
    -------
    Tensor (velocity, trial, y, x, channel)
    """
    number = torch.arange(first, first + len(velocities), dtype=winner.dtype, device=winner.device)
    distance = (winner - number[:, None, None, None, None]).to(gradient.dtype)  # 0 at the winner, else >= 1
    to_moved = torch.ops.aten.hardtanh_backward(  # 0 unless the distance lies between the limits
        gradient.contiguous().expand_as(distance), distance, -0.5, 0.5
    )
    return _moved(to_moved, opposite(velocities))


def winning(along: Sequence[Tensor], winner: Tensor, velocities: Sequence[Velocities]) -> Tensor:
    """The value, at the velocity that won, of moved groups (velocity, trial, y, x, channel).

    Returns
    -------
    Tensor (trial, y, x, channel)
    """
    value = torch.zeros_like(along[0][0])
    number = 0
    for group, moves in zip(along, velocities, strict=True):
        for moved in _moved(group, moves):
            value = torch.where(winner == number, moved, value)
            number += 1
    return value


def _numbered(velocities: Sequence[Velocities]) -> Iterable[tuple[Velocities, int]]:
    """The velocities of each group, with the number of the first of them among all."""
    firsts = accumulate((len(moves) for moves in velocities[:-1]), initial=0)
    return zip(velocities, firsts, strict=True)


def _moved(state: Tensor, velocities: Velocities) -> Tensor:
    """Each velocity (velocity, trial, y, x, channel) moved by itself."""
    return gathered(state.contiguous(), velocities, 0).permute(0, 2, 3, 1).view(state.shape)
