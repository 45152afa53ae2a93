"""Copies of what moves as they assume are exact; of what does not, they are as wrong as theory says."""

import numpy as np
import pytest
import torch
import xarray as xr

from flowsim import Flow, InputError, Rotation
from flowsim.measures import moved_copies

AHEAD = np.arange(1, 5)


def moving(rng, velocities, frames=10, size=(12, 10), side=3, trials=6):
    """Bright squares of noise on black, each at its velocity, the brighter one in front (trial, time, y, x)."""
    layers = np.zeros((trials, len(velocities), *size))
    for trial, layer in np.ndindex(layers.shape[:2]):
        top, left = rng.integers(size[0] - side), rng.integers(size[1] - side)
        layers[trial, layer, top : top + side, left : left + side] = rng.uniform(0.2, 1, (side, side))
    times = [
        np.max(
            [np.roll(layers[:, i], (t * vy, t * vx), (-2, -1)) for i, (vy, vx) in enumerate(velocities)], 0
        )
        for t in range(frames)
    ]
    return np.stack(times, 1)


def as_velocities(velocities, trials=6):
    return np.tile(np.array(velocities, float), (trials, 1, 1))


@pytest.mark.parametrize("velocity", [(0, 0), (1, -2), (-3, 4)])
def test_one_object_is_found_and_copied_exactly(velocity):
    movie = moving(np.random.default_rng(0), [velocity])
    seen, to_come = movie[:, :6], movie[:, 6:]
    estimated = moved_copies.estimated_velocities(seen)
    np.testing.assert_array_equal(estimated, as_velocities([velocity]))
    copies = moved_copies.moved_copies(seen[:, -1:], estimated, AHEAD)
    np.testing.assert_array_equal(copies, to_come)


def test_two_objects_need_a_layer_each():
    velocities = [(2, 1), (-1, 3)]
    movie = moving(np.random.default_rng(1), velocities, side=2)
    seen, to_come = movie[:, :6], movie[:, 6:]
    true = as_velocities(velocities)
    apart = moved_copies.moved_copies(moved_copies.layers(seen, true), true, AHEAD)
    np.testing.assert_allclose(apart, to_come, atol=1e-12)
    for one in (true[:, :1], true[:, 1:]):
        together = moved_copies.moved_copies(seen[:, -1:], one, AHEAD)
        assert ((together - to_come) ** 2).mean() > 0.01


def test_most_pairs_of_velocities_are_found():
    """Two peaks interfere, so that not all are."""
    velocities = {(2, 1), (-1, 3)}
    movie = moving(np.random.default_rng(1), [*velocities], trials=100, size=(16, 16))
    estimated = moved_copies.estimated_velocities(movie, objects=2)
    assert np.mean([{tuple(v) for v in pair} == velocities for pair in estimated]) > 0.6


def test_a_wrong_velocity_is_no_better_than_none():
    movie = moving(np.random.default_rng(2), [(1, 0)])
    seen, to_come = movie[:, :6], movie[:, 6:]
    last = ((seen[:, -1:] - to_come) ** 2).mean()
    wrong = moved_copies.moved_copies(seen[:, -1:], as_velocities([(-1, 0)]), AHEAD)
    assert ((wrong - to_come) ** 2).mean() > 0.9 * last


def test_noise_is_copied_as_noise():
    """Independent values of variance s^2: the squared error of a copy is 2 s^2."""
    seen, to_come = np.random.default_rng(3).standard_normal((2, 200, 4, 8, 8))
    copies = moved_copies.moved_copies(seen[:, -1:], moved_copies.estimated_velocities(seen), AHEAD)
    assert ((copies - to_come) ** 2).mean() == pytest.approx(2, rel=0.05)


def test_parts_of_a_pixel():
    y, x = np.mgrid[:16, :16] * 2 * np.pi / 16

    def wave(t):
        return np.sin(y - 2 * np.pi * 0.25 * t / 16) + np.cos(2 * x + 2 * np.pi * 2 * 0.5 * t / 16)

    last = wave(0)[None, None]
    copies = moved_copies.moved_copies(last, np.array([[[0.25, -0.5]]]), AHEAD)
    np.testing.assert_allclose(copies[0], [wave(k) for k in AHEAD], atol=1e-9)


