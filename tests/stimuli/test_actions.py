"""Figures move as people do, are drawn as what they are, and a camera moves them exactly."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from flowsim import InputError
from flowsim.scenes.human_actions import ACTIONS, CURVES, HARMONICS, TABLE, fitted, series
from flowsim.scenes.human_body import BONES, HABITS, JOINTS, PERSONS, POINTS, SEGMENTS, SPAN, figure, habits
from flowsim.scenes.scene import Scene
from flowsim.scenes.sources import kth
from flowsim.scenes.strokes import strokes
from stimuli import moving_actions

CPU = torch.device("cpu")
STYLES = ["stick", "points"]
GAITS = ["jogging", "running", "walking"]
CYCLE = np.arange(100) / 100


def generate(split="test", seed=0, **spec):
    return moving_actions.generate(split, np.random.default_rng(seed), **spec)


def scene(**spec):
    return Scene.of(generate(**spec))


def with_values(one, **values):
    return replace(one, values={**one.values, **values})


def render(one):
    return moving_actions.render(one, CPU).numpy()


def everybody(action, phase=CYCLE):
    """Joints of all persons over one cycle, by name: (person, time, 3) down, forward, right."""
    persons = np.array(PERSONS)
    made = figure(np.full(len(persons), ACTIONS.index(action)), persons, np.tile(phase, (len(persons), 1)))
    return dict(zip(JOINTS, np.moveaxis(made, 2, 0), strict=True))


def forward(joints, start, end):
    """Angle of a segment from hanging down, towards forward, in deg."""
    along = joints[end] - joints[start]
    return np.rad2deg(np.arctan2(along[..., 1], along[..., 0]))


def bend(joints, *chain):
    """Angle between two segments, in deg; 0 where they are in line."""
    first, second = (joints[end] - joints[start] for start, end in (chain[:2], chain[1:]))
    cosine = (first * second).sum(-1) / np.linalg.norm(first, axis=-1) / np.linalg.norm(second, axis=-1)
    return np.rad2deg(np.arccos(cosine.clip(-1, 1)))


def test_labels_and_persons_are_those_of_the_films():
    assert all(own in theirs for own, theirs in zip(ACTIONS, kth.ACTIONS, strict=True))
    assert sorted(p for persons in kth.PERSONS.values() for p in persons) == list(PERSONS)


def test_series_pass_through_their_events():
    for a, action in enumerate(TABLE.values()):
        assert set(action.curves) <= set(CURVES)
        for c, curve in enumerate(CURVES):
            given = action.curves.get(curve, 0)
            for percent, degrees in given if isinstance(given, list) else [(0, given), (37, given)]:
                turns = 2 * np.pi * np.arange(1, HARMONICS + 1) * percent / 100
                value = series()[a, c] @ np.array([1, *np.cos(turns), *np.sin(turns)])
                assert value == pytest.approx(degrees, abs=1.5), (list(TABLE)[a], curve, percent)
    assert fitted([(0, -1), (50, 1)])[1] < -0.9, "nearly a cosine"


@pytest.mark.parametrize(
    ("action", "loaded", "swung", "swung_at", "thigh", "elbow", "lean"),
    [
        ("walking", 18, 62, 73, (-17, 26), (20, 44), 3),
        ("jogging", 42, 88, 66, (-18, 36), (85, 92), 6),
        ("running", 45, 105, 62, (-26, 48), (92, 100), 9),
    ],
)
def test_gaits_have_the_angles_of_people(action, loaded, swung, swung_at, thigh, elbow, lean):
    """Means over persons, as cited in `flowsim.scenes.human_actions`; the knee is measured between the drawn
    segments.
    """
    joints = everybody(action)
    knee = bend(joints, "right_hip", "right_knee", "right_ankle").mean(0)
    assert knee[50:].max() == pytest.approx(swung, abs=3)
    assert knee[50:].argmax() + 50 == pytest.approx(swung_at, abs=3)
    assert knee[5:25].max() == pytest.approx(loaded, abs=3)
    assert knee.min() > 0
    hip = forward(joints, "right_hip", "right_knee").mean(0)
    assert (hip.min(), hip.max()) == pytest.approx(thigh, abs=3)
    bent = bend(joints, "right_shoulder", "right_elbow", "right_wrist").mean(0)
    assert (bent.min(), bent.max()) == pytest.approx(elbow, abs=4)
    assert (180 - forward(joints, "pelvis", "neck")).mean() == pytest.approx(lean, abs=1)


@pytest.mark.parametrize("action", GAITS)
def test_legs_alternate_and_arms_swing_against_them(action):
    joints, later = everybody(action), everybody(action, CYCLE + 0.5)
    right, left = (forward(joints, f"{side}_hip", f"{side}_knee") for side in ("right", "left"))
    np.testing.assert_allclose(left, forward(later, "right_hip", "right_knee"), atol=1e-6)
    assert abs(right - left).max(1).min() > 30
    arm = forward(joints, "right_shoulder", "right_elbow")
    for person in range(len(PERSONS)):
        assert np.corrcoef(arm[person], right[person])[0, 1] < -0.8
        assert np.corrcoef(arm[person], left[person])[0, 1] > 0.8


@pytest.mark.parametrize("action", GAITS)
def test_a_foot_on_the_ground_stays_there(action):
    """Measured by the ankle, which is over the foot for some of the stance; nobody slides by more than 20 %."""
    first, last = {"walking": (12, 40), "jogging": (8, 32), "running": (8, 28)}[action]
    ankle = everybody(action)["right_ankle"]
    back = (ankle[:, first] - ankle[:, last])[:, 1] / (last - first) * 100
    ratio = back / (TABLE[action].stride * habits()["stride"])
    assert ratio.min() > 0.8
    assert ratio.max() < 1.0
    # and its ankle rises by no more than heels do: 2 % of the height in midstance
    assert np.ptp(ankle[:, first : (first + last) // 2, 0], axis=1).max() < 0.05


@pytest.mark.parametrize("action", GAITS)
def test_hips_rise_twice_per_cycle(action):
    height = -everybody(action)["pelvis"][0, :, 0]
    assert np.ptp(height) * 175 == pytest.approx(5 if action == "walking" else 8, abs=0.2), "cm"
    assert abs(np.fft.rfft(height - height.mean())).argmax() == 2
    assert height[:50].argmin() == pytest.approx(4 if action == "walking" else 17, abs=2)


def test_hands_meet_in_claps_and_only_there():
    between = {
        a: np.ptp([everybody(a)[f"{s}_hand"] for s in ("right", "left")], axis=0)
        for a in ("clapping", "waving")
    }
    apart = np.linalg.norm(between["clapping"], axis=-1)
    assert apart.min(1).max() < 0.06, "a hand is 0.1 wide"
    assert apart.max(1).min() > 0.6
    assert np.linalg.norm(between["waving"], axis=-1).min() > 0.1


def test_wavers_reach_from_their_hips_over_their_heads():
    joints = everybody("waving")
    for side in ("right", "left"):
        above = joints["head"][..., 0] - joints[f"{side}_hand"][..., 0]
        assert above.max(1).min() > 0.15
        assert above.min(1).max() < -0.25


def test_boxers_punch_by_turns():
    joints = everybody("boxing")
    elbow = np.stack(
        [bend(joints, *(f"{s}_{j}" for j in ("shoulder", "elbow", "wrist"))) for s in ("right", "left")]
    )
    assert elbow.min(2).max() < 30, "stretched"
    assert elbow.max(2).min() > 110, "on guard"
    assert elbow.max(0).min() > 90, "never both"
    fist = joints["right_hand"] - joints["neck"]
    assert fist[..., 1].argmax(1) == pytest.approx(35, abs=5)
    assert abs(fist[:, 35, 0]).max() < 0.15, "at the height of the shoulders"


@pytest.mark.parametrize("action", ACTIONS)
def test_bones_keep_their_lengths(action):
    joints = everybody(action)
    limbs = {"thigh": ("hip", "knee"), "shank": ("knee", "ankle"), "upper_arm": ("shoulder", "elbow"),
             "forearm": ("elbow", "wrist"), "hand": ("wrist", "hand")}  # fmt: skip
    pairs = {
        name: [f"{side}_{j}" for j in limb] for side in ("right", "left") for name, limb in limbs.items()
    }
    for name, (start, end) in {**pairs, "trunk": ("pelvis", "neck"), "neck": ("neck", "head")}.items():
        length = np.linalg.norm(joints[end] - joints[start], axis=-1)
        assert np.ptp(length, axis=1).max() < 1e-12
        assert length.mean() == pytest.approx(SEGMENTS[name], rel=0.02)
        assert length.max() / SEGMENTS[name] < 1.06


def test_nobody_is_larger_than_said():
    for action in ACTIONS:
        joints = np.stack(list(everybody(action).values()), 2)
        edge = 2 * (1 + HABITS["girth"]) * 0.03  # half the thickness of an arm and of a shank
        assert np.ptp(joints, axis=(1, 2)).max() + edge < SPAN


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


def test_strokes():
    def draw(start, end, radius=0.5, brightness=1.0, shape=(6, 7)):
        ends = (torch.tensor([[e]], dtype=torch.float32) for e in (start, end))
        return strokes(*ends, torch.tensor([radius]), torch.tensor([brightness]), shape, 7.0)[0].numpy()

    line = np.zeros((6, 7))
    line[2, 1:5] = 1
    np.testing.assert_allclose(draw((2, 1), (2, 4)), line, atol=1e-6)
    np.testing.assert_allclose(draw((1, 2), (4, 2), shape=(7, 6)), line.T, atol=1e-6)
    np.testing.assert_allclose(draw((2, 1), (2, 4), brightness=0.5), line / 2, atol=1e-6)
    between = draw((2.5, 1), (2.5, 4))
    np.testing.assert_allclose(between[2:4, 1:5], 0.5, atol=1e-6)
    disc = draw((3, 3), (3, 3), radius=1.0)
    assert disc.sum() == pytest.approx(np.pi, rel=0.15)
    assert disc[3, 3] == 1
    assert disc[3, 4] == disc[2, 3] == pytest.approx(0.5)
    np.testing.assert_allclose(draw((-4, 5), (-4, 8)), np.roll(line, 4, 1), atol=1e-6), "around the edges"
    slant = draw((0.3, 1.2), (4.4, 5.6), radius=0.7)
    np.testing.assert_allclose(draw((4.4, 5.6), (0.3, 1.2), radius=0.7), slant, atol=1e-6)
    two = strokes(torch.tensor([[[2.0, 1.0], [0.0, 3.0]]]), torch.tensor([[[2.0, 4.0], [5.0, 3.0]]]),
                  torch.tensor([0.5]), torch.tensor([0.4, 0.9]), (6, 7), 7.0)[0]  # fmt: skip
    assert two[2].tolist() == pytest.approx([0, 0.4, 0.4, 0.9, 0.4, 0, 0]), "the brighter wins"


def test_who_does_not_fit_is_refused():
    with pytest.raises(
        InputError, match="frames of at least 30 px in height and width for persons of 22 px .*; got 32x29"
    ):
        generate(width=29)
    assert generate(width=30, trials=2).sizes["x"] == 30
    with pytest.raises(InputError, match="unknown split 'holdout'; expected one of: train, valid"):
        generate("holdout")
