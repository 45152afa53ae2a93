r"""The recurrence of the FERNN at every velocity, without moving a state in memory first.

    recur     h_t(v) = a( W * psi_1(v) . h_(t-1)(v) + U * f_t )
    pool_max  max_v psi_1(v) . h_(t-1)(v), what the prediction of frame t is decoded from

The copy that a circular convolution needs moves the state as well (`flowsim.gather`). Velocities are taken a few at a
time, so that what is gathered, convolved and activated stays in the cache. The backward pass gathers again instead of
keeping copies: of each step only its output is stored. The gradient of the maximum goes to the first velocity that
attains it. Forward mode differentiates too (``jvp``).

Memory is laid out (velocity, trial, y, x, channel), whatever the order of the dimensions. Whole-pixel velocities only.
`flowsim.lift.advance` and `flowsim.cells.RNN` are the same in plain steps, and what this is tested against.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from flowsim.circular import convolve
from flowsim.flow import Velocity
from flowsim.gather import adjoint, as_autocast, convolved, gathered, rows, weight_gradient

CHUNK = 2**21
"""Bytes of state that are worked on at once on a CPU; a GPU takes all velocities at once."""
DERIVATIVES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "relu": lambda gradient, output: torch.ops.aten.threshold_backward(gradient, output, 0),
    "tanh": torch.ops.aten.tanh_backward,
    "linear": lambda gradient, _: gradient,
}
IN_PLACE = {"relu": torch.relu_, "tanh": torch.tanh_, "linear": lambda x: x}


def recur(
    state: Tensor, weight: Tensor, drive: Tensor, velocities: Sequence[Velocity], activation: str
) -> tuple[Tensor, Tensor]:
    """One step: the state after the next frame, from the state before it and the frame's drive.

    Parameters
    ----------
    state : Tensor (trial, velocity, channel, y, x)
    weight : Tensor (channel, channel, y, x)
        The kernel W, of odd size.
    drive : Tensor (trial, velocity or 1, channel, y, x)
        U * f_t, the same for all velocities or one for each.
    velocities : sequence of (int, int)
        Of the state's channels, in px/frame.
    activation : {"relu", "tanh", "linear"}

    Returns
    -------
    Tensor (trial, velocity, channel, y, x)
        The state after the frame.
    Tensor (trial, channel, y, x)
        Its maximum over velocity once it is advanced again, see `pool_max`: taken on the way, while all is at hand.
    """
    moves = tuple(velocities)
    if state.stride(1) == 0:
        new = _from_one(state, weight, drive, moves, activation)
        return new, pool_max(new, moves)
    state, weight, drive = as_autocast(state, weight, drive)
    after, highest = _Recurrence.apply(_outward(state), weight, _outward(drive), moves, activation)
    return _inward(after), _inward(highest).squeeze(1)


def _from_one(
    state: Tensor, weight: Tensor, drive: Tensor, velocities: tuple[Velocity, ...], activation: str
) -> Tensor:
    """The step from a state that is the same at every velocity, as it is at first: one convolution for them all."""
    recurrent = convolve(state[:, 0], weight).permute(0, 2, 3, 1)
    if state.stride()[-2:] == (0, 0):  # nor does it change when it moves
        moved = recurrent[None]
    else:
        moved = torch.stack([recurrent.roll((int(vy), int(vx)), (1, 2)) for vy, vx in velocities])
    return _inward(IN_PLACE[activation](moved + _outward(drive))).expand(-1, len(velocities), -1, -1, -1)


def pool_max(state: Tensor, velocities: Sequence[Velocity]) -> Tensor:
    """Maximum over velocity of the advanced state, (trial, channel, y, x), from the state before it; see `recur`."""
    if len(velocities) == 1:
        (vy, vx), alone = velocities[0], state[:, 0]
        return alone.roll((int(vy), int(vx)), (-2, -1)) if vy or vx else alone
    return _inward(_Maximum.apply(_outward(state), tuple(velocities))).squeeze(1)


def _outward(x: Tensor) -> Tensor:
    """(trial, velocity, channel, y, x) as it lies in memory, (velocity, trial, y, x, channel)."""
    return x.permute(1, 0, 3, 4, 2).contiguous()


def _inward(x: Tensor) -> Tensor:
    """Back again."""
    return x.permute(1, 0, 4, 2, 3)


def _chunks(state: Tensor) -> list[slice]:
    """Velocities to be worked on at once."""
    velocities = len(state)
    if state.device.type != "cpu":
        return [slice(velocities)]
    at_once = max(1, CHUNK // max(1, state[0].numel() * state.element_size()))
    return [slice(first, min(first + at_once, velocities)) for first in range(0, velocities, at_once)]


class Highest:
    """The maximum over velocities that come one after the other, moved, and the first velocity that attains it.

    Over places (trial, y, x, channel); ``winner`` counts velocities as ``velocities`` does.
    """

    def __init__(self, velocities: tuple[Velocity, ...]) -> None:
        self.velocities, self.seen = velocities, 0
        self.value, self.winner = torch.empty(0), torch.empty(0)

    def take(self, state: Tensor) -> None:
        """The next velocities, (velocity, trial, y, x, channel)."""
        for own in state.split(1):
            velocity = self.velocities[self.seen : self.seen + 1]
            moved = gathered(own, velocity, 0).permute(0, 2, 3, 1)
            if self.seen:
                higher = torch.gt(moved, self.value, out=torch.empty_like(self.winner))
                torch.maximum(self.winner, higher.mul_(self.seen), out=self.winner)
                torch.maximum(self.value, moved, out=self.value)
            else:
                self.value, self.winner = moved, torch.zeros(moved.shape, dtype=torch.int16, device=moved.device)
            self.seen += 1


def _elements(winner: Tensor, velocities: tuple[Velocity, ...]) -> Tensor:
    """Where in (velocity, trial, y, x, channel), flattened, each maximum (trial, y, x, channel) comes from."""
    trials, height, width, channels = winner.shape
    places = rows((trials, height, width), velocities, 0, winner.device)
    chosen = winner.reshape(-1, channels).long()
    place = torch.arange(len(chosen), device=winner.device)[:, None]
    return (places[chosen, place] * channels + torch.arange(channels, device=winner.device)).flatten()


class _Recurrence(torch.autograd.Function):
    """`recur` on (velocity, trial, y, x, channel)."""

    @staticmethod
    def forward(
        ctx: Any, state: Tensor, weight: Tensor, drive: Tensor, velocities: tuple[Velocity, ...], activation: str
    ) -> tuple[Tensor, Tensor]:
        side, output, highest = weight.shape[-1] // 2, torch.empty_like(state), Highest(velocities)
        for chosen in _chunks(state):
            recurrent = convolved(gathered(state[chosen], velocities[chosen], side), weight)
            into = output[chosen]
            torch.add(recurrent.reshape(into.shape), drive if len(drive) == 1 else drive[chosen], out=into)
            IN_PLACE[activation](into)
            highest.take(into)
        ctx.save_for_backward(state, weight, output, highest.winner)
        ctx.save_for_forward(state, weight, output, highest.winner)
        ctx.velocities, ctx.activation, ctx.drives = velocities, activation, len(drive)
        ctx.set_materialize_grads(False)
        return output, highest.value[None]

    @staticmethod
    def backward(ctx: Any, to_output: Tensor | None, to_highest: Tensor | None) -> tuple[Tensor | None, ...]:
        state, weight, output, winner = ctx.saved_tensors
        side, flipped, slope = weight.shape[-1] // 2, adjoint(weight), DERIVATIVES[ctx.activation]
        back = tuple((-vy, -vx) for vy, vx in ctx.velocities)
        inner = torch.zeros_like(output) if to_output is None else slope(to_output, output).contiguous()
        if to_highest is not None:
            elements = _elements(winner, ctx.velocities)
            own = slope(to_highest.flatten(), output.flatten()[elements])
            inner = inner.flatten().index_add_(0, elements, own).view(output.shape)
        to_state = torch.empty_like(state) if ctx.needs_input_grad[0] else None
        exact = torch.promote_types(state.dtype, torch.float32)  # to add up in, where the state is shorter
        to_drive = torch.zeros_like(state[:1], dtype=exact) if ctx.drives == 1 else inner
        to_weight = torch.zeros_like(weight, dtype=exact)
        for chosen in _chunks(state):
            if ctx.drives == 1:
                to_drive += inner[chosen].sum(0, keepdim=True, dtype=exact)
            if to_state is not None:
                backwards = gathered(inner[chosen], back[chosen], side)
                to_state[chosen] = convolved(backwards, flipped).reshape(state[chosen].shape)
            seen = gathered(state[chosen], ctx.velocities[chosen], side)
            to_weight += weight_gradient(seen, inner[chosen].flatten(0, 1), weight)
        return to_state, to_weight.to(weight.dtype), to_drive.to(state.dtype), None, None

    @staticmethod
    def jvp(
        ctx: Any, along_state: Tensor | None, along_weight: Tensor | None, along_drive: Tensor | None, *_: None
    ) -> tuple[Tensor, Tensor]:
        state, weight, output, winner = ctx.saved_tensors
        side, along = weight.shape[-1] // 2, torch.zeros_like(output)
        for chosen in _chunks(state):
            for moved, kernel in ((along_state, weight), (state, along_weight)):
                if moved is not None and kernel is not None:
                    images = gathered(moved[chosen].contiguous(), ctx.velocities[chosen], side)
                    along[chosen] += convolved(images, kernel).reshape(along[chosen].shape)
        if along_drive is not None:
            along += along_drive
        along = DERIVATIVES[ctx.activation](along, output)
        return along, along.flatten()[_elements(winner, ctx.velocities)].view(winner.shape)[None]


class _Maximum(torch.autograd.Function):
    """`pool_max` on (velocity, trial, y, x, channel)."""

    @staticmethod
    def forward(ctx: Any, state: Tensor, velocities: tuple[Velocity, ...]) -> Tensor:
        highest = Highest(velocities)
        highest.take(state)
        ctx.save_for_backward(highest.winner)
        ctx.save_for_forward(highest.winner)
        ctx.velocities, ctx.size = velocities, state.shape
        return highest.value[None]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (winner,) = ctx.saved_tensors
        to_state = gradient.new_zeros(ctx.size).flatten()
        return to_state.index_add(0, _elements(winner, ctx.velocities), gradient.flatten()).view(ctx.size), None

    @staticmethod
    def jvp(ctx: Any, along: Tensor, _: None) -> Tensor:
        (winner,) = ctx.saved_tensors
        return along.flatten()[_elements(winner, ctx.velocities)].view(winner.shape)[None]
