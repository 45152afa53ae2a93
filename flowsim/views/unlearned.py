"""Which networks beat what is predicted without learning? In words, and only as far as seeds bear it out.

An answer of an analysis names in its attribute ``baseline`` what reaches which value without learning. Each
network has one interval of its mean over seeds, so wide that all intervals of a report hold their means
together in 95 % of reports (Bonferroni; of logarithms, where means are geometric). It is one interval for all
that a network is compared with, which are fixed numbers: those that it leaves out are better or worse beyond
the luck of seeds. Of the others is said on which side of them every seed lies, if all do, which is a
description of those seeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from flowsim.effects import LEVEL, ROUNDING


@dataclass(frozen=True)
class Compared:
    """A network in one quantity: ``mean`` over ``seeds`` seeds, with the ends of its interval, NaN where
    there is none; and names of what it is compared with, by verdict. Those in ``every_better`` and
    ``every_worse`` have all seeds on one side, and are not left out by the interval.
    """

    network: str
    mean: float
    low: float
    high: float
    seeds: int
    better: list[str]
    worse: list[str]
    every_better: list[str]
    every_worse: list[str]
    not_apart: list[str]

    def borne_out(self) -> tuple[tuple[str, list[str]], ...]:
        """By verdict, what the interval leaves out."""
        return ("better", self.better), ("worse", self.worse)

    def described(self) -> tuple[tuple[str, list[str]], ...]:
        """By verdict, what all seeds are on one side of, and nothing more."""
        return ("better", self.every_better), ("worse", self.every_worse)


def compared(
    network: str,
    known: np.ndarray,
    bars: Mapping[str, float],
    better: str,
    ratio: bool,
    intervals: int,
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
        How many intervals there are in the report.
    """
    x = np.log(known) if ratio else known
    half = _half_width(x, ratio, 1 - (1 - LEVEL) / intervals)
    ends = x.mean() + half * np.array([-1, 0, 1])
    low, mean, high = np.exp(ends) if ratio else ends
    mean = float(np.exp(x.mean()) if ratio else x.mean())
    lower = better == "lower"
    verdicts: dict[str, list[str]] = {
        verdict: [] for verdict in ("better", "worse", "every_better", "every_worse", "not_apart")
    }
    for name, bar in bars.items():
        below, above = ("better", "worse") if lower else ("worse", "better")
        if high < bar:
            verdict = below
        elif low > bar:
            verdict = above
        elif (known < bar).all():
            verdict = f"every_{below}"
        elif (known > bar).all():
            verdict = f"every_{above}"
        else:
            verdict = "not_apart"
        verdicts[verdict].append(name)
    return Compared(network, mean, float(low), float(high), len(known), **verdicts)


def _half_width(x: np.ndarray, ratio: bool, level: float) -> float:
    """Half the width of the interval of the mean of seeds; NaN for one, or for several that do not differ."""
    rounding = ROUNDING if ratio else ROUNDING * float(abs(x).max())
    if len(x) < 2 or x.max() - x.min() <= rounding:
        return np.nan
    return float(stats.t.ppf((1 + level) / 2, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x)))
