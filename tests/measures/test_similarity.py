"""Similarity of states: blind to what it should not see, and to nothing else; nothing found where nothing is."""

import sys
from itertools import permutations
from math import factorial

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes
from scipy.spatial import procrustes as scipy_procrustes
from sklearn import linear_model
from sklearn.model_selection import GridSearchCV, GroupKFold

from flowsim import (
    InputError,
)
from flowsim.measures.similarity import (
    RIDGES,
    Ridge,
    above_chance,
    above_chance_error,
    chance,
    cka,
    dynamical,
    exchanges,
    predictivity,
    procrustes,
    scores,
    u_centred,
)
from tests.known.states import rotation, spiral

STORED = (
    np.array([[3, 1, 4], [1, 5, 9], [2, 6, 5], [3, 5, 8], [9, 7, 9], [3, 2, 3], [8, 4, 6]], float),
    np.array([[2, 7], [1, 8], [2, 8], [1, 8], [2, 8], [4, 5], [9, 0]], float),
)
CKA, ANGLE = 0.12609005873194518, 1.102152515726602


def gram(states):
    centred = states - states.mean(0)
    return centred @ centred.T


def latent(rng, trials=8, conditions=10, units=6):
    """States of uneven variances (condition, unit) and the trial of each."""
    states = rng.standard_normal((trials * conditions, units)) * np.linspace(2, 0.5, units)
    return states, np.repeat(np.arange(trials), conditions)


@pytest.mark.parametrize("scale", [1, 1e-3, 50])
def test_rotation_scaling_and_offset_are_not_seen(rng, scale):
    one, trial = latent(rng)
    two = scale * one @ rotation(rng, 6) + 3
    assert cka(u_centred(gram(one)), u_centred(gram(two))) == pytest.approx(1, abs=1e-12)
    assert procrustes(scores(gram(one)), scores(gram(two))) < 1e-6
    assert predictivity(scores(gram(one)), [scores(gram(two) / scale**2)], trial) > 1 - 1e-6


def test_only_regression_is_blind_to_other_linear_maps(rng):
    one, trial = latent(rng)
    two = one @ (rotation(rng, 6) * np.geomspace(0.05, 3, 6)) @ rotation(rng, 6)
    assert cka(u_centred(gram(one)), u_centred(gram(two))) < 0.9
    assert procrustes(scores(gram(one)), scores(gram(two))) > 0.2
    for source, target in ((one, two), (two, one)):
        assert predictivity(scores(gram(source)), [scores(gram(target))], trial) > 1 - 1e-4


def test_predictivity_of_several_targets_is_that_of_each_written_out(rng):
    """Several targets at once are each as alone, and as by a regression that is written out."""
    source, trial = latent(rng, trials=4)
    targets = [source @ rng.standard_normal((6, n)) + rng.standard_normal((40, n)) for n in (3, 5)]
    together = predictivity(source, targets, trial)
    for target, found in zip(targets, together, strict=True):
        assert predictivity(source, [target], trial) == found
        missed = spread = 0.0
        x = source * np.sqrt(len(source))
        for train, test in GroupKFold(4).split(x, groups=trial):
            search = GridSearchCV(
                linear_model.Ridge(solver="svd"),
                {"alpha": RIDGES},
                cv=list(GroupKFold(3).split(x[train], groups=trial[train])),
                scoring=lambda model, x, y: -np.square(model.predict(x) - y).sum(),
            )
            predicted = search.fit(x[train], target[train]).predict(x[test])
            missed += np.square(target[test] - predicted).sum()
            spread += np.square(target[test] - target[train].mean(0)).sum()
        assert found == pytest.approx(1 - missed / spread, abs=1e-9)


def test_independent_states_are_not_alike_although_plain_cka_is_high(rng):
    found, plain, predicted = [], [], []
    for _ in range(20):
        one, two = rng.standard_normal((2, 60, 300))
        found.append(cka(u_centred(gram(one)), u_centred(gram(two))))
        plain.append(np.vdot(gram(one), gram(two)) / np.linalg.norm(gram(one)) / np.linalg.norm(gram(two)))
        predicted.append(predictivity(scores(gram(one)), [scores(gram(two))], np.repeat(np.arange(6), 10)))
    assert abs(np.mean(found)) < 0.02
    assert np.mean(plain) > 0.8
    assert np.mean(predicted) < 0.02


def test_cka_is_the_ratio_of_unbiased_hsic(rng):
    """Song et al. (2012), eq. 5, written out."""

    def hsic(k, other):
        n, k, other = len(k), k - np.diag(np.diag(k)), other - np.diag(np.diag(other))
        ones = np.ones(n)
        return (
            np.trace(k @ other)
            + (ones @ k @ ones) * (ones @ other @ ones) / (n - 1) / (n - 2)
            - 2 / (n - 2) * ones @ k @ other @ ones
        ) / (n * (n - 3))

    one, two = rng.standard_normal((2, 12, 4))
    two += one
    k, other = one @ one.T, two @ two.T
    expected = hsic(k, other) / np.sqrt(hsic(k, k) * hsic(other, other))
    assert cka(u_centred(gram(one)), u_centred(gram(two))) == pytest.approx(expected, abs=1e-12)
    assert cka(u_centred(k), u_centred(other)) == pytest.approx(
        expected, abs=1e-12
    )  # no matter where the origin is


