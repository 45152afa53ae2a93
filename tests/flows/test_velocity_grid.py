"""Velocity grids know which channel takes the place of which, and laws what to expect."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from flowsim import InputError, Rotation, Translation, VelocityGrid

speeds = st.integers(-4, 4)
velocities = st.tuples(speeds, speeds)
T = Translation()


@given(st.integers(0, 3), velocities)
def test_partner_of_v_is_v_minus_u(n, u):
    grid = VelocityGrid.box(T, n)
    for v, p in zip(grid.velocities, grid.partner(u), strict=True):
        wanted = (v[0] - u[0], v[1] - u[1])
        assert (wanted in grid.velocities) == (p is not None)
        assert p is None or grid.velocities[p] == wanted


@given(st.tuples(st.integers(1, 5), st.integers(1, 5)), velocities, velocities)
def test_closed_grid_covers_everything_and_shifts_add(shape, u, w):
    grid = VelocityGrid.closed(T, shape)
    assert grid.coverage(u) == 1
    assert sorted(p for p in grid.partner(u) if p is not None) == list(range(len(grid)))
    state = torch.arange(len(grid), dtype=torch.float64).view(1, 1, -1, 1, 1, 1)
    both = (u[0] + w[0], u[1] + w[1])
    assert torch.equal(grid.shift(grid.shift(state, u), w), grid.shift(state, both))


def test_box_counts_and_order():
    grid = VelocityGrid.box(T, 2)
    assert len(grid) == 25
    assert grid.velocities[0] == (-2, -2)
    assert grid.velocities[1] == (-2, -1)
    assert VelocityGrid.box(Rotation(), 1).velocities == ((-1,), (0,), (1,))


def test_coverage_of_boxes():
    assert VelocityGrid.box(T, 1).coverage((1, 0)) == pytest.approx(6 / 9)
    assert VelocityGrid.box(T, 0).coverage((1, 0)) == 0
    assert VelocityGrid.box(T, 0).coverage((0, 0)) == 1


def test_shift_leaves_nan_where_there_is_no_partner():
    grid = VelocityGrid.box(T, 1)
    state = torch.arange(9.0).view(1, 1, 9, 1, 1, 1)
    shifted = grid.shift(state, (1, 0)).flatten()
    assert shifted[:3].isnan().all()
    assert torch.equal(shifted[3:], torch.arange(6.0))


def test_velocities_repeat_with_the_period():
    box = VelocityGrid.box(T, 2, period=(5, 5))
    assert box.coverage((2, 1)) == 1
    with pytest.raises(InputError, match=r"lists each velocity once; \(-2, -2\) and \(-2, 2\) are the same"):
        VelocityGrid.box(T, 2, period=(5, 4))


def test_bad_grids():
    with pytest.raises(InputError, match="at least one velocity"):
        VelocityGrid(T, ())
    with pytest.raises(InputError, match="max_speed must be 0 or more; got -1"):
        VelocityGrid.box(T, -1)
    with pytest.raises(InputError, match="expected 9 velocity channels along dimension 2; got 4"):
        VelocityGrid.box(T, 1).shift(torch.zeros(1, 1, 4, 1, 1, 1), (0, 0))
