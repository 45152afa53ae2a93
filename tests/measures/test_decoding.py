"""Readouts on held-out trials find a linear code, judge it against permuted targets, and follow the law of shift."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from flowsim import Flow, Law, Translation, VelocityGrid
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
