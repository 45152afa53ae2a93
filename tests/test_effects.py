"""Differences between networks have the size that they have, and intervals that hold the truth as often as
they say.
"""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from flowsim import InputError
from flowsim.effects import PAIRED, compare, noncentrality


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
    assert found.loc["r", "effect":"g_high"].isna().all()


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
    """d / s is 2 / 1; J(4) = 0.7979, as in Hedges (1981), table 1."""
    found = compare(values(r=[-1.0, 0.0, 1.0], a=[1.0, 2.0, 3.0]), "r", ratio=False).loc["a"]
    assert found.g == pytest.approx(2 * 0.7979, abs=1e-4)
    assert found.g_low < found.g < found.g_high


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
        pytest.param((8, 8), 3, 0, 0.93, 0.97, id="8 seeds, unequal"),
        pytest.param((8, 8), 1, 0.8, 0.93, 0.97, id="paired"),
        pytest.param((3, 3), 1, 0.8, 0.97, 1, id="too few to pair", marks=pytest.mark.slow),
    ],
)
def test_intervals_hold_the_truth_as_often_as_they_say(seeds, spread, together, least, most, rng):
    """In 400 experiments in which the networks differ by 1, and nominally 95 % of intervals hold it."""
    held = []
    for _ in range(400):
        common = np.sqrt(together) * rng.standard_normal(max(seeds))
        a, r = (common[:n] + np.sqrt(1 - together) * rng.standard_normal(n) for n in seeds)
        found = compare(values(r=r, a=1 + spread * a), "r", ratio=False).loc["a"]
        held.append(found.effect_low <= 1 <= found.effect_high)
    assert least - 0.02 <= np.mean(held) <= most + 0.01


def test_intervals_of_g_hold_the_truth_as_often_as_they_say(rng):
    held = []
    for _ in range(400):
        found = compare(
            values(r=rng.standard_normal(2), a=1.5 + rng.standard_normal(3)), "r", ratio=False
        ).loc["a"]
        held.append(found.g_low <= 1.5 <= found.g_high)
    assert 0.925 <= np.mean(held) <= 0.975


def test_equal_networks_are_told_apart_as_rarely_as_they_should(rng):
    wrong = [
        not found.effect_low <= 1 <= found.effect_high
        for found in (
            compare(
                values(r=np.exp(rng.standard_normal(4)), a=np.exp(rng.standard_normal(4))), "r", ratio=True
            ).loc["a"]
            for _ in range(400)
        )
    ]
    assert np.mean(wrong) < 0.08


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
    assert found.g.isna().tolist() == [True, True, True, False]


def test_what_cannot_be_compared_is_told():
    with pytest.raises(InputError, match="expected the reference to be one of the networks a, b; got c"):
        compare(values(a=[1.0], b=[1.0]), "c", ratio=False)
    with pytest.raises(InputError, match=r"a ratio needs positive values; got 0. Compare by difference"):
        compare(values(a=[1.0], b=[0.0]), "a", ratio=True)
