r"""Dissimilarity matrices (RDMs) of states, and how much two of them agree.

Crossnobis, the cross-validated squared Mahalanobis distance of conditions i and j, is the mean over pairs of
repeats m != n of

    (b_im - b_jm)' P (b_in - b_jn),      P the inverse of the noise covariance

The noise of one repeat is independent of that of another. So the expected value is the true distance, 0 for
equal conditions (single estimates may be negative), whereas noise adds to a plain squared distance. P must
not depend on the noise of m and n either: here it is estimated from other repeats, about their means, and
shrunk as by Ledoit and Wolf.

Agreement is Spearman's rho_a, the mean of rho over random orders of tied values: unlike rho or Kendall's
tau_b it does not favour models that predict ties (as that of identity does), and unlike Kendall's tau_a it
is quick to compute.

Sources: Walther et al. (2016), NeuroImage 137 (crossnobis); Ledoit and Wolf (2004); Nili et al. (2014),
PLoS Comput. Biol. 10 (ties, noise ceiling); Schuett et al. (2023), eLife 12 (rho_a, bootstrap).
"""

from __future__ import annotations

import numpy as np

PARTS = 4
"""Repeats are dealt into so many parts: two for the patterns, the others for their noise."""
ORDER = 0
"""Seed of the random order in which repeats are dealt into parts. In the order of trials, each part could be
one class where labels, or rest and motion, take turns too, and what is specific to a class would be missed.
"""
SAME = 1e-6
"""Patterns that differ by less than this share of the largest pattern differ by rounding."""


def correlation(x: np.ndarray) -> np.ndarray:
    """Distances 1 - Pearson's r (condition, condition) of the patterns x (condition, unit).

    NaN for patterns without variance.
    """
    centred = x - x.mean(-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        centred /= np.linalg.norm(centred, axis=-1, keepdims=True)
    return (1 - centred @ centred.T).round(10)  # equal patterns are to be tied


def crossnobis(x: np.ndarray) -> np.ndarray:
    """Terms of the crossnobis distance, which is their mean.

    Parameters
    ----------
    x : array (condition, repeat, unit)

    Returns
    -------
    array (repeat, repeat, pair of conditions)
        In squared standard deviations of the noise, summed over units; pairs as by `numpy.triu_indices`. NaN
        for repeats in the same of `PARTS` parts, and everywhere if there are fewer repeats than that, or no
        noise.
    """
    x = _within_span(x)
    conditions, repeats, _ = x.shape
    one, two = np.triu_indices(conditions, 1)
    difference = x[one] - x[two]
    equal = np.linalg.norm(difference, axis=-1) <= SAME * np.linalg.norm(x, axis=-1).max()
    difference[equal] = 0
    part = np.random.default_rng(ORDER).permutation(repeats) % PARTS
    terms = np.full((repeats, repeats, len(one)), np.nan)
    for g, h in zip(*np.triu_indices(min(repeats, PARTS), 1), strict=True):
        covariance = _noise_covariance(x[:, (part != g) & (part != h)])
        if covariance is None:
            continue
        first, second = np.flatnonzero(part == g), np.flatnonzero(part == h)
        products = _products(difference[:, first], difference[:, second], covariance)
        terms[np.ix_(first, second)] = products
        terms[np.ix_(second, first)] = products.swapaxes(0, 1)
    return terms


def _within_span(x: np.ndarray) -> np.ndarray:
    """Patterns (condition, repeat, unit), in coordinates of the space they span if they have more units."""
    conditions, repeats, units = x.shape
    if units <= conditions * repeats:
        return x
    _, coordinates = np.linalg.qr(x.reshape(-1, units).T)  # only inner products matter
    return coordinates.T.reshape(conditions, repeats, -1)


def _noise_covariance(x: np.ndarray) -> np.ndarray | None:
    """Shrunk covariance (unit, unit) of patterns (condition, repeat, unit) about the means of conditions.

    None where there is no noise, or only one sample of it.
    """
    from sklearn.covariance import ledoit_wolf

    _, repeats, units = x.shape
    if repeats < 2:
        return None
    noise = x - x.mean(1, keepdims=True)
    covariance, shrinkage = ledoit_wolf(noise.reshape(-1, units), assume_centered=True)
    if shrinkage < SAME:
        return None
    covariance *= repeats / (repeats - 1)
    return covariance


def _products(first: np.ndarray, second: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Products d' P e (repeat, repeat, pair) of differences d and e (pair, repeat, unit)."""
    units = len(covariance)
    weighted = np.linalg.solve(covariance, second.reshape(-1, units).T).T.reshape(second.shape)
    return np.einsum("pmd,pnd->mnp", first, weighted)


def crossnobis_mean(terms: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Crossnobis distances (..., pair) from terms (..., repeat, repeat, pair).

    Parameters
    ----------
    terms : array (..., repeat, repeat, pair)
        Of `crossnobis`.
    weights : array (repeat)
        How many times each repeat counts.
    """
    known = np.isfinite(terms).all(-1)
    weight = weights[:, None] * weights * known
    with np.errstate(invalid="ignore"):
        total = np.einsum("...mnp,...mn->...p", np.where(known[..., None], terms, 0), weight)
        return total / weight.sum((-2, -1))[..., None]


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks along the last axis, ties sharing their mean, scaled so that the dot product of two is rho_a.

    NaN where some value is NaN, or all are the same.
    """
    from scipy.stats import rankdata

    n = values.shape[-1]
    if n < 2:
        return np.full(values.shape, np.nan)
    ranked = (rankdata(values, axis=-1) - (n + 1) / 2) * np.sqrt(12 / (n**3 - n))
    low, high = values.min(-1, keepdims=True), values.max(-1, keepdims=True)
    varies = high - low > 1e-9 * np.maximum(abs(low), abs(high))  # also False for NaN
    return np.where(varies, ranked, np.nan)


def agreement(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Spearman's rho_a along the last axis; NaN where all values of one of them are the same."""
    product = ranks(one) * ranks(two)
    return product.sum(-1) if product.shape[-1] else np.full(product.shape[:-1], np.nan)


def rank_matrices(values: np.ndarray, conditions: int) -> np.ndarray:
    """Ranks of RDMs (..., pair) as matrices (..., condition, condition) whose dot product is rho_a."""
    one, two = np.triu_indices(conditions, 1)
    matrices = np.zeros((*values.shape[:-1], conditions, conditions))
    matrices[..., one, two] = ranks(values) / np.sqrt(2)
    matrices[..., two, one] = matrices[..., one, two]
    return matrices


def noise_ceiling(rdms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the best model could reach, given how much instances of a network agree (Nili et al. 2014).

    Parameters
    ----------
    rdms : array (instance, ..., pair)

    Returns
    -------
    lower, upper : arrays (...)
        Mean agreement of each instance with the mean rank of the others, and with that of all; NaN for one
        instance.
    """
    ranked = ranks(rdms)
    if len(rdms) < 2:
        unknown = np.full(rdms.shape[1:-1], np.nan)
        return unknown, unknown
    lower = [agreement(own_ranks, np.delete(ranked, i, 0).mean(0)) for i, own_ranks in enumerate(ranked)]
    upper = [agreement(own_ranks, ranked.mean(0)) for own_ranks in ranked]
    return np.mean(lower, 0), np.mean(upper, 0)
