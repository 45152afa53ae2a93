"""Velocity channels are gained, moved and pooled."""

import pytest
import torch

from flowsim import Flow, Translation, VelocityGrid
from flowsim.flows.rotation import Rotation
from flowsim.layers.padded_gather import outward
from flowsim.layers.velocity_channels import POOLS, advance, lift

GRIDS = {
    "real": VelocityGrid(Translation(), ((0, 0), (1, -2), (0, 0.5))),
    "whole": VelocityGrid(Translation(), ((0, 0), (1, -2), (3, 4))),
    "whole, as floats": VelocityGrid(Translation(), ((0.0, 1.0), (1.0, -2.0), (0.0, 0.0))),
    "at rest": VelocityGrid(Translation(), ((0, 0),)),
    "rotation": VelocityGrid(Rotation(), ((0,), (90,), (-10,))),
}


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_each_channel_advances_by_its_velocity(grid):
    state = torch.rand(2, len(grid), 2, 5, 6, dtype=torch.float64)
    moved = advance(state, grid)
    for number, v in enumerate(grid.velocities):
        expected = Flow(grid.group, v).act(state[:, number])
        if grid.group == Translation() and any(component % 1 for component in v):
            torch.testing.assert_close(moved[:, number], expected, rtol=0, atol=1e-14)
        else:
            assert torch.equal(moved[:, number], expected)


def test_reduced_precision_is_not_for_shifts():
    """They come one after the other, and errors would add up."""
    state = torch.rand(2, 3, 2, 5, 6)
    with torch.autocast("cpu", torch.bfloat16):
        moved = advance(state, GRIDS["real"])
    assert torch.equal(moved, advance(state, GRIDS["real"]))
    assert advance(state.bfloat16(), GRIDS["real"]).dtype == torch.bfloat16


def test_whole_pixels_move_in_one_copy_with_exact_gradients():
    """In reverse and forward mode, and twice; and a state that moved lies as the next move needs it."""
    grid = GRIDS["whole"]
    state = torch.rand(2, 3, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: advance(x, grid), (state,), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(lambda x: advance(x, grid).square(), (state,))
    moved = advance(state, grid)
    assert outward(moved).data_ptr() == moved.data_ptr()


def test_a_lifted_drive_is_the_same_for_all():
    drive, state = torch.rand(2, 3, 4, 5), torch.rand(2, 9, 3, 4, 5)
    assert torch.equal((state + lift(drive))[:, 4], state[:, 4] + drive)


def test_pools_do_not_see_a_shift():
    grid = VelocityGrid.closed(Translation(), (3, 3))
    state = torch.rand(2, 9, 3, 4, 5, dtype=torch.float64)
    shifted = grid.shift(state, (1, 2), dim=1)
    for pool in POOLS.values():
        assert pool(state).shape == (2, 3, 4, 5)
        torch.testing.assert_close(pool(shifted), pool(state))
