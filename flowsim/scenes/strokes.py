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
    """Frames (..., y, x) of lines from ``start`` to ``end``, the brighter over the darker; where both are
    one, a disc.

    A pixel within a line is as bright as the line, and one on its edge as bright as far as it is covered,
    taken as its distance from the edge over one px.

    Parameters
    ----------
    start, end : Tensor (..., line, 2)
        (y, x) in px, within the frame or anywhere beyond: frames are tori.
    radius : Tensor that broadcasts with (..., line)
        Half of the thickness, in px.
    brightness : Tensor that broadcasts with (..., line)
        In [0, 1].
    frame_shape : (int, int)
    longest : float
        No line is longer, along y or x and with its ends, than this. Told, so that a GPU need not be waited
        for.
    """
    along = end - start
    # only pixels near a line can be part of it: a square about the pixel in its middle holds them all
    reach = math.ceil(longest / 2)
    square = torch.arange(-reach, reach + 1, dtype=start.dtype, device=start.device)
    middle = (start + along / 2).round()
    y, x = (square - (start - middle)[..., i, None] for i in (0, 1))
    dy, dx = along[..., 0, None], along[..., 1, None]
    length = (dy**2 + dx**2).clamp_min(1e-12)  # squared; a disc has none
    share = (y * dy / length)[..., :, None] + (x * dx / length)[
        ..., None, :
    ]  # of the way, where a pixel is nearest
    share.clamp_(0, 1)
    distance = torch.addcmul(y[..., :, None], share, dy[..., None], value=-1)
    distance.hypot_(torch.addcmul(x[..., None, :], share, dx[..., None], value=-1))
    ink = distance.neg_().add_(radius[..., None, None] + 0.5).clamp_(0, 1).mul_(brightness[..., None, None])

    rows, columns = ((middle[..., i, None] + square).long() % size for i, size in enumerate(frame_shape))
    pixel = frame_shape[1] * rows[..., :, None] + columns[..., None, :]
    frames = ink.new_zeros(*start.shape[:-2], frame_shape[0] * frame_shape[1])
    frames.scatter_reduce_(-1, pixel.flatten(-3), ink.flatten(-3), "amax")
    return frames.unflatten(-1, frame_shape)
