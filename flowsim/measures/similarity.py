r"""How alike are two sets of states under the same conditions, from their Gram matrices alone?

    debiased CKA      <K~, L~> / (|K~| |L~|)            K~, L~ U-centred Gram matrices (condition, condition)
    Procrustes angle  arccos( |X'Y|_* / (|X| |Y|) )     X, Y centred states (condition, unit), or their
                                                        components
    predictivity      cross-validated R^2 of Y by ridge regression on X

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
from flowsim.measures.statistics import jackknife_error

COMPONENTS = 64
"""The principal components of the source from which `predictivity` regresses, at most."""
RIDGES = np.logspace(-6, 2, 9)
"""Penalties among which `predictivity` chooses."""
FOLDS = 5
"""At most so many groups of trials are left out in turn by `predictivity`."""
MOST_COUNTED = 9
"""The orders of more trials are not counted: there are too many of them to try them all."""


def u_centred(gram: np.ndarray) -> np.ndarray:
    """Gram matrix (condition, condition) whose off-diagonal rows and columns sum to 0; the diagonal, which
    holds the bias, is left out.
    """
    n = len(gram)
    off = gram - np.diag(np.diag(gram))
    rows = off.sum(0) / (n - 2)
    off += rows.sum() / (n - 1) - rows - rows[:, None]
    np.fill_diagonal(off, 0)
    return off


def cka(one: np.ndarray, two: np.ndarray) -> float:
    """Debiased CKA of two U-centred Gram matrices (condition, condition)."""
    return float(np.vdot(one, two) / (np.linalg.norm(one) * np.linalg.norm(two)))


def scores(gram: np.ndarray) -> np.ndarray:
    """Principal components (condition, component), largest first, whose inner products are the centred Gram
    matrix.
    """
    values, vectors = np.linalg.eigh(gram)
    positive = values > 1e-12 * values.max()
    return (vectors[:, positive] * np.sqrt(values[positive]))[:, ::-1]


def procrustes(one: np.ndarray, two: np.ndarray) -> float:
    """Angle in radians between two configurations (condition, component), after the best rotation or
    reflection.
    """
    overlap = np.linalg.norm(one.T @ two, "nuc") / (np.linalg.norm(one) * np.linalg.norm(two))
    return float(np.arccos(min(1.0, float(overlap))))


def predictivity(source: np.ndarray, target: np.ndarray, trial: np.ndarray) -> float:
    """R^2 of all components of the target (condition, component), predicted from those of the source on
    trials left out; NaN for one trial.

    Parameters
    ----------
    source, target : array (condition, component)
        Principal components, as from `scores`.
    trial : array (condition)
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import GroupKFold

    trials = len(np.unique(trial))
    if trials < 2:
        return np.nan
    predictors = source[:, :COMPONENTS] * np.sqrt(len(source))
    missed = 0.0
    spread = 0.0
    for train, test in GroupKFold(min(trials, FOLDS)).split(predictors, groups=trial):
        model = RidgeCV(RIDGES).fit(predictors[train], target[train])
        missed += np.square(target[test] - model.predict(predictors[test])).sum()
        spread += np.square(target[test] - target[train].mean(0)).sum()
    return float(1 - missed / spread)


def cka_error(one: np.ndarray, two: np.ndarray, trial: np.ndarray) -> float:
    """Standard error of the CKA of two Gram matrices (condition, condition): jackknife over trials; NaN for
    fewer than 3.
    """
    trials = np.unique(trial)
    if len(trials) < 3:
        return np.nan
    without_trial = []
    for left_out in trials:
        others = np.flatnonzero(trial != left_out)
        block = np.ix_(others, others)
        without_trial.append(cka(u_centred(one[block]), u_centred(two[block])))
    return float(jackknife_error(np.array(without_trial)))


def exchanges(trial: np.ndarray, at_most: int = 100, seed: int = 0) -> list[np.ndarray]:
    """Orders of conditions in which whole trials change places: all that there are but the one in place, or
    ``at_most`` at random.

    Conditions (``trial``, the trial of each) come trial by trial, the same ones in each.
    """
    trials = len(np.unique(trial))
    conditions = np.arange(len(trial)).reshape(trials, -1)
    if factorial(min(trials, MOST_COUNTED)) <= at_most:
        _, *others = permutations(range(trials))
        return [conditions[list(order)].ravel() for order in others]
    rng = np.random.default_rng(seed)
    return [conditions[rng.permutation(trials)].ravel() for _ in range(at_most)]


def dynamical(paths: list[np.ndarray], **settings: Any) -> np.ndarray:
    """Distances of dynamics (system, system) by the package dsa-metric.

    Ostrow et al. (2023), arXiv 2306.10168: linear models of delays are fitted, and compared by their
    eigenvalues, or by orthogonal changes of basis.

    Parameters
    ----------
    paths : list of array (trial, time, component)
        One for each system.
    **settings
        Of the package's class DSA (n_delays, rank, score_method).

    Raises
    ------
    InputError
        If the package is not installed.
    """
    try:
        from DSA import DSA
    except ImportError:
        raise InputError(
            "dynamical similarity needs the package dsa-metric, which is not installed: "
            "pip install dsa-metric"
        ) from None
    return np.asarray(DSA(paths, **settings).fit_score())
