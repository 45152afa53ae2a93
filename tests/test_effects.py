"""Differences between networks have the size that they have, and intervals that hold the truth as often as
they say.
"""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from flowsim import InputError
from flowsim.effects import (
    PAIRED,
    best,
    compare,
    corrected,
    differences,
    holm,
    interquartile_interval,
    interquartile_mean,
    noncentrality,
    smallest_effect,
)


def values(**by_network):
    """Values (run) of networks over seeds 0, 1, ..."""
    network = [name for name, numbers in by_network.items() for _ in numbers]
    seed = [str(i) for numbers in by_network.values() for i in range(len(numbers))]
    coords = {"network": ("run", network), "seed": ("run", seed)}
    return xr.DataArray(np.concatenate(list(by_network.values())), dims="run", coords=coords)


def test_differences_of_means_with_welch_intervals():
    a, r = [1.0, 2.0, 4.0], [5.0, 5.5]
    found = compare(values(r=r, a=a), "r", ratio=False)
    assert list(found.index) == ["r", "a"]
    assert found.n.tolist() == [2, 3]
    assert found.loc["a", "effect"] == pytest.approx(np.mean(a) - np.mean(r))
    expected = stats.ttest_ind(a, r, equal_var=False).confidence_interval(0.95)
    np.testing.assert_allclose(found.loc["a", ["effect_low", "effect_high"]].astype(float), expected)
    expected = stats.ttest_1samp(a, 0).confidence_interval(0.95)
    np.testing.assert_allclose(found.loc["a", ["mean_low", "mean_high"]].astype(float), expected)
    assert found.loc["r", ["effect", "effect_low", "effect_high", "p", "g", "g_low", "g_high"]].isna().all()


def test_ratios_are_of_geometric_means():
    a, r = [0.02, 0.08], [0.4, 0.1, 0.2]
    found = compare(values(r=r, a=a), "r", ratio=True)
    assert found.loc["a", "mean"] == pytest.approx(0.04)
    assert found.loc["a", "effect"] == pytest.approx(0.2)
    expected = np.exp(stats.ttest_ind(np.log(a), np.log(r), equal_var=False).confidence_interval(0.95))
    np.testing.assert_allclose(found.loc["a", ["effect_low", "effect_high"]].astype(float), expected)
    again = compare(values(r=np.array(r) * 7, a=np.array(a) * 7), "r", ratio=True)  # no matter in which unit
    columns = ["effect", "effect_low", "effect_high", "g", "g_low", "g_high"]
    np.testing.assert_allclose(again.loc["a", columns].astype(float), found.loc["a", columns].astype(float))


def test_many_common_seeds_are_paired(rng):
    r = rng.standard_normal(PAIRED)
    a = r + 1 + 0.01 * rng.standard_normal(PAIRED)
    together, few = (
        compare(values(r=r[:n], a=a[:n]), "r", ratio=False).loc["a"] for n in (PAIRED, PAIRED - 1)
    )
    assert together.paired
    assert not few.paired
    expected = stats.ttest_rel(a, r).confidence_interval(0.95)
    np.testing.assert_allclose([together.effect_low, together.effect_high], expected)
    assert few.effect_high - few.effect_low > 10 * (together.effect_high - together.effect_low)
    missing = values(r=r, a=np.append(a[:-1], np.nan))
    assert not compare(missing, "r", ratio=False).loc["a", "paired"]


def test_hedges_g_is_corrected_for_few_seeds():
    """d / s is 2 / 1; J(6) = 0.8686, as in Hedges (1981), table 1."""
    r = np.array([-1.5, -0.5, 0.5, 1.5]) / np.sqrt(5 / 3)
    found = compare(values(r=r, a=r + 2), "r", ratio=False).loc["a"]
    assert found.g == pytest.approx(2 * 0.8686, abs=1e-4)
    assert found.g_low < found.g < found.g_high


@pytest.mark.parametrize(("n_r", "n_a", "given"), [(3, 3, False), (3, 9, False), (9, 3, False), (4, 4, True)])
def test_fewer_than_four_seeds_have_no_g(n_r, n_a, given, rng):
    found = compare(values(r=rng.random(n_r), a=rng.random(n_a)), "r", ratio=False).loc["a"]
    assert found[["g", "g_low", "g_high"]].notna().tolist() == [given] * 3
    assert np.isfinite(found.effect_low)


