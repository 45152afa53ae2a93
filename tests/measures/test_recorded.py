"""What analyses take out of recordings: values as they are, in float64, or one error that says what to do."""

import dask.array
import numpy as np
import pytest
import xarray as xr

from flowsim import InputError
from flowsim.files import coordinates
from flowsim.measures import recorded

DIVERGED = "the {} contains NaN or infinity: the network diverged; train it again"


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_activity_is_read_as_it_is_in_float64(dtype, rng):
    values = rng.standard_normal((2, 3, 4, 5)).astype(dtype)
    for array in (values, dask.array.from_array(values, chunks=1)):
        activity = recorded.in_float64(xr.DataArray(array, dims=coordinates.UNITS))
        assert isinstance(activity, np.ndarray)
        assert activity.dtype == np.float64
        np.testing.assert_array_equal(activity, values)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("what", ["state", "prediction"])
def test_one_value_that_is_not_finite_is_an_error(wrong, what):
    values = np.zeros((2, 3, 4, 5))
    recorded.require_finite(values, what)
    values[1, 2, 3, 4] = wrong
    lazy = xr.DataArray(values, dims=coordinates.UNITS).chunk(trial=1)
    for activity in (values, lazy):
        with pytest.raises(InputError, match=DIVERGED.format(what)):
            recorded.require_finite(activity, what)
    with pytest.raises(InputError, match=DIVERGED.format(what)):
        recorded.in_float64(lazy, what)


def test_activity_is_called_the_state_unless_said_otherwise():
    with pytest.raises(InputError, match=DIVERGED.format("state")):
        recorded.require_finite(np.array([np.nan]))


def test_a_large_finite_value_is_no_divergence():
    recorded.require_finite(np.array([np.finfo(np.float64).max, -1e-320]))


@pytest.mark.parametrize("in_memory", [0, 2**29])
@pytest.mark.parametrize("flows", [1, 2, 5])
def test_a_trial_is_read_once_for_all_flows_of_a_chunk(in_memory, flows, rng, monkeypatch):
    values = rng.standard_normal((5, 3, 4, 2))
    read = []

    def counted(block, block_info):
        read.append(block_info[0]["chunk-location"])
        return block

    chunked = dask.array.from_array(values, (flows, 1, 2, 2)).map_blocks(
        counted, dtype=float, meta=np.empty(0)
    )
    monkeypatch.setattr(recorded, "IN_MEMORY", in_memory)
    dims = ("flow", "trial", "time", "unit")
    by_trial = recorded.TrialByTrial(xr.DataArray(chunked, dims=dims))
    in_turn = [by_trial.read(flow, trial) for trial in range(3) for flow in range(5)]
    assert in_turn[0].dims == dims[2:]
    np.testing.assert_array_equal(in_turn, np.moveaxis(values, 1, 0).reshape(15, 4, 2))
    assert len(read) == len(set(read)) == chunked.npartitions
    np.testing.assert_array_equal(by_trial.read(4, 0), values[4, 0])  # a trial may be asked for again
    of_array = recorded.TrialByTrial(xr.DataArray(values, dims=dims))
    np.testing.assert_array_equal(of_array.read(4, 2), values[4, 2])


def test_coordinates_of_flows_are_those_over_flow_alone(recording):
    made = recording(np.zeros((2, 1, 3, 1, 1, 2, 2)), [(0, 0), (1, 0)])
    made = made.assign_coords(
        name=("flow", ["still", "down"]), both=(("flow", "trial"), np.zeros((2, 1))), one=5.0
    )
    chosen = recorded.flow_coords(made)
    assert set(chosen) == {"flow_vy", "flow_vx", "name"}
    assert chosen["flow_vy"].values.tolist() == [0, 1]
    assert chosen["flow_vy"].attrs["units"] == "px/frame"


