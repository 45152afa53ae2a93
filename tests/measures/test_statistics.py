"""Intervals hold what they should as often as they say, p-values are uniform under the null, and neither is blind."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from flowsim.measures import statistics

RNG_SEED = 0


def covered(intervals, truth):
    """Share of intervals (2, repeat) that hold the truth."""
    low, high = intervals
    return ((low <= truth) & (truth <= high)).mean()


@pytest.mark.parametrize("repeats", [2, 3, 10])
def test_the_interval_of_a_mean_is_student_s_and_holds_it_in_95_percent(repeats):
    values = np.random.default_rng(RNG_SEED).normal(3, 2, (4000, repeats))
    mean, half = statistics.mean_interval(xr.DataArray(values, dims=("case", "trial")), "trial")
    assert covered((mean - half, mean + half), 3) == pytest.approx(0.95, abs=0.012)
    low, high = stats.t.interval(0.95, repeats - 1, values[0].mean(), stats.sem(values[0]))
    assert (float(mean[0] - half[0]), float(mean[0] + half[0])) == pytest.approx((low, high))


def test_missing_repeats_do_not_count_and_one_has_no_interval():
    values = xr.DataArray([[1.0, 2.0, np.nan, 3.0], [5.0, np.nan, np.nan, np.nan]], dims=("case", "trial"))
    mean, half = statistics.mean_interval(values, "trial")
    assert mean.values.tolist() == [2, 5]
    assert float(half[0]) == pytest.approx(stats.t.ppf(0.975, 2) / np.sqrt(3))
    assert np.isnan(half[1])


def test_the_jackknife_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(RNG_SEED).normal(size=(12, 3))
    left_out = np.stack([np.delete(values, i, 0).mean(0) for i in range(len(values))])
    assert statistics.jackknife_error(left_out) == pytest.approx(stats.sem(values))
    assert statistics.jackknife_error(left_out.T, axis=1) == pytest.approx(stats.sem(values))
    expected = stats.t.ppf(0.975, 11) * stats.sem(values)
    assert statistics.jackknife_interval(left_out) == pytest.approx(expected)


def test_folds_that_share_their_data_have_a_wider_interval():
    """By sqrt(1 + k / (k - 1)), that is for two folds by sqrt 3."""
    scores = np.random.default_rng(RNG_SEED).normal(size=(5, 2))
    independent = stats.t.ppf(0.975, 1) * stats.sem(scores, axis=-1)
    assert statistics.cross_validation_interval(scores) == pytest.approx(independent * np.sqrt(3))


def test_wilson_s_interval_of_a_proportion():
    """Newcombe (1998), Stat. Med. 17, table I: 81 of 263 and 0 of 20."""
    assert statistics.wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert statistics.wilson_interval(0, 20) == pytest.approx((0, 0.1611), abs=1e-4)


def test_shuffled_orders_start_with_the_one_in_place_and_shuffle_each_row_by_itself():
    orders = statistics.shuffled_orders(np.random.default_rng(RNG_SEED), 200, 3, 5)
    assert orders.shape == (201, 3, 5)
    assert (orders[0] == np.arange(5)).all()
    assert (np.sort(orders, -1) == np.arange(5)).all()
    assert len(np.unique(orders[1:].reshape(200, -1), axis=0)) == 200
    assert (orders[1:, 0] != orders[1:, 1]).any()


def test_p_values_are_uniform_under_the_null_and_small_where_there_is_something():
    rng = np.random.default_rng(RNG_SEED)
    null = rng.normal(size=(1000, 99))
    p = statistics.p_value(rng.normal(size=1000), null)
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert (p <= 0.05).mean() == pytest.approx(0.05, abs=0.02)
    assert (statistics.p_value(np.full(1000, 9.0), null) == 0.01).all()
    assert statistics.p_value(-9.0, null[0]) == 1


def test_a_draw_that_equals_the_observed_value_but_for_rounding_counts():
    assert statistics.p_value(0.3, [0.1 + 0.2, 0.3 - 1e-15]) == 1
    assert statistics.p_value(0.3, [0.3 - 1e-3, 0.3 - 1e-3]) == pytest.approx(1 / 3)
    assert statistics.p_value(0.3, [0.3 - 1e-3, 0.3 - 1e-3], slack=2e-3) == 1
    assert np.isnan(statistics.p_value(np.nan, [0.0, 1.0]))


def test_p_values_of_draws_along_another_axis():
    p = statistics.p_value(np.array([0.0, 2.0]), np.array([[1.0, 1.0], [-1.0, 1.0], [1.0, 1.0]]), axis=0)
    assert p.tolist() == [0.75, 0.25]


def test_the_false_discovery_rate_leaves_out_what_is_unknown():
    adjusted = statistics.false_discovery(np.array([0.01, np.nan, 0.02, 0.5]))
    assert adjusted[[0, 2, 3]] == pytest.approx(stats.false_discovery_control([0.01, 0.02, 0.5]))
    assert np.isnan(adjusted[1])
    assert np.isnan(statistics.false_discovery(np.full(3, np.nan))).all()


def test_repeated_measures_of_one_component_are_a_t_test(rng):
    from scipy.stats import ttest_1samp

    values = 0.3 + rng.standard_normal((7, 1, 50))
    p = statistics.repeated_measures(values)
    np.testing.assert_allclose(p, ttest_1samp(values[:, 0], 0).pvalue)


@pytest.mark.parametrize("replicates", [4, 6, 14])
@pytest.mark.parametrize("dimensions", [1, 2, 8])
def test_repeated_measures_hold_their_level_whatever_varies(replicates, dimensions, rng):
    """Of 8 components that vary along so many dimensions, and a true mean is found."""
    basis = np.linalg.qr(rng.standard_normal((8, 8)))[0][:dimensions]
    noise = np.einsum("rdt,dc->rct", rng.standard_normal((replicates, dimensions, 4000)), basis)
    share = (statistics.repeated_measures(noise) <= 0.05).mean()
    assert 0.035 < share < 0.06
    found = statistics.repeated_measures(noise[..., :100] + 4 * basis[0][:, None])
    assert (found <= 0.05).mean() > 0.7
    assert (statistics.repeated_measures(0 * noise) == 1).all()


def test_two_replicates_count_as_one_dimension(rng):
    p = statistics.repeated_measures(rng.standard_normal((2, 8, 4000)))
    assert (p <= 0.05).mean() < 0.05
    assert (statistics.repeated_measures(1 + 1e-9 * rng.standard_normal((2, 8, 5))) < 1e-6).all()


def test_pseudovalues_of_pairs_are_those_of_the_jackknife():
    """Their mean is that over pairs; two groups are one value, and a group without pairs has none."""
    rng = np.random.default_rng(RNG_SEED)
    pairs = rng.random((5, 5))
    pairs += pairs.T
    found = statistics.pseudovalues_of_pairs(pairs)
    upper = np.triu_indices(5, 1)
    assert found.mean() == pytest.approx(pairs[upper].mean())
    without = [np.delete(np.delete(pairs, i, 0), i, 1)[np.triu_indices(4, 1)].mean() for i in range(5)]
    error = statistics.jackknife_error(np.array(without))
    assert found.std(ddof=1) / np.sqrt(5) == pytest.approx(error)
    two = statistics.pseudovalues_of_pairs(pairs[:2, :2])
    assert two[0] == pairs[0, 1]
    assert np.isnan(two[1])
    assert np.isnan(statistics.pseudovalues_of_pairs(pairs[:1, :1])).all()
    pairs[2], pairs[:, 2] = np.nan, np.nan
    others = statistics.pseudovalues_of_pairs(pairs)
    assert np.isnan(others).tolist() == [False, False, True, False, False]
    np.testing.assert_allclose(
        np.delete(others, 2), statistics.pseudovalues_of_pairs(np.delete(np.delete(pairs, 2, 0), 2, 1))
    )


@pytest.mark.parametrize("hits", [0, 1, 15, 29, 30])
def test_intervals_over_single_answers_are_wilson_s(hits):
    """But for the quantile, which is Student's."""
    found = statistics.clustered_interval((np.arange(30) < hits).astype(int), np.ones(30, int))
    np.testing.assert_allclose(found, statistics.wilson_interval(hits, 30), atol=0.02)


