"""Distances between states agree with the models that made them, and no others."""

import numpy as np
import pytest

from analysis import representational_similarity
from flowsim import InputError
from flowsim.files import coordinates

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
        result = representational_similarity.analyse(made, permutations=19, bootstraps=2, seed=seed)
        found.append(result.p.isel(time=1).values.ravel())
    false = (np.array(found) <= 0.05).mean(0)
    assert (false <= 0.15).all(), false  # more than 6 of 40 have probability 0.01


def test_few_trials_and_what_is_missing(world, rng, runs):
    result = representational_similarity.analyse(runs["fernn-seed0"]["probe"])
    assert int(result.trials) == 2
    assert result.rho.sel(distance="crossnobis").isnull().all()
    assert result.low.isnull().all()
    assert result.rho.sel(distance="correlation", model="pixels").notnull().all()
    bare = world(noise(rng)).drop_vars(["frames", "object_label", "object_position_y"])
    found = representational_similarity.analyse(bare).rho.sel(distance="correlation")
    assert found.notnull().all("time").values.tolist() == [False, True, False, False, False]
    silent = representational_similarity.analyse(world(0 * noise(rng)))
    assert silent.rho.isnull().all()
    with pytest.raises(
        InputError, match="expected 3 flows and trials or more to compare distances; the probe has 2"
    ):
        representational_similarity.analyse(world(noise(rng)).isel(flow=[0, 1], trial=[0]))
