"""Intervals, p-values and corrections: the one place of inference."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def shuffles(rng: np.random.Generator, permutations: int, *shape: int) -> np.ndarray:
    """Orders (permutation, *shape) of the last axis; the first leaves it as it is."""
    still = np.broadcast_to(np.arange(shape[-1]), (permutations + 1, *shape))
    return np.concatenate([still[:1], rng.permuted(still[1:], axis=-1)])


def exceeded(score: float, null: Iterable[float]) -> float:
    """p-value of a score among those of permuted targets; NaN if there is none."""
    every = np.array(list(null))
    return (
        float((1 + (every >= score - 1e-12).sum()) / (1 + len(every))) if np.isfinite(score) else float("nan")
    )


def corrected(p: np.ndarray) -> np.ndarray:
    """p-values of one family after Benjamini and Hochberg (1995); NaN are none of it."""
    from scipy.stats import false_discovery_control

    result, known = p.copy(), np.isfinite(p)
    if known.any():
        result[known] = false_discovery_control(p[known])
    return result
