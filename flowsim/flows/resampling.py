"""Frames moved by other than whole pixels: band-limited shifts, and turning and growing about a point.

Amounts may differ from item to item, so that a batch of images is moved at once. The groups of this folder
give these their meaning as flows.
"""

from __future__ import annotations

import warnings
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
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
    import torch

    height, width = x.shape[-2:]
    down = torch.as_tensor(dy, dtype=x.dtype, device=x.device)[..., None, None]
    right = torch.as_tensor(dx, dtype=x.dtype, device=x.device)[..., None, None]
    ky = torch.fft.fftfreq(height, dtype=x.dtype, device=x.device)[:, None]
    kx = torch.fft.rfftfreq(width, dtype=x.dtype, device=x.device)
    turned = torch.fft.rfft2(x) * _phase(ky, down) * _phase(kx, right)
    return torch.fft.irfft2(turned, s=(height, width))


def _phase(frequency: Tensor, displacement: Tensor) -> Tensor:
    """The factor of each Fourier mode that shifts by ``displacement``."""
    import torch

    nyquist = frequency.abs() == 0.5
    angle = -2 * torch.pi * torch.where(nyquist, 0.0, frequency * displacement)
    return torch.polar(torch.where(nyquist, torch.cos(torch.pi * displacement), 1.0).expand_as(angle), angle)


def about_centre(x: Tensor, angle: float, scale: float) -> Tensor:
    """``x`` (..., y, x) turned by ``angle`` degrees and grown by ``scale`` about the centre, sampled
    bicubically.

    All images move alike, and so by one sparse matrix, made once for each amount and frame: for many maps
    several times as fast as `turn`, whose gradient is ten times as slow.
    """
    import torch

    exact = torch.promote_types(x.dtype, torch.float32)
    matrices = _about_centre_matrices((x.shape[-2], x.shape[-1]), angle % 360, scale, exact, x.device)
    with torch.autocast(x.device.type, enabled=False):
        moved: Tensor = _sampled().apply(x.to(exact).reshape(-1, x.shape[-2] * x.shape[-1]), *matrices)
    return moved.to(x.dtype).reshape(x.shape)


@cache
def _sampled() -> type[torch.autograd.Function]:
    """What multiplies images (image, pixel) by a sparse matrix (pixel, source), whose transpose the gradient
    takes.
    """
    import torch

    class Sampled(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor, matrix: Tensor, transposed: Tensor) -> Tensor:
            ctx.matrices = matrix, transposed
            return (matrix @ x.T.contiguous()).T.contiguous()

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
            matrix, transposed = ctx.matrices
            return Sampled.apply(gradient, transposed, matrix), None, None

    return Sampled


@lru_cache(256)
def _about_centre_matrices(
    shape: tuple[int, int], angle: float, scale: float, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """The weights with which pixels are sampled (pixel, source), and transposed, both sparse by rows."""
    import torch

    amounts = torch.tensor([[angle], [scale]], dtype=torch.float64)
    source, weight = bicubic(sources(shape, amounts[0], amounts[1])[0], shape)
    pixel = torch.arange(len(source))[:, None].expand_as(source)
    inside = weight != 0
    at = torch.stack([pixel[inside], source[inside]])
    size = (len(source), shape[0] * shape[1])
    made = []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse", UserWarning)  # a beta, says torch, once per process
        for indices, (rows, columns) in ((at, size), (at.flip(0), size[::-1])):
            matrix = torch.sparse_coo_tensor(indices, weight[inside].to(dtype), (rows, columns))
            made.append(matrix.to_sparse_csr().to(device))
    return made[0], made[1]


def bicubic(grid: Tensor, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The 16 pixels around each place of a ``grid`` (y, x, 2) of `sources`, and their weights.

    Both are (place, pixel), pixels counted row by row; a pixel outside the frame has weight 0. Cubic
    convolution (Keys, 1981) with the slope -0.75 of `torch.nn.functional.grid_sample`.
    """
    import torch

    indices, weights = [], []
    for side, place in zip(shape, (grid[..., 1].flatten(), grid[..., 0].flatten()), strict=True):
        at = ((place + 1) * side - 1) / 2
        index = at.floor().long()[:, None] + torch.arange(-1, 3)
        distance = (at[:, None] - index).abs()
        near = (1.25 * distance - 2.25) * distance**2 + 1
        far = -0.75 * (((distance - 5) * distance + 8) * distance - 4)
        inside = (index >= 0) & (index < side)
        weights.append(torch.where(distance <= 1, near, far) * inside)
        indices.append(index.clamp(0, side - 1))
    pixel = indices[0][:, :, None] * shape[1] + indices[1][:, None]
    return pixel.flatten(1), (weights[0][:, :, None] * weights[1][:, None]).flatten(1)


def turn(x: Tensor, grid: Tensor, interpolation: str = "bicubic") -> Tensor:
    """``x`` (item, channel, y, x) sampled at a ``grid`` of `sources`, 0 outside, in float32 at least."""
    import torch
    import torch.nn.functional as F

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
    import torch

    height, width = shape
    angle = torch.deg2rad(angle)
    cos = torch.cos(angle)[:, None, None] / scale[:, None, None]
    sin = torch.sin(angle)[:, None, None] / scale[:, None, None]
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    rows = torch.arange(height, dtype=angle.dtype, device=angle.device)[:, None] - middle_y
    columns = torch.arange(width, dtype=angle.dtype, device=angle.device) - middle_x
    about_y: float | Tensor = 0.0
    about_x: float | Tensor = 0.0
    if about is not None:
        about_y = about[0][:, None, None] - middle_y
        about_x = about[1][:, None, None] - middle_x
    rows = rows - about_y
    columns = columns - about_x
    source_x = (cos * columns - sin * rows + about_x) * 2 / width
    source_y = (sin * columns + cos * rows + about_y) * 2 / height
    return torch.stack([source_x, source_y], -1)
