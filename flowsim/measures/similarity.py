r"""How alike are two sets of states under the same conditions, from their Gram matrices alone?

    debiased CKA      <K~, L~> / (|K~| |L~|)            K~, L~ U-centred Gram matrices (condition, condition)
    Procrustes angle  arccos( |X'Y|_* / (|X| |Y|) )     X, Y centred states (condition, unit), or their
                                                        components
    predictivity      cross-validated R² of Y by ridge regression on X

<K~, L~> is the unbiased estimator of HSIC up to a factor that cancels. It is unbiased for independent
conditions, which those of one trial are not: codes that have nothing in common but a course over time, or
over flows, have a CKA of up to 1. What they have by chance is the mean with whole trials exchanged
(`chance`); `above_chance` is 0 by chance and 1 for the same geometry.

Sources: Song et al. (2012), JMLR 13, eq. 5 (unbiased HSIC); Szekely & Rizzo (2014), Ann. Stat. 42
(U-centring); Nguyen et al. (2021), arXiv 2010.15327 (in CKA); Williams et al. (2021), arXiv 2110.14739
(angle).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
MOST_ORDERED = 20
"""Of more trials than this, one order is no part of the mean over all."""
ROUNDING = 1e-9
"""By so much or less, a CKA differs from 1 by rounding."""
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


def predictivity(source: np.ndarray, targets: Sequence[np.ndarray], group: np.ndarray) -> np.ndarray:
    """R² (target) of all components of each target (condition, component), predicted from the first
    `COMPONENTS` of the source on groups left out.

    Not even the source itself is predicted with an R² of 1, if it has more components or its groups differ:
    compare with a target's own, ``predictivity(target, [target], group)``. The penalty is chosen in the same
    way, on groups that are left out of those that are fitted.

    Parameters
    ----------
    source : array (condition, component)
        Principal components, as from `scores`.
    targets : sequence of array (condition, component)
        What does not depend on them is done once for all.
    group : array (condition)
        Trials, or groups of trials that are not independent. NaN is returned for fewer than three.
    """
    if len(np.unique(group)) < 3:
        return np.full(len(targets), np.nan)
    predictors = source[:, :COMPONENTS] * np.sqrt(len(source))
    missed, spread = np.zeros((2, len(targets)))
    for train, test in _folds(group):
        x = predictors[train]
        outer = Ridge.between(x, predictors[test])
        inner = [(Ridge.between(x[a], x[b]), a, b) for a, b in _folds(group[train])]
        for i, target in enumerate(targets):
            y = target[train]
            within = np.sum([ridge.errors(y[a], y[b]) for ridge, a, b in inner], 0)
            missed[i] += outer.errors(y, target[test])[np.argmin(within)]
            spread[i] += np.square(target[test] - y.mean(0)).sum()
    return 1 - missed / spread


def _folds(group: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Indices of conditions to fit and to test, whole groups apart."""
    from sklearn.model_selection import GroupKFold

    folds = GroupKFold(min(len(np.unique(group)), FOLDS))
    return list(folds.split(group, groups=group))


@dataclass(frozen=True)
class Ridge:
    """Ridge regression on x (condition, component), for each of `RIDGES`, judged on other conditions.

    In the eigenvectors of x'x, where the prediction is Z D B with diagonal D, the error is |y|^2 - 2 tr(y' Z
    D B) + |Z D B|^2.
    """

    x: np.ndarray
    vectors: np.ndarray
    shown: np.ndarray
    products: np.ndarray
    weights: np.ndarray

    @classmethod
    def between(cls, x: np.ndarray, test_x: np.ndarray) -> Ridge:
        """From x to other conditions of the same components."""
        test_x, x = test_x - x.mean(0), x - x.mean(0)
        values, vectors = np.linalg.eigh(x.T @ x)
        shown = test_x @ vectors
        return cls(x, vectors, shown, shown.T @ shown, 1 / (np.maximum(values, 0) + RIDGES[:, None]))

    def errors(self, y: np.ndarray, test_y: np.ndarray) -> np.ndarray:
        """Sum of squared errors (penalty) of y (condition, component), which is regressed on x."""
        test_y, y = test_y - y.mean(0), y - y.mean(0)
        fitted = self.vectors.T @ (self.x.T @ y)
        overlap = np.einsum("ck,ck->c", self.shown.T @ test_y, fitted)
        products = self.products * (fitted @ fitted.T)
        explained = 2 * self.weights @ overlap
        explained -= np.einsum("ai,ij,aj->a", self.weights, products, self.weights)
        return np.square(test_y).sum() - explained


def chance(one: np.ndarray, two: np.ndarray, trial: np.ndarray) -> float:
    """CKA of two U-centred Gram matrices (condition, condition) when trials of one are exchanged: its mean
    over all orders but the one in place; NaN for one trial.

    Trials are as for `exchanges`. The mean of a block of two trials over all orders is that of all blocks of
    different trials, or of all of one trial.
    """
    trials = len(np.unique(trial))
    if trials < 2:
        return np.nan
    blocks_one, blocks_two = (gram.reshape(trials, len(trial) // trials, trials, -1) for gram in (one, two))
    (same_one, all_one), (same_two, all_two) = (
        (np.einsum("tatb->ab", blocks), blocks.sum((0, 2))) for blocks in (blocks_one, blocks_two)
    )
    product = np.vdot(same_one, same_two) / trials
    product += np.vdot(all_one - same_one, all_two - same_two) / (trials * (trials - 1))
    mean = float(product / (np.linalg.norm(one) * np.linalg.norm(two)))
    return mean + (mean - cka(one, two)) / (factorial(min(trials, MOST_ORDERED)) - 1)


def above_chance(one: np.ndarray, two: np.ndarray, trial: np.ndarray) -> float:
    """CKA of two U-centred Gram matrices (condition, condition) above `chance`, as a share of what is left
    above it: 0 by chance, 1 for the same geometry.

    NaN where chance is 1 (states that are the same in all trials), and for one trial.
    """
    by_chance = chance(one, two, trial)
    return (cka(one, two) - by_chance) / (1 - by_chance) if by_chance < 1 - ROUNDING else np.nan


def above_chance_error(one: np.ndarray, two: np.ndarray, trial: np.ndarray, group: np.ndarray) -> float:
    """Standard error of `above_chance` of two Gram matrices (condition, condition): jackknife over groups of
    trials; NaN for fewer than 3.
    """
    groups = np.unique(group)
    if len(groups) < 3:
        return np.nan
    without_group = []
    for left_out in groups:
        others = np.flatnonzero(group != left_out)
        block = np.ix_(others, others)
        without_group.append(above_chance(u_centred(one[block]), u_centred(two[block]), trial[others]))
    return float(jackknife_error(np.array(without_group)))


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
