"""Which networks beat what is predicted without learning? In words, and only as far as seeds bear it out.

An answer of an analysis names in its attribute ``baseline`` what reaches which value without learning. On
which side of these numbers all seeds of a network lie is a description of those seeds. Beyond their luck a
network is better or worse than what the interval of its mean leaves out: one interval for all that it is
compared with, which are fixed numbers, and so wide that those of all networks hold their means together in
95 % of reports (Bonferroni; of logarithms, where means are geometric).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from flowsim.effects import LEVEL, ROUNDING

SIDES = ("better", "worse")
FEWEST_SEEDS = 3
"""Of which there is an interval."""


@dataclass(frozen=True)
class Compared:
    """A network against what needs no learning.

    ``mean`` over seeds and the ends of its interval, NaN where there is none (`FEWEST_SEEDS`); by side
    ("better", "worse"), the names that the interval leaves out (``borne_out``), and those that every seed
    lies on that side of (``in_seeds``); ``astride``, those that lie between seeds.
    """

    network: str
    mean: float
    low: float
    high: float
    borne_out: dict[str, tuple[str, ...]]
    in_seeds: dict[str, tuple[str, ...]]
    astride: tuple[str, ...]


def compared(
    network: str, known: np.ndarray, bars: Mapping[str, float], better: str, ratio: bool, intervals: int
) -> Compared:
    """One network against what needs no learning.

    Parameters
    ----------
    network : str
    known : array (seed)
        Its values, one or more.
    bars : mapping of name to number
        What is reached without learning.
    better : str
        "lower" or "higher".
    ratio : bool
        Whether its mean is geometric.
    intervals : int
        How many intervals have to hold together.
    """
    x = np.log(known) if ratio else known
    ends = x.mean() + _half_width(x, ratio, 1 - (1 - LEVEL) / intervals) * np.array([-1, 1])
    mean, low, high = (float(np.exp(end) if ratio else end) for end in (x.mean(), *ends))
    below, above = SIDES if better == "lower" else SIDES[::-1]
    in_seeds = {
        below: tuple(name for name, bar in bars.items() if (known < bar).all()),
        above: tuple(name for name, bar in bars.items() if (known > bar).all()),
    }
    return Compared(
        network=network,
        mean=mean,
        low=low,
        high=high,
        borne_out={
            below: tuple(name for name in in_seeds[below] if high < bars[name]),
            above: tuple(name for name in in_seeds[above] if low > bars[name]),
        },
        in_seeds=in_seeds,
        astride=tuple(name for name in bars if name not in (*in_seeds[below], *in_seeds[above])),
    )


def _half_width(x: np.ndarray, ratio: bool, level: float) -> float:
    """Half the width of the interval of the mean of seeds; NaN for fewer than `FEWEST_SEEDS`, of which it
    would span orders of magnitude, and for seeds that do not differ.
    """
    rounding = ROUNDING if ratio else ROUNDING * float(abs(x).max())
    if len(x) < FEWEST_SEEDS or x.max() - x.min() <= rounding:
        return np.nan
    return float(stats.t.ppf((1 + level) / 2, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x)))
