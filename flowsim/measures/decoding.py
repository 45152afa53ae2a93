"""Linear readouts that are fitted on some trials and judged on others, beside what permuted targets give.

A readout is a ridge regression on all features, solved in the dual, so that none is lost however many there
are. Features are standardised on the training trials. The penalty is the one of `PENALTIES` under which
training trials are predicted best by readouts of the others, for each of the permuted targets as for the true
ones. All of that is known in closed form, as a readout without some samples follows from the one with all
(Cook and Weisberg 1982, section 3.5). Then the `STRONGEST` features by the share of variance that the targets
explain in training are penalised less, in proportion to the variance that is left (as linear discriminants
standardise by the deviation within classes): a single unit that tells the target counts among thousands that
do not.

Labels are read by regression on indicators (Hastie, Tibshirani and Friedman 2009, section 4.2): the readout
names the label whose indicator exceeds its share in training by most, relative to that share. Without this
correction, and with little to go by, the label of the trial that was left out would never be named. Labels
that come out equal, such as all of them where nothing is active, share the answer.

All presentations of a trial, and all trials of a group, are on the same side of every split.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from flowsim.errors import InputError
from flowsim.flows.flow import Flow
from flowsim.flows.velocity_grid import VelocityGrid
from flowsim.measures import statistics

FEW = 4
"""With fewer groups of trials than this there is no interval."""
PENALTIES = 10.0 ** np.arange(-3, 4)
"""Ridge penalties, relative to the mean squared length of standardised presentations."""
STRONGEST = 16
"""So many features are penalised less than the others."""
LEAST_LEFT = 1e-3
"""The share of their variance that targets leave counts as no less."""
ROUNDING = 1e-12
"""Features whose deviation is less, relative to their mean, are constant. Axes whose squared length is less
than a hundred times as much, relative to the longest, are rounding.
"""


class Judgement(NamedTuple):
    """The score of a readout with its 95 % interval over trials, and what permuted targets give."""

    score: float
    low: float
    high: float
    chance: float
    """Mean score of permuted targets."""
    chance_low: float
    chance_high: float
    """Between these lie the central 95 % of the scores of permuted targets."""
    p: float
    """At least 1 / (1 + number of permutations)."""


@dataclass(frozen=True)
class Tally:
    """What a readout gets right on held-out trials, of what there is to get right.

    Parameters
    ----------
    achieved, possible : arrays (trial, permutation)
        Presentations whose label was named, and all presentations; or the sum of squares about the training
        mean that was explained, and the whole sum.
    groups : array of int (trial)
        Which trials belong together.
    classified : bool
        Whether labels were named.
    """

    achieved: np.ndarray
    possible: np.ndarray
    groups: np.ndarray
    classified: bool

    def scores(self) -> np.ndarray:
        """Accuracy, or cross-validated R², over all trials (permutation)."""
        with np.errstate(invalid="ignore", divide="ignore"):  # where there is nothing to get right
            return self.achieved.sum(0) / self.possible.sum(0)

    def by_group(self) -> tuple[np.ndarray, np.ndarray]:
        """Achieved and possible (group) with the true targets."""
        return np.bincount(self.groups, self.achieved[:, 0]), np.bincount(self.groups, self.possible[:, 0])


@dataclass(frozen=True)
class _Readout:
    """A readout that was fitted on the trials of one fold."""

    test: np.ndarray
    """Indices of the trials that were held out."""
    mean: np.ndarray
    scale: np.ndarray
    directions: np.ndarray
    """From standardised features to the axes along which presentations in training differ (feature, axis)."""
    along: np.ndarray
    """Weights of these axes (axis, permutation, value)."""
    strongest: np.ndarray
    """Features that are penalised less (permutation, strongest)."""
    extra: np.ndarray
    """What that adds to their weights (permutation, strongest, value)."""
    guess: np.ndarray
    """Mean of the targets in training (permutation, value)."""

    def predict(self, features: np.ndarray) -> np.ndarray:
        """By how much targets (flow, trial, permutation, value) that are read from features (flow, trial,
        feature) differ from the mean in training.
        """
        presentations = features.reshape(-1, features.shape[2])
        z = np.nan_to_num((presentations - self.mean) / self.scale)
        targets = np.tensordot(z @ self.directions, self.along, 1)
        targets += np.matmul(z[:, self.strongest].swapaxes(0, 1), self.extra).swapaxes(0, 1)
        return targets.reshape(*features.shape[:2], *self.guess.shape)


def held_out(
    x: np.ndarray,
    tested: Iterable[np.ndarray],
    y: np.ndarray,
    *,
    classify: bool,
    folds: int,
    seed: int,
    groups: np.ndarray | None = None,
) -> list[Tally]:
    """How much a readout fitted to ``x`` gets right in each of ``tested``, on trials it was not fitted to.

    Parameters
    ----------
    x : array (flow, trial, feature)
    tested : arrays (flow, trial, feature)
        NaN counts as the mean of the training trials.
    y : array (flow, trial, permutation, value)
        Targets; indicators of the label if ``classify``.
    classify : bool
        Name labels, instead of predicting values.
    folds : int
        The trials are held out in at most so many parts.
    seed : int
        Of the assignment of groups to folds.
    groups : array (trial), optional
        Trials of the same group are held out together; by default each is a group.

    Returns
    -------
    list of Tally
        One for each of ``tested``.

    Raises
    ------
    InputError
        If there are fewer than two groups.
    """
    from sklearn.model_selection import KFold

    trials = x.shape[1]
    group = np.arange(trials) if groups is None else pd.factorize(groups)[0]
    count = group.max(initial=-1) + 1
    if count < 2:
        raise InputError(
            "a readout is fitted on some groups of trials and tested on others; expected 2 groups or more, "
            f"got {count}"
        )
    readouts = []
    for _, held in KFold(min(folds, count), shuffle=True, random_state=seed).split(np.arange(count)):
        out = np.isin(group, held)
        train = np.flatnonzero(~out)
        readouts.append(_fit(x[:, train], y[:, train], np.flatnonzero(out), group[train]))
    return [_tally(readouts, features, y, group, classify) for features in tested]


def _fit(x: np.ndarray, y: np.ndarray, test: np.ndarray, group: np.ndarray) -> _Readout:
    """The readout of targets y (flow, trial, permutation, value) from x (flow, trial, feature), whose trials
    are of each ``group`` (trial).

    Everything is solved along the axes of the kernel (presentation, presentation), where it is diagonal.
    """
    presentations = x.reshape(-1, x.shape[2])
    targets = y.reshape(len(presentations), *y.shape[2:])
    guess = targets.mean(0)
    targets = targets - guess
    mean, scale = presentations.mean(0), presentations.std(0)
    scale[scale <= ROUNDING * abs(mean)] = np.inf  # constant: tells nothing
    z = (presentations - mean) / scale
    length, axes = _axes(z)
    along = np.tensordot(axes.T, targets, 1)
    penalty = _penalties(targets, length, axes, along, np.tile(group, len(x)))
    inverse = 1 / (length + penalty[:, None])  # (permutation, axis)
    strongest, beyond = _less_penalised(z, targets)
    # the kernel of a permutation is the shared one plus the products of these (permutation, feature, axis)
    used, place = np.unique(strongest, return_inverse=True)
    patterns = (z[:, used].T @ axes)[place.reshape(strongest.shape)] * beyond[:, :, None]
    solved = patterns * inverse[:, None]
    within = np.eye(strongest.shape[1]) + solved @ patterns.swapaxes(1, 2)
    weights = np.linalg.solve(within, solved @ along.swapaxes(0, 1))
    dual = along.transpose(1, 0, 2) * inverse[:, :, None] - solved.swapaxes(1, 2) @ weights
    return _Readout(
        test=test,
        mean=mean,
        scale=scale,
        directions=z.T @ axes,
        along=dual.swapaxes(0, 1),
        strongest=strongest,
        extra=weights * beyond[:, :, None],
        guess=guess,
    )


def _axes(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squared length (axis) of centred features (presentation, feature) along their principal axes, and these
    (presentation, axis).

    They are eigenvalues and eigenvectors of the kernel, or follow from those of the covariance, which is
    smaller where there are fewer features.
    """
    fewer_features = z.shape[1] < len(z)
    length, axes = np.linalg.eigh(z.T @ z if fewer_features else z @ z.T)
    known = length > 100 * ROUNDING * max(length[-1], 1)
    length, axes = length[known], axes[:, known]
    return length, z @ axes / np.sqrt(length) if fewer_features else axes