def test_interquartile_means_leave_a_quarter_out_at_either_end():
    """By the definition of Agarwal et al. (2021): of all runs of all tasks together."""
    assert interquartile_mean(np.array([9.0, 1, 2, 4, 1000])) == pytest.approx((2 + 4 + 9) / 3)
    assert interquartile_mean(np.arange(4.0), np.arange(4.0) + 10) == pytest.approx((2 + 3 + 10 + 11) / 4)
    found = compare(values(r=[1.0, 2, 4, 8, 1e9], a=[1.0] * 5, b=[1.0, 2, 3, 4]), "r", ratio=True)
    assert found.middle[["r", "a"]].tolist() == pytest.approx([4, 1])  # geometric
    assert (found.middle_low["r"], found.middle_high["r"]) == pytest.approx((1, 1e9))
    assert found.loc["a", ["middle_low", "middle_high"]].isna().all()  # no spread
    assert found.loc["b", ["middle", "middle_low", "middle_high"]].isna().all()  # too few


def test_the_bootstrap_is_stratified_by_task(rng):
    """Tasks that differ by much: drawn together, how many of which task come would count as spread."""
    tasks = rng.random(6), rng.random(6) + 100
    low, high = interquartile_interval(*tasks)
    assert 49 < low < interquartile_mean(*tasks) < high < 52
    low, high = interquartile_interval(np.concatenate(tasks))
    assert high - low > 50


@pytest.mark.parametrize(
    ("seeds", "tails", "simulations"),
    [
        (5, "normal", 60),
        (8, "heavy", 60),
        *(
            pytest.param(seeds, tails, 400, marks=[pytest.mark.slow, pytest.mark.calibration])
            for seeds in (5, 8)
            for tails in ("normal", "heavy")
        ),
    ],
)
def test_intervals_of_interquartile_means_hold_them(seeds, tails, simulations, rng, calibration):
    """With five seeds no bootstrap of a symmetric distribution does so in more than 1 - 2^-4 of cases."""
    shape = simulations, seeds
    drawn = rng.standard_normal(shape) if tails == "normal" else rng.standard_t(2, shape)
    low, high = np.transpose([interquartile_interval(x) for x in drawn])
    known = 1 - 2.0**-4 if seeds == 5 else 0.95
    world = f"{seeds} seeds, {tails} tails"
    calibration.intervals("report", "middle_low", low, 0, high, world, ["interquartile mean"], known)
    if simulations >= 400:
        assert np.mean((low <= 0) & (high >= 0)) < 0.995


def test_five_seeds_have_no_wider_bootstrap_than_their_range(rng):
    x = rng.standard_normal(5)
    assert interquartile_interval(x) == (x.min(), x.max())
    x = rng.standard_normal(8)
    low, high = interquartile_interval(x)
    assert x.min() < low < high < x.max()


@pytest.mark.parametrize(("t", "freedom"), [(0.0, 2), (5.0, 2), (-300.0, 6), (3.0, 18)])
def test_noncentrality_inverts_the_noncentral_t(t, freedom):
    low, high = noncentrality(t, freedom)
    np.testing.assert_allclose(stats.nct.cdf(t, freedom, [low, high]), [0.975, 0.025], atol=5e-4)


def test_noncentrality_of_differences_far_beyond_the_spread():
    low, high = noncentrality(1e6, 2)
    np.testing.assert_allclose(
        [low / 1e6, high / 1e6], np.sqrt(stats.chi2.ppf([0.025, 0.975], 2) / 2), rtol=0.02
    )