def test_a_ratio_is_a_quotient_where_there_is_something_to_divide_by():
    numerator = np.array([1.0, 0.0, 3.0, 0.0, np.nan])
    quotient = recorded.ratio(numerator, np.array([2.0, 4.0, 0.0, 0.0, 1.0]))
    np.testing.assert_array_equal(quotient, [0.5, 0, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(
        recorded.ratio(np.ones(3), np.array([-1.0, np.nan, 1])), [np.nan, np.nan, 1]
    )


def test_a_ratio_broadcasts():
    quotient = recorded.ratio(np.ones((2, 1)), np.array([1.0, 0, 4]))
    np.testing.assert_array_equal(quotient, [[1, np.nan, 0.25]] * 2)


def predicted(recording, off, context=2, **options):
    """A recording of random frames, of which the prediction is off by so much, known from the context on."""
    frames = np.random.default_rng(0).random((1, 3, 6, 2, 4)).astype(np.float32)
    prediction = frames + np.broadcast_to(off, frames.shape).astype(np.float32)
    prediction[:, :, : options.pop("unknown", context)] = np.nan
    return recording(frames=frames, prediction=prediction, context=context, **options)


def test_squared_errors_are_those_of_the_frames_after_the_context(recording):
    off = 0.1 * np.arange(6)[:, None, None]
    error, frames = recorded.squared_error(predicted(recording, off))
    assert error.dims == ("flow", "trial", "time", "y", "x")
    assert error.dtype == np.float64
    assert error.ahead.values.tolist() == [1, 2, 3, 4]
    assert error.time.values.tolist() == [2, 3, 4, 5]
    np.testing.assert_allclose(error, np.broadcast_to(off[2:] ** 2, error.shape), rtol=1e-5)
    assert frames.time.values.tolist() == [2, 3, 4, 5]
    exact, _ = recorded.squared_error(predicted(recording, 0))
    assert (exact == 0).all()


def test_frames_ahead_are_counted_by_time_in_a_thinned_recording(recording):
    error, _ = recorded.squared_error(predicted(recording, 0.5, unknown=1, times=[0, 2, 4, 6, 8, 10]))
    assert error.ahead.values.tolist() == [1, 3, 5, 7, 9]


def test_squared_errors_need_predictions_after_the_context(recording):
    with pytest.raises(InputError, match="expected the recording to hold 'prediction'"):
        recorded.squared_error(recording(np.zeros((1, 1, 4, 1, 1, 3, 3)), context=2))
    made = predicted(recording, 0)
    del made.attrs["context"]
    with pytest.raises(InputError, match="expected the attribute context, .*; the recording has none"):
        recorded.squared_error(made)
    with pytest.raises(InputError, match="expected frames after the context of 6; .* 6 frames in all"):
        recorded.squared_error(predicted(recording, 0, context=6))
    with pytest.raises(InputError, match=DIVERGED.format("prediction")):
        recorded.squared_error(predicted(recording, 0, unknown=3))


@pytest.mark.parametrize("trials", [2, 3, 20])
def test_the_mean_frame_leaves_out_the_judged_trial(recording, trials):
    """So that its error is n / (n - 1) times the variance, and not (n - 1) / n of it."""
    frames = np.random.default_rng(0).standard_normal((2, trials, 5, 30, 30)).astype(np.float32)
    flows = [(0, 0), (1, 0)]
    frames[1] = frames[0]  # the same trials under another flow
    error = recorded.error_of_mean_frame(recording(None, flows, frames=frames, prediction=frames, context=2))
    assert error.dims == ("flow", "trial", "time", "y", "x")
    assert error.ahead.values.tolist() == [1, 2, 3]
    by_hand = frames[:, 0] - frames[:, 1:].mean((0, 1))
    np.testing.assert_allclose(error[:, 0], by_hand[:, 2:] ** 2, rtol=1e-4, atol=1e-6)
    assert float(error.mean()) == pytest.approx(trials / (trials - 1), rel=0.1)
    one = recorded.error_of_mean_frame(
        recording(None, flows, frames=frames[:, :1], prediction=frames[:, :1], context=2)
    )
    assert one.isnull().all()


def test_the_reference_is_found_by_its_velocity(recording):
    states = np.arange(3.0).reshape(3, 1, 1, 1, 1, 1, 1)
    made = recording(states, [(0, 1), (0, 0), (-1, 0)])
    first = recorded.reference_first(made)
    assert first.state.values.ravel().tolist() == [1, 2, 0]
    assert first.flow_vx.values.tolist() == [0, 0, 1]
    already = recording(states, [(0, 0), (-1, 0), (0, 1)])
    assert recorded.reference_first(already) is already


def test_flows_that_cannot_be_compared_are_refused(recording):
    cases = [
        ([(0, 0)], "expected 1 or more flows that move, besides the reference; the recording has 0"),
        ([(0, 1), (1, 0)], "expected one flow at rest.*the recording has 0 of 2 flows"),
        ([(0, 0), (0, 0)], "expected one flow at rest.*the recording has 2 of 2 flows"),
        ([(0, 0), (0, 1), (0, 1)], "expected flows of different velocities"),
    ]
    for flows, message in cases:
        with pytest.raises(InputError, match=message):
            recorded.reference_first(recording(np.zeros((len(flows), 1, 1, 1, 1, 1, 1)), flows))
    two = recording(np.zeros((2, 1, 1, 1, 1, 1, 1)), [(0, 0), (0, 1)])
    with pytest.raises(InputError, match="expected 2 or more flows that move"):
        recorded.reference_first(two, moving=2)
