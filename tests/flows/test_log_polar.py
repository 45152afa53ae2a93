"""In log-polar coordinates rotation and expansion are translations."""

import pytest
import torch

from flowsim import Flow, InputError, Rotation, Translation
from flowsim.flows.log_polar import LogPolar


def blob(size, y=3.0, x=-2.0, width=4.0):
    """A Gaussian off the centre, whose place and width are in px of a 28x28 frame whatever the size."""
    axis = torch.linspace(-13.5, 13.5, size, dtype=torch.float64)
    return torch.exp(-((axis[:, None] - y) ** 2 + (axis - x) ** 2) / (2 * width**2))


def far(a, b):
    return ((a - b).norm() / b.norm()).item()


def disc(size):
    """What lies within the rim, at which maps fade."""
    axis = torch.linspace(-1, 1, size, dtype=torch.float64)
    return (axis[:, None] ** 2 + axis**2 <= 0.85).double()


@pytest.mark.parametrize(
    ("size", "rings", "angles", "limit"),
    [(28, 28, 72, 0.007), (56, 56, 144, 0.0045), (112, 112, 288, 0.0025)],
)
def test_round_trip(size, rings, angles, limit):
    """The stated error, falling as the grid gets finer."""
    frame = blob(size) * disc(size)
    grid = LogPolar((size, size), rings, angles)
    error = far(grid.to_pixels(grid.from_pixels(blob(size))) * disc(size), frame)
    assert limit / 20 < error < limit


@pytest.mark.parametrize("turns", [1, 5, -7, 18, 36])
def test_rotation_is_a_shift_along_theta(turns):
    grid = LogPolar((28, 28), 28, 72)
    turned = grid.from_pixels(Flow(Rotation(), 5 * turns).act(blob(28)))
    shifted = Flow(Translation(), (0, turns)).act(grid.from_pixels(blob(28)))
    assert far(turned, shifted) < 0.012
    assert (
        far(turned, Flow(Translation(), (0, -turns)).act(grid.from_pixels(blob(28)))) > 0.05
        or abs(turns) == 36
    )


@pytest.mark.parametrize("rings", [2, 5, -4])
def test_expansion_is_a_shift_along_rho(rings):
    grid = LogPolar((28, 28), 28, 72)
    factor = grid.growth**rings
    larger = grid.from_pixels(blob(28, y=3 * factor, x=-2 * factor, width=4 * factor))
    shifted = grid.expand(grid.from_pixels(blob(28)), rings)
    seen = slice(max(rings, 0), 28 + min(rings, 0))
    assert far(larger[seen], shifted[seen]) < 0.02
    assert not shifted[: max(rings, 0)].any()
    assert not shifted[28 + min(rings, 0) :].any()


def test_theta_turns_counter_clockwise_from_the_right():
    frame = torch.zeros(9, 9, dtype=torch.float64)
    frame[0, 4] = 1  # straight above the centre
    polar = LogPolar((9, 9), 5, 8).from_pixels(frame)
    assert polar.argmax() == 4 * 8 + 2
    assert polar[:, [0, 4, 6]].abs().max() < polar.max() / 4


def test_receptive_fields_grow_with_eccentricity():
    """A fine grating fades in the periphery and is still seen at the centre; a grey field is grey everywhere."""
    grid, columns = LogPolar((28, 28), 20, 36), torch.arange(28, dtype=torch.float64)
    contrast = grid.from_pixels(torch.cos(2 * torch.pi * (columns - 13.5) / 4).expand(28, 28)).std(1)
    assert contrast[18] < contrast[8] / 2
    torch.testing.assert_close(grid.from_pixels(torch.ones(28, 28)), torch.ones(20, 36), rtol=0, atol=1e-6)


def test_frames_that_are_not_square():
    grid = LogPolar((9, 13), 6, 12)
    frame = torch.rand(9, 13, dtype=torch.float64)
    inner = LogPolar((9, 9), 6, 12)
    outside = 2  # rings that read beyond the last pixel of the smaller frame
    expected = inner.from_pixels(frame[:, 2:11])[:-outside]
    torch.testing.assert_close(grid.from_pixels(frame)[:-outside], expected)
    assert not grid.to_pixels(grid.from_pixels(frame))[:, :2].any()


def test_leading_dimensions_are_kept():
    grid = LogPolar((9, 9), 5, 8)
    frames = torch.rand(2, 3, 1, 9, 9)
    polar = grid.from_pixels(frames)
    assert polar.shape == (2, 3, 1, 5, 8)
    assert grid.to_pixels(polar).shape == frames.shape
    torch.testing.assert_close(polar[1, 2], grid.from_pixels(frames[1, 2]))


def test_bad_grids():
    with pytest.raises(InputError, match=r"at least 2 rings, 2 angles and 0 < inner < 4.0; got 1 rings"):
        LogPolar((9, 9), 1, 8)
    with pytest.raises(InputError, match=r"got 5 rings, 8 angles and inner 5"):
        LogPolar((9, 9), 5, 8, inner=5)
    with pytest.raises(InputError, match=r"expected frames of 9x9 px; got \(8, 9\)"):
        LogPolar((9, 9), 5, 8).from_pixels(torch.zeros(8, 9))
    with pytest.raises(InputError, match=r"expected 5 rings and 8 angles; got \(8, 5\)"):
        LogPolar((9, 9), 5, 8).to_pixels(torch.zeros(8, 5))
