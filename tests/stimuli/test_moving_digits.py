"""Frames of moving digits are what their labels, positions, velocities and settings say."""

import numpy as np
import pytest
import torch

from flowsim import Flow, InputError, Translation
from flowsim.scenes.sources.digits import digits, pixels
from stimuli import (
    moving_digits,
)


def generate(split="test", seed=0, **spec):
    return moving_digits.generate(split, np.random.default_rng(seed), **spec)


def test_frames_follow_from_the_coordinates():
    """Every trial drawn again, pixel by pixel, from its labels, positions and velocities alone."""
    made = generate("test", trials=3, frames=5, height=11, width=9, max_speed=3, objects=3)
    source = digits("test")
    for trial in range(3):
        for t in range(5):
            frame = np.zeros((11, 9))
            for obj in range(3):
                one = made.isel(trial=trial, object=obj)
                picture = source.pixels[list(source.number).index(int(one.image))]
                assert int(one.label) == source.labels[list(source.number).index(int(one.image))]
                for (i, j), value in np.ndenumerate(picture):
                    y = (int(one.position_y) + t * int(one.velocity_vy) + i) % 11
                    x = (int(one.position_x) + t * int(one.velocity_vx) + j) % 9
                    frame[y, x] = max(frame[y, x], value)
            np.testing.assert_array_equal(made.frames.values[trial, t], frame.astype(np.float32))


def test_velocities_of_each_split():
    train = generate("train", trials=300, max_speed=1)
    assert set(np.unique(train.velocity_vy)) == {-1, 0, 1}
    sweep = generate("sweep", trials=2, max_speed=1, sweep_speed=2)
    swept = list(zip(sweep.velocity_vy.values[:, 0], sweep.velocity_vx.values[:, 0], strict=True))
    assert len(swept) == 50
    assert all(swept.count(v) == 2 for v in swept)
    assert abs(sweep.velocity_vy.values[:, 1]).max() == 1
    probe = generate("probe", trials=6)
    assert not probe.velocity_vy.values[::2].any()
    assert probe.velocity_vy.values[1::2].any()


def test_digits_must_fit():
    with pytest.raises(InputError, match="frames of at least 8x8 px; got 7x16"):
        moving_digits.generate("train", np.random.default_rng(0), height=7)


def test_velocities_from_a_list():
    made = generate(velocities=[(0, 2), (-1, 1)], trials=40)
    drawn = {*zip(made.velocity_vy.values.flat, made.velocity_vx.values.flat, strict=True)}
    assert drawn == {(0, 2), (-1, 1)}
    sweep = generate("sweep", velocities=[(0, 2), (-1, 1)], trials=2, sweep_speed=2)
    swept = np.stack([sweep.velocity_vy[:, 0], sweep.velocity_vx[:, 0]], -1)
    np.testing.assert_array_equal(sweep.trained, [tuple(v) in drawn for v in swept])
    assert sweep.trained.values.sum() == 4


def test_labels_choose_the_digits():
    made = generate("probe", labels=[0, 7], trials=60)
    assert {*made.label.values.flat} == {0, 7}
    every = digits("probe")
    np.testing.assert_array_equal(every.labels[np.searchsorted(every.number, made.image)], made.label)
    assert (np.bincount(made.label[::2, 0]) == [15, *[0] * 6, 15]).all()  # of those at rest
    assert len(np.unique(made.image[:, 0])) == 60
    with pytest.raises(InputError, match=r"labels from 0 to 9; got labels \[3, 10\]"):
        generate(labels=[3, 10])


@pytest.mark.parametrize("labels", [[0, 7], [0, 1, 2, 3, 4]])
def test_labels_of_a_sweep_are_balanced_at_each_velocity(labels):
    made = generate("sweep", labels=labels, trials=2 * len(labels)).isel(object=0)
    velocity = np.stack([made.velocity_vy, made.velocity_vx], -1)
    for at in np.unique(velocity, axis=0):
        shown = made.label.values[(velocity == at).all(-1)]
        assert np.bincount(shown)[labels].tolist() == [2] * len(labels)
    few = generate("sweep", labels=labels, trials=1).isel(object=0)
    assert {*few.label.values} == {*labels}


