"""Objects are found where they are, whatever passes before them."""

import numpy as np
import pytest

from flowsim import InputError, Rotation, Translation, VelocityGrid
from flowsim.files import coordinates
from flowsim.measures import moving_objects
from flowsim.scenes.sources.digits import pixels
from tests.known.states import of_digits


def inked(made, which, share=0.5):
    """Where digits have more than a share of their brightest ink at frame 0 (trial, y, x)."""
    mask = np.zeros((made.sizes["trial"], made.sizes["y"], made.sizes["x"]), bool)
    for trial in range(len(mask)):
        image = pixels("bundled", made.object_image.values[trial, which])
        y, x = (int(made[f"object_position_{axis}"][trial, which]) for axis in "yx")
        mask[trial, :8, :8] = image > share * image.max()
        mask[trial] = np.roll(mask[trial], (y, x), (0, 1))
    return mask


def test_the_mask_of_one_digit_is_its_ink(recording):
    made = of_digits(recording, [(0, 0)], objects=1)
    found = moving_objects.moving_objects(made)
    np.testing.assert_array_equal(found.mask[:, 0], inked(made, 0))
    assert found.seen.all()
    flow = np.array([flow.velocity for flow in coordinates.flows(made)])
    own = np.stack([made.object_velocity_vy, made.object_velocity_vx], -1)
    np.testing.assert_array_equal(found.velocity, own + flow[:, None, None])
    bright = made.frames.values[4, 1, 3] > made.frames.values[4, 1, 3].max() / 2
    np.testing.assert_array_equal(found.place(4, 1, 0, 3), bright)


def test_another_digit_and_an_occluder_leave_the_mask_as_it_is(recording):
    made = of_digits(recording, [(0, 0)], objects=2, frames=24, velocities=[(0, 1), (1, 0)])
    found = moving_objects.moving_objects(made)
    apart = (made.object_velocity_vx.values[:, 0] != made.object_velocity_vx.values[:, 1]).nonzero()[0]
    assert len(apart)
    np.testing.assert_array_equal(found.mask[apart, 0], inked(made, 0)[apart])
    made = of_digits(recording, [(0, 0)], objects=1, frames=24, velocities=[(0, 1)], occluder=4)
    moving = slice(1, None, 2)
    found = moving_objects.moving_objects(made).mask[moving, 0]
    assert (found >= inked(made, 0)[moving]).all()
    assert (found <= inked(made, 0, 0.25)[moving]).all(), "ink is no brighter than the occluder"


def test_nothing_is_seen_where_nothing_stays_in_place(recording, rng):
    made = of_digits(recording, [(0, 0)], objects=1)
    made.frames.values[:, :4] = 0
    assert moving_objects.moving_objects(made).seen[:, 0].tolist() == [False] * 4 + [True] * 4


def test_velocities_have_to_be_known_and_kept(recording):
    made = of_digits(recording, [(0, 0)], objects=1)
    with pytest.raises(InputError, match="expected objects that translate at known velocities"):
        moving_objects.moving_objects(made.drop_vars("object_velocity_vx"))
    changing = made.object_velocity_vx.expand_dims(time=made.time).transpose("trial", "object", "time")
    with pytest.raises(InputError, match="or their velocities change"):
        moving_objects.moving_objects(made.assign_coords(object_velocity_vx=changing))


def test_velocity_channels_have_to_translate(recording):
    made = of_digits(recording, [(0, 1), (1, 1)], objects=1)
    assert moving_objects.translating_grid(made).velocities == ((0, 1), (1, 1))
    turning = made.drop_vars(["velocity_vy", "velocity_vx"]).assign_coords(
        coordinates.velocity_coords("velocity", Rotation(), [(0,), (10,)])
    )
    with pytest.raises(InputError, match="velocity channels of translation; they are of rotation"):
        moving_objects.translating_grid(turning)


def test_distances_go_the_shortest_way_around():
    closed = VelocityGrid.closed(Translation(), (5, 6))
    assert moving_objects.apart(np.array([4.0, 5.0]), np.array([0.0, 0.0]), closed) == np.sqrt(2)
    open_grid = VelocityGrid.box(Translation(), 2)
    assert moving_objects.apart(np.array([4.0, 3.0]), np.array([0.0, 0.0]), open_grid) == 5
