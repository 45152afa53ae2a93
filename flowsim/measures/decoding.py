"""Linear readouts, fitted on some trials and judged on others, together with what permuted targets give.

Features are standardised and reduced to principal components on the training trials. The ridge penalty is the
shrinkage of Ledoit and Wolf (2004) of their covariance: it never sees the targets, so that true and permuted
ones are treated alike, and one least-squares fit serves them all. Labels are read by regression on indicators
(Hastie, Tibshirani and Friedman 2009, section 4.2): that one is named whose indicator exceeds its share in
training by most of that share, as else, where there is little to go by, the label that was left out would
never be named. All presentations of a trial are on the same side of every split.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import xarray as xr

from flowsim.flows.flow import Flow
from flowsim.flows.velocity_grid import VelocityGrid
from flowsim.measures.statistics import p_value

DRAWS, FEW = 1000, 4
"""Bootstrap samples of trials; with fewer trials than this there is no interval."""
TOLD = ("score", "low", "high", "chance", "chance_low", "chance_high", "p")


def held_out(
    x: np.ndarray,
    tested: Iterable[np.ndarray],
    y: np.ndarray,
    *,
    classify: bool,
    folds: int,
    components: int,
    seed: int,
) -> list[np.ndarray]:
    """What a readout from ``x`` gets right in each of ``tested``, on trials on which it was not fitted.

    Parameters
    ----------
    x : array (flow, trial, feature)
    tested : arrays (flow, trial, feature)
        NaN counts as the mean of the training trials.
    y : array (flow, trial, permutation, value)
        Targets; indicators of the label if ``classify``.
    folds, components : int
        At most so many groups of trials, and principal components.

    Returns
    -------
    list of arrays (2, trial, permutation)
        Presentations whose label is named and all of them, or squares explained and all, about the training
        mean: sums of these over trials have accuracy, or the cross-validated R^2, as their ratio.
    """
    from sklearn.covariance import ledoit_wolf_shrinkage
    from sklearn.decomposition import PCA
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import KFold
    from sklearn.preprocessing import StandardScaler

    trials, fitted = x.shape[1], []
    for train, test in KFold(min(folds, trials), shuffle=True, random_state=seed).split(np.arange(trials)):
        known, wanted = x[:, train].reshape(-1, x.shape[2]), y[:, train].reshape(len(y) * len(train), -1)
        kept = max(1, min(components, known.shape[1], len(known) - 1))
        scale, axes = StandardScaler(), PCA(kept, random_state=seed)
        with np.errstate(
            invalid="ignore", divide="ignore"
        ):  # of a silent state, the share of each component is 0 / 0
            z = axes.fit_transform(scale.fit_transform(known))
        share = np.clip(ledoit_wolf_shrinkage(z, assume_centered=True), 1e-6, 1 - 1e-6)
        penalty = max(share / (1 - share) * (z**2).sum() / kept, 1e-12)
        fitted.append((test, scale, axes.components_.T, Ridge(penalty).fit(z, wanted), wanted.mean(0)))
    tallies = []
    for other in tested:
        tally = np.empty((2, trials, y.shape[2]))
        for test, scale, axes, readout, guess in fitted:
            new, true = other[:, test].reshape(-1, other.shape[2]), y[:, test]
            z = (
                np.nan_to_num((new - scale.mean_) / scale.scale_) @ axes
            )  # in numpy: their checks take longer than they do
            said = (z @ readout.coef_.T + readout.intercept_).reshape(true.shape)
            if classify:
                share = guess.reshape(y.shape[2:])  # of each label in training
                evidence = np.where(share > 0, (said - share) / np.where(share > 0, share, 1), -np.inf)
                tally[0, test], tally[1, test] = (evidence.argmax(-1) == true.argmax(-1)).sum(0), len(y)
            else:
                tally[1, test] = ((true - guess.reshape(y.shape[2:])) ** 2).sum((0, -1))
                tally[0, test] = tally[1, test] - ((true - said) ** 2).sum((0, -1))
        tallies.append(tally)
    return tallies


def judged(tally: np.ndarray, rng: np.random.Generator, folds: int) -> dict[str, float]:
    """`TOLD` of a tally (2, trial, permutation): score, 95 % interval over trials, and what permuted targets
    give.

    The standard error is a bootstrap of held-out trials. As readouts were fitted to the same trials it is too
    small by itself, and grows by sqrt(1 + k / (k - 1)) for k folds (Nadeau and Bengio 2003, Machine Learning
    52); with that, and the quantiles of Student, intervals hold the expected score in 92 to 98 % of
    simulations of 8 to 30 trials, and without in 75 to 89 %. One without width tells that all trials gave the
    same. p is at least 1 / (1 + number of permutations) (Phipson and Smyth 2010).
    """
    from scipy.stats import t

    with np.errstate(invalid="ignore", divide="ignore"):
        score, *null = np.divide(*tally.sum(1))
        trials = tally.shape[1]
        drawn = rng.integers(trials, size=(DRAWS, trials))
        variance = np.divide(*tally[:, drawn, 0].sum(-1)).var() * trials / (trials - 1)
    k = min(folds, trials)
    half = t.ppf(0.975, trials - 1) * np.sqrt(variance * (1 + k / (k - 1))) if trials >= FEW else np.nan
    low, high = score - half, np.minimum(score + half, 1)
    below, above = np.quantile(null, [0.025, 0.975])
    return dict(zip(TOLD, (score, low, high, np.mean(null), below, above, p_value(score, null)), strict=True))


def carried(state: xr.DataArray, fitted: Flow, tested: Flow, grid: VelocityGrid) -> xr.DataArray:
    """The state under ``tested`` put where the law of shift says that it was under ``fitted``; NaN without a
    partner.

    Parameters
    ----------
    state : DataArray (flow, trial, velocity, ...)
        Means over space, which transport does not change.
    fitted, tested : Flow
    grid : VelocityGrid
    """
    apart = Flow(tested.group, tuple(b - a for a, b in zip(fitted.velocity, tested.velocity, strict=True)))
    u = grid.velocity_of(apart)
    partner = (None,) * len(grid) if u is None else grid.partner(u)
    moved = xr.full_like(state, np.nan)
    for now, before in enumerate(partner):
        if before is not None:
            moved[:, :, before] = state[:, :, now].values
    return moved
