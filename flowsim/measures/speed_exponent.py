r"""Is a unit tuned to speed, or to temporal frequency?

Responses to gratings of spatial frequency s and temporal frequency f are fitted by a Gaussian on logarithmic
axes (octaves) whose preferred temporal frequency depends on s,

    R(s, f) = c + A exp(-(log s/s_0)^2 / 2 a^2) exp(-(log f/f_s)^2 / 2 b^2),    log f_s/f_0 = Q log s/s_0

With the exponent Q = 1 the preferred speed f_s / s is the same at every s: the unit is tuned to speed. With Q
= 0 the preferred temporal frequency is: the tuning is separable. The floor c is what a rectified unit does
besides.

Source: Priebe, Lisberger and Movshon (2006), Tuning for spatiotemporal frequency and speed in directionally
selective neurons of macaque striate cortex, where the exponent is xi; without the skew in temporal frequency
that is in their fit.
"""

from __future__ import annotations

import numpy as np

STEEPEST = 3.0
"""Exponents are searched from minus this to this."""
WIDTHS = (0.2, 5.0)
"""Standard deviations are searched between these, in octaves."""
BEYOND = 2.0
"""Octaves by which a peak may lie outside of the grid."""
LEAST_EXPLAINED = 0.5
"""Fits that explain less of the variance tell nothing of the exponent."""
PARAMETERS = 7
"""Floor, height, log s_0, log f_0, a, b and Q, the last."""


def fits(
    responses: np.ndarray, spatial: np.ndarray, temporal: np.ndarray, starts: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Parameters of the fit to each unit (unit, parameter), the last of which is Q, and the share of the
    variance over the grid that it explains (unit).

    Both are NaN where responses are flat; parameters also where the fit explains less than half. Responses
    are fitted on a scale from 0 to 1.

    Parameters
    ----------
    responses : array (spatial, temporal, unit)
    spatial, temporal : arrays (spatial,), (temporal,)
        Frequencies, above 0.
    starts : array (unit, parameter), optional
        From fits to much the same responses. Where there are none (NaN), or none are given, the search starts
        at the strongest response, with Q of 0, 1/2 and 1.
    """
    units = responses.shape[-1]
    parameters, explained = np.full((units, PARAMETERS), np.nan), np.full(units, np.nan)
    for unit in range(units):
        start = None if starts is None or np.isnan(starts[unit]).any() else starts[unit]
        parameters[unit], explained[unit] = _fitted(responses[..., unit], spatial, temporal, start)
    return np.where(explained[:, None] >= LEAST_EXPLAINED, parameters, np.nan), explained


def _fitted(
    responses: np.ndarray, spatial: np.ndarray, temporal: np.ndarray, start: np.ndarray | None
) -> tuple[np.ndarray, float]:
    """Parameters and explained variance of one unit."""
    from scipy.optimize import least_squares

    low, high = float(responses.min()), float(responses.max())
    if high - low <= 1e-9 * abs(high):
        return np.full(PARAMETERS, np.nan), np.nan
    scaled = (responses - low) / (high - low)
    log_s, log_f = np.broadcast_arrays(np.log2(spatial)[:, None], np.log2(temporal)[None])
    least = [-1, 0, log_s.min() - BEYOND, log_f.min() - BEYOND, WIDTHS[0], WIDTHS[0], -STEEPEST]
    most = [1, 5, log_s.max() + BEYOND, log_f.max() + BEYOND, WIDTHS[1], WIDTHS[1], STEEPEST]
    at = scaled.argmax()
    guesses = [[0.0, 1.0, log_s.flat[at], log_f.flat[at], 1.0, 1.0, q] for q in (0.0, 0.5, 1.0)]
    found = [
        least_squares(
            lambda x: (gaussian(x, log_s, log_f) - scaled).ravel(),
            np.clip(guess, np.add(least, 1e-6), np.subtract(most, 1e-6)),
            jac=lambda x: slopes(x, log_s, log_f),
            bounds=(least, most),
            max_nfev=60,
        )
        for guess in (guesses if start is None else [start])
    ]
    best = min(found, key=lambda fit: fit.cost)
    return best.x, float(1 - 2 * best.cost / ((scaled - scaled.mean()) ** 2).sum())


def gaussian(x: np.ndarray, log_s: np.ndarray, log_f: np.ndarray) -> np.ndarray:
    """R (spatial, temporal) of parameters."""
    floor, height, s_0, f_0, a, b, exponent = x
    s = log_s - s_0
    f = log_f - f_0 - exponent * s
    return floor + height * np.exp(-(s**2) / (2 * a**2) - f**2 / (2 * b**2))


def slopes(x: np.ndarray, log_s: np.ndarray, log_f: np.ndarray) -> np.ndarray:
    """Derivatives (spatial * temporal, parameter) of `gaussian`."""
    _, height, s_0, f_0, a, b, exponent = x
    s = log_s - s_0
    f = log_f - f_0 - exponent * s
    bump = np.exp(-(s**2) / (2 * a**2) - f**2 / (2 * b**2))
    by_log = {
        "s_0": s / a**2 - exponent * f / b**2,
        "f_0": f / b**2,
        "a": s**2 / a**3,
        "b": f**2 / b**3,
        "exponent": f * s / b**2,
    }
    slopes = [np.ones_like(bump), bump, *(height * bump * slope for slope in by_log.values())]
    return np.stack([slope.ravel() for slope in slopes], 1)


def preferred_direction(responses: np.ndarray) -> np.ndarray:
    """Index (unit) of the direction in which responses (direction, spatial, temporal, unit) are strongest, in
    the mean over the grid.
    """
    return np.asarray(responses.mean((1, 2)).argmax(0))
