"""Frames moved by amounts that are no whole pixels: band-limited shifts, and turning and growing about a
point.

Amounts may differ from item to item, so that a batch of images is moved at once. `flowsim.flows.group` gives
these their meaning as flows.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def shift(x: Tensor, dy: float | Tensor, dx: float | Tensor) -> Tensor:
    """``x`` (..., y, x) shifted circularly, ``dy`` px down and ``dx`` right: each Fourier mode turned by its
    phase.

    On an even side the Nyquist mode cannot turn and stay real; it is scaled by cos(pi d) instead.

    Parameters
    ----------
    x : Tensor (..., y, x)
    dy, dx : float, or Tensor (...) that broadcasts with the leading dimensions of ``x``
    """
    height, width = x.shape[-2:]
    down, right = (torch.as_tensor(d, dtype=x.dtype, device=x.device)[..., None, None] for d in (dy, dx))
    ky = torch.fft.fftfreq(height, dtype=x.dtype, device=x.device)[:, None]
    kx = torch.fft.rfftfreq(width, dtype=x.dtype, device=x.device)
    turned = torch.fft.rfft2(x) * _phase(ky, down) * _phase(kx, right)
    return torch.fft.irfft2(turned, s=(height, width))


def _phase(frequency: Tensor, displacement: Tensor) -> Tensor:
    nyquist = frequency.abs() == 0.5
    angle = -2 * torch.pi * torch.where(nyquist, 0.0, frequency * displacement)
    return torch.polar(torch.where(nyquist, torch.cos(torch.pi * displacement), 1.0).expand_as(angle), angle)


def turn(x: Tensor, grid: Tensor, interpolation: str = "bicubic") -> Tensor:
    """``x`` (item, channel, y, x) sampled at a ``grid`` of `sources`, 0 outside, in float32 at least."""
    exact = torch.promote_types(x.dtype, torch.float32)
    moved = F.grid_sample(
        x.to(exact), grid.expand(len(x), -1, -1, -1), mode=interpolation, align_corners=False
    )
    return moved.to(x.dtype)


def sources(
    shape: tuple[int, int],
    angle: Tensor,
    scale: Tensor,
    about: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Where each pixel comes from when items turn by ``angle`` and grow by ``scale`` about a point.

    Parameters
    ----------
    shape : (int, int)
        Of a frame (y, x).
    angle, scale : Tensor (item,)
        In degrees, counter-clockwise as displayed; and how many times as large.
    about : pair of Tensor (item,), optional
        The point (y, x) in px; the centre of the frame if not given.

    Returns
    -------
    Tensor (item, y, x, 2)
        As `torch.nn.functional.grid_sample` takes it.
    """
    height, width = shape
    angle = torch.deg2rad(angle)
    cos, sin = (f(angle)[:, None, None] / scale[:, None, None] for f in (torch.cos, torch.sin))
    middle = (height - 1) / 2, (width - 1) / 2
    rows = torch.arange(height, dtype=angle.dtype, device=angle.device)[:, None] - middle[0]
    columns = torch.arange(width, dtype=angle.dtype, device=angle.device) - middle[1]
    y0, x0 = (
        (0.0, 0.0) if about is None else ((p[:, None, None] - m) for p, m in zip(about, middle, strict=True))
    )
    rows, columns = rows - y0, columns - x0
    source = [(cos * columns - sin * rows + x0) * 2 / width, (sin * columns + cos * rows + y0) * 2 / height]
    return torch.stack(source, -1)
