"""Images are put on frames, moved, turned and overlaid as they should be."""

import numpy as np
import pytest
import torch

from flowsim import Flow, Rotation, Translation
from flowsim.scenes.canvas import frame_of, moved, overlaid, splatted, turned

CPU = torch.device("cpu")


@pytest.fixture
def images(rng):
    return torch.from_numpy(rng.random((3, 8, 9), dtype=np.float32))


def test_images_lie_in_the_corner_or_in_the_middle():
    image = np.ones((1, 2, 3), np.float32)
    corner, centred = (frame_of(image, (5, 6), CPU, centred=centred)[0] for centred in (False, True))
    assert corner.sum() == centred.sum() == 6
    assert (corner[:2, :3] == 1).all()
    assert (centred[1:3, 1:4] == 1).all()


def test_integers_roll_images_exactly(images):
    displacement = np.array([[[0, 0], [3, -11]], [[1, 2], [-9, 4]], [[8, 9], [0, 1]]])
    frames = moved(images, displacement)
    for trial, time in np.ndindex(3, 2):
        expected = np.roll(images[trial].numpy(), displacement[trial, time], (0, 1))
        np.testing.assert_array_equal(frames[trial, time], expected)


def test_floats_shift_images_as_a_flow_does(images):
    displacement = np.array([[[0.5, -1.25]], [[2.0, 0.0]], [[0.1, 0.2]]])
    frames = moved(images, displacement, clamp=False)
    for trial in range(3):
        expected = Flow(Translation(), tuple(displacement[trial, 0].tolist())).act(images[trial])
        np.testing.assert_allclose(frames[trial, 0], expected, atol=1e-5)
    assert moved(images, displacement).min() >= 0 > frames.min()


def test_turned_images_are_those_of_a_rotation(images):
    square = images[:, :, :8]
    angle = np.array([[0.0, 90.0], [30.0, 180.0], [270.0, 10.0]])
    frames = turned(square, angle, np.ones_like(angle))
    for trial, time in np.ndindex(3, 2):
        expected = Flow(Rotation(), (angle[trial, time],)).act(square[trial]).clamp(0, 1)
        np.testing.assert_allclose(frames[trial, time], expected, atol=1e-5)


def test_scaled_images_grow_about_their_point():
    still = torch.zeros(1, 9, 9)
    still[0, 2, 6] = 1
    scale = np.array([[1.0, 2.0]])
    frames = turned(still, np.zeros_like(scale), scale, about=np.array([[2.0, 6.0]]))[0]
    assert frames[:, 2, 6].tolist() == pytest.approx([1, 1])
    assert frames[1].sum() > 2 * frames[0].sum()


@pytest.mark.parametrize(
    ("overlap", "expected"), [("max", [0.8, 0.9]), ("sum", [1, 1]), ("over", [0.84, 0.93])]
)
def test_overlaps(overlap, expected):
    below, above = torch.tensor([0.8, 0.3]), torch.tensor([0.2, 0.9])
    assert overlaid([below, above], overlap).tolist() == pytest.approx(expected)


def test_dots_between_pixels_are_divided():
    position = torch.tensor([[[[1.25, 2.5]], [[4.0, 4.5]]]])
    luminance = torch.ones(1, 2, 1)
    torus, bounded = (splatted(position, luminance, (5, 5), torus=torus)[0, 0] for torus in (True, False))
    expected = np.zeros((5, 5))
    expected[1:3, 2:4] = np.outer([0.75, 0.25], [0.5, 0.5])
    expected[4, 4] = 0.5
    np.testing.assert_allclose(bounded, expected, atol=1e-6)
    expected[4, 0] = 0.5
    np.testing.assert_allclose(torus, expected, atol=1e-6)
