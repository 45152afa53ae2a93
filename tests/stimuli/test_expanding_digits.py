"""Digits grow about a focus at their rates."""

import numpy as np
import pytest

from flowsim import InputError
from flowsim.scenes.sources.digits import pixels
from stimuli import (
    expanding_digits,
)


def generate(split="test", seed=0, **spec):
    return expanding_digits.generate(split, np.random.default_rng(seed), **spec)


def spread(frames):
    """Root mean square distance of luminance from its own middle."""
    y, x = np.mgrid[: frames.shape[-2], : frames.shape[-1]]
    weight = frames / frames.sum((-2, -1), keepdims=True)
    middle = [(weight * c).sum((-2, -1), keepdims=True) for c in (y, x)]
    return np.sqrt(
        sum((weight * (c - m) ** 2).sum((-2, -1)) for c, m in zip((y, x), middle, strict=True))
    ), middle


def test_looming_grows_as_it_says():
    spec = {"objects": 1, "height": 48, "width": 48, "trials": 30, "frames": 9, "source": "bundled"}
    made = generate(**spec, max_rate=0.1)
    inside = (abs(made.position_y - 20) < 10).values[:, 0] & (abs(made.position_x - 20) < 10).values[:, 0]
    assert inside.sum() > 5
    size, middle = spread(made.frames.values[inside].astype(float))
    growth = np.log(size[:, -1] / size[:, 0]) / 8
    np.testing.assert_allclose(growth, made.velocity_expansion.values[inside, 0], atol=0.006)
    natural, _ = spread(
        np.pad(pixels("bundled", made.image.values[inside, 0]), ((0, 0), (8, 8), (8, 8))).astype(float)
    )
    np.testing.assert_allclose(size[:, 4], natural, rtol=0.03)
    for c in (0, 1):  # and moves away from the focus in proportion
        away = middle[c][..., 0, 0] - 23.5
        np.testing.assert_allclose(away[:, -1], away[:, 0] * np.exp(8 * growth), atol=0.35)


def test_focus_of_expansion():
    centre, anywhere = (generate(focus=f, objects=1) for f in ("centre", "random"))
    assert (centre.focus_y == 11.5).all()
    assert anywhere.focus_x.values.std() > 1
    assert {*np.unique(centre.velocity_expansion.values.round(9))} == {-0.1, -0.05, 0, 0.05, 0.1}
    assert generate("sweep", trials=2).trained.values.sum() == 10


def test_digits_must_fit():
    with pytest.raises(InputError, match="frames of at least 8x8 px; got 7x"):
        generate(height=7)
