"""The nearest translate is found, wherever it is, and what no translation removes remains."""

import numpy as np
import pytest

from flowsim.measures.nearest_translate import distinct, nearest, norm, split


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


def blob(size=(12, 14)):
    """A small smooth image (1, y, x)."""
    y, x = (np.arange(pixels)[:, None] - pixels // 2 for pixels in size)
    return np.exp(-(y**2 + x.T**2) / 4)[None]


def test_a_translate_is_distinct_where_one_place_fits(rng):
    for image in (blob(), rng.standard_normal((2, 8, 9))):
        images = np.stack([image] * 4)
        moved = np.roll(images, (2, -3), (-2, -1))
        noise = 0.3 * rng.standard_normal(images.shape) * moved.std()
        for seen in (moved, moved + noise, 0.1 * moved + 0.5):
            assert distinct(seen, images).all()
            np.testing.assert_allclose(split(seen, images)[1], np.hypot(2, 3))


def test_a_translate_is_not_distinct_where_nothing_or_many_places_fit(rng):
    image = np.stack([blob()] * 4)
    grating = np.broadcast_to(np.cos(2 * np.pi * np.arange(14) / 7), image.shape)
    cases = {
        "blank": (0 * image, image),
        "grey": (0 * image + 0.5, image),
        "grey up to rounding": (0.5 + 1e-9 * image, image),
        "of a blank world": (image, 0 * image),
        "a grating": (grating, grating),
        "noise": tuple(rng.standard_normal((2, *image.shape))),
        "the opposite": (-image, image),
    }
    for name, (x, y) in cases.items():
        assert not distinct(x, y).any(), name
        assert np.isnan(split(x, y)[1]).all(), name


def test_noise_is_seldom_like_noise(rng):
    """At any of 64 places; 3 times in 1,000 by the normal approximation, on either side of which we are."""
    assert distinct(*rng.standard_normal((2, 2000, 1, 8, 8))).mean() < 0.01
