r"""Does a unit answer to a plaid as to its two gratings, or as to the one pattern?

With g(theta) the response to a grating that drifts in the direction theta, and p(theta) that to a plaid whose
pattern moves there and whose gratings drift alpha apart, the two predictions of p are

    pattern      g(theta)
    component    g(theta - alpha/2) + g(theta + alpha/2)

Each is correlated with p over directions, and the other is partialled out,

    R_p = (r_p - r_c r_pc) / sqrt((1 - r_c^2) (1 - r_pc^2)),        R_c likewise

and made a score by Fisher's transformation, Z = sqrt(n - 3) artanh R for n directions. A unit is a pattern
unit if Z_p exceeds both Z_c and 0 by 1.28 or more, a component unit if Z_c exceeds both Z_p and 0 so, and
unclassified otherwise.

Sources: Movshon, Adelson, Gizzi and Newsome (1985), The analysis of moving visual patterns; Smith, Majaj and
Movshon (2005), Dynamics of motion signaling by neurons in macaque area MT, for scores and criterion.
"""

from __future__ import annotations

import numpy as np

from flowsim.errors import InputError

CRITERION = 1.28
"""By which a score exceeds the other."""
LARGEST = 1 - 1e-9
"""Partial correlations are at most so large, so that scores are finite."""


def predictions(gratings: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Pattern and component prediction (direction, unit) of responses to plaids.

    Parameters
    ----------
    gratings : array (direction, unit)
        Responses to gratings in directions that are even around the circle.
    angle : float
        Between the gratings of a plaid, in degrees. Directions between those that were shown are
        interpolated by the Fourier series of the curve.
    """
    count = len(gratings)
    waves = np.fft.rfft(gratings, axis=0)
    half = np.deg2rad(angle / 2) * np.arange(len(waves))[:, None]
    return gratings, np.fft.irfft(2 * np.cos(half) * waves, count, axis=0)


def scores(gratings: np.ndarray, plaids: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Z_p and Z_c (unit); NaN where a response or a prediction is flat, or both predictions are one.

    Parameters
    ----------
    gratings, plaids : arrays (direction, unit)
        Responses in the same directions, even around the circle.
    angle : float
        Between the gratings of a plaid, in degrees.

    Raises
    ------
    InputError
        If there are fewer than five directions, of which two would be left to judge by.
    """
    count = len(gratings)
    if count < 5:
        raise InputError(f"expected gratings and plaids in five directions or more; got {count}")
    pattern, component = predictions(gratings, angle)
    r_p, r_c, r_pc = (
        _correlation(*pair) for pair in ((pattern, plaids), (component, plaids), (pattern, component))
    )
    z_pattern, z_component = (
        np.sqrt(count - 3) * np.arctanh(_partial(*r)) for r in ((r_p, r_c, r_pc), (r_c, r_p, r_pc))
    )
    return z_pattern, z_component


def classes(z_pattern: np.ndarray, z_component: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether each unit is a pattern unit, and whether a component unit; neither where scores are NaN."""
    difference = z_pattern - z_component
    is_pattern = (difference >= CRITERION) & (z_pattern >= CRITERION)
    return is_pattern, (-difference >= CRITERION) & (z_component >= CRITERION)


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Correlation (unit) over directions; NaN where either is flat but for rounding."""
    centred = [values - values.mean(0) for values in (a, b)]
    size = [np.sqrt((values**2).sum(0)) for values in centred]
    flat = [s <= 1e-9 * abs(values).max(0) for s, values in zip(size, (a, b), strict=True)]
    product = np.where(flat[0] | flat[1], 0, size[0] * size[1])
    return np.divide(
        (centred[0] * centred[1]).sum(0), product, out=np.full(len(product), np.nan), where=product > 0
    )


def _partial(r: np.ndarray, other: np.ndarray, between: np.ndarray) -> np.ndarray:
    """Partial correlation, from that with the prediction, with the other one, and between both: 0 where the
    other leaves nothing to explain, NaN where both predictions are one.
    """
    left = (1 - other**2) * (1 - between**2)
    told = left > 1e-12
    partial = np.where(np.isfinite(r) & (between**2 < 1 - 1e-9), 0.0, np.nan)
    np.divide(r - other * between, np.sqrt(np.where(told, left, 1)), out=partial, where=told)
    return np.clip(partial, -LARGEST, LARGEST)