def test_a_blank_frame_does_not_move():
    np.testing.assert_array_equal(moved_copies.estimated_velocities(np.ones((1, 2, 5, 5))), 0)


def test_one_frame_has_no_velocity():
    with pytest.raises(InputError, match="estimated from two frames; got 1"):
        moved_copies.estimated_velocities(np.zeros((1, 1, 5, 5)))


def recording(movie, context=6, **velocities):
    """A recording of a movie (flow, trial, time, y, x) of objects at velocities (trial, object)."""
    made = xr.Dataset({"frames": (moved_copies.FRAME, movie)}, {"time": np.arange(movie.shape[2])})
    truth = {f"object_velocity_{name}": (("trial", "object"), value) for name, value in velocities.items()}
    return made.assign_coords(truth).assign_attrs(context=context)


def error(made, name):
    copies = moved_copies.copies_of(made)
    return float(((copies[name] - made.frames.isel(time=slice(6, None)).values) ** 2).mean())


def test_the_copies_of_a_recording():
    velocities = [(2, 1), (-1, 3)]
    movie = moving(np.random.default_rng(1), velocities, side=2)
    vy, vx = np.tile(np.array(velocities, float), (6, 1, 1)).transpose(2, 0, 1)
    made = recording(movie[None], vy=vy, vx=vx)
    copies = moved_copies.copies_of(made)
    assert list(copies) == [
        "moved copy (estimated velocity)",
        "layers (estimated velocities)",
        "moved copy (true velocity)",
        "layers (true velocities)",
    ]
    assert copies["layers (true velocities)"].ahead.values.tolist() == [1, 2, 3, 4]
    assert error(made, "layers (true velocities)") < 1e-20
    assert error(made, "moved copy (true velocity)") > 0.01


def test_a_flow_adds_its_velocity():
    movie = moving(np.random.default_rng(3), [(1, 1)])
    moved = moving(np.random.default_rng(3), [(1, -1)])
    made = recording(np.stack([movie, moved]), vy=np.ones((6, 1)), vx=np.ones((6, 1)))
    made = made.assign_coords(flow_vy=("flow", [0, 0]), flow_vx=("flow", [0, -2]))
    assert list(moved_copies.copies_of(made)) == [
        "moved copy (estimated velocity)",
        "moved copy (true velocity)",
    ]
    assert error(made, "moved copy (true velocity)") < 1e-20


def test_turning_is_copied_as_turning():
    frame = np.zeros((15, 15))
    frame[5:9, 7:12] = 1
    flow = Flow(Rotation(), (90,))
    movie = np.stack([flow.act(torch.from_numpy(frame), t).numpy() for t in range(9)])[None, None]
    made = recording(movie, omega=np.full((1, 1), 90.0))
    assert error(made, "moved copy (true velocity)") < 1e-20
    assert error(made, "moved copy (estimated velocity)") > 0.01


@pytest.mark.parametrize("why", ["changes", "unknown", "another motion", "observer", "missing"])
def test_without_a_true_velocity_it_is_estimated_alone(why):
    movie = moving(np.random.default_rng(4), [(1, 0)])
    made = recording(movie[None], vy=np.ones((6, 1)), vx=np.zeros((6, 1)))
    if why == "changes":
        varied = made.object_velocity_vy.expand_dims(time=made.time).transpose("trial", "object", "time")
        made = made.assign_coords(object_velocity_vy=varied)
    if why == "unknown":
        made = made.drop_vars(["object_velocity_vy", "object_velocity_vx"])
    if why == "another motion":
        made = made.assign_coords(object_velocity_omega=(("trial", "object"), np.ones((6, 1))))
    if why == "observer":
        made = made.assign_coords(observer_y=("time", made.time.values))
    if why == "missing":
        made = made.assign_coords(object_velocity_vy=made.object_velocity_vy.where(made.trial != 0))
    assert list(moved_copies.copies_of(made)) == ["moved copy (estimated velocity)"]


def test_a_gap_before_the_last_frame_leaves_no_copies():
    made = recording(moving(np.random.default_rng(5), [(1, 0)])[None])
    assert moved_copies.copies_of(made.isel(time=[0, 1, 2, 3, 5, 6])) == {}
    assert list(moved_copies.copies_of(made.isel(time=[0, 4, 5, 6]))) == ["moved copy (estimated velocity)"]