@pytest.mark.parametrize(
    ("seeds", "spread", "together", "least", "most"),
    [
        pytest.param((2, 2), 1, 0, 0.95, 0.99, id="2 seeds"),
        pytest.param((2, 2), 3, 0, 0.94, 0.98, id="2 seeds, unequal", marks=pytest.mark.slow),
        pytest.param((3, 5), 2, 0, 0.93, 0.98, id="3 and 5 seeds", marks=pytest.mark.slow),
        pytest.param((8, 8), 3, 0, 0.93, 0.97, id="8 seeds, unequal", marks=pytest.mark.slow),
        pytest.param((8, 8), 1, 0.8, 0.93, 0.97, id="paired"),
        pytest.param((3, 3), 1, 0.8, 0.97, 1, id="too few to pair", marks=pytest.mark.slow),
    ],
)
@pytest.mark.calibration
def test_intervals_hold_the_truth_as_often_as_they_say(
    seeds, spread, together, least, most, rng, request, calibration
):
    """In 400 experiments in which the networks differ by 1, and nominally 95 % of intervals hold it."""
    held, ends = [], []
    for _ in range(400):
        common = np.sqrt(together) * rng.standard_normal(max(seeds))
        a, r = (common[:n] + np.sqrt(1 - together) * rng.standard_normal(n) for n in seeds)
        found = differences(values(r=r, a=1 + spread * a), "r", ratio=False).loc["a"]
        held.append(found.effect_low <= 1 <= found.effect_high)
        ends.append((found.effect_low, found.effect_high))
    low, high = np.transpose(ends)
    calibration.intervals("report", "effect_low", low, 1, high, request.node.callspec.id, ["difference"])
    assert least - 0.02 <= np.mean(held) <= most + 0.01


@pytest.mark.parametrize(
    ("experiments", "least", "most"),
    [(150, 0.91, 0.99), pytest.param(400, 0.925, 0.975, marks=[pytest.mark.slow, pytest.mark.calibration])],
)
def test_intervals_of_g_hold_the_truth_as_often_as_they_say(experiments, least, most, rng, calibration):
    held, ends = [], []
    for _ in range(experiments):
        found = compare(
            values(r=rng.standard_normal(4), a=1.5 + rng.standard_normal(4)), "r", ratio=False
        ).loc["a"]
        held.append(found.g_low <= 1.5 <= found.g_high)
        ends.append((found.g_low, found.g_high))
    low, high = np.transpose(ends)
    calibration.intervals("report", "g_low", low, 1.5, high, "4 seeds", ["Hedges' g"])
    assert least <= np.mean(held) <= most


@pytest.mark.calibration
@pytest.mark.parametrize("seeds", [4, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 8))])
def test_equal_networks_are_told_apart_as_rarely_as_they_should(seeds, rng, calibration):
    """By the interval of their ratio, and by its p-value; with 8 seeds they are paired."""
    found = [
        differences(
            values(r=np.exp(rng.standard_normal(seeds)), a=np.exp(rng.standard_normal(seeds))),
            "r",
            ratio=True,
        ).loc["a"]
        for _ in range(400)
    ]
    low, p, high = np.transpose([(one.effect_low, one.p, one.effect_high) for one in found])
    calibration.intervals("report", "effect_low", low, 1, high, f"{seeds} seeds, log-normal", ["ratio"])
    calibration.p_values("report", "p", p, f"{seeds} seeds, log-normal", ["ratio"], levels=(0.05, 0.01))
    assert 1 - np.mean((low <= 1) & (high >= 1)) < 0.08


@pytest.mark.slow
@pytest.mark.calibration
@pytest.mark.parametrize("seeds", [2, 5])
def test_a_family_of_comparisons_of_equal_networks_has_a_false_finding_as_rarely_as_it_should(
    seeds, rng, calibration
):
    """Of two quantities and two networks against a third, of which the p-value or the interval says so."""
    small, left_out = [], []
    for _ in range(200):
        family = {
            i: differences(
                values(**dict(zip("rab", rng.standard_normal((3, seeds)), strict=True))), "r", False
            )
            for i in range(2)
        }
        together = [table.loc[["a", "b"]] for table in corrected(family).values()]
        small.append(any((table.p_holm <= 0.05).any() for table in together))
        left_out.append(
            any(((table.effect_low_holm > 0) | (table.effect_high_holm < 0)).any() for table in together)
        )
    calibration.rate("report", "p_holm", small, f"{seeds} seeds", "any of 4 comparisons")
    calibration.rate("report", "effect_low_holm", left_out, f"{seeds} seeds", "any of 4 leaves out 0")
    assert small == left_out


