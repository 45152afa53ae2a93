r"""Operators fitted to a recording: M_u with h_t[psi(u) f] = M_u h_t[f].

The displacement of what moves grows with time, so a whole-state operator would differ from frame to frame.
States are therefore compared in co-moving coordinates (`flowsim.measures.comoving`): the state under the flow
u is first moved back by t d, where the roll d is searched for each u, and one operator for all frames acts on
what is left, the features of a pixel:

    psi_{-t}(d) . h_t[psi(u) f] (x) = M_u h_t[f] (x)  +  constant

    permutation   M_u permutes the features (linear assignment on their cross-covariance: the least-squares
                  optimum)
    orthogonal    M_u turns them (Procrustes: Schoenemann 1966, Psychometrika 31, 1)
    linear        any matrix (ridge)
    convolution   any matrix on the features of a pixel and its eight neighbours (ridge), for states that lag

each containing the one before. All but the first are fitted to, and all are judged in, the leading principal
components of the features, taken over all flows so that no flow leads out of them.

The roll is the candidate (0 or the velocity of a flow of the probe) at which the energy of the features,
summed over them at each pixel, covaries best with that of the reference: no permutation or turn of the
features changes it. A state most of which lags can, over few frames, be given a roll that is not its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from flowsim.errors import InputError
from flowsim.flows.group import Velocity
from flowsim.measures.comoving import LAGS, States

OPERATORS = ("permutation", "orthogonal", "linear", "convolution")
PENALTIES = 10.0 ** np.arange(-8, 2)
"""Of the ridge, relative to the mean variance of what is regressed on."""
PENALTY_OF_ONE_GROUP = 1e-3
"""Where no group can be left out to choose among `PENALTIES`."""
GROUPS = 4
"""At most so many groups of trials are left out in turn to choose the penalty."""


@dataclass(frozen=True)
class FittedOperators:
    """What `fit_operators` found; arrays over ``flow`` leave out the reference.

    Attributes
    ----------
    basis : array (feature, component)
        Orthonormal columns.
    explained : float
        Share of the variance of features, over all flows, that lies in them.
    covariance : array (component, component)
        Of the reference state, times the number of rows.
    mean : array (1 + flow, feature)
        Of the features under each flow, moved back; the reference first.
    rolls : list of velocity
        d for each flow.
    assigned : array (flow, feature)
        Which feature of the reference goes into each.
    matrices : dict of operator to array (flow, component or lag * component, component)
        They act from the right, on rows: ``y = x @ M``.
    """

    basis: np.ndarray
    explained: float
    covariance: np.ndarray
    mean: np.ndarray
    rolls: list[Velocity]
    assigned: np.ndarray
    matrices: dict[str, np.ndarray]

    def predict(
        self, operator: str, flow: int, rows: np.ndarray, rows_with_neighbours: np.ndarray
    ) -> np.ndarray:
        """Components (row, component), about their mean, that an operator predicts under a flow.

        Parameters
        ----------
        operator : str
            One of `OPERATORS`.
        flow : int
            Not counting the reference.
        rows, rows_with_neighbours : array (row, feature), array (row, lag * component)
            Of the reference, from `reference_rows`.
        """
        if operator == "permutation":
            return rows[:, self.assigned[flow]] @ self.basis
        matrix = self.matrices[operator][flow]
        return rows_with_neighbours[:, : len(matrix)] @ matrix


def fit_operators(
    states: States, trials: Sequence[int], components: int, variance: float, convolution: bool = True
) -> FittedOperators:
    """Fit the operators of every class and flow to some trials.

    Parameters
    ----------
    states : States
    trials : sequence of int
    components : int
        At most as many principal components.
    variance : float
        Or as many as explain this share.
    convolution : bool
        Fit convolutions too.

    Raises
    ------
    InputError
        If the state does not vary.
    """
    from scipy.linalg import orthogonal_procrustes
    from scipy.optimize import linear_sum_assignment

    space = _principal_space(states, trials, components, variance)
    k = space.basis.shape[1]
    predictors = k * (len(LAGS) if convolution and states.spatial else 1)
    moments, mean = _about_the_means(_moments(states, trials, space, predictors), space.basis)
    turned = space.basis.T @ moments.crossed @ space.basis
    matrices = {
        "orthogonal": np.stack([orthogonal_procrustes(np.eye(k), product)[0] for product in turned]),
        "linear": ridge(moments.xx[:, :k, :k], moments.xy[:, :, :k], moments.yy),
    }
    if convolution:
        matrices["convolution"] = ridge(moments.xx, moments.xy, moments.yy)
    assigned = [linear_sum_assignment(product.T, maximize=True)[1] for product in moments.crossed]
    return FittedOperators(
        basis=space.basis,
        explained=space.explained,
        covariance=moments.xx.sum(0)[:k, :k],
        mean=np.vstack([space.reference_mean, mean]),
        rolls=space.rolls,
        assigned=np.stack(assigned),
        matrices=matrices,
    )


def blocks_of_trials(trials: Sequence[int], most: int) -> list[list[int]]:
    """At most ``most`` blocks of trials, in their order: a probe's trials alternate between rest and
    motion, so that a block of two or more has both.
    """
    return [block.tolist() for block in np.array_split(np.asarray(trials), min(most, len(trials)))]


def reference_rows(
    states: States, trial: int, mean: np.ndarray, basis: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the reference state of a trial, about the ``mean`` (feature).

    Returns
    -------
    rows : array (row, feature)
    rows_with_neighbours : array (row, lag * component)
    """
    activity = states.activity(trial, 0)
    feature_shape = activity.shape[1:-2]
    centred = activity - torch.from_numpy(mean).view(feature_shape)[..., None, None]
    return states.rows(centred), states.rows_with_neighbours(centred, basis)


