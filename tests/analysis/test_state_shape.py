"""States that hold the shape of a digit, and states that do not."""

import matplotlib as mpl
import numpy as np
import pytest

from analysis import state_shape
from flowsim import InputError, Translation, VelocityGrid
from flowsim.figures import plot
from tests.known.states import of_digits

BOX = VelocityGrid.box(Translation(), 3).velocities


def overlap(result, channel, velocity="true"):
    return float(result.overlap.sel(channel=channel, velocity=velocity))


def test_an_accumulator_has_the_shape_of_a_rigid_digit(recording):
    result = state_shape.analyse(of_digits(recording, BOX, objects=1))
    assert overlap(result, "own") == overlap(result, "best") == 1
    assert float(result.iou.sel(channel="own", velocity="true")) == 1
    np.testing.assert_array_equal(result["shape"].sel(velocity="true"), result["mask"])
    assert result.covered == 1
    assert (result.above - result.above_interval > 0.3).all()


def test_at_shuffled_velocities_it_has_the_share_of_the_mask(recording):
    """The longer it moves, the less of the digit is left at its place."""
    size = {"height": 17, "width": 19, "frames": 300, "probe_speed": 0, "trials": 24}
    velocities = [(2, 3), (-3, 2), (3, -2), (-2, -3)]
    made = of_digits(recording, velocities, objects=1, velocities=velocities, **size)
    made = made.isel(trial=slice(1, None, 2))
    result = state_shape.analyse(made, since=299)
    assert overlap(result, "own") == 1
    assert overlap(result, "own", "other") == pytest.approx(float(result.share), abs=0.03)


def test_noise_has_the_share_of_the_mask(recording, rng):
    noise = lambda frames: rng.standard_normal((*frames.shape[:3], len(BOX), 1, *frames.shape[-2:]))  # noqa: E731
    result = state_shape.analyse(of_digits(recording, BOX, noise, objects=1, trials=20))
    assert overlap(result, "own") == pytest.approx(float(result.share), abs=0.02)
    assert overlap(result, "best") > overlap(result, "own") + 0.1, "chosen"
    assert overlap(result, "best") == pytest.approx(overlap(result, "best", "other"), abs=0.02)


def test_a_constant_map_has_the_share_of_the_mask(recording):
    """Pixels that are equal share what is left: the order of pixels tells nothing."""
    made = of_digits(recording, [(0, 0)], objects=1)
    made.state[:, 1:] = 2.5
    result, first = state_shape.analyse(made), state_shape.analyse(made.isel(trial=[0]))
    of_others = 8 * float(result.share) - float(first.share)
    assert overlap(result, "own") == pytest.approx((overlap(first, "own") + of_others) / 8)


def test_a_state_that_lags_is_smeared(recording):
    still = state_shape.analyse(of_digits(recording, [(0, 0)], objects=1))
    assert float(still.share) < overlap(still, "own") < 0.8
    assert overlap(still, "own") == overlap(still, "best")


def test_channels_with_the_wrong_names_are_best_but_not_own(recording):
    made = of_digits(recording, BOX, objects=1)
    mirrored = made.assign_coords(velocity_vy=-made.velocity_vy, velocity_vx=-made.velocity_vx)
    result = state_shape.analyse(mirrored)
    assert overlap(result, "best") == 1
    assert overlap(result, "own") < 0.8


def test_objects_without_a_channel_are_not_judged_by_one(recording):
    made = of_digits(recording, [(5, 5), (4, 4)], objects=1)
    result = state_shape.analyse(made)
    assert result.covered == 0
    assert result.overlap.sel(channel="own").isnull().all()
    assert overlap(result, "best") > 0
    runs = result.expand_dims(run=["a-seed0"]).assign_coords(network=("run", ["a"]))
    assert len(state_shape.answers(runs)) == 2
    with mpl.rc_context(plot.STYLE):
        figure = state_shape.figure(runs)
        figure.draw_without_rendering()
    assert "no channel of its own" in {text.get_text() for text in figure.findobj(mpl.text.Text)}


def test_what_cannot_be_judged_is_told(recording):
    made = of_digits(recording, BOX, objects=1)
    with pytest.raises(InputError, match=r"expected frames from 99 on \(since\); the recording ends with"):
        state_shape.analyse(made, since=99)
    with pytest.raises(InputError, match="expected objects that can be seen to move at their velocities"):
        state_shape.analyse(made.assign(frames=0 * made.frames))
    for value in (0, 2.5):
        with pytest.raises(InputError, match="expected states that vary; each unit is constant"):
            state_shape.analyse(made.assign(state=0 * made.state + value))
    made.state[0, 0, 7] = np.nan
    with pytest.raises(InputError, match="the state contains NaN or infinity"):
        state_shape.analyse(made)
