"""Distances between states agree with the models that made them, and no others."""

import numpy as np
import pytest

from analysis import representational_similarity
from flowsim import InputError
from flowsim.files import coordinates, netcdf
from flowsim.files.results import side_by_side, tidy
from flowsim.measures.rdm import noise_ceiling

FLOWS = [(0, 0), (1, 0), (0, -1), (1, 2), (-1, 1)]
SHAPE, TIMES, TRIALS = (6, 5), 3, 8
MODELS = list(representational_similarity.MODELS)


@pytest.fixture
def world(recording, rng):
    """A factory of probes with a state (flow, trial, time, unit)."""

    def make(units, labels=4):
        trials = units.shape[1]
        frames = rng.random((len(FLOWS), trials, TIMES, *SHAPE))
        made = recording(frames=frames, prediction=frames, flows=FLOWS).assign(
            state=(coordinates.UNITS, units)
        )
        made = made.drop_vars(["velocity_vy", "velocity_vx"])
        truth = {"label": np.arange(trials) % labels}
        truth |= {f"velocity_v{axis}": rng.integers(-1, 2, trials) for axis in "yx"}
        truth |= {f"position_{axis}": rng.integers(0, 5, trials) for axis in "yx"}
        return made.assign_coords(
            {f"object_{k}": (("trial", "object"), v[:, None]) for k, v in truth.items()}
        )

    return make


def noise(rng, units=30, trials=TRIALS):
    return rng.standard_normal((len(FLOWS), trials, TIMES, units))


def best(result, distance):
    mean = result.rho.sel(distance=distance).mean("time")
    return MODELS[int(np.nanargmax(mean.values))], mean


def test_a_geometry_of_velocity_is_that_of_velocity(world, rng):
    code = np.array(FLOWS, float) @ np.linalg.qr(rng.standard_normal((30, 2)))[0].T + 3 * rng.standard_normal(
        30
    )
    result = representational_similarity.analyse(world(code[:, None, None] + 0.05 * noise(rng)))
    name, mean = best(result, "correlation")
    assert name == "velocity"
    assert float(mean.sel(model="velocity")) > 0.6
    assert abs(float(mean.sel(model="identity"))) < 0.1
    assert float(result.rho.sel(distance="crossnobis", model="velocity").min()) > 0.9
    assert result.rho.sel(distance="crossnobis", model="identity").isnull().all()
    assert (result.p.sel(model="velocity") < 0.06).all()
    assert (result.p.sel(distance="correlation", model="identity") > 0.05).all()
    own = result.sel(distance="correlation", model="velocity")
    assert (own.low < own.rho).all()
    assert (own.high > own.rho).all()


def test_a_geometry_of_identity_is_that_of_identity(world, rng):
    code = rng.standard_normal((4, 30))[np.arange(TRIALS) % 4]
    result = representational_similarity.analyse(world(code[None, :, None] + 0.2 * noise(rng)))
    name, mean = best(result, "correlation")
    assert name == "identity"
    assert abs(float(mean.sel(model="velocity"))) < 0.15
    assert (result.p.sel(distance="correlation", model="identity") < 0.05).all()
    assert (abs(result.rho.sel(distance="crossnobis", model="velocity")) < 0.9).all()


def test_geometries_of_what_is_shown(world, rng):
    made = world(noise(rng))
    shown = made.frames.values.reshape(len(FLOWS), TRIALS, TIMES, -1)
    assert best(
        representational_similarity.analyse(made.assign(state=(coordinates.UNITS, shown))), "correlation"
    )[0] == ("pixels")


def test_p_values_of_noise_are_uniform(world):
    found = []
    for seed in range(40):
        made = world(noise(np.random.default_rng(seed), 10)).isel(time=[0, 1])
        result = representational_similarity.analyse(made, permutations=19, seed=seed)
        found.append(result.p.isel(time=1).values.ravel())
    false = (np.array(found) <= 0.05).mean(0)
    assert (false <= 0.15).all(), false  # more than 6 of 40 have probability 0.01


def test_few_trials_and_what_is_missing(world, rng, runs):
    result = representational_similarity.analyse(runs["fernn-seed0"]["probe"])
    assert int(result.trials) == 2
    assert result.rho.sel(distance="crossnobis").isnull().all()
    assert result.low.isnull().all()
    pixels = result.rho.sel(distance="correlation", model="pixels")
    assert pixels.notnull().values.tolist() == [False, *[True] * 5]  # two trials, and flows all the same
    bare = world(noise(rng)).drop_vars(["frames", "object_label", "object_position_y"])
    found = representational_similarity.analyse(bare).rho.sel(distance="correlation")
    assert found.notnull().all("time").values.tolist() == [False, True, False, False, False]
    silent = representational_similarity.analyse(world(0 * noise(rng)))
    assert silent.rho.isnull().all()
    assert (silent.silent == len(FLOWS) * TRIALS).all()
    with pytest.raises(InputError, match="expected 1 or more flows that move"):
        representational_similarity.analyse(world(noise(rng)).isel(flow=[0]))
    with pytest.raises(
        InputError, match="expected 3 flows and trials or more to compare distances; the probe has 2"
    ):
        representational_similarity.analyse(world(noise(rng)).isel(flow=[0, 1], trial=[0]))


