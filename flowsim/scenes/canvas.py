"""Put images and dots on frames, move, turn, overlay and degrade them."""

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
"""How objects that cover the same pixel combine: the brighter wins ("max"), both add up to at most 1 ("sum"),
or the later object hides the one before in proportion to its brightness ("over").
"""
OCCLUDER = 0.5
"""Luminance of an occluder."""


def frame_of(
    images: np.ndarray, frame_shape: tuple[int, int], device: torch.device, centred: bool = False
) -> Tensor:
    """Images (..., y, x) on empty frames, in the upper left corner or centred (rounded down)."""
    height, width = images.shape[-2:]
    top, left = 0, 0
    if centred:
        top = (frame_shape[0] - height) // 2
        left = (frame_shape[1] - width) // 2
    frames = torch.zeros(*images.shape[:-2], *frame_shape, device=device)
    frames[..., top : top + height, left : left + width] = torch.from_numpy(images).to(device)
    return frames


def moved(still: Tensor, displacement: np.ndarray, clamp: bool = True) -> Tensor:
    """Frames (trial, time, y, x): each image moved along its path over the torus.

    Parameters
    ----------
    still : Tensor (trial, y, x)
    displacement : array (trial, time, 2)
        Down and right in px. Images are rolled exactly by integers; by floats, whole or not, they are shifted
        with band-limited interpolation.
    clamp : bool
        Limit interpolated luminance to [0, 1].
    """
    height, width = still.shape[-2:]
    device = still.device
    if displacement.dtype.kind == "f":
        by = torch.from_numpy(displacement.astype(np.float32)).to(device)
        shifted = shift(still[:, None], by[..., 0], by[..., 1])
        return shifted.clamp_(0, 1) if clamp else shifted
    by = torch.from_numpy(displacement.astype(np.int64)).to(device)
    # gather whole rows of all images, then pixels within them
    rows = (torch.arange(height, device=device) - by[..., 0, None]) % height
    columns = (torch.arange(width, device=device) - by[..., 1, None]) % width
    rows += height * torch.arange(len(still), device=device)[:, None, None]
    frames = still.reshape(-1, width).index_select(0, rows.flatten()).view(*rows.shape, width)
    return frames.gather(3, columns[:, :, None].expand_as(frames))


def turned(
    still: Tensor,
    angle: np.ndarray,
    scale: np.ndarray,
    about: np.ndarray | None = None,
    interpolation: str = "bicubic",
) -> Tensor:
    """Frames (trial, time, y, x): each image turned and scaled, limited to [0, 1].

    Parameters
    ----------
    still : Tensor (trial, y, x)
    angle : array (trial, time)
        In degrees, counter-clockwise.
    scale : array (trial, time)
    about : array (trial, 2), optional
        The point that stays, in px; the centre of the frame if not given.
    interpolation : {"bicubic", "bilinear"}
    """
    trials, times = angle.shape
    angles, scales = (torch.from_numpy(a).to(still.device, torch.float32).flatten() for a in (angle, scale))
    fixed_point = None
    if about is not None:
        point = torch.from_numpy(about).to(still.device, torch.float32)
        each = point[:, None].expand(-1, times, -1).flatten(0, 1)
        fixed_point = (each[:, 0], each[:, 1])
    grid = sources((still.shape[-2], still.shape[-1]), angles, scales, fixed_point)
    # the times of a trial share an image: sampled as one tall frame, it need not be repeated
    tall = grid.view(trials, times * still.shape[-2], still.shape[-1], 2)
    return turn(still[:, None], tall, interpolation).view(trials, times, *still.shape[-2:]).clamp_(0, 1)


def overlaid(objects: list[Tensor], overlap: str) -> Tensor:
    """Frames of several objects combined as `OVERLAPS` says, in [0, 1]; overwrites the first."""
    together = reduce(OVERLAPS[overlap], objects)
    return together if overlap == "max" else together.clamp_(0, 1)


def degraded(frames: Tensor, scene: Scene) -> Tensor:
    """Frames (trial, time, y, x) with the contrast, occluder and noise of the scene's settings.

    Noise is drawn on the CPU from the seed of each trial, ``noise_seed``, and so is the same on every device.
    """
    contrast, occluder, noise = (scene.settings[name] for name in ("contrast", "occluder", "noise"))
    if contrast != 1:
        frames *= contrast
    if occluder:
        frames[..., torch.from_numpy(behind(occluder, frames.shape[-1])).to(frames.device)] = OCCLUDER
    if noise:
        shape = frames.shape[1:]
        values = [
            np.random.default_rng(seed).standard_normal(shape, np.float32) for seed in scene["noise_seed"]
        ]
        frames = (frames + noise * torch.from_numpy(np.stack(values)).to(frames.device)).clamp_(0, 1)
    return frames


def behind(occluder: int, width: int) -> np.ndarray:
    """Which columns (x) of a frame are behind an occluder of so many px."""
    left = (width - occluder) // 2
    column = np.arange(width)
    return (column >= left) & (column < left + occluder)


def splatted(position: Tensor, luminance: Tensor, frame_shape: tuple[int, int], torus: bool = True) -> Tensor:
    """Frames (trial, time, y, x) of dots of one px, added up.

    Parameters
    ----------
    position : Tensor (trial, dot, time, 2)
        (y, x) in px; a dot between pixels is divided among the four around it, linearly.
    luminance : Tensor (trial, dot, time)
    frame_shape : (int, int)
    torus : bool
        Whether dots wrap around; if not, dots outside the frame are not seen.
    """
    height, width = frame_shape
    trials, _, times, _ = position.shape
    corner = position.floor()
    part = position - corner
    frames = position.new_zeros(trials, times, height * width)
    for down in (0, 1):
        for right in (0, 1):
            y = corner[..., 0].long() + down
            x = corner[..., 1].long() + right
            share_y = part[..., 0] if down else 1 - part[..., 0]
            share_x = part[..., 1] if right else 1 - part[..., 1]
            share = share_y * share_x
            if not torus:
                share = share * ((y >= 0) & (y < height) & (x >= 0) & (x < width))
            pixel = (y % height) * width + x % width
            frames.scatter_add_(2, pixel.transpose(1, 2), (share * luminance).transpose(1, 2))
    return frames.view(trials, times, height, width)
