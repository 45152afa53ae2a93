"""Long rollouts whose error, drift and growth are known."""

import numpy as np
import pytest
import torch
import xarray as xr

from analysis import stability
from flowsim import Flow, InputError, Translation
from flowsim.files import coordinates
from flowsim.measures import statistics

CONTEXT, TIME = 3, 15
AHEAD = np.arange(1, TIME - CONTEXT + 1)


def moving(rng, trials=6, size=(7, 9)):
    """A random image per trial, which moves by its own velocity: (1, trial, time, y, x)."""
    images, velocity = rng.standard_normal((trials, *size)), rng.integers(-2, 3, (trials, 2))
    frames = [[np.roll(i, t * v, (0, 1)) for t in range(TIME)] for i, v in zip(images, velocity, strict=True)]
    return np.array(frames)[None]


def disturbed(rng, frames, size):
    """A prediction that is wrong by relative ``size`` (ahead), in a direction of each trial that moves along."""
    noise = moving(rng, frames.shape[1], frames.shape[-2:])
    noise *= np.linalg.norm(frames, axis=(-2, -1), keepdims=True) / np.linalg.norm(
        noise, axis=(-2, -1), keepdims=True
    )
    predicted = frames.copy()
    predicted[:, :, CONTEXT:] += noise[:, :, CONTEXT:] * np.asarray(size)[:, None, None]
    return predicted


@pytest.fixture
def analysed(recording):
    def make(frames, prediction, state=None, flows=((0, 0),), **attrs):
        made = recording(
            state, flows, frames=frames, prediction=prediction, context=CONTEXT, **{"horizon": 4, **attrs}
        )
        return stability.analyse(made)

    return make


@pytest.mark.parametrize("rate", [0.15, -0.1, 0.0])
@pytest.mark.parametrize("scale", [1, 1e3])
def test_growth_is_the_exponent(rng, analysed, rate, scale):
    frames = scale * moving(rng)
    result = analysed(frames, disturbed(rng, frames, 0.05 * np.exp(rate * AHEAD)))
    world = result.sel(between="world")
    np.testing.assert_allclose(world.growth.sel(part="total"), rate, atol=1e-9)
    np.testing.assert_allclose(world.error.sel(part="total"), 0.05 * np.exp(rate * AHEAD))
    np.testing.assert_allclose(world.growth.sel(part="across"), rate, atol=0.02)
    assert result.error.sel(between="flows").isnull().all()


def test_growth_ends_where_the_error_saturates(rng, analysed):
    frames = moving(rng)
    slope = analysed(frames, disturbed(rng, frames, np.minimum(0.05 * np.exp(0.5 * AHEAD), 1.2))).growth
    np.testing.assert_allclose(slope.sel(between="world", part="total"), 0.5, atol=1e-9)
    lost = analysed(frames, disturbed(rng, frames, np.full(len(AHEAD), 1.2)))
    assert lost.growth.isnull().all()
    assert float(lost.unrelated.mean()) == pytest.approx(np.sqrt(2), rel=0.1)


def test_growth_of_errors_that_do_not_grow_is_0_within_its_interval(rng):
    """In about 95 % of 200 simulations."""
    found = 0
    all_frames = np.ones(len(AHEAD), bool)
    for _ in range(200):
        error = np.exp(0.2 * rng.standard_normal((8, len(AHEAD))))
        slopes = stability.growth_rates(error, AHEAD, all_frames)
        mean, half = statistics.mean_interval(xr.DataArray(slopes, dims="trial"), "trial")
        found += abs(mean) > half
    assert 2 <= found <= 20


def test_slipping_along_the_orbit_is_not_leaving_it(rng, analysed):
    frames = moving(rng, size=(30, 31))
    slipped = frames.copy()
    for ahead in AHEAD:
        time = ahead + CONTEXT - 1
        slipped[:, :, time] = np.roll(frames[:, :, time], (ahead, 0), (-2, -1))
    world = analysed(frames, slipped).sel(between="world")
    np.testing.assert_allclose(world.drift, AHEAD)
    np.testing.assert_allclose(world.error.sel(part="across"), 0, atol=1e-12)
    np.testing.assert_allclose(world.error.sel(part="along"), world.error.sel(part="total"))
    assert (world.error.sel(part="total") > 1).all()


