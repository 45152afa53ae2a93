r"""Operators fitted to a recording: M_u with h_t[psi(u) f] = M_u h_t[f].

The displacement of what moves grows with time, so a whole-state operator would differ from frame to frame.
States are therefore compared in co-moving coordinates (`flowsim.measures.comoving`): the state under the flow
u is first moved back by t d, where the roll d is searched for each u, and one operator for all frames acts on
what is left, the features of a pixel:

    psi_{-t}(d) . h_t[psi(u) f] (x) = M_u h_t[f] (x)  +  constant

    permutation   M_u permutes the features (linear assignment on their cross-covariance: the least-squares
    optimum) orthogonal    M_u turns them (Procrustes: Schoenemann 1966, Psychometrika 31, 1) linear
    any matrix (ridge) convolution   any matrix on the features of a pixel and its eight neighbours (ridge),
    for states that lag

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

from flowsim.errors import InputError
from flowsim.flows.group import Velocity
from flowsim.measures.comoving import LAGS, States

OPERATORS = ("permutation", "orthogonal", "linear", "convolution")
PENALTIES = 10.0 ** np.arange(-8, 2)
"""Of the ridge, relative to the mean variance of what is regressed on."""


@dataclass(frozen=True)
class Fitted:
    """What `fit` found; arrays over ``flow`` leave out the reference.

    Attributes
    ----------
    basis : array (feature, component)
        Orthonormal columns.
    explained : float
        Share of the variance of features, over all flows, that lies in them.
    covariance : array (component, component)
        Of the reference state.
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

    def predict(self, operator: str, flow: int, rows: np.ndarray, around: np.ndarray) -> np.ndarray:
        """Components (row, component) about the mean, from centred rows of the reference and those with
        neighbours.
        """
        if operator == "permutation":
            return rows[:, self.assigned[flow]] @ self.basis
        matrix = self.matrices[operator][flow]
        return around[:, : len(matrix)] @ matrix


def fit(
    states: States, trials: Sequence[int], components: int, variance: float, convolution: bool = True
) -> Fitted:
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

    still, basis, explained, rolls = _space(states, trials, components, variance)
    groups = split(trials, 4)
    flows, k = len(states.flows) - 1, basis.shape[1]
    width = k * (len(LAGS) if convolution and states.spatial else 1)
    n, x, y = (
        np.zeros(len(groups)),
        np.zeros((len(groups), width)),
        np.zeros((len(groups), flows, states.features)),
    )
    xx, xy = np.zeros((len(groups), width, width)), np.zeros((len(groups), flows, width, k))
    yy, crossed = np.zeros((len(groups), flows)), np.zeros((flows, states.features, states.features))
    for g, group in enumerate(groups):
        for trial in group:
            rows, around = reference(states, trial, still, basis)
            around = around[:, :width]
            n[g] += len(rows)
            x[g] += around.sum(0)
            xx[g] += around.T @ around
            for u, roll in enumerate(rolls):
                moved = states.rows(states.back(states.of(trial, u + 1), roll))
                inside = moved @ basis
                y[g, u] += moved.sum(0)
                yy[g, u] += (inside**2).sum()
                crossed[u] += rows.T @ moved
                xy[g, u] += around.T @ inside
    # The reference is centred; what moved has a mean only once it is moved back.
    mean = y.sum(0) / n.sum()
    inside = mean @ basis
    yy += n[:, None] * (inside**2).sum(1) - 2 * (y @ basis * inside).sum(-1)
    xy -= x[:, None, :, None] * inside[:, None]
    turned = basis.T @ crossed @ basis
    matrices = {
        "orthogonal": np.stack([orthogonal_procrustes(np.eye(k), c)[0] for c in turned]),
        "linear": _ridge(xx[:, :k, :k], xy[:, :, :k], yy),
    }
    if convolution:
        matrices["convolution"] = _ridge(xx, xy, yy)
    assigned = np.stack([linear_sum_assignment(c.T, maximize=True)[1] for c in crossed])
    return Fitted(basis, explained, xx.sum(0)[:k, :k], np.vstack([still, mean]), rolls, assigned, matrices)


def split(trials: Sequence[int], most: int) -> list[list[int]]:
    """At most ``most`` blocks of trials, in their order: a probe's trials alternate between rest and motion."""
    return [part.tolist() for part in np.array_split(np.asarray(trials), min(most, len(trials)))]


def reference(
    states: States, trial: int, mean: np.ndarray, basis: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Centred rows (row, feature) of the reference, and (row, lag * component) with neighbours."""
    state = states.of(trial, 0)
    centred = state - torch.from_numpy(mean).view(state.shape[1:-2])[..., None, None]
    return states.rows(centred), states.around(centred, basis)


def _space(
    states: States, trials: Sequence[int], components: int, variance: float
) -> tuple[np.ndarray, np.ndarray, float, list[Velocity]]:
    """Mean of the reference, principal components, the share of variance in them, and rolls."""
    n, total = 0, np.zeros((len(states.flows), states.features))
    second, scores = (
        np.zeros((states.features, states.features)),
        np.zeros((len(states.flows), len(states.rolls))),
    )
    for trial in trials:
        still = None
        for u in range(len(states.flows)):
            state = states.of(trial, u)
            rows, energy = states.rows(state), state.square().flatten(1, -3).sum(1)
            energy -= energy.mean((-2, -1), keepdim=True)
            if still is None:
                still, n = energy, n + len(rows)
            total[u] += rows.sum(0)
            second += rows.T @ rows
            scores[u] += [float((still * states.back(energy, roll)).sum()) for roll in states.rolls]
    mean = total / n
    values, vectors = np.linalg.eigh(second - n * mean.T @ mean)
    values, vectors = values[::-1].clip(0), vectors[:, ::-1]
    # Below rounding of what the means took away, nothing varies.
    if not values.sum() > 1e-12 * np.trace(second):
        raise InputError(
            "the state does not vary over trials, frames and pixels; record a network that answers its input"
        )
    share = values.cumsum() / values.sum()
    k = min(components, int(np.searchsorted(share, min(variance, 1 - 1e-12))) + 1)
    return (
        mean[0],
        vectors[:, :k].copy(),
        float(share[k - 1]),
        [states.rolls[i] for i in scores[1:].argmax(1)],
    )


def _ridge(xx: np.ndarray, xy: np.ndarray, yy: np.ndarray) -> np.ndarray:
    """Ridge regressions (flow, x, y) from sums of squares and products (group, ...), with one penalty for all
    flows.

    The penalty is the best one for groups left out in turn, or 1e-3 where there is one group only.
    """

    def solve(out: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        kept = [g for g in range(len(xx)) if g != out]
        values, vectors = np.linalg.eigh(xx[kept].sum(0))
        return values.clip(0), vectors, vectors.T @ xy[kept].sum(0)

    def shrunk(values: np.ndarray, penalty: float) -> np.ndarray:
        return (1 / (values + penalty * values.mean() + np.finfo(float).tiny))[:, None]

    penalty = 1e-3
    if len(xx) > 1:
        missed = np.zeros(len(PENALTIES))
        for g in range(len(xx)):
            values, vectors, projected = solve(g)
            square, product = vectors.T @ xx[g] @ vectors, vectors.T @ xy[g]
            for i, p in enumerate(PENALTIES):
                matrix = shrunk(values, p) * projected
                missed[i] += yy[g].sum() + ((square @ matrix - 2 * product) * matrix).sum()
        penalty = float(PENALTIES[missed.argmin()])
    values, vectors, projected = solve(None)
    return vectors @ (shrunk(values, penalty) * projected)