@dataclass(frozen=True)
class _PrincipalSpace:
    """Mean of the reference (feature), principal components (feature, component), the share of variance in
    them, and the roll of each flow.
    """

    reference_mean: np.ndarray
    basis: np.ndarray
    explained: float
    rolls: list[Velocity]


def _principal_space(
    states: States, trials: Sequence[int], components: int, variance: float
) -> _PrincipalSpace:
    """Principal components of the features over all flows, and the rolls, in one pass over the states."""
    flows, features = len(states.flows), states.features
    count = 0
    total = np.zeros((flows, features))
    second_moment = np.zeros((features, features))
    covariation = np.zeros((flows, len(states.rolls)))
    for trial in trials:
        for flow in range(flows):
            activity = states.activity(trial, flow)
            rows = states.rows(activity)
            total[flow] += rows.sum(0)
            second_moment += rows.T @ rows
            energy = _centred_energy(activity)
            if flow == 0:
                reference_energy = energy
                count += len(rows)
            for i, roll in enumerate(states.rolls):
                covariation[flow, i] += float((reference_energy * states.moved_back(energy, roll)).sum())
    mean = total / count
    basis, explained = _principal_components(second_moment, mean, count, components, variance)
    rolls = [states.rolls[best] for best in covariation[1:].argmax(1)]
    return _PrincipalSpace(mean[0], basis, explained, rolls)


def _centred_energy(activity: Tensor) -> Tensor:
    """Sum of squares (time, y, x) over the features of each pixel, about its mean over pixels."""
    energy = activity.square().flatten(1, -3).sum(1)
    return energy - energy.mean((-2, -1), keepdim=True)


def _principal_components(
    second_moment: np.ndarray, mean: np.ndarray, count: int, components: int, variance: float
) -> tuple[np.ndarray, float]:
    """Leading components (feature, component) of rows about the ``mean`` (flow, feature), and their share of
    the variance.
    """
    values, vectors = np.linalg.eigh(second_moment - count * mean.T @ mean)
    values = values[::-1].clip(0)
    vectors = vectors[:, ::-1]
    # Below rounding of what the means took away, nothing varies.
    if not values.sum() > 1e-12 * np.trace(second_moment):
        raise InputError(
            "the state does not vary over trials, frames and pixels; record a network that answers its input"
        )
    share = values.cumsum() / values.sum()
    enough = int(np.searchsorted(share, min(variance, 1 - 1e-12))) + 1
    k = min(components, enough)
    return vectors[:, :k].copy(), float(share[k - 1])


@dataclass(frozen=True)
class _Moments:
    """Sums over the rows of each group of trials, of which x are the components of the reference, with or
    without those of neighbouring pixels, and y those of the same pixels under a flow, moved back.

    ``count`` (group), ``x`` (group, predictor), ``features`` (group, flow, feature), ``xx`` (group,
    predictor, predictor), ``xy`` (group, flow, predictor, component), ``yy`` (group, flow); and ``crossed``
    (flow, feature, feature), products of all features of the reference and under the flow, over all groups.
    """

    count: np.ndarray
    x: np.ndarray
    features: np.ndarray
    xx: np.ndarray
    xy: np.ndarray
    yy: np.ndarray
    crossed: np.ndarray


