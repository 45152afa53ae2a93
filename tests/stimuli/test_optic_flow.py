"""Dots in depth move as the observer's motion says."""

import numpy as np
import pytest

from flowsim import InputError
from stimuli import (
    optic_flow,
)


def generate(split="test", seed=0, **spec):
    return optic_flow.generate(split, np.random.default_rng(seed), **spec)


def flow(**spec):
    """From the middle: places and steps (dot, 2) of the dots that were not born at the end of the step, and
    depths.
    """
    made = generate(trials=40, frames=5, **spec)
    place = np.stack([made.position_y, made.position_x], -1) - 11.5
    goes_on = made.age.values[:, :, 1:] > 0
    trial = np.broadcast_to(np.arange(40)[:, None, None], goes_on.shape)[goes_on]
    scene = {c: made[f"velocity_{c}"].values[trial, 0] for c in ("vy", "vx", "expansion", "omega")}
    return (
        place[:, :, :-1][goes_on],
        np.diff(place, axis=2)[goes_on],
        made.depth.values[:, :, :-1][goes_on],
        scene,
    )


def test_trained_self_motion():
    sweep = generate("sweep", trials=1)
    inside = (abs(sweep.velocity_vy) <= 1) & (abs(sweep.velocity_vx) <= 1)
    np.testing.assert_array_equal(sweep.trained, inside[:, 0])
    assert not generate("sweep", trials=1, motions=["rotation"]).trained.any()


def test_translation_has_parallax():
    _, step, depth, scene = flow(motions=["translation"])
    np.testing.assert_allclose(step, np.stack([scene["vy"], scene["vx"]], -1) / depth[:, None], atol=2e-5)
    assert not scene["omega"].any()
    assert not scene["expansion"].any()
    assert np.ptp(depth) > 1.5


def test_expansion_is_from_the_middle_and_faster_when_near():
    place, step, depth, scene = flow(motions=["expansion"])
    factor = depth / (depth - scene["expansion"])
    np.testing.assert_allclose(place + step, place * factor[:, None], atol=2e-5)


def test_rotation_does_not_depend_on_depth():
    place, step, _, scene = flow(motions=["rotation"])
    np.testing.assert_allclose(np.hypot(*(place + step).T), np.hypot(*place.T), atol=2e-5)
    before, after = (
        np.arctan2(-place[:, 0], place[:, 1]),
        np.arctan2(-(place + step)[:, 0], (place + step)[:, 1]),
    )
    turned = np.rad2deg((after - before + np.pi) % (2 * np.pi) - np.pi)
    far = np.hypot(*place.T) > 0.5
    np.testing.assert_allclose(turned[far], scene["omega"][far], atol=1e-3)


def test_a_mixture_has_all_three():
    _, _, _, scene = flow(motions=["mixture"])
    assert all(values.std() > 0 for values in scene.values())
    made = generate(trials=300)
    assert set(made.motion.values.flat) == {0, 1, 2, 3}
    assert (made.position_y >= 0).all()
    assert (made.position_y <= 23).all()
    assert ((made.depth >= 1) & (made.depth <= 3)).all()
    assert not generate("probe").velocity_vx.values[::2].any()


def test_motions_must_be_possible():
    with pytest.raises(InputError, match=r"motions: input should be a list of at least 1; got \[\]"):
        generate(motions=[])
    with pytest.raises(InputError, match="by expansion needs a scene with depth; got depth 1"):
        generate(depth=1.0)
    assert generate(depth=1.0, motions=["rotation"]).frames.size
