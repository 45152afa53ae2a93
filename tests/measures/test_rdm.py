"""Distances are unbiased, and agreement is that of ranks."""

import numpy as np
import pytest
from scipy.linalg import helmert
from scipy.stats import spearmanr

from flowsim.measures import rdm


@pytest.mark.parametrize("trials", [4, 6, 9])
def test_crossnobis_of_noise_is_zero_in_the_mean(trials):
    """Also with noise of unequal size and correlated; the plain distance is not, nor is one whose P knows the
    noise.
    """
    rng = np.random.default_rng(0)
    mix = rng.standard_normal((12, 12)) * np.linspace(0.1, 3, 12)
    found = []
    for _ in range(150):
        x = rng.standard_normal((4, trials, 12)) @ mix
        found.append(np.nanmean(rdm.crossnobis(x), (0, 1)))
    mean, error = np.mean(found), np.std(np.mean(found, 1)) / np.sqrt(len(found))
    assert abs(mean) < 3 * error
    assert (np.array(found) < 0).any()
    assert np.mean(np.square(x.mean(1)[0] - x.mean(1)[1])) > 0.1


def test_crossnobis_is_the_squared_distance_in_noise(rng):
    """With isotropic noise of standard deviation s it is |a - b|^2 / s^2, and does not depend on units."""
    true = rng.standard_normal((3, 6))
    one, two = np.triu_indices(3, 1)
    expected = np.square(true[one] - true[two]).sum(-1) / 0.25
    found = []
    for _ in range(60):
        x = true[:, None] + 0.5 * rng.standard_normal((3, 40, 6))
        found.append(np.nanmean(rdm.crossnobis(x), (0, 1)))
    np.testing.assert_allclose(
        np.mean(found, 0), expected, rtol=0.1
    )  # an inverse covariance is large by 1 / n
    np.testing.assert_allclose(rdm.crossnobis(1e4 * x), rdm.crossnobis(x))
    wide = np.concatenate([x, np.zeros((3, 40, 200))], -1)  # more units than samples: the span is enough
    assert rdm.crossnobis(wide).shape == rdm.crossnobis(x).shape


@pytest.mark.parametrize("content", [0, 1, 3])
@pytest.mark.parametrize(("trials", "units"), [(24, 6), (24, 16), (24, 400), (8, 20)])
def test_crossnobis_knows_no_content(content, trials, units):
    """What all conditions have in common in a repeat changes no distance; nor do units without a difference,
    of which there may be more than patterns.
    """
    found = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        true = rng.standard_normal((5, units)) * 2 / np.sqrt(units)
        one, two = np.triu_indices(5, 1)
        expected = np.square(true[one] - true[two]).sum(-1).mean()
        shown = content * rng.standard_normal((1, trials, units))
        x = true[:, None] + shown + rng.standard_normal((5, trials, units))
        found.append(np.nanmean(rdm.crossnobis(x)) / expected)
    assert np.mean(found) == pytest.approx(1, abs=0.1 + 3 * np.std(found) / np.sqrt(len(found)))
    assert np.mean(found) > 0.8
    if content:
        np.testing.assert_allclose(
            np.nanmean(rdm.crossnobis(x)), np.nanmean(rdm.crossnobis(x - shown)), rtol=1e-6
        )


def test_the_shrunk_covariance_is_that_of_sklearn(rng):
    """Also where samples are given in coordinates of their span."""
    from sklearn.covariance import ledoit_wolf

    samples = rng.standard_normal((12, 40)) * np.linspace(0.3, 2, 40)
    expected = ledoit_wolf(samples, assume_centered=True)[0]
    np.testing.assert_allclose(rdm.shrunk_covariance(samples, 40), expected, atol=1e-12)
    basis, coordinates = np.linalg.qr(samples.T)
    np.testing.assert_allclose(
        rdm.shrunk_covariance(coordinates.T, 40), basis.T @ expected @ basis, atol=1e-12
    )


def test_unknown_distances_are_left_out(rng):
    one, two = rng.random((2, 3, 20))
    one[1, :4] = np.nan
    found = rdm.agreement(one, two)
    assert float(found[1]) == pytest.approx(spearmanr(one[1, 4:], two[1, 4:])[0])
    assert float(found[0]) == pytest.approx(spearmanr(one[0], two[0])[0])
    two[2, 5] = np.nan
    assert np.isnan(rdm.agreement(one, two)).tolist() == [False, False, True]
    assert np.isnan(rdm.agreement(one * np.nan, two)).all()
    assert np.isfinite(rdm.noise_ceiling(np.stack([one, one + 0.1, two[[0, 1, 0]]]))).all()


def test_patterns_without_variance_have_no_correlation(rng):
    x = rng.standard_normal((4, 7))
    x[1], x[2] = 0, 0.1
    assert np.isfinite(rdm.correlation(x)).sum() == 4
    assert np.isfinite(rdm.correlation(x.astype(np.float32).astype(float))).sum() == 4


