r"""Dissimilarity matrices (RDMs) of states, and how much two of them agree.

Crossnobis, the cross-validated squared Mahalanobis distance of conditions i and j, is the mean over pairs of
repeats m != n of

    (b_im - b_jm)' P (b_in - b_jn),      P the inverse of the noise covariance

The noise of one repeat is independent of that of another. So the expected value is the true distance, 0 for
equal conditions (single estimates may be negative), whereas noise adds to a plain squared distance. P must
not depend on the noise of m and n either: here it is estimated from other repeats, and shrunk as by Ledoit
and Wolf. What all conditions of one repeat have in common, such as what was shown in it, drops out of the
differences and is no noise to them: it is taken out of the noise too. Counted as noise, content of 1 and of 3
times its size made distances 0.5 and 0.1 of the true ones.

Agreement is Spearman's ρₐ, the mean of rho over random orders of tied values: unlike rho or Kendall's
tau_b it does not favour models that predict ties (as that of identity does), and unlike Kendall's tau_a it
is quick to compute.

Sources: Walther et al. (2016), NeuroImage 137 (crossnobis); Ledoit and Wolf (2004), J. Multivar. Anal. 88,
eq. 7 to 14; Nili et al. (2014),
PLoS Comput. Biol. 10 (ties, noise ceiling); Schuett et al. (2023), eLife 12 (ρₐ, bootstrap).
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

    NaN for patterns without variance, that is, of less than the share `SAME` of the pattern.
    """
    centred = x - x.mean(-1, keepdims=True)
    size = np.linalg.norm(centred, axis=-1, keepdims=True)
    varies = size > SAME * np.linalg.norm(x, axis=-1, keepdims=True)
    centred /= np.where(varies, size, np.nan)
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
        noise: conditions that differ by the same in each repeat have no finite distance.
    """
    smallest = SAME * np.linalg.norm(x, axis=-1).max()
    units = x.shape[-1]
    x = _within_span(x - x.mean(0))  # of differences, what a repeat has in common is no part
    conditions, repeats, _ = x.shape
    one, two = np.triu_indices(conditions, 1)
    difference = x[one] - x[two]
    difference[np.linalg.norm(difference, axis=-1) <= smallest] = 0
    part = np.random.default_rng(ORDER).permutation(repeats) % PARTS
    terms = np.full((repeats, repeats, len(one)), np.nan)
    for g, h in zip(*np.triu_indices(min(repeats, PARTS), 1), strict=True):
        noise = _noise(x[:, (part != g) & (part != h)])
        if not len(noise) or np.linalg.norm(noise, axis=-1).max() <= smallest:
            continue
        covariance = shrunk_covariance(noise, units)
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


def _noise(x: np.ndarray) -> np.ndarray:
    """Independent samples (sample, unit) of the noise of patterns (condition, repeat, unit).

    They are orthonormal contrasts of conditions in contrasts of repeats: neither what a condition nor what a
    repeat has in common is in them, and their covariance is that of one pattern.
    """
    from scipy.linalg import helmert

    conditions, repeats, units = x.shape
    if conditions < 2 or repeats < 2:
        return np.empty((0, units))
    contrasts = np.einsum("ci,rj,iju->cru", helmert(conditions), helmert(repeats), x, optimize=True)
    return contrasts.reshape(-1, units)


def shrunk_covariance(samples: np.ndarray, units: int) -> np.ndarray:
    """Covariance about 0 of samples (sample, coordinate), shrunk to a multiple of the identity (Ledoit and
    Wolf 2004).

    Parameters
    ----------
    samples : array (sample, coordinate)
        Coordinates in a space that the samples lie in.
    units : int
        Dimension of the whole space, which the mean variance, to which is shrunk, is over. That over the span
        of few samples is larger: distances among 96 patterns of 400 units would be 0.24 of the true ones.
    """
    count = len(samples)
    covariance = samples.T @ samples / count
    variance = np.trace(covariance) / units
    squares = np.square(covariance).sum()
    apart = squares - units * variance**2
    by_chance = (np.square(np.square(samples).sum(1)).mean() - squares) / count
    shrinkage = min(1.0, by_chance / apart) if apart > 0 else 1.0
    return (1 - shrinkage) * covariance + shrinkage * variance * np.eye(len(covariance))


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
    """Ranks along the last axis, ties sharing their mean, scaled so that the dot product of two is ρₐ.

    NaN has no rank, and is NaN again; so are all where all known values are the same.
    """
    from scipy.stats import rankdata

    known = np.isfinite(values)
    n = known.sum(-1, keepdims=True)
    ranked = rankdata(np.where(known, values, np.inf), axis=-1)
    low = np.where(known, values, np.inf).min(-1, keepdims=True, initial=np.inf)
    high = np.where(known, values, -np.inf).max(-1, keepdims=True, initial=-np.inf)
    with np.errstate(invalid="ignore"):
        varies = (n > 1) & (high - low > 1e-9 * np.maximum(abs(low), abs(high)))
    scale = np.sqrt(12 / np.where(varies, n**3.0 - n, np.nan))
    return np.where(known, (ranked - (n + 1) / 2) * scale, np.nan)


def agreement(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Spearman's ρₐ along the last axis.

    Distances of ``one`` that are NaN are left out. The result is NaN where those of ``two`` are, where all of
    one of them are the same, or where there are fewer than two.
    """
    unknown = np.isnan(one)
    product = ranks(one) * ranks(np.where(unknown, np.nan, two))
    product = np.where(unknown, 0, product)
    return np.where(unknown.all(-1), np.nan, product.sum(-1))


def rank_matrices(values: np.ndarray, one: np.ndarray, two: np.ndarray, conditions: int) -> np.ndarray:
    """Ranks of RDMs (..., pair) of the conditions ``one`` and ``two`` (pair), as matrices (..., condition,
    condition) whose dot product is ρₐ.

    They are 0 for other pairs, and where a distance is NaN; NaN where nothing can be ranked.
    """
    ranked = ranks(values)
    nothing = np.isnan(ranked).all(-1, keepdims=True)
    matrices = np.zeros((*values.shape[:-1], conditions, conditions))
    matrices[..., one, two] = np.where(np.isnan(ranked) & ~nothing, 0, ranked) / np.sqrt(2)
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
        instance. Pairs whose distance is NaN in any are left out.
    """
    ranked = ranks(np.where(np.isnan(rdms).any(0), np.nan, rdms))
    if len(rdms) < 2:
        unknown = np.full(rdms.shape[1:-1], np.nan)
        return unknown, unknown
    lower = [agreement(own_ranks, np.delete(ranked, i, 0).mean(0)) for i, own_ranks in enumerate(ranked)]
    upper = [agreement(own_ranks, ranked.mean(0)) for own_ranks in ranked]
    return np.mean(lower, 0), np.mean(upper, 0)
