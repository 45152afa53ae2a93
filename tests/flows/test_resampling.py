"""Frames are shifted, turned and grown by other than whole pixels, item by item."""

import pytest
import torch

from flowsim import Flow, Rotation
from flowsim.flows.log_polar import LogPolar
from flowsim.flows.resampling import about_centre, shift, sources, turn


def far(a, b):
    return ((a - b).norm() / b.norm()).item()


def blob(size=28, y=3.0, x=-2.0, width=4.0):
    """A Gaussian off the centre, in px."""
    axis = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    return torch.exp(-((axis[:, None] - y) ** 2 + (axis - x) ** 2) / (2 * width**2))


def test_sampling_positions_are_never_short():
    """In bfloat16 the values are rounded, not where they are read."""
    x = blob()[None, None].bfloat16()
    polar = LogPolar((28, 28), 20, 36)
    for sample in (
        Flow(Rotation(), (10,)).act,
        polar.from_pixels,
        lambda x: polar.to_pixels(polar.from_pixels(x)),
    ):
        assert sample(x).dtype == torch.bfloat16
        assert far(sample(x).double(), sample(x.double())) < 0.004


def test_each_item_is_shifted_by_its_own_amount():
    images = torch.stack([blob(), blob(y=-1.0)])
    dy, dx = torch.tensor([1.0, 0.5]), torch.tensor([-2.0, 0.25])
    moved = shift(images, dy, dx)
    torch.testing.assert_close(moved[0], images[0].roll((1, -2), (0, 1)))
    torch.testing.assert_close(moved[1], shift(images[1], 0.5, 0.25))


def test_each_item_turns_and_grows_about_its_own_point():
    """About the middle of a blob a turn does nothing; growing there widens it."""
    images = blob()[None, None].expand(2, -1, -1, -1)
    middle = torch.tensor([16.5, 16.5], dtype=torch.float64), torch.tensor([11.5, 11.5], dtype=torch.float64)
    angle, scale = (
        torch.tensor([70.0, 0.0], dtype=torch.float64),
        torch.tensor([1.0, 1.25], dtype=torch.float64),
    )
    moved = turn(images, sources((28, 28), angle, scale, middle))
    assert far(moved[0, 0], blob()) < 0.02
    assert far(moved[1, 0], blob(width=5.0)) < 0.02


def test_about_the_centre_by_default():
    one = torch.tensor([30.0], dtype=torch.float64), torch.tensor([1.1], dtype=torch.float64)
    expected = turn(blob()[None, None], sources((28, 28), *one))[0, 0]
    torch.testing.assert_close(about_centre(blob(), 30.0, 1.1), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("amount", [(30.0, 1.0), (-200.0, 1.3), (47.0, 0.6)])
def test_moving_all_images_alike_is_sampling_them_with_its_gradient(amount):
    torch.manual_seed(0)
    x = torch.rand(2, 3, 9, 12, dtype=torch.float64, requires_grad=True)
    grid = sources((9, 12), *(torch.tensor([value], dtype=torch.float64) for value in amount))
    expected, found = turn(x, grid), about_centre(x, *amount)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)
    weights = torch.rand_like(expected)
    gradients = [torch.autograd.grad((weights * y).sum(), x)[0] for y in (expected, found)]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-13)


def test_turning_all_images_alike_has_gradients_of_gradients():
    x = torch.rand(1, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: about_centre(x, 30.0, 1.0).square(), x)
