"""Regressions by which operators are fitted, and operators of a part of the channels."""

import numpy as np

from analysis import learned_action
from flowsim import Law
from flowsim.measures.comoving import States
from flowsim.measures.operators import OPERATORS, fit_operators, ridge
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


def test_parts_of_channels_and_pixels(recording):
    """Velocities stay together, so the law still holds."""
    states, grid = lawful(Law(True, True), NEIGHBOURS, trials=4, times=6)
    made = recording(states, NEIGHBOURS, grid.velocities)
    fitted = fit_operators(States(made, 12, 6, 0), range(4), 12, 1.0)
    assert set(fitted.matrices) == set(OPERATORS[1:])
    np.testing.assert_allclose(learned_action.analyse(made, features=12, pixels=6).r2[0], 1)
