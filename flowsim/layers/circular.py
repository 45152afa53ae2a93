"""Convolutions on the torus: the same as `torch.nn.Conv2d` with circular padding, with fewer copies.

Padded inputs are not stored for the backward pass. The gradient with respect to the input is a circular
convolution like any other, with the adjoint kernel; the padded gradient that it needs
(`flowsim.layers.padded_gather`), correlated with the input, is the gradient with respect to the kernel.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowsim.errors import InputError
from flowsim.layers.padded_gather import adjoint, as_autocast, convolved, gathered, weight_gradient

REST = ((0, 0),)


class CircularConv2d(nn.Conv2d):
    """A convolution on the torus with kernels of odd size; parameters are named as those of
    `torch.nn.Conv2d`.

    Raises
    ------
    InputError
        If the size of the kernel is even.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, bias: bool = False) -> None:
        if kernel % 2 == 0:
            raise InputError(f"kernel must be odd; got {kernel}")
        super().__init__(inputs, outputs, kernel, padding="same", padding_mode="circular", bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """From (trial, channel, y, x) to the same with the output's channels."""
        outputs = convolve(x, self.weight)
        return outputs if self.bias is None else outputs + self.bias[:, None, None]


def convolve(x: Tensor, weight: Tensor) -> Tensor:
    """(trial, channel, y, x) through a kernel (output, channel, y, x) of odd size, on the torus."""
    x, weight = as_autocast(x, weight)
    return _Convolution.apply(x.permute(0, 2, 3, 1).contiguous(), weight).permute(0, 3, 1, 2)


class _Convolution(torch.autograd.Function):
    """`convolve` on (trial, y, x, channel)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.save_for_forward(x, weight)
        return convolved(gathered(x[None], REST, weight.shape[-1] // 2), weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        side = weight.shape[-1] // 2
        gradient = gradient.contiguous()
        needs_x, needs_weight = ctx.needs_input_grad
        if not needs_x:  # as of frames, which have fewer channels and are cheaper to pad than the gradient
            return None, weight_gradient(gathered(x[None], REST, side), gradient, weight)
        backwards = gathered(gradient[None], REST, side)
        flipped = adjoint(weight)
        to_weight = adjoint(weight_gradient(backwards, x, flipped)) if needs_weight else None
        return convolved(backwards, flipped), to_weight

    @staticmethod
    def jvp(ctx: Any, along_x: Tensor | None, along_weight: Tensor | None) -> Tensor | None:
        x, weight = ctx.saved_tensors
        side = weight.shape[-1] // 2
        along = None
        if along_x is not None:
            along = convolved(gathered(along_x.contiguous()[None], REST, side), weight)
        if along_weight is not None:
            by_weight = convolved(gathered(x[None], REST, side), along_weight)
            along = by_weight if along is None else along + by_weight
        return along


def check_kernel(kernel: int, frame_shape: tuple[int, int]) -> None:
    """Raise InputError unless a kernel is odd and wraps around the frame at most once."""
    if kernel % 2 == 0 or kernel // 2 > min(frame_shape):
        raise InputError(
            f"kernel must be odd and, on frames of {frame_shape[0]}x{frame_shape[1]} pixels, at most "
            f"{2 * min(frame_shape) + 1}; got {kernel}"
        )


def convolve_each(state: Tensor, kernels: Tensor) -> Tensor:
    """Cross-correlate each velocity (trial, velocity, channel, y, x) with its kernel (velocity, 1, y, x)."""
    velocities, side = len(kernels), kernels.shape[-1]
    images = state.transpose(1, 2).flatten(0, 1)
    padded = F.pad(images, (side // 2,) * 4, mode="circular")
    moved = F.conv2d(padded, kernels, groups=velocities)
    return moved.unflatten(0, (state.shape[0], state.shape[2])).transpose(1, 2)
