"""Dots do what the coordinates and the rules say."""

import numpy as np
import pytest

from flowsim import InputError
from stimuli import (
    random_dots,
)


def generate(split="test", seed=0, **spec):
    return random_dots.generate(split, np.random.default_rng(seed), **spec)


def motion(made, size):
    """Steps (trial, dot, step, 2) on a torus, and the velocity of the signal (trial, 1, 1, 2)."""
    place = np.stack([made.position_y, made.position_x], -1)
    step = (np.diff(place, axis=2) + size / 2) % size - size / 2
    return step, np.stack([made.velocity_vy, made.velocity_vx], -1)[:, :, None]


@pytest.mark.parametrize("signal_rule", ["same", "different"])
@pytest.mark.parametrize("noise_rule", ["position", "walk", "direction"])
def test_coherence_is_the_share_that_moves_with_the_signal(signal_rule, noise_rule):
    made = generate(coherence=0.4, signal_rule=signal_rule, noise_rule=noise_rule, speeds=[2])
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
        same = [np.ptp(d, axis=0).max() < 1e-3 for d in noise_dots(made, step)] or [False]
        assert all(same) == (noise_rule == "direction") or signal_rule == "different"


def noise_dots(made, step):
    never = (made.signal.values == 0).all(2)
    return step[never]


def test_directions_and_speeds():
    made = generate(directions=[30.0, 90.0], speeds=[1.5], trials=50)
    assert set(made.direction.values.round(6).flat) == {30, 90}
    np.testing.assert_allclose(made.speed, 1.5)
    up = made.velocity_vy.values[made.direction.values.round(6) == 90]
    np.testing.assert_allclose(up, -1.5)
    default = generate(trials=60)
    assert set(zip(default.velocity_vy.values.flat, default.velocity_vx.values.flat, strict=True)) == {
        (0, 1),
        (-1, 0),
        (0, -1),
        (1, 0),
    }


def test_a_sweep_of_dots_knows_what_was_trained():
    sweep = generate("sweep", trials=1)
    known = abs(sweep.velocity_vy.values) + abs(sweep.velocity_vx.values) == 1
    np.testing.assert_array_equal(sweep.trained.values == 1, known[:, 0])


def test_dots_are_drawn_where_they_are():
    made = generate(trials=5, density=0.05)
    for trial, t in np.ndindex(5, 12):
        frame = np.zeros((16, 16))
        frame[
            made.position_y[trial, :, t].values.astype(int), made.position_x[trial, :, t].values.astype(int)
        ] = 1
        np.testing.assert_array_equal(made.frames[trial, t], frame)
    large = generate(trials=5, density=0.05, dot_size=2).frames.values
    expected = np.maximum.reduce([np.roll(made.frames.values, s, (-2, -1)) for s in np.ndindex(2, 2)])
    np.testing.assert_array_equal(large, expected)
    for rule in (
        {"directions": [45.0]},
        {"noise_rule": "walk", "coherence": 0.5},
    ):  # all dots alike, in all splits
        for split in ("train", "sweep"):
            place = generate(split, trials=5, **rule).position_y.values % 1
            assert (place.reshape(-1) > 0).mean() > 0.99
    between = generate(trials=5, density=0.004, directions=[45.0], speeds=[1.0])
    assert between.sizes["dot"] == 1
    np.testing.assert_allclose(between.frames.sum(("y", "x")), 1, rtol=1e-5)


def test_dots_live_as_long_as_they_should():
    made = generate(dot_life=4, speeds=[1], trials=100, frames=13)
    step, velocity = motion(made, 16)
    stays = np.isclose(step, velocity, atol=1e-4).all(-1)
    signal = made.signal.values[:, :, :-1] == 1
    assert stays[signal].all()
    assert stays[~signal].mean() < 0.02, "but by chance, a dot that dies makes no step"
    assert stays.mean() == pytest.approx(0.75, abs=0.02)
    births = ~stays.reshape(-1, stays.shape[2])
    gaps = np.concatenate([np.diff(np.flatnonzero(b)) for b in births])
    assert np.median(gaps) == 4
    immortal = generate(trials=20)
    assert np.isclose(*np.broadcast_arrays(*motion(immortal, 16)), atol=1e-4).all()


def test_lists_of_dots_must_not_be_empty():
    with pytest.raises(InputError, match=r"speeds: input should be a list of at least 1; got \[\]"):
        generate(speeds=[])


@pytest.mark.parametrize(("coherence", "share"), [(0.5, 10 / 20), (0.33, 7 / 20), (0.0, 0.0), (1.0, 1.0)])
def test_the_coherence_that_is_said_is_that_of_the_dots(coherence, share):
    made = random_dots.generate(
        "test", np.random.default_rng(0), coherence=coherence, density=20 / 256, trials=3, frames=3
    )
    np.testing.assert_allclose(made.coherence, share)
    np.testing.assert_allclose(made.signal.mean(("dot", "time")), share)