def test_one_seed_has_no_interval():
    found = compare(values(r=[1.0], a=[3.0], b=[4.0, 5.0], c=[np.nan]), "r", ratio=True)
    assert found.effect.tolist()[1:3] == pytest.approx([3, np.sqrt(20)])
    assert found.loc[["a", "b"], ["effect_low", "effect_high", "g", "g_low"]].isna().all(axis=None)
    assert found.mean_low.isna().tolist() == [True, True, False, True]
    assert found.loc["c"].n == 0
    assert found.loc["c", ["mean", "effect"]].isna().all()


def test_seeds_that_do_not_differ_give_a_difference_and_no_interval():
    found = compare(values(r=[0.0, 0.0], a=[0.0, 0.0], b=[1.0, 1.0], c=[1.0, 2.0]), "r", ratio=False)
    assert found.effect.tolist()[1:] == [0, 1, 1.5]
    assert found.effect_low.isna().tolist() == [True, True, True, False]
    assert found.g.isna().all()  # r has no spread


def test_what_cannot_be_compared_is_told():
    with pytest.raises(InputError, match="expected the reference to be one of the networks a, b; got c"):
        compare(values(a=[1.0], b=[1.0]), "c", ratio=False)
    with pytest.raises(InputError, match=r"a ratio needs positive values; got 0. Compare by difference"):
        compare(values(a=[1.0], b=[0.0]), "a", ratio=True)


def test_holm_by_hand_without_nan():
    """Worked by hand: 4 x 0.01, 3 x 0.015, then 2 x 0.02, which may not fall below the one before."""
    adjusted = holm(np.array([0.02, 0.01, np.nan, 0.9, 0.015]))
    np.testing.assert_allclose(adjusted, [0.045, 0.04, np.nan, 0.9, 0.045])
    assert np.isnan(holm(np.array([np.nan]))).all()


@pytest.mark.parametrize("tests", [1, 5, 20])
def test_holm_keeps_any_false_finding_rare_and_is_not_blind(tests, rng):
    p = rng.random((4000, tests))
    assert (np.apply_along_axis(holm, 1, p) <= 0.05).any(1).mean() == pytest.approx(0.05, abs=0.012)
    p[:, 0] = 1e-6
    assert (np.apply_along_axis(holm, 1, p)[:, 0] <= 0.05).all()


def test_p_is_that_of_the_test_whose_interval_is_given(rng):
    a, r = rng.standard_normal(3) + 2, rng.standard_normal(4)
    found = differences(values(r=r, a=a), "r", ratio=False).loc["a"]
    assert found.p == pytest.approx(stats.ttest_ind(a, r, equal_var=False).pvalue)
    a = rng.standard_normal(6)
    r = a + 0.3 + 0.1 * rng.standard_normal(6)
    found = differences(values(r=np.exp(r), a=np.exp(a)), "r", ratio=True).loc["a"]
    assert found.p == pytest.approx(stats.ttest_rel(a, r).pvalue)


@pytest.mark.parametrize(
    ("bounds", "numbers"), [((0, 1), [0.9, 1, 1, 1]), ((-np.inf, 1), [0.2, 1]), ((0, np.inf), [0.01, 3])]
)
def test_intervals_stay_within_what_is_possible(bounds, numbers):
    found = compare(values(r=numbers, a=numbers[::-1]), "r", False, bounds).loc["a"]
    assert bounds[0] <= found.mean_low < found["mean"] < found.mean_high <= bounds[1]
    assert found.effect_low >= bounds[0] - bounds[1]
    assert found.effect_high <= bounds[1] - bounds[0]
    free = compare(values(r=numbers, a=numbers[::-1]), "r", False).loc["a"]
    assert not bounds[0] <= free.mean_low < free.mean_high <= bounds[1]


def test_far_from_its_bounds_an_interval_is_students(rng):
    x = 0.5 + 1e-4 * rng.standard_normal(5)
    found = compare(values(r=x), "r", False, (0, 1)).loc["r"]
    expected = stats.ttest_1samp(x, 0).confidence_interval(0.95)
    np.testing.assert_allclose([found.mean_low, found.mean_high], expected, rtol=1e-6)


