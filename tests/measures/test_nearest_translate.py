"""The nearest translate is found, wherever it is, and what no translation removes remains."""

import numpy as np
import pytest

from flowsim.measures.nearest_translate import nearest, norm, split


def test_nearest_moves_nothing_without_need(rng):
    flat = np.ones((2, 1, 4, 6))
    assert (nearest(flat + 1e-12 * rng.standard_normal(flat.shape), flat)[1] == 0).all()
    x, y = rng.standard_normal((2, 5, 3, 4, 6))
    best = min(norm(x - np.roll(y, (a, b), (-2, -1)))[0] for a in range(4) for b in range(6))
    assert norm(x - nearest(x, y)[0])[0] == pytest.approx(best)
    assert np.isnan(split(x, 0 * y)[0]).all()


def test_the_norm_is_over_channels_and_space(rng):
    images = rng.standard_normal((2, 5, 3, 4, 6))
    np.testing.assert_allclose(norm(images), np.linalg.norm(images.reshape(2, 5, -1), axis=-1))


@pytest.mark.parametrize("by", [(0, 0), (1, 0), (0, -2), (3, 4), (-3, 5)])
def test_drift_is_the_shorter_way_round(by, rng):
    still = rng.standard_normal((1, 2, 8, 9))
    translate, drift = nearest(np.roll(still, by, (-2, -1)), still)
    np.testing.assert_array_equal(translate, np.roll(still, by, (-2, -1)))
    down, right = min(by[0] % 8, -by[0] % 8), min(by[1] % 9, -by[1] % 9)
    assert drift == pytest.approx(np.hypot(down, right))


def test_channels_move_together(rng):
    still = rng.standard_normal((2, 8, 9))
    apart = np.stack([np.roll(still[0], 1, 0), np.roll(still[1], 2, 0)])
    translate, _ = nearest(apart, still)
    assert norm(apart - translate) > 0.5 * norm(still)


def test_a_distance_splits_into_what_a_translation_removes_and_what_it_does_not(rng):
    still = rng.standard_normal((5, 1, 8, 9))
    (total, across, along), drift = split(np.roll(still, 2, -1), still)
    np.testing.assert_allclose(across, 0, atol=1e-12)
    np.testing.assert_allclose(along, total)
    assert (drift == 2).all()
    (total, across, along), drift = split(1.5 * still, still)
    np.testing.assert_allclose(total, 0.5)
    np.testing.assert_allclose(across, 0.5)
    np.testing.assert_allclose(along, 0, atol=1e-6)
    assert (drift == 0).all()
    (total, across, along), drift = split(1.5 * still, still, move=False)
    np.testing.assert_allclose(total, 0.5)
    for values in (across, along, drift):
        assert np.isnan(values).all()
