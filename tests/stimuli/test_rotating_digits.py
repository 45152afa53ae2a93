"""Digits turn by their angular velocities."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from flowsim import Flow, Rotation
from flowsim.scenes.sources.digits import pixels
from stimuli import (
    rotating_digits,
)


def generate(split="test", seed=0, **spec):
    return rotating_digits.generate(split, np.random.default_rng(seed), **spec)


def test_quarter_turns_are_exact():
    made = generate(step=90.0, max_speed=180.0, trials=10)
    assert set(np.unique(made.angle)) == {0, 90, 180, 270}
    for trial in range(10):
        for t in range(12):
            frame = np.zeros((16, 16))
            for obj in range(2):
                one = made.isel(trial=trial, object=obj)
                image = np.pad(pixels("bundled", one.image.values), 4)
                quarters = (one.angle + t * one.velocity_omega) / 90
                frame = np.maximum(frame, np.rot90(image, int(quarters)))
            np.testing.assert_allclose(made.frames[trial, t], frame, atol=1e-5)


@pytest.mark.parametrize(("interpolation", "order"), [("bicubic", 3), ("bilinear", 1)])
def test_turned_digits_against_scipy(interpolation, order):
    made = generate(objects=1, trials=8, interpolation=interpolation)
    for trial in range(8):
        one = made.isel(trial=trial, object=0)
        image = np.pad(pixels("bundled", one.image.values), 4)
        for t in (0, 5):
            angle = float(one.angle + t * one.velocity_omega)
            expected = ndimage.rotate(image, angle, reshape=False, order=order).clip(0, 1)
            error = np.linalg.norm(made.frames[trial, t] - expected) / np.linalg.norm(expected)
            assert error < (1e-4 if order == 1 else 0.12), "scipy's cubic is a spline"
            assert (
                error < 0.3 * np.linalg.norm(image - expected) / np.linalg.norm(expected) or angle % 360 == 0
            )


def test_probe_of_rotation_has_an_exact_flow_and_starts_at_rest():
    made = generate("probe")
    assert made.flow_omega.values.tolist() == [0, -10, 10, -20, 20, 90]
    reference = torch.from_numpy(made.frames.values[0])
    quarter = Flow(Rotation(), (90,)).transport(reference[:, :, None])[:, :, 0]
    np.testing.assert_array_equal(made.frames.values[-1], quarter)
    assert not made.velocity_omega.values[::2].any()