@pytest.mark.parametrize("kind", ["independent", "content", "offset", "one pattern"])
def test_states_that_know_nothing_agree_with_no_model(kind, world):
    """In the mean over simulations; all flows of a trial may share what no model knows."""
    found = []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        units = noise(rng, 12)
        if kind == "content":
            units = 0.3 * units + rng.standard_normal((1, TRIALS, TIMES, 12))
        elif kind == "offset":
            units = units + 10 * rng.standard_normal(12)
        elif kind == "one pattern":
            units = 0.1 * units + rng.standard_normal((1, TRIALS, 1, 1)) * rng.standard_normal(12)
        result = representational_similarity.analyse(world(units).isel(time=[0, 1]), permutations=9)
        found.append(result.rho.isel(time=1).stack(comparison=("distance", "model")).values)
        np.testing.assert_allclose(result.null.isel(time=1).sel(distance="correlation"), 0, atol=0.1)
    found = np.array(found)[:, ~np.isnan(found).all(0)]
    assert found.shape[1] == 9
    error = found.std(0, ddof=1) / np.sqrt(len(found))
    assert (abs(found.mean(0)) < np.maximum(3.5 * error, 0.005)).all(), found.mean(0)
    assert (abs(found.mean(0)[:5]) < 0.06).all(), found.mean(0)


def test_silent_states_are_left_out_and_counted(world, rng):
    """The others agree with models as before; constant states are silent too."""
    code = rng.standard_normal((4, 30))[np.arange(TRIALS) % 4][None, :, None] + 0.2 * noise(rng)
    heard = representational_similarity.analyse(world(code))
    code[2, 3, 1], code[0, 0, 1] = 0, 0.1
    made = world(code)
    result = representational_similarity.analyse(made)
    assert result.silent.values.tolist() == [0, 2, 0]
    own, other = (r.rho.sel(distance="correlation", model="identity") for r in (result, heard))
    np.testing.assert_allclose(own, other, atol=0.03)
    assert (result.p.sel(distance="correlation", model="identity") < 0.05).all()
    pairs = np.isnan(result.correlation[1])
    silent = [2 * TRIALS + 3, 0]
    assert (pairs == (result.pair_one.isin(silent) | result.pair_two.isin(silent))).all()


def test_the_flow_at_rest_may_be_anywhere(world, rng):
    made = world(noise(rng))
    expected = representational_similarity.analyse(made)
    found = representational_similarity.analyse(made.isel(flow=[2, 0, 1, 3, 4]).isel(flow=[1, 2, 0, 3, 4]))
    np.testing.assert_allclose(found.rho, expected.rho)
    turned = representational_similarity.analyse(made.isel(flow=[1, 2, 3, 4, 0]))
    np.testing.assert_allclose(turned.rho, expected.rho, atol=1e-9)
    with pytest.raises(InputError, match="expected one flow at rest"):
        representational_similarity.analyse(made.isel(flow=[1, 2, 3]))


def test_only_conditions_of_different_trials_are_compared(world, rng):
    result = representational_similarity.analyse(world(noise(rng)))
    assert (result.pair_one % TRIALS != result.pair_two % TRIALS).all()
    assert result.sizes["pair"] == TRIALS * (TRIALS - 1) // 2 * len(FLOWS) ** 2


def test_the_table_of_the_figure_has_the_ceilings_and_no_distances(world, rng, tmp_path):
    """Distances are many, and in the results; a table of them would be a hundred times as large as all else."""
    shared_by_seeds = noise(rng)
    paths = []
    for network, seed in (("a", 0), ("a", 1), ("b", 0)):
        made = world(shared_by_seeds + noise(rng))
        paths.append(tmp_path / f"{network}{seed}.h5")
        netcdf.write(
            representational_similarity.analyse(made, permutations=9),
            paths[-1],
            {"stage": "analysis", "network": network, "seed": str(seed)},
        )
    results = side_by_side(paths, "representational_similarity")
    shown = representational_similarity.drawn(results)
    two = results.correlation.isel(run=[0, 1]).transpose("run", "time", "pair").values
    expected = noise_ceiling(two)
    for run in ("a-seed0", "a-seed1"):
        found = shown.ceiling.sel(run=run, distance="correlation").transpose("bound", "time")
        np.testing.assert_array_equal(found, expected)
    assert (expected[0] > 0).all()
    assert (expected[0] < expected[1]).all()
    assert shown.ceiling.sel(run="b-seed0").isnull().all()
    assert {"correlation", "crossnobis"}.isdisjoint(shown.data_vars)
    assert {"rho", "low", "high", "p", "null", "silent"} <= set(shown.data_vars)
    assert len(tidy(shown)) < 2 * results.correlation[0].size