def test_crossnobis_needs_four_repeats_and_noise(rng):
    assert np.isnan(rdm.crossnobis(rng.random((3, 3, 5)))).all()
    assert np.isnan(rdm.crossnobis(np.ones((3, 4, 5)))).all()
    same = np.broadcast_to(rng.random((1, 8, 50)), (3, 8, 50))
    assert (np.nan_to_num(rdm.crossnobis(same)) == 0).all()


@pytest.mark.parametrize("period", [2, 4])
def test_crossnobis_knows_no_order_of_trials(period, rng):
    """What is specific to a class counts as much if classes take turns as if they come one after the other."""
    code = rng.standard_normal((3, 4, 20))[:, np.arange(32) % period]
    x = code + 0.5 * rng.standard_normal(code.shape)
    turns, blocks = (
        np.nanmean(rdm.crossnobis(x[:, o])) for o in (slice(None), np.argsort(np.arange(32) % period))
    )
    assert turns == pytest.approx(blocks, rel=0.4)
    apart = (code[[0, 0, 1]] - code[[1, 2, 2]]).mean(1)
    assert turns > 0.2 * np.square(apart).sum(-1).mean()


def test_rho_a_is_the_mean_of_rho_over_orders_of_ties(rng):
    values, ties = rng.random(9), np.array([0, 0, 0, 1, 1, 1, 2, 2, 3.0])
    broken = [spearmanr(values, ties + 1e-6 * rng.random(9))[0] for _ in range(3000)]
    assert float(rdm.agreement(values, ties)) == pytest.approx(np.mean(broken), abs=0.01)
    assert float(rdm.agreement(values, values**3)) == pytest.approx(1)
    assert np.isnan(rdm.agreement(values, np.ones(9)))


def test_the_noise_ceiling_is_how_much_instances_agree(rng):
    true = rng.random((1, 4, 45))
    lower, upper = rdm.noise_ceiling(true + 0.05 * rng.standard_normal((3, 4, 45)))
    assert (lower > 0.9).all()
    assert (lower <= upper).all()
    lower, upper = rdm.noise_ceiling(rng.standard_normal((3, 4, 45)))
    assert (abs(lower) < 0.4).all()
    assert (upper > 0.4).all()
    assert np.isnan(rdm.noise_ceiling(true)).all()


def test_rsatoolbox_finds_the_same(rng):
    """Correlation distances, crossnobis with P = 1 (by what is summed over repeats), and rho_a."""
    toolbox = pytest.importorskip("rsatoolbox", reason="rsatoolbox is not installed")
    x = rng.standard_normal((5, 4, 7))
    of, fold = np.repeat(np.arange(5), 4), np.tile(np.arange(4), 5)
    data = toolbox.data.Dataset(x.reshape(20, 7), obs_descriptors={"of": of, "fold": fold})
    each = np.triu_indices(20, 1)
    correlation = toolbox.rdm.calc_rdm(data, method="correlation").dissimilarities[0]
    np.testing.assert_allclose(rdm.correlation(x.reshape(20, 7))[each], correlation, atol=1e-9)
    one, two = np.triu_indices(5, 1)
    apart = x[one] - x[two]
    terms = rdm.crossnobis(x)
    expected = []
    for g, h in np.ndindex(4, 4):
        if g == h:
            continue
        others = [k for k in range(4) if k not in (g, h)]
        p = precision(x[:, others])
        part = np.isin(fold, (g, h))
        pair = toolbox.data.Dataset(
            x.reshape(20, 7)[part], obs_descriptors={"of": of[part], "fold": fold[part]}
        )
        found = toolbox.rdm.calc_rdm(
            pair, method="crossnobis", descriptor="of", cv_descriptor="fold", noise=p
        )
        np.testing.assert_allclose(terms[g, h], 7 * found.dissimilarities[0], atol=1e-9)
        expected.append(terms[g, h])
    assert apart.shape[0] == len(expected[0])
    np.testing.assert_allclose(rdm.crossnobis_mean(terms, np.ones(4)), np.mean(expected, 0))
    ties = np.round(correlation)
    compared = toolbox.rdm.compare(
        toolbox.rdm.RDMs(correlation[None]), toolbox.rdm.RDMs(ties[None]), method="rho-a"
    )
    assert float(rdm.agreement(correlation, ties)) == pytest.approx(float(compared[0, 0]))


def precision(x):
    """Inverse of the shrunk covariance of x (condition, repeat, unit) about the means of conditions and of
    repeats.
    """
    from sklearn.covariance import LedoitWolf

    noise = np.einsum("ci,rj,iju->cru", *(helmert(n) for n in x.shape[:2]), x).reshape(-1, x.shape[-1])
    return np.linalg.inv(LedoitWolf(assume_centered=True).fit(noise).covariance_)
