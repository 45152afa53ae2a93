"""Rotations turn frames about their centre, exactly by quarter turns, and orientations with them."""

import pytest
import torch

from flowsim import Flow, Rotation


def frame(shape, seed=0):
    return torch.rand(2, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_rotation_turns_counter_clockwise():
    x = torch.zeros(5, 5, dtype=torch.float64)
    x[2, 4] = 1  # right of the centre
    assert Flow(Rotation(), 90).act(x)[0, 2] == 1  # above it


@pytest.mark.parametrize("angle", [90, 180, 270, -90])
def test_interpolated_rotation_agrees_with_quarter_turns(angle):
    x = frame((6, 6))
    torch.testing.assert_close(
        Flow(Rotation(), angle + 1e-9).act(x), Flow(Rotation(), angle).act(x), atol=1e-7, rtol=0
    )


def test_rotation_of_a_smooth_blob_is_nearly_a_group():
    y, x = torch.meshgrid(*[torch.linspace(-3, 3, 31, dtype=torch.float64)] * 2, indexing="ij")
    blob = torch.exp(-((y - 0.8) ** 2) - x**2)
    flow = Flow(Rotation(), 10)
    error = (flow.act(flow.act(blob, 1), 2) - flow.act(blob, 3)).norm() / blob.norm()
    assert error < 0.02
    assert (flow.act(blob, 3) - blob).norm() / blob.norm() > 0.4


def test_rotation_of_frames_that_are_not_square():
    x = frame((5, 7))
    assert torch.equal(Flow(Rotation(), 180).act(x), x.flip((-2, -1)))
    assert Flow(Rotation(), 30).act(x).shape == x.shape


def test_orientations_turn_with_the_frame():
    """By whole steps exactly, and between them without loss of what is slow over orientations."""
    x = frame((4, 5, 5))[0]
    turned = Flow(Rotation(), 90).act_oriented(x)
    assert torch.equal(turned, torch.rot90(x, 1, (-2, -1)).roll(1, 0))
    waves = torch.cos(torch.arange(8, dtype=torch.float64) * torch.pi / 4)[:, None, None].expand(8, 5, 5)
    there_and_back = Flow(Rotation(), 30).act_oriented(Flow(Rotation(), 150).act_oriented(waves))
    middle = (slice(None), 2, 2)
    torch.testing.assert_close(there_and_back[middle], waves.roll(4, 0)[middle], rtol=0, atol=1e-3)