def test_answers_that_are_all_right_have_no_wider_interval_than_those_of_which_one_is_wrong():
    for groups, answers in ((12, 5), (24, 9), (40, 1), (4, 3)):
        counts = np.full(groups, answers)
        one_wrong = counts.copy()
        one_wrong[3] -= 1
        (low, high), (lower, _) = (statistics.clustered_interval(h, counts) for h in (counts, one_wrong))
        assert high == 1
        assert lower < low < 1
        mirrored = statistics.clustered_interval(0 * counts, counts)
        np.testing.assert_allclose(mirrored, [1 - high, 1 - low], atol=1e-12)


@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.parametrize("share", [0.7, 0.9, 0.97])
def test_intervals_over_groups_hold_the_proportion(share, alike):
    """Whether the answers of a group are all alike or independent; and more independent ones tell more."""
    rng, held, width = np.random.default_rng(0), [], []
    for _ in range(400):
        right = rng.random((24, 1 if alike else 5)) < share
        hits = np.broadcast_to(right, (24, 5)).sum(1)
        low, high = statistics.clustered_interval(hits, np.full(24, 5))
        held.append(low <= share <= high)
        width.append(high - low)
    assert np.mean(held) >= 0.93
    assert np.mean(width) < (0.4 if alike else 0.3)


