"""Simulations in which the truth is known: how often p-values are small, and how often intervals hold it.

Each claim of an analysis is put to `SIMULATIONS` simulations, and in the short run of tests to fewer. What
they count is judged by the test, and handed to pytest's report, from which ``python -m
benchmarks.calibration`` makes the table and the figure of docs/calibration.md. Seeds are fixed, so that a
test that passes once passes always; the bounds are those that a count exceeds once in a thousand times if the
claim is true.
"""

import json

import numpy as np
import pytest
from scipy.stats import binom

SIMULATIONS = 200
LUCK = 0.001
"""Probability with which a count leaves its bound, at one end, if the claim is true."""


def times(short):
    """Few simulations, and 200 in the long run, whose counts are part of docs/calibration.md."""
    marks = (pytest.mark.slow, pytest.mark.calibration)
    return pytest.mark.parametrize("simulations", [short, pytest.param(SIMULATIONS, marks=marks)])


def at_most(positives, rate=0.05):
    """Whether each of the columns of ``positives`` (simulation, ...) is true no more often than at this rate."""
    positives = np.asarray(positives)
    return bool((positives.sum(0) <= binom.ppf(1 - LUCK, len(positives), rate)).all())


def covered(low, value, high, rate=0.95):
    """Whether intervals (simulation, ...) hold the value at this rate or more often."""
    held = (np.asarray(low) <= value) & (value <= np.asarray(high))
    return bool((held.sum(0) >= binom.ppf(LUCK, len(held), rate)).all())


class Calibration:
    """Counts of one test, by analysis, variable of its results, part of that variable, and simulated world.

    Parameters
    ----------
    record : callable
        Takes a name and a value into the report: `record_property` of pytest.
    """

    def __init__(self, record):
        self.record = record

    def p_values(self, analysis, variable, p, null, parts=("",), levels=(0.05,)):
        """Of p (simulation, part), no more than ``level`` are up to a level; NaN is none.

        ``levels`` are those that p can reach: 0.05 with 19 permutations.
        """
        p = np.asarray(p, float).reshape(len(p), -1)
        for level in levels:
            for part, of_part in zip(parts, p.T, strict=True):
                known = of_part[np.isfinite(of_part)]
                self.rate(analysis, variable, known <= level, null, part, level)

    def rate(self, analysis, variable, found, null, part="", level=0.05):
        """False findings (simulation), or shares of them, are no more frequent than ``level``."""
        self._write("p", analysis, variable, part, null, level, found)
        assert at_most(found, level), (analysis, variable, part, null, np.mean(found))

    def intervals(self, analysis, variable, low, value, high, null, parts=("",), known=0.95):
        """Intervals of 95 % (simulation, part) hold the value (part), or one for all, as often or more often.

        An end that is NaN holds nothing. Where they are known to fall short, ``known`` is how often they do
        hold it; the table compares them with 95 % all the same.
        """
        low, high = (np.asarray(end, float).reshape(len(end), -1) for end in (low, high))
        held = (low <= np.ravel(value)) & (np.ravel(value) <= high)
        for part, of_part in zip(parts, held.T, strict=True):
            self._write("interval", analysis, variable, part, null, 0.95, of_part)
        assert covered(low, np.ravel(value), high, known), (analysis, variable, null, held.mean(0))

    def _write(self, claim, analysis, variable, part, null, level, found):
        row = {"analysis": analysis, "variable": variable, "part": str(part), "null": null}
        row |= {"claim": claim, "level": level, "simulations": len(found), "count": float(np.sum(found))}
        self.record("calibration", json.dumps(row))
