"""Lines with round ends and soft edges, drawn on a torus."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def strokes(
    start: Tensor,
    end: Tensor,
    radius: Tensor,
    brightness: Tensor,
    frame_shape: tuple[int, int],
    longest: float,
) -> Tensor:
    """Frames (..., y, x) of lines from ``start`` to ``end``, the brighter over the darker; a disc where both
    are the same point.

    Pixels within a line have its brightness. On its edge, one px wide, brightness falls linearly with the
    distance from the middle of the line.

    Parameters
    ----------
    start, end : Tensor (..., line, 2)
        (y, x) in px, within the frame or anywhere beyond it: frames are tori.
    radius : Tensor that broadcasts with (..., line)
        Half of the thickness, in px.
    brightness : Tensor that broadcasts with (..., line)
        In [0, 1].
    frame_shape : (int, int)
    longest : float
        Length that no line exceeds along y or x, with its ends, in px. It is an argument because computing
        it here would make the CPU wait for a GPU.
    """
    along = end - start
    # only pixels near a line can be part of it: a square about the pixel in its middle holds them all
    reach = math.ceil(longest / 2)
    square = torch.arange(-reach, reach + 1, dtype=start.dtype, device=start.device)
    middle = (start + along / 2).round()
    y, x = (square - (start - middle)[..., i, None] for i in (0, 1))
    dy, dx = along[..., 0, None], along[..., 1, None]
    squared_length = (dy**2 + dx**2).clamp_min(1e-12)  # a disc has none
    # where on the line, from 0 to 1, it is nearest to a pixel
    share = (y * dy / squared_length)[..., :, None] + (x * dx / squared_length)[..., None, :]
    share.clamp_(0, 1)
    distance = torch.addcmul(y[..., :, None], share, dy[..., None], value=-1)
    distance.hypot_(torch.addcmul(x[..., None, :], share, dx[..., None], value=-1))
    ink = distance.neg_().add_(radius[..., None, None] + 0.5).clamp_(0, 1).mul_(brightness[..., None, None])

    rows, columns = ((middle[..., i, None] + square).long() % size for i, size in enumerate(frame_shape))
    pixel = frame_shape[1] * rows[..., :, None] + columns[..., None, :]
    frames = ink.new_zeros(*start.shape[:-2], frame_shape[0] * frame_shape[1])
    frames.scatter_reduce_(-1, pixel.flatten(-3), ink.flatten(-3), "amax")
    return frames.unflatten(-1, frame_shape)
