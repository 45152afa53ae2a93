"""Actions are series through their events, with the labels and persons of the KTH videos."""

import numpy as np
import pytest

from flowsim.scenes.human_actions import ACTIONS, CURVES, HARMONICS, TABLE, fitted, series
from flowsim.scenes.human_body import PERSONS
from flowsim.scenes.sources import kth


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