def test_leaving_the_orbit_is_not_slipping(rng, analysed):
    frames = moving(rng)
    result = analysed(frames, disturbed(rng, frames, np.full(len(AHEAD), 0.3)))
    world = result.sel(between="world", ahead=slice(1, None))
    assert (world.drift == 0).all()
    np.testing.assert_allclose(world.error.sel(part="across"), 0.3)
    np.testing.assert_allclose(world.error.sel(part="along"), 0, atol=1e-6)
    assert (result.drift_interval.sel(between="world") == 0).all()


def test_norm_and_change_of_predictions_and_states(rng, analysed):
    frames = moving(rng)
    faded = frames * 0.9 ** np.maximum(0, np.arange(TIME) - CONTEXT + 1)[:, None, None]
    gone = rng.standard_normal((1, 6, TIME, 1, 2, 7, 9))
    state = np.stack([frames, 2 * frames], 3)[:, :, :, None]
    result = analysed(frames, faded, state)
    np.testing.assert_allclose(result.norm.sel(site="prediction"), 0.9**AHEAD)
    np.testing.assert_allclose(result.norm.sel(site="state"), 1)
    np.testing.assert_allclose(result.change.sel(site=["world", "state"])[:, 1:], 0, atol=1e-12)
    np.testing.assert_allclose(result.change.sel(site="prediction")[1:], 0.1)
    restless = analysed(frames, faded, gone)
    assert (restless.change.sel(site="state")[1:] > 0.8).all()
    np.testing.assert_allclose(restless.norm.sel(site="state"), 1, atol=0.2)


def test_state_without_space_has_a_norm_only(rng, recording):
    frames = moving(rng)
    made = recording(frames=frames, prediction=frames, context=CONTEXT)
    made["state"] = (coordinates.UNITS, 0.5 ** np.arange(TIME)[:, None] * np.ones((1, 6, 1, 4)))
    result = stability.analyse(made)
    np.testing.assert_allclose(result.norm.sel(site="state"), 0.5**AHEAD)
    assert result.change.sel(site="state").isnull().all()


def test_rollouts_that_differ_by_a_flow(rng, analysed):
    flows = [(0, 0), (1, 0), (-1, 2)]
    frames = moving(rng)
    rows = [Flow(Translation(), u).transport(torch.from_numpy(frames[0])).numpy() for u in flows]
    world = np.stack(rows)
    equivariant = 0.5 * world
    result = analysed(world, equivariant, flows=flows)
    np.testing.assert_allclose(result.error.sel(between="flows"), 0, atol=1e-12)
    np.testing.assert_allclose(result.error.sel(between="world", part="total"), 0.5)
    assert result.growth.sel(between="flows").isnull().all()
    apart = np.concatenate(
        [equivariant[:1], *(disturbed(rng, e[None], 0.01 * np.exp(0.2 * AHEAD)) for e in equivariant[1:])]
    )
    result = analysed(world, apart, flows=flows).sel(between="flows", part="total")
    assert float(result.growth) == pytest.approx(0.2)
    static = np.stack([equivariant[0]] * 3)  # follows no flow
    lost = analysed(world, static, flows=flows).sel(between="flows")
    assert (lost.drift[:3] > 1.9).all()
    np.testing.assert_allclose(lost.error.sel(part="across"), 0, atol=1e-12)


def test_other_groups_have_no_orbit_here(rng, recording):
    frames = moving(rng)
    made = recording(
        frames=frames, prediction=disturbed(rng, frames, np.full(len(AHEAD), 0.1)), context=CONTEXT
    )
    made = made.assign_attrs(flow_group="rotation").assign_coords(flow_omega=("flow", [0.0]))
    result = stability.analyse(made).sel(between="world")
    np.testing.assert_allclose(result.error.sel(part="total"), 0.1)
    for values in (result.error.sel(part=["across", "along"]), result.drift, result.change):
        assert values.isnull().all()


def test_one_trial_has_no_interval(rng, analysed):
    frames = moving(rng, trials=1)
    result = analysed(frames, disturbed(rng, frames, 0.05 * np.exp(0.1 * AHEAD)))
    assert float(result.growth.sel(between="world", part="total")) == pytest.approx(0.1)
    for name in ("error", "growth", "norm"):
        assert result[f"{name}_interval"].isnull().all()