@pytest.mark.calibration
@pytest.mark.parametrize("seeds", [4, 8])
@pytest.mark.parametrize(("a", "b"), [(20, 1), (2, 2)])
def test_bounded_intervals_hold_the_mean(seeds, a, b, rng, calibration):
    """Student's, cut off at 1, holds it in 89 to 90 % of cases for the first distribution."""
    found = differences(many(rng.beta(a, b, (1000, seeds))), "0", False, (0, 1))
    held = (found.mean_low <= a / (a + b)) & (a / (a + b) <= found.mean_high)
    world = f"{seeds} seeds, beta({a}, {b})"
    calibration.intervals(
        "report", "mean_low", found.mean_low, a / (a + b), found.mean_high, world, ["share"]
    )
    assert 0.92 <= held.mean() <= 0.975


def many(x):
    """Values (network, seed) of so many networks, as `values`."""
    network, seed = np.indices(x.shape).astype(str)
    coords = {"network": ("run", network.ravel()), "seed": ("run", seed.ravel())}
    return xr.DataArray(x.ravel(), coords, "run")


@pytest.mark.slow
@pytest.mark.calibration
@pytest.mark.parametrize("seeds", [2, 5])
def test_intervals_of_means_without_a_bound_hold_them(seeds, rng, calibration):
    """Of normal values the arithmetic mean, of log-normal ones the geometric, and of numbers below 1, whose mean
    they miss more often where the distance from 1 differs by factors.
    """
    x = rng.standard_normal((1000, seeds))
    for part, ratio, numbers, truth in (("arithmetic", False, x, 0), ("geometric", True, np.exp(x), 1)):
        found = differences(many(numbers), "0", ratio)
        ends = found.mean_low, truth, found.mean_high
        calibration.intervals("report", "mean_low", *ends, f"{seeds} seeds", [f"{part} mean"])
    for spread, known in ((0.3, 0.95), (1, 0.88)):
        found = differences(many(1 - np.exp(spread * x)), "0", False, (-np.inf, 1))
        ends = found.mean_low, 1 - np.exp(spread**2 / 2), found.mean_high
        world = f"{seeds} seeds, log-normal distance from 1, spread {spread}"
        calibration.intervals("report", "mean_low", *ends, world, ["R² or the like"], known)


def test_values_out_of_bounds_are_told():
    with pytest.raises(InputError, match=r"expected values from 0 to 1; got 0.5 to 1.5. Correct the bounds"):
        compare(values(r=[0.5, 1.5]), "r", False, (0, 1))


def test_corrected_intervals_leave_out_no_effect_exactly_where_p_says_so(rng):
    family = {
        i: differences(
            values(r=np.exp(rng.standard_normal(3)), a=np.exp(i + rng.standard_normal(3)), b=[1.0, 2.0, 9.0]),
            "r",
            ratio=bool(i % 2),
        )
        for i in range(6)
    }
    together = corrected(family)
    assert list(together) == list(family)
    p = np.concatenate([table.p_holm for table in together.values()])
    np.testing.assert_allclose(p, holm(np.concatenate([table.p for table in family.values()])))
    assert (p < 0.05).any()
    assert (p > 0.05).any()
    for table in together.values():
        for row in table.loc[["a", "b"]].itertuples():
            none = 1 if row.ratio else 0
            left_out = not row.effect_low_holm <= none <= row.effect_high_holm
            assert left_out == (row.p_holm < 0.05)
            assert row.effect_low_holm <= row.effect_low
    assert corrected({}) == {}


