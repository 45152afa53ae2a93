"""How people move: angles over one cycle of boxing, clapping, waving, jogging, running and walking.

Each angle is a Fourier series of five harmonics through a few events, (percent of the cycle, degrees), of the
right side of the body; the left side lags by half a cycle, or by nothing where both arms move together. A
cycle of a gait begins when the right foot touches the ground.

*Walking*: thigh and knee are rounded from Winter, "The Biomechanics and Motor Control of Human Gait" (1991),
and Perry, "Gait Analysis" (1992), which also has the swing of the arms (after Murray et al. 1967), 113
steps/min and strides of 1.4 m. *Jogging and running*, at 2.7 and 4 m/s: after Novacheck, Gait & Posture 7:77
(1998), the knee bends to 45 deg when it takes the load and in swing to 90 deg, or 105 deg in a sprint
(walking: 60 deg); 85 strides/min at 3 m/s are from Lieberman et al., J. Exp. Biol. 218:3406 (2015). Elbows
are held at about 90 deg. The body rises and falls twice per cycle, by 5 cm in walking (Saunders et al. 1953)
and 8 cm in running: it is lowest when both feet bear it, or in midstance. *Boxing, clapping, waving* have no
such norms: postures and frequencies are chosen to look like the films of KTH (Schuldt, Laptev and Caputo,
ICPR 2004).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.interpolate import PchipInterpolator

Curve = float | list[tuple[float, float]]
"""A constant, or events (percent of the cycle, degrees)."""
CURVES = (
    *("thigh", "knee", "thigh_across", "stance"),
    *("arm", "elbow", "arm_across", "forearm_across"),
    *("lean", "turn", "bob"),
)
"""``thigh`` and ``arm``: angle from hanging down, forward or, where ``across`` is 90 deg, to the side.
``knee`` and ``elbow``: flexion. ``stance``: how much further back the right thigh is, and further forward the
left. ``lean``: of the trunk, forward. ``turn``: of the shoulders, right one forward. ``bob``: rise of the
hips, in percent of the height instead of deg.
"""
HARMONICS = 5


class Action(NamedTuple):
    """How one action is performed, on average over persons.

    Attributes
    ----------
    frequency : float
        In cycles/s.
    stride : float
        Distance covered in one cycle, in heights of the body.
    frontal : bool
        Whether the person faces the viewer; if not, they are seen from the side.
    lag : float
        By which the left side follows the right, in cycles.
    curves : mapping of name in `CURVES` to Curve
        Curves that are not given are 0.
    """

    frequency: float
    stride: float
    frontal: bool
    lag: float
    curves: Mapping[str, Curve]


TABLE = {
    "boxing": Action(1.0, 0, False, 0.5, {
        "thigh": [(0, 2), (50, -2)],
        "knee": 22,
        "stance": 18,
        "arm": [(0, 25), (20, 40), (35, 86), (50, 40), (65, 25)],
        "elbow": [(0, 125), (18, 110), (35, 15), (52, 110), (65, 125)],
        "lean": 6,
        "turn": [(35, 32), (85, -32)],
    }),
    "clapping": Action(1.5, 0, True, 0, {
        "thigh": 6, "thigh_across": 90,
        "arm": [(0, 60), (50, 72)], "arm_across": [(0, 5), (50, 85)],
        "elbow": 22, "forearm_across": [(0, -48), (50, 75)],
    }),
    "waving": Action(0.75, 0, True, 0, {
        "thigh": 6, "thigh_across": 90,
        "arm": [(0, 22), (50, 160)], "arm_across": 90,
        "elbow": 15, "forearm_across": 90,
    }),
    "jogging": Action(1.35, 1.14, False, 0.5, {
        "thigh": [(0, 27), (40, -18), (80, 36)],
        "knee": [(0, 15), (16, 42), (38, 20), (66, 88), (95, 14)],
        "arm": [(43, 12), (93, -40)],
        "elbow": [(43, 92), (93, 85)],
        "lean": 6,
        "turn": [(43, 12), (93, -12)],
        "bob": [(18, -2.3), (43, 2.3), (68, -2.3), (93, 2.3)],
    }),
    "running": Action(1.45, 1.57, False, 0.5, {
        "thigh": [(0, 32), (38, -26), (78, 48)],
        "knee": [(0, 18), (14, 45), (34, 24), (62, 105), (95, 18)],
        "arm": [(40, 22), (90, -55)],
        "elbow": [(40, 100), (90, 92)],
        "lean": 9,
        "turn": [(40, 15), (90, -15)],
        "bob": [(16, -2.3), (41, 2.3), (66, -2.3), (91, 2.3)],
    }),
    "walking": Action(0.94, 0.8, False, 0.5, {
        "thigh": [(0, 25), (52, -17), (62, -9), (85, 27)],
        "knee": [(0, 5), (15, 18), (40, 5), (62, 38), (73, 62), (97, 3)],
        "arm": [(0, -24), (50, 8)],
        "elbow": [(0, 20), (55, 44)],
        "lean": 3,
        "turn": [(0, -7), (50, 7)],
        "bob": [(4, -1.4), (29, 1.4), (54, -1.4), (79, 1.4)],
    }),
}  # fmt: skip
ACTIONS = tuple(TABLE)
"""By their labels, in the order of `flowsim.scenes.sources.kth`."""


@cache
def series() -> np.ndarray:
    """Fourier series of every curve of every action, (action, curve, 1 + 2 HARMONICS); see `fitted`."""
    table = [[fitted(action.curves.get(curve, 0)) for curve in CURVES] for action in TABLE.values()]
    return np.array(table)


def fitted(curve: Curve) -> np.ndarray:
    """Fourier series of one curve, (1 + 2 HARMONICS,): mean, cosines and sines.

    The curve is monotone from event to event; the series leaves out its higher harmonics.
    """
    if not isinstance(curve, list):
        return np.array([curve, *[0] * 2 * HARMONICS])
    percent, degrees = np.array(curve, dtype=float).T
    cycles = np.concatenate([percent - 100, percent, percent + 100])
    dense = PchipInterpolator(cycles, np.tile(degrees, 3))(100 * np.arange(256) / 256)
    modes = np.fft.rfft(dense, norm="forward")[: HARMONICS + 1]
    return np.concatenate([modes[:1].real, 2 * modes[1:].real, -2 * modes[1:].imag])