def test_blocks_change_nothing(rng, analysed, monkeypatch):
    frames = moving(rng)
    predicted = disturbed(rng, frames, np.full(len(AHEAD), 0.2))
    whole = analysed(frames, predicted)
    monkeypatch.setattr(stability, "BLOCK", 1)
    xr.testing.assert_allclose(analysed(frames, predicted), whole)


def test_recordings_that_cannot_be_judged(rng, recording, analysed):
    with pytest.raises(InputError, match="expected the recording to hold 'prediction'"):
        stability.analyse(recording(np.zeros((1, 1, 4, 1, 1, 3, 3)), context=2))
    wrong = moving(rng)
    wrong[0, 5, -1] = np.nan
    with pytest.raises(InputError, match="the network diverged"):
        analysed(moving(rng), wrong)


def test_growth_rates_leave_out_rounding_and_need_three_frames():
    ahead = np.arange(1, 7)
    error = np.exp(0.3 * ahead)[None].repeat(3, 0)
    error[1, 0] = 1e-12  # exact at first
    error[2, :4] = 0
    rates = stability.growth_rates(error, ahead, ahead < 6)
    assert rates[:2] == pytest.approx(0.3)
    assert np.isnan(rates[2])
    assert np.isnan(stability.growth_rates(error, ahead, ahead < 3)).all()


def in_runs(*results):
    named = {"network": ("run", ["a"] * len(results)), "run": [f"a-seed{i}" for i in range(len(results))]}
    return xr.concat(results, "run").assign_coords(named).assign_attrs(results[0].attrs)


@pytest.mark.parametrize("kind", ["blank", "grey", "mean frame", "noise"])
def test_predictions_without_content_have_no_drift_and_do_not_win(rng, analysed, kind):
    frames = 0.5 + moving(rng, trials=12)
    nothing = {
        "blank": 0 * frames,
        "grey": 0 * frames + 0.5,
        "mean frame": frames.mean(1, keepdims=True) + 0 * frames,
        "noise": 0.5 + rng.standard_normal(frames.shape),
    }
    lost = analysed(frames, nothing[kind])
    world = lost.sel(between="world")
    assert (world.indistinct > 0.9).all()
    if kind in ("blank", "grey"):
        assert world.drift.isnull().all()
    assert world.growth.isnull().all()
    sharp = analysed(frames, disturbed(rng, frames, 0.05 * np.exp(0.1 * AHEAD)))
    assert (sharp.indistinct.sel(between="world") == 0).all()
    numbers = stability.answers(in_runs(lost, sharp))
    ranked = {label for label, values in numbers.items() if "better" in values.attrs}
    assert ranked == {"relative error of predicted frame 12"}
    total = numbers["relative error of predicted frame 12"]
    assert total[1] < total[0]
    assert total.attrs["baseline"]["mean frame"] == pytest.approx(float(lost.mean_frame[-1]))
    stability.figure(in_runs(lost, sharp)).draw_without_rendering()


def test_drift_is_ranked_where_all_of_it_is_known(rng, analysed):
    frames = moving(rng)
    slipped = frames.copy()
    slipped[:, :, -1] = np.roll(frames[:, :, -1], 2, -1)
    (drift,) = (
        values
        for label, values in stability.answers(in_runs(analysed(frames, slipped))).items()
        if label.startswith("drift")
    )
    assert drift.values.tolist() == [2]
    assert drift.attrs["better"] == "lower"


def test_the_error_of_the_mean_frame_is_that_of_a_prediction_by_it(rng, analysed):
    frames = moving(rng)
    others = (frames.sum(1, keepdims=True) - frames) / (frames.shape[1] - 1)
    result = analysed(frames, others)
    np.testing.assert_allclose(result.error.sel(between="world", part="total"), result.mean_frame)
    assert result.growth.isnull().all()


def test_the_flow_at_rest_is_the_reference_wherever_it_stands(rng, analysed):
    flows = [(1, 0), (0, 0), (-1, 2)]
    frames = moving(rng)
    world = np.stack([Flow(Translation(), u).transport(torch.from_numpy(frames[0])).numpy() for u in flows])
    result = analysed(world, 0.5 * world, flows=flows)
    np.testing.assert_allclose(result.error.sel(between="flows"), 0, atol=1e-12)
    with pytest.raises(InputError, match="expected one flow at rest"):
        analysed(world[[0, 2]], world[[0, 2]], flows=[(1, 0), (-1, 2)])
