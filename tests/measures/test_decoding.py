"""Readouts on held-out trials find a linear code, judge it against permuted targets, and follow the law of shift."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold, LeaveOneGroupOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from flowsim import Flow, InputError, Law, Translation, VelocityGrid
from flowsim.measures import decoding, statistics

FLOWS, TRIALS, FEATURES = 3, 12, 6
OPTIONS = {"folds": 4, "seed": 0}


@pytest.fixture
def code(rng):
    """Features (flow, trial, feature), and targets (flow, trial, permutation, value) that they code linearly."""
    values = rng.standard_normal((FLOWS, TRIALS, 2))
    features = values @ rng.standard_normal((2, FEATURES)) + 0.05 * rng.standard_normal(
        (FLOWS, TRIALS, FEATURES)
    )
    orders = statistics.shuffled_orders(rng, 19, TRIALS).T
    return features, values[:, orders]


def test_a_linear_code_is_predicted_and_permuted_targets_are_not(code):
    features, targets = code
    (tally,) = decoding.held_out(features, [features], targets, classify=False, **OPTIONS)
    assert tally.scores().shape == (20,)
    assert tally.scores()[0] > 0.9
    assert tally.scores()[1:].max() < 0.5


def test_a_readout_is_tested_in_other_features_than_it_was_fitted_to(code, rng):
    features, targets = code
    noise = rng.standard_normal(features.shape)
    same, other = decoding.held_out(features, [features, noise], targets, classify=False, **OPTIONS)
    assert same.scores()[0] > 0.9 > 0.3 > other.scores()[0]


def test_unknown_features_count_as_the_mean_of_training(code):
    features, targets = code
    unknown = np.full_like(features, np.nan)
    (tally,) = decoding.held_out(features, [unknown], targets, classify=False, **OPTIONS)
    np.testing.assert_allclose(tally.scores(), 0, atol=1e-12)


def test_labels_are_named_by_what_exceeds_their_share(rng):
    label = np.array([0] * 8 + [1] * 4)
    indicators = np.broadcast_to(np.eye(2)[label][:, None], (FLOWS, TRIALS, 1, 2))
    features = np.eye(2)[label] + 0.1 * rng.standard_normal((FLOWS, TRIALS, 2))
    (tally,) = decoding.held_out(features, [features], indicators, classify=True, **OPTIONS)
    assert (tally.possible == FLOWS).all()
    assert tally.scores()[0] == 1
    nothing = np.zeros_like(features)
    (tally,) = decoding.held_out(nothing, [nothing], indicators, classify=True, **OPTIONS)
    assert tally.scores()[0] < 1


def reference_tally(x, y, splits, readout_of):
    """R² (permutation) of readouts that are fitted and tested one by one."""
    error, whole = 0, 0
    for train, test in splits:
        inputs, tested = (x[:, part].reshape(-1, x.shape[2]) for part in (train, test))
        targets, true = (y[:, part].reshape(-1, *y.shape[2:]) for part in (train, test))
        for permutation in range(y.shape[2]):
            model = readout_of(inputs, targets[:, permutation], np.tile(train, len(x)))
            error = error + (
                (true[:, permutation] - model.predict(tested).reshape(len(tested), -1)) ** 2
            ).sum() * one(permutation, y)
        whole = whole + ((true - targets.mean(0)) ** 2).sum((0, 2))
    return 1 - error / whole


def one(permutation, y):
    return np.arange(y.shape[2]) == permutation


@pytest.mark.parametrize("features", [6, 90])
def test_readouts_are_ridge_regressions(features, rng, monkeypatch):
    """Of scikit-learn, with the penalty that its own folds over groups choose; in the dual or not."""
    x, y = rng.standard_normal((FLOWS, TRIALS, features)), rng.standard_normal((FLOWS, TRIALS, 2, 3))
    y[..., 0, :] += x[..., :3]
    x = x * rng.gamma(2, size=features) + 5
    monkeypatch.setattr(decoding, "LEAST_LEFT", 1.0)

    def readout_of(inputs, targets, group):
        z = StandardScaler().fit(inputs)
        size = (z.transform(inputs) ** 2).sum() / len(inputs)
        pipeline = make_pipeline(FunctionTransformer(z.transform), Ridge())
        search = GridSearchCV(
            pipeline,
            {"ridge__alpha": decoding.PENALTIES * size},
            scoring="neg_mean_squared_error",
            cv=LeaveOneGroupOut(),
        )
        return search.fit(inputs, targets, groups=group)

    splits = list(KFold(4, shuffle=True, random_state=0).split(np.arange(TRIALS)))
    (tally,) = decoding.held_out(x, [x], y, classify=False, **OPTIONS)
    np.testing.assert_allclose(tally.scores(), reference_tally(x, y, splits, readout_of), atol=1e-8)


def test_features_that_tell_are_penalised_less(rng, monkeypatch):
    """As ridge regression on features over the deviation that the target leaves."""
    x, y = rng.standard_normal((FLOWS, TRIALS, 10)), rng.standard_normal((FLOWS, TRIALS, 3, 1))
    x[..., 0] += 3 * y[..., 0, 0]
    monkeypatch.setattr(decoding, "PENALTIES", np.array([0.3]))

    def readout_of(inputs, targets, group):
        explained = np.corrcoef(inputs.T, targets[:, 0])[-1, :-1] ** 2
        scaled = StandardScaler().fit(inputs)
        alpha = 0.3 * (scaled.transform(inputs) ** 2).sum() / len(inputs)
        weigh = FunctionTransformer(lambda v: scaled.transform(v) / np.sqrt(1 - explained))
        return make_pipeline(weigh, Ridge(alpha)).fit(inputs, targets)

    splits = list(KFold(4, shuffle=True, random_state=0).split(np.arange(TRIALS)))
    (tally,) = decoding.held_out(x, [x], y, classify=False, **OPTIONS)
    np.testing.assert_allclose(tally.scores(), reference_tally(x, y, splits, readout_of), atol=1e-8)


@pytest.mark.parametrize("units", [20, 400])
def test_labels_are_read_as_well_as_by_linear_discriminants(units, rng):
    """With a covariance that is shrunk, of scikit-learn, where many units tell a little."""
    found, reference = [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        label = np.arange(24) % 3
        x = 6 / np.sqrt(units) * 0.5 * rng.standard_normal((3, units))[label] + rng.standard_normal(
            (2, 24, units)
        )
        y = np.broadcast_to(np.eye(3)[label][None, :, None], (2, 24, 1, 3))
        (tally,) = decoding.held_out(x, [x], y, classify=True, folds=6, seed=0)
        found.append(tally.scores()[0])
        for train, test in KFold(6, shuffle=True, random_state=0).split(label):
            model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
            model.fit(x[:, train].reshape(-1, units), np.tile(label[train], 2))
            reference.append(model.score(x[:, test].reshape(-1, units), np.tile(label[test], 2)))
    assert np.mean(found) > np.mean(reference) - 0.03


def test_groups_are_held_out_together():
    """Trials of a group share what is read; those of two groups share nothing."""
    group, scores = np.arange(TRIALS) // 2, []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        codes, values = (rng.standard_normal((TRIALS // 2, size))[group] for size in (30, 2))
        x = codes + 0.01 * rng.standard_normal((FLOWS, TRIALS, 30))
        y = np.broadcast_to(values[:, None], (FLOWS, TRIALS, 1, 2))
        both = [decoding.held_out(x, [x], y, classify=False, groups=g, **OPTIONS)[0] for g in (None, group)]
        scores.append([tally.scores()[0] for tally in both])
    apart, together = np.mean(scores, 0)
    assert apart > 0.8
    assert together < 0.05
    with pytest.raises(InputError, match="expected 2 groups or more, got 1"):
        decoding.held_out(x, [], y, classify=False, groups=0 * group, **OPTIONS)


def test_two_trials_are_enough(rng):
    x, y = rng.standard_normal((1, 2, 5)), rng.standard_normal((1, 2, 3, 1))
    (tally,) = decoding.held_out(x, [x], y, classify=False, **OPTIONS)
    assert np.isfinite(tally.scores()).all()


def test_labels_that_come_out_equal_share_the_answer():
    label = np.arange(TRIALS) % 3
    indicators = np.broadcast_to(np.eye(3)[label][None, :, None], (FLOWS, TRIALS, 1, 3))
    silent = np.zeros((FLOWS, TRIALS, 4))
    (tally,) = decoding.held_out(silent, [silent], indicators, classify=True, **OPTIONS)
    np.testing.assert_allclose(tally.achieved, FLOWS / 3)


def test_a_judgement_does_not_depend_on_the_order_of_trials(rng):
    right = (rng.random((20, 4)) < 0.8) * 5.0
    tally = decoding.Tally(right, np.full((20, 4), 5.0), np.arange(20), True)
    order = rng.permutation(20)
    other = decoding.Tally(right[order], tally.possible, np.arange(20)[order], True)
    np.testing.assert_allclose(decoding.judge(tally, 5), decoding.judge(other, 5), atol=1e-12)


def test_a_judgement_has_the_score_within_its_interval_and_a_small_p(code, rng):
    features, targets = code
    (tally,) = decoding.held_out(features, [features], targets, classify=False, **OPTIONS)
    judgement = decoding.judge(tally, folds=4)
    assert judgement.low < judgement.score < judgement.high <= 1
    assert judgement.chance_low <= judgement.chance <= judgement.chance_high
    assert judgement.p == pytest.approx(1 / 20)
    permuted = replace(tally, achieved=tally.achieved[:, 1:], possible=tally.possible[:, 1:])
    assert decoding.judge(permuted, folds=4).p > 0.05


def test_few_trials_have_no_interval(rng):
    trials = decoding.FEW - 1
    tally = decoding.Tally(rng.random((trials, 5)), np.ones((trials, 5)), np.arange(trials), True)
    judgement = decoding.judge(tally, folds=2)
    assert np.isnan([judgement.low, judgement.high]).all()
    assert np.isfinite([judgement.score, judgement.chance, judgement.p]).all()


def test_a_state_under_one_flow_is_shifted_back_to_another():
    """On a closed grid that is exact; on a box, channels without a partner are unknown."""
    dims = ("flow", "trial", "velocity", "channel")
    one, two = (Flow(Translation(), v) for v in ((1, 0), (0, 2)))
    grid = VelocityGrid.closed(Translation(), (3, 4))
    maps = torch.rand(
        1, 2, len(grid), 3, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    under_one, under_two = (
        xr.DataArray(Law(True, True).predict(maps, flow, grid).mean((-2, -1)).numpy(), dims=dims)
        for flow in (one, two)
    )
    moved = decoding.shifted_back(under_two, one, two, grid)
    np.testing.assert_allclose(moved, under_one)
    assert abs(under_two - under_one).max() > 0.01
    box = VelocityGrid.box(Translation(), 1)
    state = xr.DataArray(np.arange(9.0)[None, None, :, None], dims=dims)
    still, right = (Flow(Translation(), v) for v in ((0, 0), (0, 1)))
    moved = decoding.shifted_back(state, still, right, box)[0, 0, :, 0]
    for velocity, value in zip(box.velocities, moved.values, strict=True):
        faster = (velocity[0], velocity[1] + 1)
        assert np.isnan(value) if faster not in box.velocities else value == box.velocities.index(faster)