def test_cka_of_stored_states_by_its_definition():
    """HSIC as the U-statistic that Song et al. (2012) start from: a mean over four different conditions each
    time.
    """

    def hsic(k, other):
        terms = [
            k[a, b] * other[a, b] + k[a, b] * other[c, d] - 2 * k[a, b] * other[a, c]
            for a, b, c, d in permutations(range(len(k)), 4)
        ]
        return np.mean(terms)

    k, other = (x @ x.T for x in STORED)
    expected = hsic(k, other) / np.sqrt(hsic(k, k) * hsic(other, other))
    assert expected == pytest.approx(CKA, abs=1e-9)
    assert cka(*(u_centred(gram(x)) for x in STORED)) == pytest.approx(CKA, abs=1e-9)


def test_procrustes_of_stored_states_by_its_definition():
    """The angle after the best turn (Williams et al. 2021), which scipy finds; its disparity is the square of
    the sine.
    """
    x, y = (np.pad(x - x.mean(0), ((0, 0), (0, 3 - x.shape[1]))) for x in STORED)
    turn = orthogonal_procrustes(y, x)[0]
    angle = np.arccos((x * (y @ turn)).sum() / np.linalg.norm(x) / np.linalg.norm(y))
    assert angle == pytest.approx(ANGLE, abs=1e-9)
    assert scipy_procrustes(x, y)[2] == pytest.approx(np.sin(ANGLE) ** 2, abs=1e-9)
    assert procrustes(*(scores(gram(x)) for x in STORED)) == pytest.approx(ANGLE, abs=1e-9)


def test_procrustes_is_a_metric_and_knows_an_angle(rng):
    one, two = np.array([[1.0, 0], [-1, 0], [0, 0], [0, 0]]), np.array([[1.0, 0], [-1, 0], [1, 0], [-1, 0]])
    assert procrustes(one, two) == pytest.approx(np.pi / 4)
    a, b, c = (scores(gram(rng.standard_normal((20, 5)))) for _ in range(3))
    assert procrustes(a, c) <= procrustes(a, b) + procrustes(b, c)


def test_exchanging_trials_finds_nothing_in_noise_and_in_what_time_alone_explains(rng):
    """p is below 0.05 in about 5 % of 200 pairs, also where both states share their course over time."""
    trial, course = np.repeat(np.arange(7), 5), np.tile(rng.standard_normal((5, 3)), (7, 1))
    orders, low = exchanges(trial, at_most=39), 0
    for _ in range(200):
        one, two = (u_centred(gram(course + rng.standard_normal((35, 3)))) for _ in range(2))
        own = cka(one, two)
        low += (1 + sum(cka(one, two[np.ix_(o, o)]) >= own for o in orders)) / 40 <= 0.05
    assert 2 <= low <= 20


@pytest.mark.parametrize("trials", [2, 3, 5])
def test_chance_is_the_mean_of_all_exchanges(trials, rng):
    trial = np.repeat(np.arange(trials), 4)
    one, two = (u_centred(gram(rng.standard_normal((len(trial), 3)))) for _ in range(2))
    drawn = [cka(one, two[np.ix_(order, order)]) for order in exchanges(trial, at_most=200)]
    assert len(drawn) == factorial(trials) - 1
    assert chance(one, two, trial) == pytest.approx(np.mean(drawn), abs=1e-12)
    assert np.isnan(chance(one, two, np.zeros(len(trial))))


def test_above_chance_is_0_by_chance_and_1_for_the_same(rng):
    trial, course = np.repeat(np.arange(8), 6), np.tile(2 * rng.standard_normal((6, 4)), (8, 1))
    found = []
    for _ in range(40):
        one, two = (u_centred(gram(course + rng.standard_normal((48, 4)))) for _ in range(2))
        found.append([cka(one, two), above_chance(one, two, trial)])
    raw, above = np.array(found).T
    assert raw.mean() > 0.5
    assert abs(above.mean()) < 3 * above.std() / np.sqrt(40) + 0.01
    assert above_chance(one, one, trial) == pytest.approx(1)
    same_in_all_trials = u_centred(gram(course))
    assert np.isnan(above_chance(same_in_all_trials, same_in_all_trials, trial))
    grams = [gram(course + rng.standard_normal((48, 4))) for _ in range(2)]
    assert np.isfinite(above_chance_error(*grams, trial, trial))
    assert np.isnan(above_chance_error(*grams, trial, np.minimum(trial, 1)))


def test_ridge_errors_are_those_of_sklearn(rng):
    x, y, test_x, test_y = (rng.standard_normal(size) for size in ((30, 5), (30, 7), (9, 5), (9, 7)))
    fitted = [linear_model.Ridge(alpha).fit(x, y) for alpha in RIDGES]
    expected = [np.square(test_y - model.predict(test_x)).sum() for model in fitted]
    np.testing.assert_allclose(Ridge.between(x, test_x).errors(y, test_y), expected)


def test_all_exchanges_of_few_trials():
    orders = exchanges(np.repeat([0, 1, 2], 2))
    assert len({tuple(o) for o in orders}) == 5
    assert all(sorted(o) == list(range(6)) for o in orders)
    assert exchanges(np.zeros(4)) == []


def test_dynamical_similarity_by_its_package(rng):
    pytest.importorskip("DSA", reason="dsa-metric is not installed")
    paths = [spiral(rng, 0.3), spiral(rng, 0.3) @ rotation(rng, 2), spiral(rng, 1.2)]
    distance = dynamical(paths, n_delays=2, rank=4)
    assert distance[0, 1] < 0.2 * distance[0, 2]


def test_dynamical_similarity_without_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "DSA", None)
    with pytest.raises(
        InputError, match="needs the package dsa-metric, which is not installed: pip install dsa-metric"
    ):
        dynamical([])
