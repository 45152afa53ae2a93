"""Frames moved over the torus and padded circularly in one copy, and convolutions of what was copied.

A circular convolution copies its input into a padded one in any case; one gather can move it as well. Memory
is laid out with the channel last, (velocity, trial, y, x, channel), so that what is copied are whole pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from flowsim.flows.group import Velocity


@lru_cache(256)
def rows(
    shape: tuple[int, int, int], velocities: tuple[Velocity, ...], side: int, device: torch.device
) -> Tensor:
    """Where everything comes from when (velocity, trial, y, x) is moved and padded: row by (velocity, place)."""
    trials, height, width = shape
    frames = torch.arange(trials)[:, None] * height * width
    tables = []
    for i, (vy, vx) in enumerate(velocities):
        from_y = (torch.arange(-side, height + side) - int(vy)) % height
        from_x = (torch.arange(-side, width + side) - int(vx)) % width
        within = (from_y[:, None] * width + from_x).flatten()
        tables.append((i * trials * height * width + frames + within).flatten())
    return torch.stack(tables).to(device)


def outward(x: Tensor) -> Tensor:
    """(trial, velocity, channel, y, x) as it lies in memory, (velocity, trial, y, x, channel)."""
    return x.permute(1, 0, 3, 4, 2).contiguous()


def inward(x: Tensor) -> Tensor:
    """Back again."""
    return x.permute(1, 0, 4, 2, 3)


def joined(groups: Sequence[Tensor]) -> Tensor:
    """Groups of velocities (trial, velocity, channel, y, x) as one, which lies in memory as they do."""
    return groups[0] if len(groups) == 1 else inward(torch.cat([outward(group) for group in groups]))


def gathered(state: Tensor, velocities: tuple[Velocity, ...], side: int) -> Tensor:
    """(velocity, trial, y, x, channel) moved and padded, as images (velocity trial, channel, y, x)."""
    _, trials, height, width, channels = state.shape
    places = rows((trials, height, width), velocities, side, state.device).flatten()
    moved = state.view(-1, channels).index_select(0, places)
    return moved.view(-1, height + 2 * side, width + 2 * side, channels).permute(0, 3, 1, 2)


def convolved(images: Tensor, weight: Tensor) -> Tensor:
    """Padded images (image, channel, y, x) through a kernel (output, input, y, x): (image, y, x, channel)."""
    return F.conv2d(images, weight.contiguous(memory_format=torch.channels_last)).permute(0, 2, 3, 1)


def adjoint(weight: Tensor) -> Tensor:
    """The kernel of the adjoint convolution: of the gradient with respect to the input."""
    return weight.transpose(0, 1).flip(2, 3)


def weight_gradient(images: Tensor, gradient: Tensor, weight: Tensor) -> Tensor:
    """Of a kernel, from the padded images it saw and the gradient (image, y, x, channel) of what came out."""
    outputs = gradient.permute(0, 3, 1, 2)
    return torch.ops.aten.convolution_backward(
        outputs, images, weight, None, (1, 1), (0, 0), (1, 1), False, (0, 0), 1, (False, True, False)
    )[1]


def as_autocast(*tensors: Tensor) -> tuple[Tensor, ...]:
    """In the precision of torch.autocast where that is on, as its own convolutions would be: all but float64."""
    kind = tensors[0].device.type
    exempt = tensors[0].dtype == torch.float64 or not torch.amp.is_autocast_available(kind)
    if exempt or not torch.is_autocast_enabled(kind):
        return tensors
    return tuple(tensor.to(torch.get_autocast_dtype(kind)) for tensor in tensors)
