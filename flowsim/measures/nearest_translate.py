r"""How far are images from the orbit of others under all translations of the torus, and where on it is the
nearest?

    across = min_g |x - g.y|,    along = sqrt(|x - y|^2 - across^2),    drift = |g| at the minimum, in px

over whole-pixel translations g, all at once by their cross-correlation:

    |x - g.y|^2 = |x|^2 + |y|^2 - 2 <x, g.y>
"""

from __future__ import annotations

import numpy as np

from flowsim.measures.recorded import ratio

TIE = 1e-9
"""Correlations that differ by less than this, relative to the largest in size, count as equal. Where that
without a translation equals the largest, nothing is moved.
"""


def norm(images: np.ndarray) -> np.ndarray:
    """Norm (...) of images (..., channel, y, x)."""
    return np.sqrt(np.square(images).sum((-3, -2, -1)))


def nearest(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The translates of ``y`` that are nearest to ``x``.

    Parameters
    ----------
    x, y : arrays (..., channel, y, x)
        All channels of an image are moved together.

    Returns
    -------
    translates : array (..., channel, y, x)
    drift : array (...)
        How far they were moved, in px, the shorter way round the torus.
    """
    height, width = x.shape[-2:]
    spectrum = (np.fft.rfft2(x) * np.fft.rfft2(y).conj()).sum(-3)
    correlation = np.fft.irfft2(spectrum, (height, width)).reshape(-1, height * width)
    at_rest = correlation[:, 0]
    rests = at_rest >= correlation.max(1) - TIE * np.abs(correlation).max(1)
    down, right = np.divmod(np.where(rests, 0, correlation.argmax(1)), width)
    images = y.reshape(-1, *y.shape[-3:])
    moved = [np.roll(image, by, (-2, -1)) for image, *by in zip(images, down, right, strict=True)]
    drift = np.hypot(np.minimum(down, height - down), np.minimum(right, width - right))
    return np.stack(moved).reshape(y.shape), drift.reshape(y.shape[:-3])


def split(x: np.ndarray, y: np.ndarray, move: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Distance of ``x`` from ``y``, both (..., channel, y, x), relative to the norm of ``y``, in parts.

    Parameters
    ----------
    x, y : arrays (..., channel, y, x)
    move : bool
        Whether translations have a meaning for these images. Without them only the distance in all is known.

    Returns
    -------
    distance : array (part, ...)
        In all, across the orbit of ``y``, and along it. NaN where ``y`` is 0; the latter two also unless
        ``move``.
    drift : array (...)
        In px, NaN unless ``move``.
    """
    total = norm(x - y)
    across = np.full(total.shape, np.nan)
    drift = np.full(total.shape, np.nan)
    if move:
        closest, drift = nearest(x, y)
        across = np.minimum(norm(x - closest), total)
    along = np.sqrt(total**2 - across**2)
    return ratio(np.stack([total, across, along]), norm(y)), drift
