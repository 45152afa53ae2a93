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

The roll is the candidate (0 or the velocity of a flow of the probe) at which a linear operator predicts best:
by R² on groups of the trials that are left out in turn. Where candidates do equally well, 0 comes first. A
state most of which lags can, over few frames, be given a roll that is not its own.

Operators that predict best are no good for comparing them with each other. What is not carried along, such
as noise, shrinks them (by 1 / (1 + noise / signal) in each direction), so that the product of two is smaller
than a third, and noisier states would look less like a group. `fit_unshrunk_operators` takes that out, by
instrumental variables (two-stage least squares, cross-fitted: Angrist, Imbens and Krueger 1999, J. Appl.
Econometrics 14, 57). The instrument is the state under all other flows, of which only what flows carry along
is common to the reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flowsim.errors import CannotJudge
from flowsim.flows.group import Velocity
from flowsim.measures.comoving import LAGS, States

if TYPE_CHECKING:
    from torch import Tensor

OPERATORS = ("permutation", "orthogonal", "linear", "convolution")
PENALTIES = 10.0 ** np.arange(-8, 2)
"""Of the ridge, relative to the mean variance of what is regressed on."""
PENALTY_OF_ONE_GROUP = 1e-3
"""Where no group can be left out to choose among `PENALTIES`."""
GROUPS = 4
"""At most so many groups of trials are left out in turn to choose the penalty and the roll."""
ROLL_COMPONENTS = 8
"""So many leading components are predicted to choose the roll."""
CARRIED = 0.1
"""Directions of the state of whose variance other flows predict less have no operator without shrinkage."""


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
        Of the reference state, or of what other flows predict of it where operators are not shrunk; times the
        number of rows.
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


def fit_operators(states: States, trials: Sequence[int], components: int, variance: float) -> FittedOperators:
    """Fit the operators of every class and flow to some trials, to predict.

    Parameters
    ----------
    states : States
    trials : sequence of int
    components : int
        At most as many principal components.
    variance : float
        Or as many as explain this share.

    Raises
    ------
    InputError
        If the state does not vary.
    """
    from scipy.optimize import linear_sum_assignment

    space = _principal_space(states, trials, components, variance)
    k = space.basis.shape[1]
    predictors = k * (len(LAGS) if states.spatial else 1)
    moments, mean = _about_the_means(_moments(states, trials, space, predictors), space.basis)
    matrices = {
        "orthogonal": _turns(space.basis.T @ moments.crossed @ space.basis),
        "linear": ridge(moments.xx[:, :k, :k], moments.xy[:, :, :k], moments.yy),
        "convolution": ridge(moments.xx, moments.xy, moments.yy),
    }
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


@dataclass(frozen=True)
class UnshrunkOperators:
    """What `fit_unshrunk_operators` found; arrays over ``flow`` leave out the reference.

    Attributes
    ----------
    basis : array (feature, component)
        Orthonormal columns: the directions that flows carry along.
    carried : float
        Share of the variance of the reference, in its principal components, that other flows predict.
    covariance : array (component, component)
        Of what other flows predict of the reference state, times the number of rows.
    rolls : list of velocity
        d for each flow.
    matrices : dict of operator to array (flow, component, component)
        ``orthogonal`` and ``linear``. They act from the right, on rows: ``y = x @ M``.
    without_group : list of dict of operator to array (flow, component, component)
        The same, in the same components and with the same rolls, fitted to all but one group of trials; empty
        where there is one group.
    """

    basis: np.ndarray
    carried: float
    covariance: np.ndarray
    rolls: list[Velocity]
    matrices: dict[str, np.ndarray]
    without_group: list[dict[str, np.ndarray]]


def fit_unshrunk_operators(
    states: States, groups: int, components: int, variance: float
) -> UnshrunkOperators:
    """Fit orthogonal and linear operators to all trials, and without each group of them, to compare them.

    With one moving flow there is no other that could be the instrument, and where flows carry nothing along
    nothing can be known: there the linear operators are those of `fit_operators`, in all components.

    Parameters
    ----------
    states : States
    groups : int
        At most as many groups of trials.
    components, variance
        As for `fit_operators`.

    Raises
    ------
    InputError
        If the state does not vary.
    """
    trials = range(states.trials)
    space = _principal_space(states, trials, components, variance)
    products = _products_of_flows(states, blocks_of_trials(trials, groups), space)
    covariance = products[:, 0, 0].sum(0)
    basis, carried = space.basis, np.nan
    everything = list(range(len(products)))
    remaining = [[g for g in everything if g != left_out] for left_out in everything if len(everything) > 1]
    inside = basis[:0]
    if products.shape[1] > 2:
        common = _common(products).mean(0)
        carried = float(np.trace(common) / np.trace(covariance))
        inside = _carried_directions(products, [everything, *remaining])
    instruments = bool(inside.size)
    if instruments:
        basis = basis @ inside
        products = inside.T @ products @ inside
        covariance = inside.T @ common @ inside
    return UnshrunkOperators(
        basis=basis,
        carried=carried,
        covariance=covariance,
        rolls=space.rolls,
        matrices=_unshrunk(products, instruments),
        without_group=[_unshrunk(products[kept], instruments) for kept in remaining],
    )


