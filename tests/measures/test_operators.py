"""Regressions by which operators are fitted, and operators of a part of the channels."""

import numpy as np

from analysis import learned_action
from flowsim import Law
from flowsim.measures.comoving import States
from flowsim.measures.operators import OPERATORS, PENALTIES, fit_operators, ridge
from tests.known.states import NEIGHBOURS, lawful


def test_ridge_is_that_of_scikit_learn(rng):
    from sklearn.linear_model import Ridge

    x, y = rng.standard_normal((30, 4)), rng.standard_normal((2, 30, 3))
    xx, xy = (x.T @ x)[None], np.stack([x.T @ of for of in y])[None]
    ours = ridge(xx, xy, (y**2).sum((1, 2))[None])
    alpha = 1e-3 * np.trace(xx[0]) / 4
    for u in range(2):
        theirs = Ridge(alpha=alpha, fit_intercept=False).fit(x, y[u])
        np.testing.assert_allclose(ours[u], theirs.coef_.T)


def test_the_penalty_grows_with_noise(rng):
    """Of few rows with no relation, groups left out choose to predict nothing."""
    x, y = rng.standard_normal((3, 8, 6)), rng.standard_normal((3, 1, 8, 2))
    xx, xy = np.einsum("gni,gnj->gij", x, x), np.einsum("gni,gunj->guij", x, y)
    loose = ridge(xx.sum(0)[None], xy.sum(0)[None], (y**2).sum((0, 2, 3))[None])
    assert np.linalg.norm(ridge(xx, xy, (y**2).sum((2, 3)))) < 0.5 * np.linalg.norm(loose)


def test_the_penalty_predicts_groups_that_are_left_out_best(rng):
    """By scikit-learn, each group predicted in turn, and over all of a wide range of relations and noise."""
    from sklearn.linear_model import Ridge

    def fitted(x, y, penalty):
        alpha = penalty * np.trace(x.T @ x) / x.shape[1]
        return Ridge(alpha=alpha, fit_intercept=False, solver="cholesky").fit(x, y).coef_.T

    chosen = set()
    for noise in (0.01, 1, 10):
        x = rng.standard_normal((3, 12, 8)) * np.logspace(0, -2, 8)
        y = x @ rng.standard_normal((2, 1, 8, 3)) + noise * rng.standard_normal((2, 3, 12, 3))
        missed = np.zeros(len(PENALTIES))
        for left_out in range(3):
            others = [group for group in range(3) if group != left_out]
            for of in y:
                rows = np.concatenate(x[others]), np.concatenate(of[others])
                errors = [of[left_out] - x[left_out] @ fitted(*rows, penalty) for penalty in PENALTIES]
                missed += [(error**2).sum() for error in errors]
        best = PENALTIES[missed.argmin()]
        chosen.add(best)
        xx, xy = np.einsum("gni,gnj->gij", x, x), np.einsum("gni,ugnj->guij", x, y)
        ours = ridge(xx, xy, (y**2).sum((2, 3)).T)
        for u in range(2):
            theirs = fitted(np.concatenate(x), np.concatenate(y[u]), best)
            np.testing.assert_allclose(ours[u], theirs, rtol=1e-6, atol=1e-9)
    assert len(chosen) > 1


def test_parts_of_channels_and_pixels(recording):
    """Velocities stay together, so the law still holds."""
    states, grid = lawful(Law(True, True), NEIGHBOURS, trials=4, times=6)
    made = recording(states, NEIGHBOURS, grid.velocities)
    fitted = fit_operators(States(made, 12, 6, 0), range(4), 12, 1.0)
    assert set(fitted.matrices) == set(OPERATORS[1:])
    np.testing.assert_allclose(learned_action.analyse(made, features=12, pixels=6).r2[0], 1)
