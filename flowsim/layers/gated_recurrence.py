r"""The recurrence of a FERNN with GRU cells at every velocity, without moving a state in memory first.

    h_t(v) = z h + (1 - z) tanh( W_n * (r h) + drive ),     h = psi_1(v) . h_(t-1)(v)

In float32 on a CPU all of a step happens in C (`flowsim.layers.winograd`), forward and backward, on few
trials of one velocity at a time. Elsewhere the state is moved and `flowsim.layers.cells.GRU` does the same;
tests compare the two. Memory is laid out (velocity, trial, y, x, channel), whatever the order of the
dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from flowsim.flows.group import Velocity
from flowsim.layers import winograd
from flowsim.layers.cells import GRU, gated
from flowsim.layers.circular import convolve
from flowsim.layers.fused_recurrence import maximum_when_advanced, uniform
from flowsim.layers.padded_gather import adjoint, inward, outward
from flowsim.layers.velocity_channels import moved


def recur_gated(
    state: Tensor,
    cell: GRU,
    drive: Tensor,
    velocities: Sequence[Velocity],
    pooled: bool = False,
    time: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """One step: the state after the next frame, from the state before it and the frame's drive.

    Parameters
    ----------
    state : Tensor (trial, velocity, channel, y, x)
        One of velocity size 1 is the same at every velocity.
    cell : GRU
    drive : Tensor (trial, velocity or 1, 3 channel, y, x)
        Of the gates z and r and of the candidate.
    velocities : sequence of (int, int)
        Of all of the state's velocities, in px/frame.
    pooled : bool
        Whether the maximum is wanted.
    time : Tensor (trial,), optional
        The number of the frame, the same for all trials, on the CPU. Without it a law is exact to rounding
        only, not to the bit.

    Returns
    -------
    Tensor (trial, velocity, channel, y, x)
        The state after the frame.
    Tensor (trial, channel, y, x)
        Its maximum over velocity once it is advanced again. Empty unless ``pooled``.
    """
    moves = tuple(velocities)
    if uniform(state):
        state = state.expand(-1, -1, -1, *drive.shape[-2:])
        if drive.shape[1] == 1:  # what does not change when it moves stays the same at every velocity
            (after,) = cell((state,), drive)
            return after, maximum_when_advanced([after], moves) if pooled else after.new_empty(0)
    state = state.expand(-1, len(moves), -1, -1, -1)
    weights, h = (cell.gating.weight, cell.recurrent.weight), outward(state)
    known = (*weights, h, drive)
    fits = all(winograd.fits(weight, h, drive) for weight in weights)
    if not fits or any(map(winograd.is_dual, known)):  # in forward mode C has nothing to say
        (after,) = cell((moved(state, moves),), drive)
        return after, maximum_when_advanced([after], moves) if pooled else after.new_empty(0)
    pools_now = pooled and len(moves) > 1
    step = _Step(moves, time, pools_now, pools_now and torch.is_grad_enabled())
    channels = state.shape[2]
    drives = (outward(part) for part in drive.split([2 * channels, channels], 2))
    after, highest = _Gated.apply(step, *weights, h, *drives)
    after = inward(after)
    if pools_now:
        return after, highest.permute(0, 3, 1, 2)
    return after, maximum_when_advanced([after], moves) if pooled else highest


@dataclass(frozen=True)
class _Step:
    """All about a step of `_Gated` but its tensors; see `recur_gated`."""

    velocities: tuple[Velocity, ...]
    time: Tensor | None
    pooled: bool
    finds_winner: bool


class _Gated(torch.autograd.Function):
    """`recur_gated` on (velocity, trial, y, x, channel): the state and the drives of gates and candidate."""

    @staticmethod
    def forward(
        ctx: Any,
        step: _Step,
        gating: Tensor,
        recurrent: Tensor,
        state: Tensor,
        drive_of_gates: Tensor,
        drive: Tensor,
    ) -> tuple[Tensor, Tensor]:
        highest = state.new_empty(state.shape[1:] if step.pooled else 0)
        winner = highest.new_empty(highest.shape if step.finds_winner else 0, dtype=torch.int16)
        after, gates = winograd.gru_step(
            state,
            (winograd.transformed(gating), winograd.transformed(recurrent)),
            (drive_of_gates, drive),
            winograd.Way.of_frame(step.time, step.velocities),
            highest if step.pooled else None,
            winner if step.finds_winner else None,
        )
        ctx.step = step
        ctx.save_for_backward(
            gating, recurrent, state, drive_of_gates, drive, winner, gates.both, gates.candidate
        )
        ctx.set_materialize_grads(False)
        if not step.pooled:
            ctx.mark_non_differentiable(highest)
        return after, highest

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        step: _Step = ctx.step
        saved = ctx.saved_tensors  # once: what is recomputed for it is gone then
        *inputs, winner, both, candidate = saved
        if not winograd.can_hand_back(saved, gradients):
            return None, *_gradients(step, inputs, ctx.needs_input_grad[1:], gradients)
        gating, recurrent, state, *drives = inputs
        to_state, to_highest = (None if gradient is None else gradient.contiguous() for gradient in gradients)
        to_drives = torch.zeros_like(drives[0]), torch.zeros_like(drives[1])
        sums = winograd.new_sums(gating), winograd.new_sums(recurrent)
        before = winograd.gru_step_back(
            to_state,
            to_highest,
            winner,
            winograd.Gates(both, candidate),
            state,
            (winograd.transformed(adjoint(gating)), winograd.transformed(adjoint(recurrent))),
            winograd.Way.of_frame(step.time, step.velocities, later=-1),
            to_drives,
            sums,
        )
        to_weights = (adjoint(winograd.kernel_gradient(of_one.sum(0))) for of_one in sums)
        return None, *to_weights, before, *to_drives


def _gradients(
    step: _Step, inputs: Sequence[Tensor], needed: Sequence[bool], gradients: Sequence[Tensor | None]
) -> list[Tensor | None]:
    """The gradients of what `_Gated` was given, by the plain step: they can be differentiated again."""
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        inputs = [x.view_as(x) for x in inputs]  # apart from all that they were computed from
        gating, recurrent, state, drive_of_gates, drive = inputs
        drives = torch.cat([inward(drive_of_gates), inward(drive)], 2)
        convolution = partial(convolve, weight=recurrent)
        after = gated(moved(inward(state), step.velocities), gating, convolution, drives)
        outputs = [outward(after)]
        if step.pooled:
            outputs.append(maximum_when_advanced([after], step.velocities).permute(0, 2, 3, 1))
    known = [(output, g) for output, g in zip(outputs, gradients, strict=False) if g is not None]
    wanted = [x for x, needs in zip(inputs, needed, strict=True) if needs]
    differentiated, along = zip(*known, strict=True)
    found = iter(torch.autograd.grad(differentiated, wanted, along, create_graph=again))
    return [next(found) if needs else None for needs in needed]
