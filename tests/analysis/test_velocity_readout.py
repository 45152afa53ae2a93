"""Populations of velocity channels that tell the velocity of objects, and ones that do not."""

import numpy as np
import pytest
from scipy.stats import t

from analysis import velocity_readout
from flowsim import InputError, Translation, VelocityGrid
from tests.known.states import of_digits

CLOSED = VelocityGrid.closed(Translation(), (11, 13)).velocities
BOX = VelocityGrid.box(Translation(), 3).velocities


def test_one_digit_and_all_velocities(recording):
    result = velocity_readout.analyse(of_digits(recording, CLOSED, objects=1), permutations=99)
    np.testing.assert_array_equal(result.error[2:], 0)
    assert result.error_mean < 0.05
    assert result.chance_mean > 1
    assert result.p == 0.01
    peak = result.population.where(result.population == result.population.max(), drop=True)
    assert (peak.vy.values.tolist(), peak.vx.values.tolist()) == ([0], [0])
    assert np.isnan(result.peaks)


def test_one_velocity_channel_is_at_chance(recording):
    result = velocity_readout.analyse(of_digits(recording, [(0, 0)], objects=1), permutations=99)
    speed = np.hypot(*_velocities(of_digits(recording, [(0, 0)], objects=1)))
    np.testing.assert_allclose(result.error, speed.mean())
    np.testing.assert_allclose(result.chance, result.error)
    assert result.p == 1
    assert result.sharpness.isnull().all()


def _velocities(made):
    return [
        made[f"object_velocity_v{axis}"].values[None] + made[f"flow_v{axis}"].values[:, None, None]
        for axis in "yx"
    ]


def test_two_digits_are_two_peaks(recording):
    made = of_digits(recording, BOX, objects=2, frames=12, height=16, width=18)
    result = velocity_readout.analyse(made, permutations=99)
    np.testing.assert_array_equal(result.error[2:], 0)
    assert result.peaks > 0.8
    assert result.peaks_chance < 0.15


def test_the_interval_is_that_of_the_mean_over_trials(recording):
    made = of_digits(recording, BOX[::3], objects=1)
    result = velocity_readout.analyse(made, permutations=9)
    each = [
        velocity_readout.analyse(made.isel(trial=[trial]), permutations=9).error_mean.item()
        for trial in range(8)
    ]
    half = t.ppf(0.975, 7) * np.std(each, ddof=1) / 8**0.5
    np.testing.assert_allclose(
        [result.error_low, result.error_high], [np.mean(each) - half, np.mean(each) + half]
    )


def test_a_hidden_digit_is_still_told_by_what_is_carried(recording):
    """A state that sees no occluder goes on with what it has; one that forgets is at chance."""
    spec = {"objects": 1, "frames": 14, "trials": 12, "occluder": 6, "velocities": [(1, 1), (0, 1), (-1, 2)]}
    told = velocity_readout.analyse(of_digits(recording, BOX, **spec), permutations=99)
    assert told.hidden_error < 0.5 * told.hidden_chance
    without = {**spec, "occluder": 0}
    assert np.isnan(velocity_readout.analyse(of_digits(recording, BOX, **without)).hidden_error)


def test_what_all_channels_have_tells_nothing(recording):
    """The same in each: no sharpness, and the mean of all velocities is told."""
    same = lambda frames: np.repeat(frames[:, :, :, None, None], len(BOX), 3)  # noqa: E731
    result = velocity_readout.analyse(of_digits(recording, BOX, same, objects=1), permutations=99)
    np.testing.assert_allclose(result.sharpness, 0, atol=1e-9)
    np.testing.assert_allclose(
        result.error_mean, np.hypot(*_velocities(of_digits(recording, BOX, objects=1))).mean()
    )
    assert result.p == 1


def test_one_channel_alone_is_sharp(recording):
    made = of_digits(recording, BOX, objects=1)
    made.state[:, :, :, 1:] = 0
    np.testing.assert_allclose(velocity_readout.analyse(made, permutations=9).sharpness, 1)


def test_wrong_labels_of_channels_are_wrong_answers(recording, rng):
    made = of_digits(recording, BOX, objects=1)
    mirrored = made.assign_coords(velocity_vy=-made.velocity_vy, velocity_vx=-made.velocity_vx)
    result = velocity_readout.analyse(mirrored, permutations=99)
    assert result.error_mean > result.chance_mean
    assert result.p > 0.5


def test_a_bias_says_nothing(recording, rng):
    made = of_digits(recording, BOX, objects=1)
    plain = velocity_readout.analyse(made, permutations=9)
    made.state.values += rng.uniform(0, 5, (1, 1, 1, len(BOX), 1, 1, 1))
    np.testing.assert_allclose(velocity_readout.analyse(made, permutations=9).error, plain.error)


def test_dead_states_and_nothing_to_see_are_told(recording):
    made = of_digits(recording, BOX, objects=1)
    for value in (0, 2.5):
        with pytest.raises(InputError, match="expected states that vary; each unit is constant"):
            velocity_readout.analyse(made.assign(state=0 * made.state + value))
    with pytest.raises(InputError, match="expected a frame after frame 0"):
        velocity_readout.analyse(made.isel(time=slice(1)))
    with pytest.raises(InputError, match="expected objects that can be seen to move at their velocities"):
        velocity_readout.analyse(made.assign(frames=0 * made.frames))
    made.state[0, 0, 3] = np.nan
    with pytest.raises(InputError, match="the state contains NaN or infinity"):
        velocity_readout.analyse(made)


def test_answers_are_relative_to_chance(recording):
    runs = velocity_readout.analyse(of_digits(recording, CLOSED, objects=1), permutations=9)
    answers = velocity_readout.answers(
        runs.expand_dims(run=["a-seed0"]).assign_coords(network=("run", ["a"]))
    )
    error = answers["error of the velocity that the state tells of objects, relative to chance"]
    np.testing.assert_allclose(error, runs.error_mean / runs.chance_mean)
    assert len(answers) == 2
