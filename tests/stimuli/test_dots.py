"""Random dots and optic flow: the dots do what the coordinates and the rules say."""

import numpy as np
import pytest

from flowsim import InputError, ideas


def generate(family, split="test", seed=0, **spec):
    return ideas.load("stimuli", family).generate(split, np.random.default_rng(seed), **spec)


def motion(made, size):
    """Steps (trial, dot, step, 2) on a torus, and the velocity of the signal (trial, 1, 1, 2)."""
    place = np.stack([made.position_y, made.position_x], -1)
    step = (np.diff(place, axis=2) + size / 2) % size - size / 2
    return step, np.stack([made.velocity_vy, made.velocity_vx], -1)[:, :, None]


@pytest.mark.parametrize("signal_rule", ["same", "different"])
@pytest.mark.parametrize("noise_rule", ["position", "walk", "direction"])
def test_coherence_is_the_share_that_moves_with_the_signal(signal_rule, noise_rule):
    made = generate("random_dots", coherence=0.4, signal_rule=signal_rule, noise_rule=noise_rule, speeds=[2])
    step, velocity = motion(made, 16)
    with_signal = np.isclose(step, velocity, atol=1e-4).all(-1)
    np.testing.assert_allclose(with_signal.mean((1, 2)), 0.4, atol=0.05)
    assert with_signal[made.signal.values[:, :, :-1] == 1].all()
    changes = np.diff(made.signal.values.astype(int), axis=2).any()
    assert changes == (signal_rule == "different")
    noise = step[made.signal.values[:, :, :-1] == 0]
    speed = np.hypot(*noise.T)
    if noise_rule == "position":
        assert speed.std() > 1
    else:
        np.testing.assert_allclose(speed, 2, atol=1e-4)
        same = [np.ptp(d, axis=0).max() < 1e-3 for d in _noise_dots(made, step)] or [False]
        assert all(same) == (noise_rule == "direction") or signal_rule == "different"


def _noise_dots(made, step):
    never = (made.signal.values == 0).all(2)
    return step[never]


def test_directions_and_speeds():
    made = generate("random_dots", directions=[30.0, 90.0], speeds=[1.5], trials=50)
    assert set(made.direction.values.round(6).flat) == {30, 90}
    np.testing.assert_allclose(made.speed, 1.5)
    up = made.velocity_vy.values[made.direction.values.round(6) == 90]
    np.testing.assert_allclose(up, -1.5)
    default = generate("random_dots", trials=60)
    assert set(zip(default.velocity_vy.values.flat, default.velocity_vx.values.flat, strict=True)) == {
        (0, 1), (-1, 0), (0, -1), (1, 0)
    }  # fmt: skip


def test_a_sweep_of_dots_knows_what_was_trained():
    sweep = generate("random_dots", "sweep", trials=1)
    known = abs(sweep.velocity_vy.values) + abs(sweep.velocity_vx.values) == 1
    np.testing.assert_array_equal(sweep.trained.values == 1, known[:, 0])


def test_dots_are_drawn_where_they_are():
    made = generate("random_dots", trials=5, density=0.05)
    for trial, t in np.ndindex(5, 12):
        frame = np.zeros((16, 16))
        frame[
            made.position_y[trial, :, t].values.astype(int), made.position_x[trial, :, t].values.astype(int)
        ] = 1
        np.testing.assert_array_equal(made.frames[trial, t], frame)
    large = generate("random_dots", trials=5, density=0.05, dot_size=2).frames.values
    expected = np.maximum.reduce([np.roll(made.frames.values, s, (-2, -1)) for s in np.ndindex(2, 2)])
    np.testing.assert_array_equal(large, expected)
    for rule in (
        {"directions": [45.0]},
        {"noise_rule": "walk", "coherence": 0.5},
    ):  # all dots alike, in all splits
        for split in ("train", "sweep"):
            place = generate("random_dots", split, trials=5, **rule).position_y.values % 1
            assert (place.reshape(-1) > 0).mean() > 0.99
    between = generate("random_dots", trials=5, density=0.004, directions=[45.0], speeds=[1.0])
    assert between.sizes["dot"] == 1
    np.testing.assert_allclose(between.frames.sum(("y", "x")), 1, rtol=1e-5)


def test_dots_live_as_long_as_they_should():
    made = generate("random_dots", dot_life=4, speeds=[1], trials=100, frames=13)
    step, velocity = motion(made, 16)
    stays = np.isclose(step, velocity, atol=1e-4).all(-1)
    signal = made.signal.values[:, :, :-1] == 1
    assert stays[signal].all()
    assert stays[~signal].mean() < 0.02, "but by chance, a dot that dies makes no step"
    assert stays.mean() == pytest.approx(0.75, abs=0.02)
    births = ~stays.reshape(-1, stays.shape[2])
    gaps = np.concatenate([np.diff(np.flatnonzero(b)) for b in births])
    assert np.median(gaps) == 4
    immortal = generate("random_dots", trials=20)
    assert np.isclose(*np.broadcast_arrays(*motion(immortal, 16)), atol=1e-4).all()


def test_lists_of_dots_must_not_be_empty():
    with pytest.raises(InputError, match="at least one of directions and of speeds; got an empty list"):
        generate("random_dots", speeds=[])
    with pytest.raises(InputError, match="at least one of the motions translation, .*; got an empty list"):
        generate("optic_flow", motions=[])
    with pytest.raises(InputError, match="by expansion needs a scene with depth; got depth 1"):
        generate("optic_flow", depth=1.0)
    assert generate("optic_flow", depth=1.0, motions=["rotation"]).frames.size


def flow(**spec):
    """From the middle: places and steps (dot, 2) of the dots that were not born at the end of the step, and
    depths.
    """
    made = generate("optic_flow", trials=40, frames=5, **spec)
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
    sweep = generate("optic_flow", "sweep", trials=1)
    inside = (abs(sweep.velocity_vy) <= 1) & (abs(sweep.velocity_vx) <= 1)
    np.testing.assert_array_equal(sweep.trained, inside[:, 0])
    assert not generate("optic_flow", "sweep", trials=1, motions=["rotation"]).trained.any()


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
    made = generate("optic_flow", trials=300)
    assert set(made.motion.values.flat) == {0, 1, 2, 3}
    assert (made.position_y >= 0).all()
    assert (made.position_y <= 23).all()
    assert ((made.depth >= 1) & (made.depth <= 3)).all()
    assert not generate("optic_flow", "probe").velocity_vx.values[::2].any()
