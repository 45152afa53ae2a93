"""Human figures: 25 persons, and where their joints are while they act.

A body is a chain of rigid segments, whose lengths in parts of its height are those of Drillis and Contini,
"Body Segment Parameters" (1966), as in Winter, "Biomechanics and Motor Control of Human Movement". Every
person has proportions, a pace and habits of their own, and always the same ones.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from flowsim.scenes.human_actions import ACTIONS, CURVES, HARMONICS, TABLE, series

PERSONS = range(1, 26)
SEGMENTS = {
    "trunk": 0.288, "neck": 0.117, "upper_arm": 0.186, "forearm": 0.146, "hand": 0.054, "thigh": 0.245, "shank": 0.246,
    "shoulder": 0.129, "hip": 0.06,
}  # fmt: skip
"""Lengths in parts of the height: from the hips to the shoulders and on to the middle of the head; a fist is
half a hand; shoulders and hip joints are given by their distance from the middle (that of the hips is no
published one).
"""
HABITS = {
    "stature": 0.08, "legs": 0.03, "arms": 0.05, "breadth": 0.1, "girth": 0.15, "pace": 0.1, "stride": 0.1,
    "swing": 0.15, "lean": 3.0, "elbow": 10.0, "arm_lag": 0.03, "side_lag": 0.03,
}  # fmt: skip
"""How far a person is from the mean at most: as a share of it, then in deg, then in cycles."""
SCALES = {
    "legs": ("thigh", "shank"),
    "arms": ("upper_arm", "forearm", "hand"),
    "breadth": ("shoulder", "hip"),
}
AMPLITUDES = {"stride": ("thigh", "knee"), "swing": ("arm", "arm_across", "forearm_across")}
PAIRED = ("shoulder", "elbow", "wrist", "hand", "hip", "knee", "ankle")
JOINTS = ("head", "neck", "pelvis", *(f"{side}_{joint}" for side in ("right", "left") for joint in PAIRED))
POINTS = tuple(joint for joint in JOINTS if joint not in ("neck", "pelvis", "right_hand", "left_hand"))
"""Where Johansson, Perception & Psychophysics 14:201 (1973), put his 13 lights."""
BONES = {
    ("pelvis", "neck"): (0.055, 0.6), ("right_shoulder", "left_shoulder"): (0.04, 0.6),
    ("right_hip", "left_hip"): (0.04, 1.0), ("head", "head"): (0.065, 1.0),
    **{
        (f"{side}_{start}", f"{side}_{end}"): (radius, 1.0)
        for side in ("right", "left")
        for start, end, radius in (
            ("shoulder", "elbow", 0.028), ("elbow", "hand", 0.024), ("hip", "knee", 0.04), ("knee", "ankle", 0.03),
        )
    },
}  # fmt: skip
"""From joint to joint: half of the thickness in parts of the height, and luminance. The head is a disc; the
trunk is darker, so that arms before it can be seen.
"""
SPAN = 1.25
"""In heights: from the soles to the fists of someone who reaches up. Nobody is larger in any direction."""


@cache
def habits() -> dict[str, np.ndarray]:
    """Of every person, (person,): a factor, or deg and cycles to be added."""
    drawn = np.stack(
        [np.random.default_rng((1966, person)).uniform(-1, 1, len(HABITS)) for person in PERSONS]
    )
    mean = np.array([0.0 if name in ("lean", "elbow", "arm_lag", "side_lag") else 1.0 for name in HABITS])
    return dict(zip(HABITS, (mean + drawn * np.array(list(HABITS.values()))).T, strict=True))


def figure(label: np.ndarray, person: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """Where joints are from the resting pelvis, (trial, time, joint, 3): down, forward, and to the person's
    right.

    In parts of the height of the body, which is 1; joints are those of `JOINTS`.

    Parameters
    ----------
    label, person : array (trial,)
        Which of `ACTIONS`, and which of `PERSONS`.
    phase : array (trial, time)
        In cycles.
    """
    # arrays below are (trial, side, time[, 3]): the trunk has one side, limbs have right and left
    own = {name: habit[person - 1][:, None, None] for name, habit in habits().items()}
    long: dict[str, np.ndarray] = {name: np.array(length) for name, length in SEGMENTS.items()}
    for habit, names in SCALES.items():
        long |= {name: own[habit][..., None] * SEGMENTS[name] for name in names}
    right = np.array([[1.0], [-1.0]])

    curves = habitual(series()[label], label, own)
    now = phase[:, None]
    lag = np.array([(0, TABLE[ACTIONS[k]].lag) for k in label])[..., None]
    late = np.concatenate([own["arm_lag"], own["arm_lag"] + own["side_lag"]], 1)
    trunk, legs, arms = angles(curves, now), angles(curves, now - lag), angles(curves, now - lag - late)

    still = np.zeros_like(now)
    pelvis = np.stack([-trunk["bob"] / 100, still, still], -1)
    upwards = direction(180 - trunk["lean"], still)
    neck = pelvis + long["trunk"] * upwards
    head = neck + long["neck"] * upwards

    hip = pelvis + long["hip"] * sideways(still, right)
    thigh, across = legs["thigh"] - right * legs["stance"], right * legs["thigh_across"]
    knee = hip + long["thigh"] * direction(thigh, across)
    ankle = knee + long["shank"] * direction(thigh - legs["knee"], across)

    shoulder = neck + long["shoulder"] * sideways(trunk["turn"], right)
    arm = arms["arm"] - trunk["lean"]
    elbow = shoulder + long["upper_arm"] * direction(arm, right * arms["arm_across"])
    forearm = direction(arm + arms["elbow"], right * arms["forearm_across"])
    wrist = elbow + long["forearm"] * forearm
    hand = wrist + long["hand"] * forearm
    limbs = np.stack([shoulder, elbow, wrist, hand, hip, knee, ankle], 2)  # (trial, side, joint, time, 3)
    limbs = limbs.reshape(len(label), -1, *limbs.shape[3:])
    return np.concatenate([head, neck, pelvis, limbs], 1).swapaxes(1, 2)


def habitual(curves: np.ndarray, label: np.ndarray, own: dict[str, np.ndarray]) -> np.ndarray:
    """Series (trial, curve, mode) as a person has them.

    Movements are larger or smaller about their mean in gaits, and else from the posture in which they begin:
    hands meet in all claps.
    """
    curves = curves.copy()
    gait = np.array([TABLE[ACTIONS[k]].stride > 0 for k in label])
    for habit, names in AMPLITUDES.items():
        factor = own[habit][..., 0]
        for c in map(CURVES.index, names):
            start = curves[:, c, 1 : 1 + HARMONICS].sum(-1)  # above the mean
            curves[:, c, 0] += np.where(gait, 0, (1 - factor[:, 0]) * start)
            curves[:, c, 1:] *= factor
    for name in ("lean", "elbow"):
        curves[:, CURVES.index(name), 0] += own[name][:, 0, 0]
    return curves


def angles(curves: np.ndarray, phase: np.ndarray) -> dict[str, np.ndarray]:
    """Values of series (trial, curve, mode) at phases (trial, side, time), by curve."""
    turns = 2 * np.pi * phase[..., None] * np.arange(1, HARMONICS + 1)
    modes = np.concatenate([np.ones_like(phase)[..., None], np.cos(turns), np.sin(turns)], -1)
    values = modes @ curves[:, None].swapaxes(-1, -2)
    return dict(zip(CURVES, np.moveaxis(values, -1, 0), strict=True))


def direction(angle: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Unit vectors (..., 3) at an angle from down, in deg: towards forward, or turned to the right by
    ``across``.
    """
    angle, across = np.deg2rad(angle), np.deg2rad(across)
    return np.stack([np.cos(angle), np.sin(angle) * np.cos(across), np.sin(angle) * np.sin(across)], -1)


def sideways(turn: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Unit vectors (..., 3) to the right and left, turned about the vertical."""
    turn = np.deg2rad(turn)
    return np.stack([0 * right * turn, right * np.sin(turn), right * np.cos(turn)], -1)
