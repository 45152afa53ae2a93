"""Slopes of phases that are known, and phases without order."""

import numpy as np
import pytest

from flowsim.measures.eigenphases import linearity, slopes
from tests.known.states import NEIGHBOURS


def test_slopes_of_phases(rng):
    velocities, true = np.array(NEIGHBOURS[1:], float), rng.uniform(-3, 3, (5, 2))
    phase = np.angle(np.exp(1j * velocities @ true.T))
    np.testing.assert_allclose(slopes(phase, velocities), true, atol=1e-9)
    assert linearity(phase, np.ones(5), velocities)[0] == pytest.approx(1)
    tens = slopes(phase, 10 * velocities)
    np.testing.assert_allclose(tens, true / 10, atol=1e-9)
    found = [linearity(rng.uniform(-np.pi, np.pi, (8, 20)), np.ones(20), velocities)[0] for _ in range(10)]
    assert np.mean(found) < 0.1
