"""Pattern and component units are told apart, and units of neither kind are called neither."""

import numpy as np
import pytest
from scipy import stats

from flowsim import InputError
from flowsim.measures import plaids

DIRECTIONS = np.arange(12) * 30.0


def tuned(preferred, sharpness=2.0, directions=DIRECTIONS):
    return np.exp(sharpness * (np.cos(np.deg2rad(directions[:, None] - preferred)) - 1))


@pytest.mark.parametrize("angle", [60, 90, 120, 135])
def test_predictions_are_the_tuning_and_the_sum_of_two(angle):
    curve = tuned(np.array([40.0, 200.0]))
    pattern, component = plaids.predictions(curve, angle)
    np.testing.assert_array_equal(pattern, curve)
    both = sum(tuned(np.array([40.0, 200.0]) + side * angle / 2) for side in (-1, 1))
    np.testing.assert_allclose(component, both, atol=2e-3 if angle % 60 else 1e-12)


def test_units_are_what_they_are_made_as(rng):
    preferred = rng.uniform(0, 360, 50)
    curve = tuned(preferred)
    pattern, component = plaids.predictions(curve, 120)
    noise = 0.02 * rng.standard_normal((12, 50))
    for plaid, expected in ((pattern, [True, False]), (component, [False, True])):
        z = plaids.scores(curve, 3 * plaid + 0.5 + noise, 120)
        assert [bool(of.all()) for of in plaids.classes(*z)] == expected
        assert [bool(of.any()) for of in plaids.classes(*z)] == expected
    between = plaids.scores(curve, pattern + 0.75 * component, 120)
    assert (abs(between[0] - between[1]) < 4).all()


def test_scores_are_partial_correlations(rng):
    """By another way: the correlation of what regression on the other prediction leaves."""
    curve, plaid = rng.random((12, 5)), rng.random((12, 5))
    pattern, component = plaids.predictions(curve, 120)
    z_pattern, z_component = plaids.scores(curve, plaid, 120)

    def left(values, other):
        return values - np.polyval(np.polyfit(other, values, 1), other)

    for unit in range(5):
        for z, one, other in ((z_pattern, pattern, component), (z_component, component, pattern)):
            r = stats.pearsonr(left(one[:, unit], other[:, unit]), left(plaid[:, unit], other[:, unit]))[0]
            np.testing.assert_allclose(z[unit], 3 * np.arctanh(r))


def test_the_criterion_is_that_of_the_field():
    z_pattern = np.array([1.3, 1.3, 3.0, -1.0, 2.0, np.nan])
    z_component = np.array([-2.0, 0.1, 1.6, 0.5, 0.6, 0.0])
    is_pattern, is_component = plaids.classes(z_pattern, z_component)
    assert is_pattern.tolist() == [True, False, True, False, True, False]
    assert not is_component.any()
    assert plaids.classes(z_component, z_pattern)[1].tolist() == is_pattern.tolist()


def test_flat_units_have_no_scores_and_perfect_ones_finite_scores():
    curve = tuned(np.array([90.0]))
    for gratings, plaid in ((curve, np.ones((12, 1))), (np.full((12, 1), 2.0), curve)):
        assert np.isnan(plaids.scores(gratings, plaid, 120)).all()
    z_pattern, z_component = plaids.scores(curve, curve, 120)
    assert 30 < z_pattern < 40
    assert z_component == 0
    cosine = np.cos(np.deg2rad(DIRECTIONS))[:, None]
    assert np.isnan(plaids.scores(cosine, cosine, 120)).all(), "both predictions are one"
    with pytest.raises(InputError, match="expected gratings and plaids in five directions or more; got 4"):
        plaids.scores(curve[:4], curve[:4], 120)
