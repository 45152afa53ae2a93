r"""Which way do these frames move, and how fast? What their spatio-temporal power spectrum says.

A pattern that moves at velocity v has all its energy P on a plane through the origin, f . v + f_t = 0. The
motion energy at v is the energy weighed by how near the plane it lies,

    E(v) = sum P(f, f_t) cos(2 pi (f . v + f_t)) / sum P(f, f_t)

which is 1 if everything moves at v, and -1 for what is half a cycle per frame off. The weight is periodic in
the sampling rate, so that temporal frequencies may wrap, as those of fast patterns do. Summed over f_t first,
it needs only the correlation of each frame with the next, and so no movie that is periodic in time.

Sources: Watson and Ahumada (1985) for the plane; Adelson and Bergen (1985) for motion energy, and for
opponent energy E(v) - E(-v), which is 0 for flicker; Weiss, Simoncelli and Adelson (2002) for the
preference of slow motions.
"""

from __future__ import annotations

import numpy as np

from flowsim.errors import InputError

SLOWER = 1e-4
"""Motion energy that 1 px/frame more must bring (per its square), so that among velocities that explain the
same, as along an edge, the slowest wins.
"""
SUBPIXEL = 4
"""Velocities are searched on a grid with so many steps per px/frame, and then between them."""
NEAR = 0.1
"""The search between them starts where motion energy is within this of the largest."""
STARTS = 32
"""It starts at no more velocities than this, the slowest ones."""


def motion_energy(frames: np.ndarray, velocity: tuple[float, float], highest: float = np.inf) -> float:
    """Motion energy of ``frames`` (time, y, x) on a torus at a velocity (vy, vx) in px/frame: from -1 to 1.

    The mean luminance of each frame does not count, nor do spatial frequencies above ``highest``, in
    cycles/px. It is 0 if nothing is left.

    Raises
    ------
    InputError
        If there are fewer than two frames.
    """
    cross, fy, fx = _spectrum(frames, highest)
    return float((cross * np.exp(2j * np.pi * (fy * velocity[0] + fx * velocity[1]))).real.sum())


def best_velocity(
    frames: np.ndarray, max_speed: float | None = None, highest: float = np.inf
) -> tuple[float, float]:
    """The velocity (vy, vx) in px/frame at which ``frames`` (time, y, x) on a torus have the largest motion
    energy.

    Where many velocities explain the same, it is the slowest: the velocity of a single grating is the one
    across its bars, and that of a static scene is 0.

    Parameters
    ----------
    frames : array (time, y, x)
    max_speed : float, optional
        Largest component of the velocity that is searched; half a frame if not given.
    highest : float
        Spatial frequencies above this, in cycles/px, do not count. The finest detail of what is drawn between
        pixels by interpolation is held back by the pixels; 0.3 leaves it out.

    Raises
    ------
    InputError
        If there are fewer than two frames.
    """
    cross, fy, fx = _spectrum(frames, highest)
    starts = _starts(cross, fy, fx, max_speed)
    waves = 2 * np.pi * np.stack(np.broadcast_arrays(fy, fx), -1).reshape(-1, 2)
    strong = abs(cross.ravel()) > 1e-9
    spectrum, waves = cross.ravel()[strong], waves[strong]
    ends = _climbed(spectrum, waves, starts, SLOWER, steps=3)
    candidates = np.concatenate([starts, ends])
    energy = (np.exp(1j * candidates @ waves.T) @ spectrum).real
    preference = energy - SLOWER * (candidates**2).sum(-1)
    best = _climbed(spectrum, waves, candidates[[preference.argmax()]], SLOWER, steps=5)
    # the preference of slow velocities has chosen; it is not to pull as well
    vy, vx = _climbed(spectrum, waves, best, 0.0, steps=2)[0]
    return float(vy), float(vx)


def motion_energies(before: np.ndarray, after: np.ndarray, reach: int, gap: int = 1) -> np.ndarray:
    """`motion_energy` of two frames at each whole velocity of {-reach..reach}^2.

    Parameters
    ----------
    before, after : arrays (..., y, x)
    reach : int
        In px/frame.
    gap : int
        How many frames the second is after the first.

    Returns
    -------
    array (..., vy, vx)
        2 reach + 1 along each axis.
    """
    first, second = np.fft.fft2(before), np.fft.fft2(after)
    first[..., 0, 0] = second[..., 0, 0] = 0
    power = (abs(first) ** 2 + abs(second) ** 2).mean((-2, -1), keepdims=True) / 2
    correlation = np.fft.ifft2(second * first.conj()).real / np.where(power > 0, power, 1)
    height, width = correlation.shape[-2:]
    displacements = np.arange(-reach, reach + 1) * gap
    return correlation[..., displacements[:, None] % height, displacements % width]


def _starts(cross: np.ndarray, fy: np.ndarray, fx: np.ndarray, max_speed: float | None) -> np.ndarray:
    """Velocities (item, 2) on a grid: that of the largest motion energy, and the slowest of those near it."""
    height, width = cross.shape
    vy, vx = (
        np.arange(-int(SUBPIXEL * fastest), int(SUBPIXEL * fastest) + 1) / SUBPIXEL
        for fastest in ((height / 2, width / 2) if max_speed is None else (max_speed, max_speed))
    )
    down = np.exp(2j * np.pi * vy[:, None] * fy[:, 0])
    right = np.exp(2j * np.pi * fx[0, :, None] * vx)
    energy = (down @ cross @ right).real
    speed = np.hypot(vy[:, None], vx)
    slowest = np.argsort(np.where(energy >= energy.max() - NEAR, speed, np.inf), axis=None)[:STARTS]
    row, column = np.unravel_index([energy.argmax(), *slowest], energy.shape)
    return np.stack([vy[row], vx[column]], -1)


def _spectrum(frames: np.ndarray, highest: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mean cross-spectrum of successive frames, by their mean power, and frequencies that broadcast with
    it.
    """
    frames = np.asarray(frames, np.float64)
    if frames.ndim != 3 or len(frames) < 2:
        raise InputError(
            f"motion is between frames: expected (time, y, x) with 2 frames or more; got {frames.shape}"
        )
    fy, fx = np.fft.fftfreq(frames.shape[1])[:, None], np.fft.fftfreq(frames.shape[2])[None]
    radius = np.hypot(fy, fx)
    waves = np.fft.fft2(frames) * ((radius > 0) & (radius <= highest))
    cross = (waves[1:] * waves[:-1].conj()).sum(0)
    power = (abs(waves[1:]) ** 2 + abs(waves[:-1]) ** 2).sum() / 2
    return cross / (power or 1.0), fy, fx


def _climbed(
    spectrum: np.ndarray, waves: np.ndarray, start: np.ndarray, slower: float, steps: int
) -> np.ndarray:
    """Velocities (item, 2) after steps uphill (Newton), with no step in a direction where energy is flat."""
    velocity = start
    squares = (waves[:, :, None] * waves[:, None]).reshape(-1, 4)
    for _ in range(steps):
        terms = np.exp(1j * velocity @ waves.T) * spectrum
        slope = -terms.imag @ waves - 2 * slower * velocity
        curvature = -(terms.real @ squares).reshape(-1, 2, 2) - 2 * slower * np.eye(2)
        curvatures, axes = np.linalg.eigh(curvature)
        size = np.abs(curvatures)
        flat = size < np.maximum(1e-9, 1e-6 * size.max(-1, keepdims=True))
        inverse = np.where(flat, 0.0, 1 / np.where(flat, 1.0, size))
        velocity = velocity + np.einsum("iab,ib,icb,ic->ia", axes, inverse, axes, slope)
    return velocity
