"""Directions, widths, selectivity and reliability of curves that are known, and p-values of noise."""

import numpy as np
import pytest

from flowsim import Flow, InputError, Translation
from flowsim.measures import statistics, tuning

BOX = [Flow(Translation(), (y, x)) for y in range(-2, 3) for x in range(-2, 3)]


def test_directions_that_differ_by_rounding_are_one():
    """On the cut of the angle at 180 degrees, and around 0."""
    where = np.array([-1 - 0j, -2 + 0j, complex(-1, -1e-12), 1 + 0j, complex(1, -1e-12), 0])
    angles, arcs, mean = tuning.directions(where)
    np.testing.assert_allclose(angles, [0, np.pi], atol=1e-5)
    np.testing.assert_allclose(arcs, np.pi, atol=1e-5)
    np.testing.assert_allclose(mean.sum(1), 1)
    angles, _, _ = tuning.directions(tuning.plane(BOX))
    assert len(angles) == 16


def test_right_is_0_degrees_and_up_is_90():
    flows = [Flow(Translation(), v) for v in ((0, 0), (0, 1), (-2, 0))]
    np.testing.assert_allclose(tuning.plane(flows), [0, 1, 2j])


@pytest.mark.parametrize("kappa", [0.5, 2.0, 8.0])
def test_the_half_width_is_that_of_the_curve_with_this_moment(kappa):
    angle = np.linspace(-np.pi, np.pi, 100_001)[:-1]
    curve = np.exp(kappa * np.cos(angle))
    moment = (curve * np.cos(angle)).sum() / curve.sum()
    above = curve >= (curve.max() + curve.min()) / 2
    assert float(tuning.half_width(np.array(moment))) == pytest.approx(180 * above.mean(), rel=1e-3)


def test_selectivity_of_noise_is_0_only_when_it_is_held_out(rng):
    where = tuning.plane(BOX)
    plain, held_out = tuning.direction_selectivity(1 + rng.random((6, len(BOX), 300)), where)
    assert plain.mean() > 0.05
    assert abs(held_out.mean()) < 0.01
    assert np.isnan(tuning.direction_selectivity(rng.random((1, len(BOX), 3)), where)[1]).all()
    assert np.isnan(tuning.direction_selectivity(rng.random((6, 2, 3)), np.array([0, 1j]))[0]).all()


def test_reliability_is_the_share_of_variance_that_repeats(rng):
    signal = rng.standard_normal((1, 200, 60))
    responses = signal + rng.standard_normal((4, 200, 60))
    np.testing.assert_allclose(tuning.reliability(responses, 20, rng).mean(), 4 / 5, atol=0.02)
    two = tuning.reliability(responses[:2], 20, rng).mean()
    np.testing.assert_allclose(two, 2 / 3, atol=0.03)


def test_false_discoveries_over_simulations(rng):
    """Of 200 simulated recordings of 10 noise units, about 5 % find any unit tuned after correction."""
    p = tuning.p_velocity(rng.random((6, 9, 2000))).reshape(200, 10)
    found = (np.apply_along_axis(statistics.false_discovery, 1, p) <= 0.05).any(1).mean()
    assert 0.01 < found < 0.1


def test_responses_are_rectified_means_over_space_and_frames(recording, rng):
    states = rng.standard_normal((2, 3, 4, 2, 3, 5, 6))
    state = recording(states, [(0, 0), (0, 1)], [(0, 0), (1, 0)]).state
    trials, frames = np.array([0, 2]), np.array([2, 3])
    later = states[:, trials][:, :, frames]
    for how, rectified in (("rectified", later.clip(min=0)), ("magnitude", abs(later))):
        expected = rectified.mean((2, 5, 6)).reshape(2, 2, -1).swapaxes(0, 1)
        np.testing.assert_allclose(tuning.responses(state, trials, frames, how), expected)
    states[0, 2, 3, 0, 0, 0, 0] = np.nan
    with pytest.raises(InputError, match="the state contains NaN or infinity: the network diverged"):
        tuning.responses(state, trials, frames, "rectified")