def test_intervals_of_explained_variance_are_bounded_and_hold_it():
    rng, held = np.random.default_rng(0), []
    for _ in range(400):
        total = rng.chisquare(6, 24)
        low, high = statistics.explained_interval(total - 0.3 * rng.chisquare(6, 24), total)
        assert low < high < 1
        held.append(low <= 0.7 <= high)
    assert 0.92 <= np.mean(held) <= 0.98
    assert statistics.explained_interval(total, total) == (1, 1)


@pytest.mark.parametrize(("replicates", "most"), [(3, 0.03), (4, 0.02), (8, 0.008)])
def test_how_far_small_p_of_repeated_measures_hold(replicates, most, rng):
    """They do with one variance; with variances that differ by factors of 4, as little as is said."""
    noise = rng.standard_normal((replicates, 8, 20000))
    assert (statistics.repeated_measures(noise) <= 0.001).mean() < 0.002
    unequal = noise * 2.0 ** -np.arange(8)[:, None]
    assert 0.002 < (statistics.repeated_measures(unequal) <= 0.001).mean() < most


def test_the_ends_of_the_interval_of_a_ratio_are_where_a_t_test_says_so(rng):
    numerator, denominator = 1 + rng.standard_normal((2, 9)) / 2
    low, high = statistics.ratio_interval(numerator, denominator)
    assert low < numerator.sum() / denominator.sum() < high
    for end in (low, high):
        assert stats.ttest_1samp(numerator - end * denominator, 0).pvalue == pytest.approx(0.05)
    assert statistics.ratio_interval(denominator, denominator) == pytest.approx((1, 1), abs=1e-7)


def test_a_ratio_to_what_may_be_nothing_has_no_interval(rng):
    numerator = 1 + rng.standard_normal(9)
    nothing = rng.standard_normal(9)
    assert np.isnan(statistics.ratio_interval(numerator, nothing - nothing.mean() + 0.1)).all()
    assert np.isnan(statistics.ratio_interval(numerator[:1], numerator[:1])).all()


def test_intervals_of_ratios_hold_them(rng):
    drawn = rng.multivariate_normal((1, 2), [[0.3, 0.2], [0.2, 0.5]], size=(2000, 8))
    ends = np.array([statistics.ratio_interval(*one.T) for one in drawn])
    assert np.isfinite(ends).all()
    assert ((ends[:, 0] <= 0.5) & (ends[:, 1] >= 0.5)).mean() == pytest.approx(0.95, abs=0.015)
