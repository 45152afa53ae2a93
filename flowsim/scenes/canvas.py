"""Putting images on frames and moving them: what stimuli made of moving images share."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np
import torch
from torch import Tensor

from flowsim.flows.resampling import shift, sources, turn
from flowsim.scenes.scene import Scene

OVERLAPS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "max": lambda below, above: torch.maximum(below, above, out=below),
    "sum": lambda below, above: below.add_(above),
    "over": lambda below, above: below.mul_(1 - above).add_(above),
}
"""How objects that cover the same pixel combine: the brighter wins, both add up (to at most 1), or the later
object hides the one before as far as it is bright.
"""
OCCLUDER = 0.5
"""Luminance of an occluder."""


def frame_of(
    images: np.ndarray, frame_shape: tuple[int, int], device: torch.device, centred: bool = False
) -> Tensor:
    """Images (..., y, x) on empty frames, in the upper left corner or centred (rounded down)."""
    height, width = images.shape[-2:]
    top, left = ((frame_shape[0] - height) // 2, (frame_shape[1] - width) // 2) if centred else (0, 0)
    frames = torch.zeros(*images.shape[:-2], *frame_shape, device=device)
    frames[..., top : top + height, left : left + width] = torch.from_numpy(images).to(device)
    return frames


def moved(still: Tensor, displacement: np.ndarray, held: bool = True) -> Tensor:
    """Frames (trial, y, x) rolled by ``displacement`` (trial, time, 2), down and right in px: (trial, time,
    y, x).

    Exact rolls by whole numbers; by floats, whole or not, band-limited shifts, held to [0, 1] unless ``held``
    is False.
    """
    trials, (height, width), device = len(still), still.shape[-2:], still.device
    real = displacement.dtype.kind == "f"
    by = torch.from_numpy(displacement.astype(np.float32 if real else np.int64)).to(device)
    if real:
        between = shift(still[:, None], by[..., 0], by[..., 1])
        return between.clamp_(0, 1) if held else between
    rows = (
        torch.arange(height, device=device) - by[..., 0, None]
    ) % height  # whole rows, then pixels within them
    columns = (torch.arange(width, device=device) - by[..., 1, None]) % width
    rows += height * torch.arange(trials, device=device)[:, None, None]
    frames = still.reshape(-1, width).index_select(0, rows.flatten()).view(*rows.shape, width)
    return frames.gather(3, columns[:, :, None].expand_as(frames))


def turned(
    still: Tensor,
    angle: np.ndarray,
    scale: np.ndarray,
    about: np.ndarray | None = None,
    interpolation: str = "bicubic",
) -> Tensor:
    """Frames (trial, y, x) turned by ``angle`` and grown by ``scale`` (trial, time): (trial, time, y, x).

    ``about`` (trial, 2) is the point that stays, in px, the centre of the frame if not given. Held to [0, 1].
    """
    trials, times = angle.shape
    angles, scales = (torch.from_numpy(a).to(still.device, torch.float32).flatten() for a in (angle, scale))
    fixed = None
    if about is not None:
        each = (
            torch.from_numpy(about)
            .to(still.device, torch.float32)[:, None]
            .expand(-1, times, -1)
            .flatten(0, 1)
        )
        fixed = (each[:, 0], each[:, 1])
    grid = sources((still.shape[-2], still.shape[-1]), angles, scales, fixed)
    # the times of a trial share an image: sampled as one tall frame, it need not be repeated
    tall = grid.view(trials, times * still.shape[-2], still.shape[-1], 2)
    return turn(still[:, None], tall, interpolation).view(trials, times, *still.shape[-2:]).clamp_(0, 1)


def overlaid(objects: list[Tensor], overlap: str) -> Tensor:
    """Frames of several objects as one, in [0, 1]; overwrites the first."""
    together = reduce(OVERLAPS[overlap], objects)
    return together if overlap == "max" else together.clamp_(0, 1)


def degraded(frames: Tensor, scene: Scene) -> Tensor:
    """Frames (trial, time, y, x) with the contrast, occluder and noise of the scene's settings.

    Noise comes from a seed of each trial, ``noise_seed``, on the CPU, and so is the same on every device.
    """
    contrast, occluder, noise = (scene.settings[name] for name in ("contrast", "occluder", "noise"))
    if contrast != 1:
        frames *= contrast
    if occluder:
        left = (frames.shape[-1] - occluder) // 2
        frames[..., max(left, 0) : left + occluder] = OCCLUDER
    if noise:
        shape = frames.shape[1:]
        drawn = [
            np.random.default_rng(seed).standard_normal(shape, np.float32) for seed in scene["noise_seed"]
        ]
        frames = (frames + noise * torch.from_numpy(np.stack(drawn)).to(frames.device)).clamp_(0, 1)
    return frames


def splatted(position: Tensor, shown: Tensor, frame_shape: tuple[int, int], torus: bool = True) -> Tensor:
    """Dots of one px as frames: (trial, time, y, x) from ``position`` (trial, dot, time, 2), added up.

    A dot between pixels is shared out among the four around it, linearly. ``shown`` (trial, dot, time) is the
    luminance of each. On a torus dots wrap around; off it those outside the frame are not seen.
    """
    height, width = frame_shape
    trials, _, times, _ = position.shape
    corner = position.floor()
    part = position - corner
    frames = position.new_zeros(trials, times, height * width)
    for down in (0, 1):
        for right in (0, 1):
            y, x = corner[..., 0].long() + down, corner[..., 1].long() + right
            share = (part[..., 0] if down else 1 - part[..., 0]) * (
                part[..., 1] if right else 1 - part[..., 1]
            )
            if not torus:
                share = share * ((y >= 0) & (y < height) & (x >= 0) & (x < width))
            where = (y % height) * width + x % width
            frames.scatter_add_(2, where.transpose(1, 2), (share * shown).transpose(1, 2))
    return frames.view(trials, times, height, width)