def _penalties(
    targets: np.ndarray, length: np.ndarray, axes: np.ndarray, along: np.ndarray, group: np.ndarray
) -> np.ndarray:
    """For each permutation, the penalty whose readouts of all other groups predict each group best.

    Where all is one group, that is not known, and the penalty is the mean squared length of presentations.

    Parameters
    ----------
    targets : array (presentation, permutation, value)
        About their mean.
    length, axes : arrays (axis), (presentation, axis)
        Eigenvalues and eigenvectors of the kernel.
    along : array (axis, permutation, value)
        The targets along these axes.
    group : array (presentation)
    """
    count, permutations, values = targets.shape
    scale = max(length.sum() / count, 1e-12)
    if len(np.unique(group)) < 2:
        return np.full(permutations, scale)
    candidates = PENALTIES * scale
    flat, flat_along = targets.reshape(count, -1), along.reshape(len(length), permutations * values)
    sizes, of_size = np.unique(np.bincount(group)[group], return_inverse=True)
    order = np.argsort(group, kind="stable")
    members = [order[of_size[order] == k].reshape(-1, size) for k, size in enumerate(sizes)]
    blocks = [axes[member] for member in members]  # (group, presentation, axis) by size of group
    error = np.empty((len(candidates), permutations))
    for of_candidate, candidate in zip(error, candidates, strict=True):
        kept = length / (length + candidate)
        residual = flat - (axes * kept) @ flat_along
        of_candidate[:] = 0
        for member, block in zip(members, blocks, strict=True):
            left = np.eye(member.shape[1]) - 1 / count - (block * kept) @ block.swapaxes(1, 2)
            left_out = np.linalg.inv(left) @ residual[member]
            of_candidate += (left_out**2).sum((0, 1)).reshape(permutations, values).sum(1)
    return candidates[error.argmin(0)]


