"""Errors that depend on velocity in a known way."""

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr

from analysis import (
    velocity_generalisation,
)
from flowsim import (
    InputError,
)
from flowsim.figures import plot


def test_each_velocity_has_its_error(predicted):
    velocities = [(vy, vx) for vy in range(-2, 3) for vx in range(-2, 3)] * 2
    made = predicted(lambda _: 1, horizon=3, trials=50)
    size = xr.DataArray([0.1 * max(abs(vy), abs(vx)) for vy, vx in velocities], dims="trial")
    made["prediction"] = made.frames + size
    made = made.assign_coords(
        object_velocity_vy=(("trial", "object"), np.array([[v[0], 9] for v in velocities])),
        object_velocity_vx=(("trial", "object"), np.array([[v[1], 9] for v in velocities])),
    )
    result = velocity_generalisation.analyse(made, trained_speed=1)
    assert result.mse.dims == ("vy", "vx")
    assert (result.trials == 2).all()
    np.testing.assert_allclose(result.mse.sel(vy=-2, vx=0), 0.04)
    np.testing.assert_allclose(result.mse.sel(vy=0, vx=1), 0.01)
    np.testing.assert_allclose(result.mse_novel, 0.04)
    np.testing.assert_allclose(result.mse_trained, 0.01 * 8 / 9)
    np.testing.assert_array_equal(result.trained.sel(vy=[-2, 0], vx=[0, 1]), [[0, 0], [1, 1]])
    with pytest.raises(
        InputError, match=r"does not say which velocities were trained \(trained\); give trained_speed"
    ):
        velocity_generalisation.analyse(made)
    upward = made.assign_coords(trained=("trial", np.array([vy < 0 for vy, _ in velocities])))
    result = velocity_generalisation.analyse(upward)
    np.testing.assert_array_equal(result.trained.any("vx"), [1, 1, 0, 0, 0])


@pytest.mark.parametrize("component", ["omega", "expansion"])
def test_velocities_on_a_line(predicted, component, tmp_path):
    made = predicted(lambda _: 1, horizon=3, trials=10)
    swept = np.array([-20.0, -10, 0, 10, 20] * 2)
    made["prediction"] = made.frames + 0.1 * xr.DataArray(abs(swept) / 10, dims="trial")
    made = made.assign_coords({f"object_velocity_{component}": (("trial", "object"), swept[:, None])})
    result = velocity_generalisation.analyse(made, trained_speed=10)
    assert result.mse.dims == (component,)
    np.testing.assert_allclose(result.mse, [0.04, 0.01, 0, 0.01, 0.04], atol=1e-12)
    assert result.trained.values.tolist() == [0, 1, 1, 1, 0]
    both = result.expand_dims(run=["a"]).assign_coords(network=("run", ["fernn"]))
    with mpl.rc_context(plot.STYLE):
        assert component in velocity_generalisation.figure(both).axes[0].get_xlabel()


def test_predictors_are_compared_at_trained_and_at_novel_velocities(predicted):
    """A copy is exact at each of them; frames stand still in every second trial."""
    made = predicted(lambda _: 0.1, horizon=3, trials=6)
    first, speed = made.frames.values[:, :, :1], np.array([0, 2, 0, 2, 0, 2])
    for trial, t in np.ndindex(6, made.sizes["time"]):
        made.frames[0, trial, t] = np.roll(first[0, trial, 0], t * speed[trial], -1)
    made["prediction"] = made.frames + 0.1
    truth = {"vy": 0 * speed[:, None], "vx": speed[:, None]}
    made = made.assign_coords({f"object_velocity_{c}": (("trial", "object"), v) for c, v in truth.items()})
    result = velocity_generalisation.analyse(made, trained_speed=1)
    last = {"predictor": "last frame"}
    assert float(result.predictor_mse_trained.sel(last)) == 0 < 0.01 < result.predictor_mse_novel.sel(last)
    for copy in ("moved copy (estimated velocity)", "moved copy (true velocity)"):
        assert float(result.predictor_mse_novel.sel(predictor=copy)) < 1e-20
    both = result.expand_dims(run=["a"]).assign_coords(network=("run", ["fernn"]))
    novel = velocity_generalisation.answers(both)["MSE at novel velocities"]
    assert list(novel.attrs["baseline"]) == result.predictor.values.tolist()
