r"""How alike are two sets of states under the same conditions, from their Gram matrices alone?

    debiased CKA      <K~, L~> / (|K~| |L~|)            K~, L~ U-centred Gram matrices (condition, condition)
    Procrustes angle  arccos( |X'Y|_* / (|X| |Y|) )     X, Y centred states (condition, unit), or their
    components predictivity      cross-validated R^2 of Y by ridge regression on X

<K~, L~> is the unbiased estimator of HSIC up to a factor that cancels.

Sources: Song et al. (2012), JMLR 13, eq. 5 (unbiased HSIC); Szekely & Rizzo (2014), Ann. Stat. 42
(U-centring); Nguyen et al. (2021), arXiv 2010.15327 (in CKA); Williams et al. (2021), arXiv 2110.14739
(angle).
"""

from __future__ import annotations

from itertools import permutations
from math import factorial
from typing import Any

import numpy as np

from flowsim.errors import InputError

COMPONENTS = 64
"""Of the source, from which `predictivity` regresses."""


def centre(gram: np.ndarray) -> np.ndarray:
    """U-centred: off-diagonal rows and columns sum to 0, the diagonal, which holds the bias, is left out."""
    n = len(gram)
    off = gram - np.diag(np.diag(gram))
    rows = off.sum(0) / (n - 2)
    off += rows.sum() / (n - 1) - rows - rows[:, None]
    np.fill_diagonal(off, 0)
    return off


def cka(one: np.ndarray, two: np.ndarray) -> float:
    """Debiased CKA of two U-centred Gram matrices."""
    return float(np.vdot(one, two) / (np.linalg.norm(one) * np.linalg.norm(two)))


def scores(gram: np.ndarray) -> np.ndarray:
    """Principal components (condition, component), largest first, whose inner products are the centred Gram
    matrix.
    """
    values, vectors = np.linalg.eigh(gram)
    kept = values > 1e-12 * values.max()
    return (vectors[:, kept] * np.sqrt(values[kept]))[:, ::-1]


def procrustes(one: np.ndarray, two: np.ndarray) -> float:
    """Angle in radians between two configurations, after the best rotation or reflection."""
    overlap = np.linalg.norm(one.T @ two, "nuc") / (np.linalg.norm(one) * np.linalg.norm(two))
    return float(np.arccos(min(1.0, float(overlap))))


def predictivity(source: np.ndarray, target: np.ndarray, trial: np.ndarray) -> float:
    """R^2 of the target over all its components, on trials left out; NaN for one trial."""
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import GroupKFold

    trials = len(np.unique(trial))
    if trials < 2:
        return np.nan
    source, missed, spread = source[:, :COMPONENTS] * np.sqrt(len(source)), 0.0, 0.0
    for fitted, tested in GroupKFold(min(trials, 5)).split(source, groups=trial):
        model = RidgeCV(np.logspace(-6, 2, 9)).fit(source[fitted], target[fitted])
        missed += np.square(target[tested] - model.predict(source[tested])).sum()
        spread += np.square(target[tested] - target[fitted].mean(0)).sum()
    return float(1 - missed / spread)


def jackknife(one: np.ndarray, two: np.ndarray, trial: np.ndarray) -> float:
    """Standard error of CKA of two Gram matrices, from leaving out one trial at a time; NaN for fewer than 3."""
    trials = np.unique(trial)
    if len(trials) < 3:
        return np.nan
    kept = [np.flatnonzero(trial != left_out) for left_out in trials]
    values = [cka(centre(one[np.ix_(k, k)]), centre(two[np.ix_(k, k)])) for k in kept]
    return float(np.sqrt((len(trials) - 1) * np.var(values)))


def exchanges(trial: np.ndarray, at_most: int = 100, seed: int = 0) -> list[np.ndarray]:
    """Orders of conditions in which whole trials change places: all that there are, or ``at_most`` at random.

    Conditions come trial by trial, the same ones in each.
    """
    trials = np.unique(trial)
    rows, rng = np.arange(len(trial)).reshape(len(trials), -1), np.random.default_rng(seed)
    if factorial(min(len(trials), 9)) <= at_most:
        return [rows[list(order)].ravel() for order in permutations(range(len(trials)))][1:]
    return [rows[rng.permutation(len(trials))].ravel() for _ in range(at_most)]


def dynamical(paths: list[np.ndarray], **settings: Any) -> np.ndarray:
    """Distances of dynamics between systems, from paths (trial, time, component) of each, by the package
    dsa-metric.

    Ostrow et al. (2023), arXiv 2306.10168: linear models of delays are fitted, and compared by their
    eigenvalues, or by orthogonal changes of basis. ``settings`` go to its class DSA (n_delays, rank,
    score_method).

    Raises
    ------
    InputError
        If the package is not installed.
    """
    try:
        from DSA import DSA
    except ImportError:
        raise InputError(
            "dynamical similarity needs the package dsa-metric: pip install 'flowsim[dsa]'"
        ) from None
    return np.asarray(DSA(paths, **settings).fit_score())
