"""Bodies move as people do, with bones of constant length."""

import numpy as np
import pytest

from flowsim.scenes.human_actions import ACTIONS, TABLE
from flowsim.scenes.human_body import HABITS, JOINTS, PERSONS, SEGMENTS, SPAN, habits, joint_positions

GAITS = ["jogging", "running", "walking"]
CYCLE = np.arange(100) / 100


def everybody(action, phase=CYCLE):
    """Joints of all persons over one cycle, by name: (person, time, 3) down, forward, right."""
    persons = np.array(PERSONS)
    made = joint_positions(
        np.full(len(persons), ACTIONS.index(action)), persons, np.tile(phase, (len(persons), 1))
    )
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
    limbs = {
        "thigh": ("hip", "knee"),
        "shank": ("knee", "ankle"),
        "upper_arm": ("shoulder", "elbow"),
        "forearm": ("elbow", "wrist"),
        "hand": ("wrist", "hand"),
    }
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
