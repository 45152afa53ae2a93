"""Human bodies: 25 persons, and where their joints are while they act.

A body is a chain of rigid segments, with lengths in parts of its height from Drillis and Contini, "Body
Segment Parameters" (1966), as in Winter, "Biomechanics and Motor Control of Human Movement". Every person has
proportions, a pace and habits of their own, which are the same in every stimulus.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from flowsim.scenes.human_actions import ACTIONS, CURVES, HARMONICS, TABLE, series

PERSONS = range(1, 26)
SEGMENTS = {
    "trunk": 0.288,
    "neck": 0.117,
    "upper_arm": 0.186,
    "forearm": 0.146,
    "hand": 0.054,
    "thigh": 0.245,
    "shank": 0.246,
    "shoulder": 0.129,
    "hip": 0.06,
}
"""Lengths in parts of the height. The trunk goes from the hips to the shoulders, the neck from there to the
middle of the head; the hand is a fist, half a hand; shoulders and hips are given by their distance from the
middle (that of the hips is not a published one).
"""
ADDED_HABITS = {"lean": 3.0, "elbow": 10.0, "arm_lag": 0.03, "side_lag": 0.03}
HABITS = {
    "stature": 0.08,
    "legs": 0.03,
    "arms": 0.05,
    "breadth": 0.1,
    "girth": 0.15,
    "pace": 0.1,
    "stride": 0.1,
    "swing": 0.15,
    **ADDED_HABITS,
}
"""How far a person is from the mean at most: as a share of it, except for ``lean`` and ``elbow`` (deg) and
the lags (cycles), which are added.
"""
SCALES = {
    "legs": ("thigh", "shank"),
    "arms": ("upper_arm", "forearm", "hand"),
    "breadth": ("shoulder", "hip"),
}
"""Which segments a habit makes longer or shorter."""
AMPLITUDES = {"stride": ("thigh", "knee"), "swing": ("arm", "arm_across", "forearm_across")}
"""Which movements a habit makes larger or smaller."""
PAIRED = ("shoulder", "elbow", "wrist", "hand", "hip", "knee", "ankle")
JOINTS = ("head", "neck", "pelvis", *(f"{side}_{joint}" for side in ("right", "left") for joint in PAIRED))
POINTS = tuple(joint for joint in JOINTS if joint not in ("neck", "pelvis", "right_hand", "left_hand"))
"""Where Johansson, Perception & Psychophysics 14:201 (1973), put his 13 lights."""
LIMBS = {
    ("shoulder", "elbow"): 0.028,
    ("elbow", "hand"): 0.024,
    ("hip", "knee"): 0.04,
    ("knee", "ankle"): 0.03,
}
BONES = {
    ("pelvis", "neck"): (0.055, 0.6),
    ("right_shoulder", "left_shoulder"): (0.04, 0.6),
    ("right_hip", "left_hip"): (0.04, 1.0),
    ("head", "head"): (0.065, 1.0),
    **{
        (f"{side}_{start}", f"{side}_{end}"): (radius, 1.0)
        for side in ("right", "left")
        for (start, end), radius in LIMBS.items()
    },
}
"""From joint to joint: half of the thickness in parts of the height, and luminance. The head is a disc; the
trunk is darker, so that arms before it can be seen.
"""
SPAN = 1.25
"""In parts of the height: from the soles to the fists of someone who reaches up. Nobody is larger in any
direction.
"""


@cache
def habits() -> dict[str, np.ndarray]:
    """The habits of every person by name, (person,): factors, or what is added in deg or cycles."""
    deviation = np.stack(
        [np.random.default_rng((1966, person)).uniform(-1, 1, len(HABITS)) for person in PERSONS]
    )
    mean = np.array([0.0 if name in ADDED_HABITS else 1.0 for name in HABITS])
    return dict(zip(HABITS, (mean + deviation * np.array(list(HABITS.values()))).T, strict=True))


def joint_positions(label: np.ndarray, person: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """Where the `JOINTS` are relative to the resting pelvis, (trial, time, joint, 3): down, forward, and to
    the person's right.

    In parts of the height of the body.

    Parameters
    ----------
    label, person : array (trial,)
        Which of `ACTIONS`, and which of `PERSONS`.
    phase : array (trial, time)
        In cycles.
    """
    # arrays below are (trial, side, time[, 3]): the trunk has one side, limbs have right and left
    habit = {name: of_all[person - 1][:, None, None] for name, of_all in habits().items()}
    length: dict[str, np.ndarray] = {name: np.array(mean) for name, mean in SEGMENTS.items()}
    for scale, names in SCALES.items():
        length |= {name: habit[scale][..., None] * SEGMENTS[name] for name in names}
    right = np.array([[1.0], [-1.0]])

    curves = habitual(series()[label], label, habit)
    now = phase[:, None]
    lag = np.array([(0, TABLE[ACTIONS[k]].lag) for k in label])[..., None]
    arm_lag = np.concatenate([habit["arm_lag"], habit["arm_lag"] + habit["side_lag"]], 1)
    trunk = angles(curves, now)
    legs = angles(curves, now - lag)
    arms = angles(curves, now - lag - arm_lag)

    zero = np.zeros_like(now)
    pelvis = np.stack([-trunk["bob"] / 100, zero, zero], -1)
    upwards = direction(180 - trunk["lean"], zero)
    neck = pelvis + length["trunk"] * upwards
    head = neck + length["neck"] * upwards

    hip = pelvis + length["hip"] * sideways(zero, right)
    thigh = legs["thigh"] - right * legs["stance"]
    across = right * legs["thigh_across"]
    knee = hip + length["thigh"] * direction(thigh, across)
    ankle = knee + length["shank"] * direction(thigh - legs["knee"], across)

    shoulder = neck + length["shoulder"] * sideways(trunk["turn"], right)
    arm = arms["arm"] - trunk["lean"]
    elbow = shoulder + length["upper_arm"] * direction(arm, right * arms["arm_across"])
    forearm = direction(arm + arms["elbow"], right * arms["forearm_across"])
    wrist = elbow + length["forearm"] * forearm
    hand = wrist + length["hand"] * forearm
    limbs = np.stack([shoulder, elbow, wrist, hand, hip, knee, ankle], 2)  # (trial, side, joint, time, 3)
    limbs = limbs.reshape(len(label), -1, *limbs.shape[3:])
    return np.concatenate([head, neck, pelvis, limbs], 1).swapaxes(1, 2)


def habitual(curves: np.ndarray, label: np.ndarray, habit: dict[str, np.ndarray]) -> np.ndarray:
    """Series (trial, curve, mode) with the habits (trial, side, time) of each trial's person.

    Gaits are made larger or smaller about the mean posture, other movements from the posture in which they
    begin, so that hands still meet in every clap.
    """
    curves = curves.copy()
    gait = np.array([TABLE[ACTIONS[k]].stride > 0 for k in label])
    for amplitude, names in AMPLITUDES.items():
        factor = habit[amplitude][..., 0]
        for c in map(CURVES.index, names):
            start = curves[:, c, 1 : 1 + HARMONICS].sum(-1)  # above the mean
            curves[:, c, 0] += np.where(gait, 0, (1 - factor[:, 0]) * start)
            curves[:, c, 1:] *= factor
    for name in ("lean", "elbow"):
        curves[:, CURVES.index(name), 0] += habit[name][:, 0, 0]
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
