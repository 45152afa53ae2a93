"""A split visits the velocities that it should, and those of training are told apart from others."""

import numpy as np
import pytest

from flowsim.scenes import velocities


def test_velocities_of_a_box():
    assert {*map(tuple, velocities.box(1).tolist())} == {(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)}
    flows = velocities.probes(2)
    assert flows[0] == (0, 0)
    assert len(flows) == len(set(flows)) == 25


def test_multiples():
    np.testing.assert_allclose(velocities.multiples(0.15, 0.05), [-0.15, -0.1, -0.05, 0, 0.05, 0.1, 0.15])
    assert velocities.multiples(9.9, 10).tolist() == [0]


@pytest.mark.parametrize(
    ("direction", "expected"), [(0, (0, 2)), (90, (-2, 0)), (180, (0, -2)), (270, (2, 0))]
)
def test_headings_are_counter_clockwise_as_displayed(direction, expected):
    assert velocities.heading(np.array(direction), np.array(2.0)).tolist() == list(expected)


def test_whole_velocities_are_integers():
    assert velocities.as_whole_numbers(np.array([[1.0, -2.0]])).dtype == np.int64
    mixed = velocities.as_whole_numbers(np.array([[1.0, -2.5]]))
    assert mixed.dtype == np.float64
    assert mixed.tolist() == [[1, -2.5]]


def test_a_sweep_visits_every_velocity_with_object_0():
    swept = velocities.box(1)
    drawn = np.full((velocities.number_of_trials("sweep", 2, swept), 3, 2), 7)
    visited = velocities.for_split("sweep", drawn, swept)
    assert len(visited) == 18
    assert sorted(map(tuple, visited[:, 0])) == sorted([*map(tuple, swept)] * 2)
    assert (visited[:, 1:] == 7).all()
    assert (drawn == 7).all(), "what was drawn is not changed"


def test_every_other_trial_of_a_probe_rests():
    drawn = np.full((4, 2), 7)
    assert velocities.for_split("probe", drawn, np.arange(3)).tolist() == [[0, 0], [7, 7], [0, 0], [7, 7]]
    assert velocities.number_of_trials("probe", 4, np.arange(3)) == 4


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_other_splits_keep_what_was_drawn(split):
    drawn = np.full((4, 2), 7)
    assert (velocities.for_split(split, drawn, np.arange(3)) == 7).all()
    assert velocities.number_of_trials(split, 4, np.arange(3)) == 4


def test_trained_velocities():
    velocity = np.array([[0, 1], [1, -1], [0, 2], [-2, 0]])
    assert velocities.within(velocity, 1).tolist() == [True, True, False, False]
    assert velocities.among(velocity, np.array([[0, 1], [-2, 0]])).tolist() == [True, False, False, True]
