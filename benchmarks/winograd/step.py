"""flowsim's recurrence by the kernels of winograd.c, for as long as `in_place` lasts.

ReLU and float32 on a CPU only. The grid of tiles stays where it is, which costs the law its last bit and no
time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from benchmarks.winograd import kernels
from flowsim.flows.group import Velocity
from flowsim.layers import fused_recurrence
from flowsim.layers.padded_gather import adjoint

STILL: Velocity = (0, 0)


@contextmanager
def in_place() -> Iterator[None]:
    """Within the block, steps of flowsim's recurrence are these."""
    recurrence: Any = fused_recurrence._Recurrence
    theirs = recurrence.forward, recurrence.backward
    recurrence.forward, recurrence.backward = staticmethod(forward), staticmethod(backward)
    try:
        yield
    finally:
        recurrence.forward, recurrence.backward = map(staticmethod, theirs)


def forward(ctx: Any, step: Any, weight: Tensor, *groups: Tensor) -> tuple[Tensor, ...]:
    """As `flowsim.layers.fused_recurrence._Recurrence.forward`."""
    drive, state = step.drive_and_state(groups)
    ctx.step, ctx.shares_drive = step, step.drives == len(drive[0]) == 1
    kernel = kernels.transformed(weight)
    highest = weight.new_empty(state[0].shape[1:] if step.pooled else 0)
    winner = torch.empty(highest.shape if step.finds_winner else 0, dtype=torch.int16)
    outputs = []
    for number, (group, (moves, first)) in enumerate(
        zip(state, fused_recurrence._numbered(step.velocities), strict=True)
    ):
        maximum = (highest if step.pooled else None, winner if step.finds_winner else None, first)
        driven = drive[number % step.drives]
        outputs.append(kernels.step(group, kernel, driven, moves, [STILL] * len(moves), *maximum))
    ctx.save_for_backward(weight, winner, *state, *outputs)
    ctx.set_materialize_grads(False)
    if not step.pooled:
        ctx.mark_non_differentiable(highest)
    return *outputs, highest


def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
    """As `flowsim.layers.fused_recurrence._Recurrence.backward`."""
    step = ctx.step
    weight, winner, *groups = ctx.saved_tensors
    state, output = step.state_and_output(groups)
    *to_output, to_highest = (None if gradient is None else gradient.contiguous() for gradient in gradients)
    kernel = kernels.transformed(adjoint(weight))
    sums = kernels.new_sums(*weight.shape[:2])
    to_drive: list[Tensor | None] = [None] * step.drives
    to_state: list[Tensor | None] = [None] * len(state)
    shared = torch.zeros_like(state[0][:1]) if ctx.shares_drive else None
    for number, (moves, first) in enumerate(fused_recurrence._numbered(step.velocities)):
        if to_output[number] is None and to_highest is None:
            continue
        to_state[number], inner = kernels.step_back(
            *(to_output[number], to_highest, winner, output[number], state[number], kernel, moves),
            *([STILL] * len(moves), first, sums, shared),
        )
        if inner is not None:
            summed = to_drive[number % step.drives]
            to_drive[number % step.drives] = inner if summed is None else summed + inner
    if shared is not None:
        to_drive = [shared]
    return None, adjoint(kernels.kernel_gradient(sums)), *to_drive, *to_state