def _less_penalised(z: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The features of which targets (presentation, permutation, value) explain most, and the root of what
    they count beyond others (permutation, strongest).

    A feature of which the share r is explained counts 1 / (1 - r) times.
    """
    length, axes = np.linalg.eigh(np.einsum("npv,npw->pvw", targets, targets, optimize=True))
    known = length > np.maximum(1e-9 * length[:, -1:], 0)
    to_white = axes * np.where(known, 1 / np.sqrt(np.where(known, length, 1)), 0)[:, None]
    white = np.matmul(targets.swapaxes(0, 1), to_white).swapaxes(0, 1)
    along = (z.T @ white.reshape(len(z), -1)).reshape(z.shape[1], *targets.shape[1:])
    explained = (along**2).sum(-1).T / len(z)  # (permutation, feature)
    most = min(STRONGEST, z.shape[1])
    strongest = np.argpartition(explained, z.shape[1] - most, 1)[:, -most:]
    left = 1 - np.take_along_axis(explained, strongest, 1)
    return strongest, np.sqrt(1 / left.clip(LEAST_LEFT, 1) - 1)


def _tally(
    readouts: list[_Readout], features: np.ndarray, y: np.ndarray, group: np.ndarray, classify: bool
) -> Tally:
    """What the readouts of all folds get right in ``features`` (flow, trial, feature)."""
    achieved, possible = np.empty((2, *y.shape[1:3]))
    for readout in readouts:
        test, true = readout.test, y[:, readout.test]
        predicted = readout.predict(features[:, test])
        if classify:
            achieved[test] = (true * _named(predicted, readout.guess)).sum((0, -1))
            possible[test] = len(y)
        else:
            about_mean = ((true - readout.guess) ** 2).sum((0, -1))
            possible[test] = about_mean
            achieved[test] = about_mean - ((true - readout.guess - predicted) ** 2).sum((0, -1))
    return Tally(achieved, possible, group, classify)


def _named(excess: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The part of the answer (..., label) that each label has: 1 if its indicator exceeds its share in
    training by most, relative to it; labels that come out equal share the answer.
    """
    occurs = share > 0
    evidence = np.where(occurs, excess / np.where(occurs, share, 1), -np.inf)
    largest = evidence == evidence.max(-1, keepdims=True)
    return largest / largest.sum(-1, keepdims=True)


def judge(tally: Tally, folds: int) -> Judgement:
    """Score, 95 % interval over groups of trials, and what permuted targets give; permutation 0 are the true
    targets.

    Groups are the replicates. Readouts of different folds were fitted to much the same trials, which their
    spread does not show: the variance grows by the factor 1 + k / (k - 1) for k folds (after Nadeau and
    Bengio 2003). The interval of an accuracy is Wilson's, for as many independent presentations as have that
    variance; that of R² is symmetrical in the logarithm of 1 - R². So neither leaves what is possible, and
    neither is without width where all held-out trials are right.

    Parameters
    ----------
    tally : Tally
    folds : int
        The trials were held out in at most so many parts, as in `held_out`.
    """
    score, *null = tally.scores()
    achieved, possible = tally.by_group()
    low = high = np.nan
    if len(achieved) >= FEW and np.isfinite(score):
        parts = min(folds, len(achieved))
        inflation = 1 + parts / (parts - 1)
        interval = statistics.clustered_interval if tally.classified else statistics.explained_interval
        low, high = interval(achieved, possible, inflation)
    chance_low, chance_high = statistics.null_interval(null)
    return Judgement(
        score=score,
        low=low,
        high=high,
        chance=np.mean(null),
        chance_low=chance_low,
        chance_high=chance_high,
        p=statistics.p_value(score, null),
    )


def shifted_back(state: xr.DataArray, fitted: Flow, tested: Flow, grid: VelocityGrid) -> xr.DataArray:
    """The state under ``tested``, each velocity channel put where the law of shift says it was under
    ``fitted``.

    Parameters
    ----------
    state : DataArray (flow, trial, velocity, ...)
        Means over space, which transport does not change.
    fitted, tested : Flow
    grid : VelocityGrid

    Returns
    -------
    DataArray (flow, trial, velocity, ...)
        NaN for channels without a partner.
    """
    difference = tuple(b - a for a, b in zip(fitted.velocity, tested.velocity, strict=True))
    shift = grid.velocity_of(Flow(tested.group, difference))
    partners = (None,) * len(grid) if shift is None else grid.partner(shift)
    moved = xr.full_like(state, np.nan)
    for channel, partner in enumerate(partners):
        if partner is not None:
            moved[:, :, partner] = state[:, :, channel].values
    return moved