def _unshrunk(products: np.ndarray, instruments: bool) -> dict[str, np.ndarray]:
    """Orthogonal and linear operators from products (group, flow, flow, component, component), without
    shrinkage if other flows can be ``instruments``.
    """
    if instruments:
        linear = np.linalg.solve(*_instrumented(products))
    else:
        yy = np.einsum("guuaa->gu", products[:, 1:, 1:])
        linear = ridge(products[:, 0, 0], products[:, 0, 1:], yy)
    return {"orthogonal": _turns(products[:, 0, 1:].sum(0)), "linear": linear}


def _turns(crossed: np.ndarray) -> np.ndarray:
    """Orthogonal matrices (flow, component, component) from products (flow, component, component)."""
    left, _, right = np.linalg.svd(crossed)
    return left @ right


def _instrumented(products: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Products of what the other flows predict of the reference, with the reference and with the state under
    the flow itself: both (flow, component, component), a mean over the others.

    Each group of trials is predicted by what was fitted to the other groups, if there are several, so that
    nothing of its own noise gets into the prediction.

    Parameters
    ----------
    products : array (group, flow, flow, component, component)
        From `_products_of_flows`.
    """
    flows = products.shape[1] - 1
    moving = np.arange(1, flows + 1)
    variance = np.einsum("gaa->g", products[:, 0, 0])[:, None]
    of_x, of_y = np.zeros((2, flows, *products.shape[-2:]))
    everywhere = list(range(len(products)))
    for group in everywhere:
        others = [other for other in everywhere if other != group] or everywhere
        back = np.stack(
            [
                ridge(products[others, v, v], products[others, v, 0][:, None], variance[others])[0].T
                for v in moving
            ]
        )
        x_by_flow = back @ products[group, 1:, 0]
        of_x += x_by_flow.sum(0) - x_by_flow
        for u in moving:
            other_flows = moving[moving != u]
            of_y[u - 1] += (back[other_flows - 1] @ products[group, other_flows, u]).sum(0)
    return of_x / (flows - 1), of_y / (flows - 1)


def _common(products: np.ndarray) -> np.ndarray:
    """What flows other than each have in common with the reference: symmetric products (flow, component,
    component), from those between flows.
    """
    of_x = _instrumented(products)[0]
    return np.asarray(of_x + of_x.swapaxes(1, 2)) / 2


def _carried_directions(products: np.ndarray, samples: list[list[int]]) -> np.ndarray:
    """Orthonormal directions (component, direction) of the reference of whose variance more than `CARRIED` is
    common to flows, in each of the ``samples`` of groups and whichever flow is not among them: where that is
    not so, an operator would be divided by next to nothing.
    """
    from scipy.linalg import eigh

    inside = np.eye(products.shape[-1])
    for groups in samples:
        variance = products[groups, 0, 0].sum(0)
        for common in _common(products[groups]):
            xx = inside.T @ variance @ inside
            floor = 1e-12 * np.trace(xx) / max(1, len(xx))
            if not floor > 0:
                return inside[:, :0]
            share, whitened = eigh(inside.T @ common @ inside, xx + floor * np.eye(len(xx)))
            if (share <= CARRIED).any():
                inside = inside @ np.linalg.qr(xx @ whitened[:, share > CARRIED])[0]
    return inside


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
    import torch

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
    """Principal components of the features over all flows, and the rolls.

    Moving a state back hardly changes its covariance over pixels, so the components come first.
    """
    flows, features = len(states.flows), states.features
    count = 0
    total = np.zeros((flows, features))
    second_moment = np.zeros((features, features))
    for trial in trials:
        for flow in range(flows):
            rows = states.rows(states.activity(trial, flow))
            total[flow] += rows.sum(0)
            second_moment += rows.T @ rows
            count += len(rows) if flow == 0 else 0
    mean = total / count
    basis, explained = _principal_components(second_moment, mean, count, components, variance)
    return _PrincipalSpace(mean[0], basis, explained, _best_rolls(states, trials, mean, basis))


def _best_rolls(states: States, trials: Sequence[int], mean: np.ndarray, basis: np.ndarray) -> list[Velocity]:
    """The roll of each flow but the reference at which a linear operator predicts best.

    Judged on the `ROLL_COMPONENTS` leading components of groups of trials that are left out in turn (with one
    trial, of the trial itself), each roll at its best penalty.
    """
    import torch

    flows = len(states.flows) - 1
    if len(states.rolls) == 1:
        return states.rolls * flows
    leading = torch.from_numpy(basis[:, :ROLL_COMPONENTS])
    k, targets = basis.shape[1], len(leading.T)
    groups = blocks_of_trials(trials, GROUPS)
    shape = (len(groups), len(states.rolls))
    xx, xy, yy = (
        np.zeros((len(groups), k, k)),
        np.zeros((*shape, k, flows * targets)),
        np.zeros((*shape, flows)),
    )
    for g, group in enumerate(groups):
        for trial in group:
            x = (states.rows(states.activity(trial, 0)) - mean[0]) @ basis
            xx[g] += x.T @ x
            activities = _components_or_features(states, trial, mean, leading)
            for r, roll in enumerate(states.rolls):
                y = _moved_components(states, activities, roll, leading)
                xy[g, r] += x.T @ y
                yy[g, r] += (y.reshape(-1, flows, targets) ** 2).sum((0, 2))
    by_flow = xy.reshape(*shape, k, flows, targets).transpose(0, 1, 3, 2, 4)
    flat = by_flow.reshape(len(groups), -1, k, targets)
    missed = _missed(xx, flat, yy.reshape(len(groups), -1)).min(0).reshape(len(states.rolls), flows)
    share = missed / np.maximum(yy.sum(0), np.finfo(float).tiny)
    # Rolls that differ by rounding are equal; the first of them is 0.
    best = (share <= share.min(0) + 1e-9).argmax(0)
    return [states.rolls[i] for i in best]


def _components_or_features(states: States, trial: int, mean: np.ndarray, basis: Tensor) -> list[Tensor]:
    """Activity under each flow but the reference, about its ``mean`` (flow, feature): its components (time,
    component, y, x), or its features where orientations turn as they move.
    """
    import torch

    activities = []
    for flow in range(1, len(states.flows)):
        activity = states.activity(trial, flow)
        about = torch.from_numpy(mean[flow]).view(activity.shape[1:-2])
        activity = activity - about[..., None, None]
        if not states.oriented:
            activity = torch.einsum("tfyx,fc->tcyx", activity.flatten(1, -3), basis)
        activities.append(activity)
    return activities


def _moved_components(states: States, activities: list[Tensor], roll: Velocity, basis: Tensor) -> np.ndarray:
    """Components (row, flow * component) of what `_components_or_features` gives, moved back."""
    moved = [states.rows(states.moved_back(activity, roll)) for activity in activities]
    if states.oriented:
        moved = [rows @ basis.numpy() for rows in moved]
    return np.concatenate(moved, 1)


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
        raise CannotJudge(
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


def _products_of_flows(states: States, groups: list[list[int]], space: _PrincipalSpace) -> np.ndarray:
    """Sums of products (group, flow, flow, component, component) of components under each two flows, moved
    back and about their means; the reference first.
    """
    flows, k = len(states.flows), space.basis.shape[1]
    rolls = [states.rolls[0], *space.rolls]
    count = np.zeros(len(groups))
    total = np.zeros((len(groups), flows * k))
    products = np.zeros((len(groups), flows * k, flows * k))
    for g, group in enumerate(groups):
        for trial in group:
            moved = []
            for flow, roll in enumerate(rolls):
                features = states.rows(states.moved_back(states.activity(trial, flow), roll))
                moved.append((features - space.reference_mean) @ space.basis)
            rows = np.concatenate(moved, 1)
            count[g] += len(rows)
            total[g] += rows.sum(0)
            products[g] += rows.T @ rows
    mean = total.sum(0) / count.sum()
    outer = total[:, :, None] * mean
    products += count[:, None, None] * np.outer(mean, mean) - outer - outer.swapaxes(1, 2)
    return products.reshape(len(groups), flows, k, flows, k).swapaxes(2, 3)


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
    return float(PENALTIES[_missed(xx, xy, yy).sum(1).argmin()])


def _missed(xx: np.ndarray, xy: np.ndarray, yy: np.ndarray) -> np.ndarray:
    """Squared error (penalty, flow) of each group, predicted from the others; of one group, from itself, at
    `PENALTY_OF_ONE_GROUP`.
    """
    everything = list(range(len(xx)))
    penalties = PENALTIES if len(xx) > 1 else np.array([PENALTY_OF_ONE_GROUP])
    missed = np.zeros((len(penalties), xy.shape[1]))
    for left_out in everything:
        others = [group for group in everything if group != left_out] or everything
        values, vectors, projected = _diagonalised(xx, xy, others)
        # Of the error, only factors along eigenvectors depend on the penalty: the rest is worked out once.
        square = vectors.T @ xx[left_out] @ vectors
        curvature = square * (projected @ projected.swapaxes(1, 2))
        slope = (vectors.T @ xy[left_out] * projected).sum(2)
        for i, penalty in enumerate(penalties):
            factors = _shrinkage(values, penalty)[:, 0]
            missed[i] += yy[left_out] + curvature @ factors @ factors - 2 * slope @ factors
    return missed


def _diagonalised(
    xx: np.ndarray, xy: np.ndarray, groups: list[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eigenvalues (x) and eigenvectors (x, x) of xx over some groups, and xy (flow, x, y) in their basis."""
    values, vectors = np.linalg.eigh(xx[groups].sum(0))
    return values.clip(0), vectors, vectors.T @ xy[groups].sum(0)


def _shrinkage(values: np.ndarray, penalty: float) -> np.ndarray:
    """Factors (x, 1) by which ridge regression multiplies what lies along each eigenvector."""
    return (1 / (values + penalty * values.mean() + np.finfo(float).tiny))[:, None]
