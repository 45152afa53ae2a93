"""Persons are drawn as what they are, act at their own pace, and a camera moves them exactly."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from flowsim import InputError
from flowsim.scenes.human_actions import ACTIONS, TABLE
from flowsim.scenes.human_body import (
    BONES,
    HABITS,
    JOINTS,
    POINTS,
    habits,
)
from flowsim.scenes.scene import Scene
from stimuli import moving_actions

CPU = torch.device("cpu")
STYLES = ["stick", "points"]


def generate(split="test", seed=0, **spec):
    return moving_actions.generate(split, np.random.default_rng(seed), **spec)


def scene(**spec):
    return Scene.of(generate(**spec))


def with_values(one, **values):
    return replace(one, values={**one.values, **values})


def render(one):
    return moving_actions.render(one, CPU).numpy()


def test_persons_are_always_the_same_and_all_different():
    own = np.stack(list(habits().values()), 1)
    assert own.shape == (25, len(HABITS))
    assert min(abs(own[i] - own[j]).max() for i in range(25) for j in range(i)) > 0.05
    for seed in range(2):
        made = generate(seed=seed, trials=100)
        stature = made.stature.values / 22
        np.testing.assert_array_equal(stature, habits()["stature"][made.person.values - 1])


def test_splits_share_no_person():
    seen = {
        s: set(generate(s, trials=20 if s == "sweep" else 200).person.values.flat)
        for s in ("train", "valid", "test", "sweep", "probe")
    }
    assert seen["train"] == set(range(11, 19))
    assert seen["valid"] == {19, 20, 21, 23, 24, 25, 1, 4}
    assert seen["test"] == seen["sweep"] == seen["probe"] == {22, 2, 3, 5, 6, 7, 8, 9, 10}


@pytest.mark.parametrize("trials", [4, 12, 64])
def test_actions_are_balanced(trials):
    made = generate("train", trials=trials)
    assert np.ptp(np.bincount(made.label.values[:, 0], minlength=6)) <= 1
    sweep = generate("sweep", trials=trials, sweep_speed=1)
    assert np.ptp(np.bincount(sweep.label.values[:, 0], minlength=6)) <= 1
    table = sweep.label.values.reshape(trials, 9)
    assert all(np.ptp(np.bincount(labels, minlength=6)) <= 1 for labels in table.T)
    assert made.label.attrs["flag_meanings"].split() == list(ACTIONS)


def test_velocities_of_each_split():
    train = generate("train", trials=300, max_speed=2)
    assert set(np.unique(train.velocity_vy)) == set(np.unique(train.velocity_vx)) == {-2, -1, 0, 1, 2}
    sweep = generate("sweep", trials=2)
    swept = list(zip(sweep.velocity_vy.values[:, 0], sweep.velocity_vx.values[:, 0], strict=True))
    assert len(swept) == 50
    assert all(swept.count(v) == 2 for v in swept)
    assert [bool(t) for t in sweep.trained] == [max(map(abs, v)) <= 1 for v in swept]
    probe = generate("probe", trials=20)
    assert not probe.velocity_vy.values[::2].any()
    assert probe.velocity_vy.values[1::2].any()


@pytest.mark.parametrize("style", STYLES)
def test_the_camera_rolls_frames_exactly(style):
    moving = scene(style=style, trials=12, max_speed=3, frames=6, height=33, width=36)
    still = render(
        with_values(moving, velocity_vy=0 * moving["velocity_vy"], velocity_vx=0 * moving["velocity_vx"])
    )
    frames = render(moving)
    assert not np.array_equal(frames, still)
    for trial in range(12):
        for t in range(6):
            by = t * moving["velocity_vy"][trial, 0], t * moving["velocity_vx"][trial, 0]
            np.testing.assert_array_equal(frames[trial, t], np.roll(still[trial, t], by, (0, 1)))


@pytest.mark.parametrize("style", STYLES)
def test_facing_left_is_the_mirror_image_of_facing_right(style):
    right = scene(style=style, trials=18, max_speed=0)
    right = with_values(right, facing=np.ones_like(right["facing"]))
    left = with_values(right, facing=-right["facing"], position_x=31 - right["position_x"])
    np.testing.assert_allclose(render(left), render(right)[..., ::-1], atol=1e-5)
    assert abs(render(right) - render(right)[..., ::-1]).max() > 0.9


def test_position_is_that_of_the_hips_and_the_frame_is_a_torus():
    made = scene(trials=12, max_speed=0)
    hips = moving_actions.joints(made)[:, 0, JOINTS.index("pelvis")]
    np.testing.assert_allclose(hips, np.concatenate([made["position_y"], made["position_x"]], 1))
    shifted = with_values(made, position_y=made["position_y"] + 7, position_x=made["position_x"] - 40)
    np.testing.assert_allclose(render(shifted), np.roll(render(made), (7, -8), (2, 3)), atol=1e-4)


@pytest.mark.parametrize("style", STYLES)
def test_what_is_drawn_is_where_the_joints_are(style):
    made = scene(style=style, trials=12, max_speed=0, frames=4)
    frames, joints = render(made), moving_actions.joints(made)
    ink = np.zeros_like(frames, dtype=bool)
    bones = BONES if style == "stick" else [(point, point) for point in POINTS]
    for start, end in bones:
        for share in np.linspace(0, 1, 15):
            at = (1 - share) * joints[:, :, JOINTS.index(start)] + share * joints[:, :, JOINTS.index(end)]
            y, x = (at.round().astype(int) % 32)[..., 0], (at.round().astype(int) % 32)[..., 1]
            trial, time = np.indices(y.shape)
            assert frames[trial, time, y, x].min() > 0.25
            for dy in range(-2, 3):
                for dx in range(-2, 3):
                    ink[trial, time, (y + dy) % 32, (x + dx) % 32] = True
    assert not frames[~ink].any(), "nothing else is"
    assert len(POINTS) == 13


def test_styles_show_the_same_trials():
    stick, points = (generate(style=style, trials=12) for style in STYLES)
    assert all(np.array_equal(stick[name], points[name]) for name in stick.coords)
    lit, drawn = (made.frames.values > 0.5 for made in (points, stick))
    assert lit.sum() < 0.5 * drawn.sum()


def test_cadence_can_be_read_from_the_frames():
    """By how wide the figure is, twice per cycle where right and left move by turns; who waves, by where its
    ink is.
    """
    made = scene(trials=60, frames=128, max_speed=0, travel=0.0)
    middle = np.full_like(made["position_x"], 15.5)
    frames = render(with_values(made, position_y=middle, position_x=middle))
    ink = frames / frames.sum((2, 3), keepdims=True)
    middle_y, middle_x = (ink.sum(axis) @ np.arange(32) for axis in (3, 2))
    width = (ink.sum(2) * (np.arange(32) - middle_x[..., None]) ** 2).sum(-1) ** 0.5
    for trial, label in enumerate(made["label"][:, 0]):
        action = TABLE[ACTIONS[label]]
        seen = (middle_y if ACTIONS[label] == "waving" else width)[trial]
        read = abs(np.fft.rfft(seen - seen.mean())).argmax() / 128 / (1 if action.frontal else 2)
        assert read == pytest.approx(made["cadence"][trial, 0], abs=1 / 128)
        assert 0.85 < read / (action.frequency / 12.5) < 1.15
    np.testing.assert_allclose(scene(trials=60, rate=25.0)["cadence"], made["cadence"] / 2)


def test_people_cross_the_frame_at_their_own_speed():
    made = generate(trials=60, max_speed=0, frames=17)
    label, facing, speed = (made[name].values[:, 0] for name in ("label", "facing", "speed"))
    # the frame's first mode along x turns as the figure moves: its phase is followed over one px after the
    # other
    phase = np.unwrap(np.angle(np.fft.fft(made.frames.values.sum(2), axis=-1)[..., 1]), axis=1)
    moved = -(phase[:, -1] - phase[:, 0]) * 32 / (2 * np.pi)
    np.testing.assert_allclose(moved, 16 * facing * speed, atol=3.5)
    metres = speed / made.stature.values[:, 0] * 1.75 * 12.5
    for action, (least, most) in {
        "walking": (1.0, 1.7),
        "jogging": (2.1, 3.4),
        "running": (3.1, 4.9),
    }.items():
        own = metres[label == ACTIONS.index(action)]
        assert least < own.min()
        assert own.max() < most
    assert not speed[label < 3].any()
    np.testing.assert_allclose(generate(trials=60, travel=0.25).speed, 0.25 * speed[:, None])


def spectra(frames):
    """What does not depend on where things are: amplitudes of low spatial frequencies, means over time."""
    amplitude = abs(np.fft.rfft2(frames))[..., :8]
    return np.concatenate([amplitude[:, :, :8], amplitude[:, :, -7:]], 2).mean(1).reshape(len(frames), -1)


@pytest.mark.parametrize("style", STYLES)
def test_a_linear_classifier_tells_actions_across_persons(style):
    """1.0 of 180 trials of persons never seen; chance is 0.17."""
    known, novel = (
        generate(s, trials=n, style=style, max_speed=0) for s, n in (("train", 240), ("test", 180))
    )
    label, truth = known.label.values[:, 0], novel.label.values[:, 0]
    features = spectra(known.frames.values), spectra(novel.frames.values)

    def accuracy(labels):
        classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=200))
        return classifier.fit(features[0], labels).score(features[1], truth)

    assert accuracy(label) > 0.9
    assert accuracy(np.random.default_rng(0).permutation(label)) < 0.35


def test_who_does_not_fit_is_refused():
    with pytest.raises(
        InputError, match="frames of at least 30 px in height and width for persons of 22 px .*; got 32x29"
    ):
        generate(width=29)
    assert generate(width=30, trials=2).sizes["x"] == 30
    with pytest.raises(InputError, match="unknown split 'holdout'; expected one of: train, valid"):
        generate("holdout")
