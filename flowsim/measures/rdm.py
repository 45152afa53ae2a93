r"""Dissimilarity matrices (RDMs) of states, and how much two of them agree.

Crossnobis, the cross-validated squared Mahalanobis distance of conditions i and j, is the mean over pairs of
repeats m != n of

    (b_im - b_jm)' P (b_in - b_jn),      P the inverse of the noise covariance

As the noise of one repeat is independent of that of another, its mean is the true distance, 0 for equal
conditions (single estimates may be negative), where a plain squared distance has the noise added. That holds
if P does not know that noise either: here it is estimated from other repeats than m and n, about their means,
and shrunk as by Ledoit and Wolf.

Agreement is Spearman's rho_a, the mean of rho over random orders of what is tied: unlike rho or Kendall's
tau_b it does not favour models that predict ties (as that of identity), and unlike Kendall's tau_a it is
quick to compute.

Sources: Walther et al. (2016), NeuroImage 137 (crossnobis); Ledoit and Wolf (2004); Nili et al. (2014),
PLoS Comput. Biol. 10 (ties, noise ceiling); Schuett et al. (2023), eLife 12 (rho_a, bootstrap).
"""

from __future__ import annotations

import numpy as np

PARTS = 4
"""Of the repeats: two for the patterns, the others for their noise."""
ORDER = 0
"""Seed of the random order in which repeats take turns in the parts: parts in the order of trials would be
one class each where labels, or rest and motion, take turns too, and what is specific to a class then be
missed.
"""
SAME = 1e-6
"""Patterns that differ by less, relatively, differ by rounding."""


def correlation(x: np.ndarray) -> np.ndarray:
    """1 - Pearson's r (condition, condition) of the patterns x (condition, unit); NaN for those without
    variance.
    """
    centred = x - x.mean(-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        centred /= np.linalg.norm(centred, axis=-1, keepdims=True)
    return (1 - centred @ centred.T).round(10)  # the same patterns are to be tied


def crossnobis(x: np.ndarray) -> np.ndarray:
    """Terms of the crossnobis distance, whose mean it is.

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
    from sklearn.covariance import ledoit_wolf

    conditions, repeats, units = x.shape
    if (
        units > conditions * repeats
    ):  # inner products are all that counts: turn into the space that is spanned
        flat = x.reshape(-1, units)
        x = np.linalg.qr(flat.T)[1].T.reshape(conditions, repeats, -1)
    one, two = np.triu_indices(conditions, 1)
    apart, part = x[one] - x[two], np.random.default_rng(ORDER).permutation(repeats) % PARTS
    apart[np.linalg.norm(apart, axis=-1) <= SAME * np.linalg.norm(x, axis=-1).max()] = 0
    terms = np.full((repeats, repeats, len(one)), np.nan)
    for g, h in zip(*np.triu_indices(min(repeats, PARTS), 1), strict=True):
        others = x[:, (part != g) & (part != h)]
        if others.shape[1] < 2:
            continue
        noise = others - others.mean(1, keepdims=True)
        covariance, shrinkage = ledoit_wolf(noise.reshape(-1, x.shape[2]), assume_centered=True)
        if shrinkage < SAME:  # no noise, or but one sample of it
            continue
        covariance *= others.shape[1] / (others.shape[1] - 1)
        first, second = np.flatnonzero(part == g), np.flatnonzero(part == h)
        weighed = np.linalg.solve(covariance, apart[:, second].reshape(-1, x.shape[2]).T).T
        product = np.einsum("pmd,pnd->mnp", apart[:, first], weighed.reshape(len(one), len(second), -1))
        terms[np.ix_(first, second)], terms[np.ix_(second, first)] = product, product.swapaxes(0, 1)
    return terms


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks along the last axis, ties sharing their mean, scaled so that the dot product of two is rho_a.

    NaN where some value is, or all are the same.
    """
    from scipy.stats import rankdata

    n = values.shape[-1]
    if n < 2:
        return np.full(values.shape, np.nan)
    ranked = (rankdata(values, axis=-1) - (n + 1) / 2) * np.sqrt(12 / (n**3 - n))
    low, high = values.min(-1, keepdims=True), values.max(-1, keepdims=True)
    tells = high - low > 1e-9 * np.maximum(abs(low), abs(high))  # also False for NaN
    return np.where(tells, ranked, np.nan)


def agreement(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Spearman's rho_a along the last axis; NaN where one of them tells nothing apart."""
    product = ranks(one) * ranks(two)
    return product.sum(-1) if product.shape[-1] else np.full(product.shape[:-1], np.nan)


def mean_of(terms: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Crossnobis distances (..., pair) from terms (..., repeat, repeat, pair), each repeat counted so many
    times.
    """
    known = np.isfinite(terms).all(-1)
    each = weights[:, None] * weights * known
    with np.errstate(invalid="ignore"):
        return (
            np.einsum("...mnp,...mn->...p", np.where(known[..., None], terms, 0), each)
            / each.sum((-2, -1))[..., None]
        )


def square(values: np.ndarray, n: int) -> np.ndarray:
    """Ranks of RDMs (..., pair) as matrices (..., n, n) whose dot product is rho_a."""
    one, two = np.triu_indices(n, 1)
    matrices = np.zeros((*values.shape[:-1], n, n))
    matrices[..., one, two] = matrices[..., two, one] = ranks(values) / np.sqrt(2)
    return matrices


def ceiling(rdms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the best model could reach, given how much instances of a network agree (Nili et al. 2014).

    Parameters
    ----------
    rdms : array (instance, ..., pair)

    Returns
    -------
    lower, upper : arrays (...)
        Mean agreement with the mean of the other instances, and of all, of ranks; NaN for one instance.
    """
    ranked = ranks(rdms)
    if len(rdms) < 2:
        return (np.full(rdms.shape[1:-1], np.nan),) * 2
    lower = np.mean([agreement(r, np.delete(ranked, i, 0).mean(0)) for i, r in enumerate(ranked)], 0)
    return lower, np.mean([agreement(r, ranked.mean(0)) for r in ranked], 0)
