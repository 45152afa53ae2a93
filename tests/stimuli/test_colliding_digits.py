"""Digits bounce off each other without overlap, and keep energy and momentum."""

import numpy as np
import pytest

from flowsim import InputError
from flowsim.scenes.sources.digits import digits
from stimuli import (
    colliding_digits,
)

SMALL = {"trials": 3, "frames": 5}


def generate(split, seed=0, **spec):
    return colliding_digits.generate(split, np.random.default_rng(seed), **{**SMALL, **spec})


def motion(made):
    """Positions and velocities (trial, object, time, 2)."""
    return (
        np.stack([made[f"{n}_{c}y"], made[f"{n}_{c}x"]], -1) for n, c in (("position", ""), ("velocity", "v"))
    )


def test_collisions_conserve_energy_and_momentum():
    made = generate("test", trials=200, frames=30, objects=3, height=28, width=26, max_speed=2)
    _, v = motion(made)
    energy, momentum = (v**2).sum((1, 3)), v.sum(1)
    np.testing.assert_array_equal(energy, np.broadcast_to(energy[:, :1], energy.shape))
    np.testing.assert_array_equal(momentum, np.broadcast_to(momentum[:, :1], momentum.shape))
    assert (np.diff(v, axis=2) != 0).any((1, 2, 3)).mean() > 0.5, "hardly anything collides"


def test_colliding_digits_do_not_overlap_and_move_as_they_say():
    made = generate("test", trials=300, frames=40, max_speed=2, height=24, width=23)
    p, v = motion(made)
    size = np.array([24, 23])
    np.testing.assert_array_equal((p[:, :, :-1] + v[:, :, :-1]) % size, p[:, :, 1:])
    source, touched = digits("test"), 0
    for trial in range(100):
        bodies = []
        for obj in range(2):
            rows, columns = np.nonzero(
                source.pixels[list(source.number).index(int(made.image[trial, obj]))] >= 0.25
            )
            body = np.zeros((8, 8), bool)
            body[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = True
            bodies.append(np.argwhere(body))
        for t in range(40):
            first, second = ({tuple(c) for c in (b + p[trial, o, t]) % size} for o, b in enumerate(bodies))
            assert not first & second
            if t and (v[trial, :, t] != v[trial, :, t - 1]).any():
                ahead = [
                    {tuple(c) for c in (b + p[trial, o, t] + v[trial, o, t - 1]) % size}
                    for o, b in enumerate(bodies)
                ]
                assert ahead[0] & ahead[1], "bounced without need"
                touched += 1
    assert touched > 30


def test_digits_that_move_along_x_only():
    made = generate("sweep", trials=20, frames=30, along="x", height=8, width=21)
    _, v = motion(made)
    assert made.sizes["trial"] == 5 * 20
    assert not v[..., 0].any()
    assert set(v[:, 0, 0, 1]) <= {-2, -1, 0, 1, 2}
    assert (v.sum(1) == v.sum(1)[:, :1]).all()
    assert (np.diff(v, axis=2) != 0).any((1, 2, 3)).mean() > 0.6, "they meet often"


def test_digits_too_fast_to_meet_are_refused():
    with pytest.raises(
        InputError, match="2 px would pass through each other .* add up to 6 px/frame; .* at most 4"
    ):
        generate("train", height=40, width=40, max_speed=3)


def test_walls_reflect():
    p, v = motion(generate("test", trials=100, frames=40, max_speed=1, walls=True))
    assert p.min() == 0
    assert p.max() == 14
    np.testing.assert_array_equal(p[:, :, :-1] + v[:, :, :-1], p[:, :, 1:])
    energy = (v**2).sum((1, 3))
    np.testing.assert_array_equal(energy, np.broadcast_to(energy[:, :1], energy.shape))
    assert (v.sum(1)[:, 0] != v.sum(1)[:, -1]).any()


def test_frames_of_colliding_digits_follow_from_the_coordinates():
    made = generate("test", trials=3, frames=12)
    source = digits("test")
    for trial in range(3):
        for t in range(12):
            frame = np.zeros((22, 22), np.float32)
            for obj in range(2):
                one = made.isel(trial=trial, object=obj)
                picture = source.pixels[list(source.number).index(int(one.image))]
                for (i, j), value in np.ndenumerate(picture):
                    y, x = (int(one.position_y[t]) + i) % 22, (int(one.position_x[t]) + j) % 22
                    frame[y, x] = max(frame[y, x], value)
            np.testing.assert_array_equal(made.frames.values[trial, t], frame)


def test_colliding_digits_must_fit():
    with pytest.raises(InputError, match="frames of at least 19x19 px, .*; got 15x22"):
        generate("train", height=15)
    with pytest.raises(InputError, match="9 digits do not fit side by side"):
        generate("train", height=19, width=19, objects=9)