def _moments(states: States, trials: Sequence[int], space: _PrincipalSpace, predictors: int) -> _Moments:
    """Sums of squares and products about the mean of the reference."""
    groups = blocks_of_trials(trials, GROUPS)
    n, flows, k = len(groups), len(states.flows) - 1, space.basis.shape[1]
    sums = _Moments(
        count=np.zeros(n),
        x=np.zeros((n, predictors)),
        features=np.zeros((n, flows, states.features)),
        xx=np.zeros((n, predictors, predictors)),
        xy=np.zeros((n, flows, predictors, k)),
        yy=np.zeros((n, flows)),
        crossed=np.zeros((flows, states.features, states.features)),
    )
    for g, group in enumerate(groups):
        for trial in group:
            rows, x = reference_rows(states, trial, space.reference_mean, space.basis)
            x = x[:, :predictors]
            sums.count[g] += len(rows)
            sums.x[g] += x.sum(0)
            sums.xx[g] += x.T @ x
            for flow, roll in enumerate(space.rolls):
                moved = states.rows(states.moved_back(states.activity(trial, flow + 1), roll))
                y = moved @ space.basis
                sums.features[g, flow] += moved.sum(0)
                sums.yy[g, flow] += (y**2).sum()
                sums.crossed[flow] += rows.T @ moved
                sums.xy[g, flow] += x.T @ y
    return sums


def _about_the_means(sums: _Moments, basis: np.ndarray) -> tuple[_Moments, np.ndarray]:
    """The same about the mean under each flow, and that mean (flow, feature).

    The reference was centred from the start; what moved has a mean only once it has been moved back.
    """
    mean = sums.features.sum(0) / sums.count.sum()
    y_mean = mean @ basis
    yy = sums.yy + (sums.count[:, None] * (y_mean**2).sum(1) - 2 * (sums.features @ basis * y_mean).sum(-1))
    xy = sums.xy - sums.x[:, None, :, None] * y_mean[:, None]
    centred = _Moments(sums.count, sums.x, sums.features, sums.xx, xy, yy, sums.crossed)
    return centred, mean


def ridge(xx: np.ndarray, xy: np.ndarray, yy: np.ndarray) -> np.ndarray:
    """Ridge regressions, with one penalty for all flows.

    The penalty is the best one for groups left out in turn, or 1e-3 where there is one group only.

    Parameters
    ----------
    xx, xy, yy : array (group, x, x), (group, flow, x, y), (group, flow)
        Sums of squares and products over the rows of each group.

    Returns
    -------
    array (flow, x, y)
    """
    everything = list(range(len(xx)))
    penalty = _best_penalty(xx, xy, yy) if len(xx) > 1 else PENALTY_OF_ONE_GROUP
    values, vectors, projected = _diagonalised(xx, xy, everything)
    return vectors @ (_shrinkage(values, penalty) * projected)


def _best_penalty(xx: np.ndarray, xy: np.ndarray, yy: np.ndarray) -> float:
    """The one of `PENALTIES` by which each group is predicted best from the others."""
    missed = np.zeros(len(PENALTIES))
    for left_out in range(len(xx)):
        others = [group for group in range(len(xx)) if group != left_out]
        values, vectors, projected = _diagonalised(xx, xy, others)
        square = vectors.T @ xx[left_out] @ vectors
        product = vectors.T @ xy[left_out]
        for i, penalty in enumerate(PENALTIES):
            matrix = _shrinkage(values, penalty) * projected
            missed[i] += yy[left_out].sum() + ((square @ matrix - 2 * product) * matrix).sum()
    return float(PENALTIES[missed.argmin()])


def _diagonalised(
    xx: np.ndarray, xy: np.ndarray, groups: list[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eigenvalues (x) and eigenvectors (x, x) of xx over some groups, and xy (flow, x, y) in their basis."""
    values, vectors = np.linalg.eigh(xx[groups].sum(0))
    return values.clip(0), vectors, vectors.T @ xy[groups].sum(0)


def _shrinkage(values: np.ndarray, penalty: float) -> np.ndarray:
    """Factors (x, 1) by which ridge regression multiplies what lies along each eigenvector."""
    return (1 / (values + penalty * values.mean() + np.finfo(float).tiny))[:, None]
