"""Exponents that are put in are found, and none where there is no tuning."""

import numpy as np
import pytest

from flowsim.measures import speed_exponent

FREQUENCIES = np.array([0.0625, 0.088, 0.125, 0.177, 0.25])


def gaussian(exponent, s_0=0.125, f_0=0.125, a=1.5, b=1.0, floor=0.0):
    s, f = np.log2(FREQUENCIES / s_0)[:, None], np.log2(FREQUENCIES / f_0)[None]
    return floor + np.exp(-(s**2) / 2 / a**2 - (f - exponent * s) ** 2 / 2 / b**2)


@pytest.mark.parametrize("exponent", [-0.4, 0.0, 0.37, 1.0, 1.6])
@pytest.mark.parametrize("place", [{}, {"s_0": 0.08, "f_0": 0.2, "b": 0.6, "floor": 3.0}])
def test_exponents_are_found(exponent, place):
    responses = np.stack([7 * gaussian(exponent, **place), gaussian(exponent, **place)], -1)
    parameters, explained = speed_exponent.fits(responses, FREQUENCIES, FREQUENCIES)
    np.testing.assert_allclose(parameters[:, -1], exponent, atol=0.02)
    np.testing.assert_allclose(explained, 1, atol=1e-4)


def test_speed_is_the_same_at_every_spatial_frequency_or_temporal_frequency_is():
    by_speed, by_frequency = gaussian(1.0, a=9.0, b=0.5), gaussian(0.0, a=9.0, b=0.5)
    best = [FREQUENCIES[responses.argmax(1)] for responses in (by_speed, by_frequency)]
    np.testing.assert_allclose(best[0] / FREQUENCIES, 1)
    np.testing.assert_allclose(best[1], 0.125)


def test_noise_has_no_exponent_and_flat_units_have_no_fit(rng):
    parameters, explained = speed_exponent.fits(rng.random((5, 5, 20)), FREQUENCIES, FREQUENCIES)
    assert np.isnan(parameters[explained < speed_exponent.LEAST_EXPLAINED]).all()
    assert np.isnan(parameters).any(1).mean() > 0.5
    parameters, explained = speed_exponent.fits(np.full((5, 5, 1), 2.0), FREQUENCIES, FREQUENCIES)
    assert np.isnan(parameters).all()
    assert np.isnan(explained).all()


def test_starts_of_like_fits_lead_to_the_same_place(rng):
    responses = gaussian(0.6)[..., None] + 0.02 * rng.standard_normal((5, 5, 4))
    parameters, explained = speed_exponent.fits(responses, FREQUENCIES, FREQUENCIES)
    again, _ = speed_exponent.fits(responses, FREQUENCIES, FREQUENCIES, parameters)
    np.testing.assert_allclose(again, parameters, atol=1e-2)
    missing = np.where(np.arange(4)[:, None] == 1, np.nan, parameters)
    np.testing.assert_allclose(
        speed_exponent.fits(responses, FREQUENCIES, FREQUENCIES, missing)[1], explained, atol=1e-6
    )


def test_slopes_are_those_of_the_curve():
    """By central differences."""
    log_s, log_f = np.broadcast_arrays(np.log2(FREQUENCIES)[:, None], np.log2(FREQUENCIES)[None])
    x = np.array([0.1, 1.3, -3.0, -2.5, 1.2, 0.7, 0.6])
    slopes = speed_exponent.slopes(x, log_s, log_f)
    for i, step in enumerate(1e-6 * np.eye(7)):
        above, below = (speed_exponent.gaussian(x + sign * step, log_s, log_f) for sign in (1, -1))
        np.testing.assert_allclose(slopes[:, i], (above - below).ravel() / 2e-6, atol=1e-8)


def test_the_preferred_direction_is_the_one_of_the_strongest_mean():
    responses = np.zeros((3, 2, 2, 2))
    responses[1, ..., 0], responses[2, 0, 0, 1] = 1, 9
    assert speed_exponent.preferred_direction(responses).tolist() == [1, 2]