def test_the_best_differs_from_all_others_or_has_no_p(rng):
    low, middle, high = (0.01 * rng.standard_normal(5) + m for m in (1, 2, 3))
    networks, p = best(values(a=high, b=low, c=middle), "lower", ratio=False)
    assert networks == ["b"]
    assert p < 1e-6
    networks, p = best(values(a=high, b=low, c=low + 0.001), "higher", ratio=True)
    assert networks == ["a"]
    assert p < 1e-6
    near = low + 0.01 * rng.standard_normal(5)
    assert best(values(a=low, b=near, c=high), "lower", False)[1] > 0.05
    assert best(values(a=[0.0, 0.0], b=[0.0, 0.0], c=[5.0, 5.01]), "lower", False)[0] == ["a", "b"]
    assert np.isnan(best(values(a=[1.0], b=[5.0]), "lower", False)[1])
    assert np.isnan(best(values(a=[1.0, 1.0], b=[5.0, 5.0]), "lower", False)[1])
    assert np.isnan(best(values(a=[1.0, 2.0]), "lower", False)[1])


@pytest.mark.calibration
@pytest.mark.parametrize("networks", [2, 5])
def test_of_equal_networks_none_is_best(networks, rng, calibration):
    wrong = [
        best(values(**{f"n{i}": rng.standard_normal(3) for i in range(networks)}), "lower", False)[1] <= 0.05
        for _ in range(200)
    ]
    calibration.rate("report", "p of the best", wrong, f"{networks} networks, 3 seeds")
    assert np.mean(wrong) <= 0.09


def spreading(seeds, rng, spread=1.0):
    """Values of two networks, of which the pooled standard deviation is exactly ``spread``."""
    x = rng.standard_normal((2, seeds))
    x *= spread / np.sqrt(x.var(1, ddof=1).mean())
    return values(r=x[0], a=x[1])


@pytest.mark.parametrize(("seeds", "comparisons"), [(2, 1), (3, 1), (3, 20), (4, 1)])
def test_the_smallest_effect_is_found_in_80_of_100_experiments_and_half_of_it_less_often(
    seeds, comparisons, rng
):
    """By Welch's test of scipy, among 20 comparisons at the level of Bonferroni's correction."""
    effect = smallest_effect(spreading(seeds, rng), "r", False, comparisons)
    a, r = rng.standard_normal((2, 40_000, seeds))
    for shift, least, most in ((effect, 0.79, 0.81), (effect / 2, 0.2, 0.5), (2 * effect, 0.9, 1)):
        p = stats.ttest_ind(a + shift, r, axis=1, equal_var=False).pvalue
        assert least < np.mean(p <= 0.05 / comparisons) < most


def test_the_smallest_effect_of_pairs_is_that_of_their_test(rng):
    a, r = rng.standard_normal((2, PAIRED))
    effect = smallest_effect(values(r=r, a=a), "r", False)
    drawn = effect + np.std(a - r, ddof=1) * rng.standard_normal((40_000, PAIRED))
    assert np.mean(stats.ttest_1samp(drawn, 0, axis=1).pvalue <= 0.05) == pytest.approx(0.8, abs=0.01)
    missing = values(r=r, a=np.append(a[:-1], np.nan))  # no pairs: Welch's
    spread = np.sqrt((4 * r.var(ddof=1) + 3 * a[:-1].var(ddof=1)) / 7)
    assert smallest_effect(missing, "r", False) == pytest.approx(
        spread
        * smallest_effect(values(r=r / r.std(ddof=1), a=[np.nan, *(r[:4] / r[:4].std(ddof=1))]), "r", False)
    )


def test_the_smallest_ratio_is_that_of_logarithms_and_falls_with_seeds(rng):
    few, many = (spreading(n, rng, 0.3) for n in (3, 20))
    assert smallest_effect(np.exp(few), "r", True) == pytest.approx(np.exp(smallest_effect(few, "r", False)))
    assert smallest_effect(few, "r", False) == pytest.approx(0.3 * 3.507, rel=0.01)  # simulated: 0.80
    assert smallest_effect(many.where(many.seed != "0", drop=True), "r", False) < 0.5
    assert np.isnan(smallest_effect(values(r=[1.0], a=[2.0, 3.0]), "r", False))
    assert np.isnan(smallest_effect(values(r=[1.0, 1.0], a=[2.0, 2.0]), "r", False))
    known = values(r=[1.0, 1.0], a=[2.0, 3.0], b=[0.0, 1.0])  # r has no spread to pool
    assert smallest_effect(known, "r", False) == pytest.approx(10.39 * np.sqrt(0.5), rel=0.01)
