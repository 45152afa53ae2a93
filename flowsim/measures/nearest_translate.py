r"""How far are images from the orbit of others under all translations of the torus, and where on it is the
nearest?

    across = min_g |x - g.y|,    along = sqrt(|x - y|^2 - across^2),    drift = |g| at the minimum, in px

over whole-pixel translations g, all at once by their cross-correlation:

    |x - g.y|^2 = |x|^2 + |y|^2 - 2 <x, g.y>

Something is always nearest. Where ``x`` is blank, grey or unlike ``y``, or ``y`` repeats itself, that says
nothing about a place: `distinct` tells where the peak of the match is one place, and a drift means something.
"""

from __future__ import annotations

import numpy as np

from flowsim.measures.recorded import ratio

TIE = 1e-9
"""Correlations that differ by less than this, relative to the largest in size, count as equal. Where that
without a translation equals the largest, nothing is moved.
"""
ALIKE = 0.5
"""Correlation from which on two images count as alike: a quarter of the variance is explained. That of white
noise with 64 pixels reaches it, at its best translate, 3 times in 1,000.
"""
ABOUT_AS_LITTLE = 1.1
"""A translate whose unexplained variance is within this factor of the least is about as good."""
ROUNDING = 1e-6
"""Unexplained variance that is rounding, of float32."""
GREY = 1e-6
"""An image whose spread about its mean is no more than this share of its norm is grey up to rounding."""


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
        How far they were moved, in px, the shorter way round the torus. It is a place only where the peak is
        `distinct`.
    """
    height, width = x.shape[-2:]
    down, right = np.divmod(_peak(_correlation(_spectrum(x, y), (height, width))), width)
    images = y.reshape(-1, *y.shape[-3:])
    moved = [np.roll(image, by, (-2, -1)) for image, *by in zip(images, down, right, strict=True)]
    drift = np.hypot(np.minimum(down, height - down), np.minimum(right, width - right))
    return np.stack(moved).reshape(y.shape), drift.reshape(y.shape[:-3])


def distinct(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether the translate of ``y`` that is nearest to ``x`` is one place, and is alike.

    It is if, means of channels aside, it correlates with ``x`` by `ALIKE` or more, and every other translate
    that leaves about as little unexplained is its neighbour. It is not where either image is blank or grey,
    or both are noise; nor along a grating, or over a pattern that repeats itself.

    Parameters
    ----------
    x, y : arrays (..., channel, y, x)

    Returns
    -------
    array of bool (...)
    """
    size = x.shape[-2:]
    spread_of_x, spread_of_y = (norm(v - v.mean((-2, -1), keepdims=True)) for v in (x, y))
    known = (spread_of_x > GREY * norm(x)) & (spread_of_y > GREY * norm(y))
    spread = np.where(known, spread_of_x * spread_of_y, 0)
    return places(_spectrum(x, y), spread, (size[0], size[1]))[1]


def places(spectrum: np.ndarray, spread: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Where the translates of some images lie that are nearest to others, and whether each is one place.

    Parameters
    ----------
    spectrum : complex array (..., y frequency, x frequency)
        Cross-spectrum of the two (`numpy.fft.rfft2` of one times the conjugate of the other), summed over
        channels. Means of channels do not count.
    spread : array (...)
        Product of the norms of the two, means of channels aside; 0 where nothing can be said.
    size : (int, int)
        Of an image, (y, x) in px.

    Returns
    -------
    displacement : array (..., 2)
        Down and right, in px, the shorter way round the torus: at most half a side.
    one_place : array of bool (...)
        As `distinct` has it.
    """
    height, width = size
    spectrum = spectrum.copy()
    spectrum[..., 0, 0] = 0
    raw = _correlation(spectrum, size)
    known = spread.ravel() > 0
    correlation = raw / np.where(known, spread.ravel(), np.inf)[:, None]
    peak = _peak(raw)
    highest = np.take_along_axis(correlation, peak[:, None], 1)
    unexplained = 1 - highest**2
    rivals = (correlation > 0) & (1 - correlation**2 <= ABOUT_AS_LITTLE * unexplained + ROUNDING)
    alone = ~(rivals & ~_neighbours(peak, size)).any(1)
    down, right = np.divmod(peak, width)
    shorter = np.stack([down - height * (2 * down > height), right - width * (2 * right > width)], -1)
    one_place = known & (highest[:, 0] >= ALIKE) & alone
    return shorter.reshape(*spread.shape, 2), one_place.reshape(spread.shape)


def _spectrum(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Cross-spectrum (..., y frequency, x frequency), over all channels."""
    return (np.fft.rfft2(x) * np.fft.rfft2(y).conj()).sum(-3)


def _correlation(spectrum: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """<x, g.y> (image, translation), translations row by row."""
    return np.fft.irfft2(spectrum, size).reshape(-1, size[0] * size[1])


def _peak(correlation: np.ndarray) -> np.ndarray:
    """Translation (image) of the largest correlation; that which moves nothing, if it is as large."""
    at_rest = correlation[:, 0]
    rests = at_rest >= correlation.max(1) - TIE * np.abs(correlation).max(1)
    return np.where(rests, 0, correlation.argmax(1))


def _neighbours(peak: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Which translations (image, translation) are no more than 1 px from the peak along either axis."""
    near = []
    for at, pixels in zip(np.divmod(peak, size[1]), size, strict=True):
        apart = np.abs(at[:, None] - np.arange(pixels))
        near.append(np.minimum(apart, pixels - apart) <= 1)
    return (near[0][:, :, None] & near[1][:, None]).reshape(len(peak), -1)


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
        In px, NaN unless ``move``, and where the nearest translate is not `distinct`.
    """
    total = norm(x - y)
    across = np.full(total.shape, np.nan)
    drift = np.full(total.shape, np.nan)
    if move:
        closest, moved_by = nearest(x, y)
        drift = np.where(distinct(x, y), moved_by, np.nan)
        across = np.minimum(norm(x - closest), total)
    along = np.sqrt(total**2 - across**2)
    return ratio(np.stack([total, across, along]), norm(y)), drift
