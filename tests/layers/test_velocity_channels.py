"""Velocity channels are gained, moved and pooled."""

import torch

from flowsim import Flow, Translation, VelocityGrid
from flowsim.layers.velocity_channels import POOLS, advance, lift


def test_each_channel_advances_by_its_velocity():
    grid = VelocityGrid(Translation(), ((0, 0), (1, -2), (0, 0.5)))
    state = torch.rand(2, 3, 2, 5, 6, dtype=torch.float64)
    moved = advance(state, grid)
    for number, v in enumerate(grid.velocities):
        assert torch.equal(moved[:, number], Flow(Translation(), v).act(state[:, number]))


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
