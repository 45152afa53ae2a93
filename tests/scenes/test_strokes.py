"""Lines are drawn where they are, over the edges of the torus."""

import numpy as np
import pytest
import torch

from flowsim.scenes.strokes import strokes


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
    two = strokes(
        torch.tensor([[[2.0, 1.0], [0.0, 3.0]]]),
        torch.tensor([[[2.0, 4.0], [5.0, 3.0]]]),
        torch.tensor([0.5]),
        torch.tensor([0.4, 0.9]),
        (6, 7),
        7.0,
    )[0]
    assert two[2].tolist() == pytest.approx([0, 0.4, 0.4, 0.9, 0.4, 0, 0]), "the brighter wins"
