r"""How far are images from the orbit of others under all translations of the torus, and where on it is the
nearest?

    across = min_g |x - g.y|,    along = sqrt(|x - y|^2 - across^2),    drift = |g| at the minimum, in px

over whole-pixel translations g, all at once by their cross-correlation: |x - g.y|^2 = |x|^2 + |y|^2 - 2 <x,
g.y>.
"""

from __future__ import annotations

import numpy as np

TIE = 1e-9
"""Correlations this close to the largest, relative to it, are as large: then nothing is moved."""


def norm(x: np.ndarray) -> np.ndarray:
    """Of images (..., channel, y, x), over the last three dimensions."""
    return np.sqrt(np.square(x).sum((-3, -2, -1)))


def ratio(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Quotient, NaN where the second is 0."""
    return np.divide(one, two, out=np.full(np.broadcast(one, two).shape, np.nan), where=two > 0)


def nearest(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The translate of ``y`` that is nearest to ``x``, both (..., channel, y, x), and its distance (...) from
    ``y``.
    """
    height, width = x.shape[-2:]
    spectrum = (np.fft.rfft2(x) * np.fft.rfft2(y).conj()).sum(-3)
    match = np.fft.irfft2(spectrum, (height, width)).reshape(-1, height * width)
    rests = match[:, 0] >= match.max(1) - TIE * np.abs(match).max(1)
    dy, dx = np.divmod(np.where(rests, 0, match.argmax(1)), width)
    images = y.reshape(-1, *y.shape[-3:])
    moved = [np.roll(image, by, (-2, -1)) for image, *by in zip(images, dy, dx, strict=True)]
    drift = np.hypot(np.minimum(dy, height - dy), np.minimum(dx, width - dx))
    return np.stack(moved).reshape(y.shape), drift.reshape(y.shape[:-3])


def split(x: np.ndarray, y: np.ndarray, move: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Distance of ``x`` from ``y``, both (..., channel, y, x), relative to the norm of ``y``.

    Returns
    -------
    array (part, ...)
        In all, across the orbit of ``y``, and along it; the latter NaN unless ``move``.
    array (...)
        Drift in px, NaN unless ``move``.
    """
    total = norm(x - y)
    across, drift = np.full((2, *total.shape), np.nan)
    if move:
        closest, drift = nearest(x, y)
        across = np.minimum(norm(x - closest), total)
    return ratio(np.stack([total, across, np.sqrt(total**2 - across**2)]), norm(y)), drift
