"""States as features of pixels: which are used, and where they are moved."""

import numpy as np

from flowsim import (
    Law,
)
from flowsim.files import coordinates
from flowsim.measures.comoving import States, channel_partners
from tests.known.states import NEIGHBOURS, acting_on_units, lawful


def test_parts_of_channels_and_pixels(recording):
    """Velocities stay together, so that the law still holds."""
    states, grid = lawful(Law(True, True), NEIGHBOURS, trials=4, times=6)
    few = States(recording(states, NEIGHBOURS, grid.velocities), 12, 6, 0)
    assert (few.features, len(few.pixels), few.channel_share) == (12, 6, 0.5)


def test_activity_moved_back_is_that_of_the_reference(recording):
    states, grid = lawful(Law(True, False), NEIGHBOURS)
    made = States(recording(states, NEIGHBOURS, grid.velocities), 100, 100, 0)
    assert made.times == [1, 2, 3, 4]
    for i, u in enumerate(NEIGHBOURS):
        moved = made.moved_back(made.activity(1, i), u)
        np.testing.assert_array_equal(moved, made.activity(1, 0))
        np.testing.assert_array_equal(made.rows(moved), made.rows(made.activity(1, 0)))


def test_rows_with_neighbours_begin_with_the_pixel_itself(recording, rng):
    made = States(recording(rng.random((2, 1, 3, 1, 2, 4, 5)), NEIGHBOURS[:2]), 100, 100, 0)
    activity = made.activity(0, 0)
    rows = made.rows_with_neighbours(activity, np.eye(2))
    assert rows.shape == (2 * 20, 9 * 2)
    np.testing.assert_array_equal(rows[:, :2], made.rows(activity))


def test_partners_of_channels(recording):
    states, grid = lawful(Law(True, True), NEIGHBOURS)
    made = recording(states, NEIGHBOURS, grid.velocities)
    has, partner = channel_partners(made, States(made, 100, 100, 0))
    assert has.shape == (8, 12)
    for row, u in enumerate(NEIGHBOURS[1:]):
        partners = coordinates.grid(made).partner(u)
        assert has[row].tolist() == [p is not None for p in partners]
        assert partner[row].tolist() == [p or 0 for p in partners]
    made = acting_on_units(recording, np.random.default_rng(0))
    has, _ = channel_partners(made, States(made, 100, 100, 0))
    assert has.shape == (8, 1)
    assert not has.any()