def test_real_velocities_are_band_limited_shifts():
    made = generate(velocities="real", max_speed=2, objects=1, trials=6, height=15, width=17)
    assert (made.velocity_vy.values % 1).all()
    for trial in range(6):
        one = made.isel(trial=trial, object=0)
        still = torch.zeros(15, 17)
        still[:8, :8] = torch.from_numpy(pixels("bundled", one.image.values))
        for t in range(4):
            where = tuple(float(one[f"position_{c}"] + t * one[f"velocity_v{c}"]) for c in "yx")
            expected = Flow(Translation(), where).act(still).clamp(0, 1)
            np.testing.assert_allclose(made.frames[trial, t], expected, atol=1e-5)


def test_overlap_contrast_occluder_and_noise():
    plain, summed, over = (generate(overlap=rule, objects=3).frames.values for rule in ("max", "sum", "over"))
    assert (summed >= plain - 1e-6).all()
    assert (summed > plain).any()
    assert (over <= summed + 1e-6).all()
    assert (over < summed - 0.01).any()
    np.testing.assert_allclose(generate(objects=3, contrast=0.5).frames, plain / 2)
    bar = generate(objects=3, occluder=4).frames.values
    assert (bar[..., 6:10] == 0.5).all()
    np.testing.assert_array_equal(np.delete(bar, range(6, 10), -1), np.delete(plain, range(6, 10), -1))
    noisy = generate(objects=3, contrast=0.5, noise=0.1).frames.values - plain / 2
    inside = noisy[(plain > 0.6) & (plain < 1)]
    assert inside.std() == pytest.approx(0.1, rel=0.03)
    assert abs(np.corrcoef(noisy[:, 0].flat, noisy[:, 1].flat)[0, 1]) < 0.1, "noise is new in each frame"


def placed(made):
    for obj in range(2):
        one = made.isel(trial=0, object=obj)
        yield pixels("bundled", one.image.values), (int(one.position_y), int(one.position_x))


def test_overlap_over_hides_what_lies_below():
    made = generate(overlap="over", trials=1, frames=1, height=8, width=8)
    below, above = (np.roll(image, shift, (0, 1)) for image, shift in placed(made))
    np.testing.assert_allclose(made.frames[0, 0], above + (1 - above) * below, atol=1e-6)


def test_the_tracked_object_stands_still():
    """Frames are those of the same world carried back along the motion of object 0."""
    world, tracked = (
        moving_digits.generate(
            "test", np.random.default_rng(0), trials=5, frames=4, height=9, width=10, max_speed=2, tracked=t
        )
        for t in (False, True)
    )
    assert not tracked.velocity_vy[:, 0].any()
    assert not tracked.velocity_vx[:, 0].any()
    assert tracked.velocity_vx[:, 1].any()
    for trial in range(5):
        flow = Flow(Translation(), (float(world.velocity_vy[trial, 0]), float(world.velocity_vx[trial, 0])))
        for time in range(4):
            carried_back = flow.act(torch.from_numpy(world.frames[trial, time].values), -time)
            np.testing.assert_array_equal(tracked.frames[trial, time], carried_back)


def test_a_sweep_cannot_be_tracked():
    with pytest.raises(InputError, match="object 0 visits every velocity; it cannot be tracked as well"):
        moving_digits.generate("sweep", np.random.default_rng(0), trials=1, tracked=True)


def test_hidden_is_the_share_of_the_ink_behind_the_occluder():
    """Counted in the frames: what of the digit is not where it would be without an occluder."""
    size = {"objects": 1, "trials": 6, "frames": 9, "height": 10, "width": 12}
    without = moving_digits.generate("test", np.random.default_rng(0), **size)
    made = moving_digits.generate("test", np.random.default_rng(0), occluder=5, **size)
    seen = without.frames.values
    np.testing.assert_allclose(
        made.hidden.values[:, 0], seen[..., 3:8].sum((-2, -1)) / seen.sum((-2, -1)), rtol=1e-5
    )
    assert "hidden" not in without.coords
    assert 0 < made.hidden.values.mean() < 1
