"""Which velocities look trained are those that were, and errors of 0 can be drawn."""

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr

from flowsim.figures import plot, velocity_plane

mpl.use("agg")


def errors(values, trained, components):
    """Results of one run (run, component, ...)."""
    dims = list(components)
    made = xr.Dataset(
        {
            "mse": (("run", *dims), values[None]),
            "trained": (dims, trained),
            "mse_trained": ("run", [1.0]),
            "mse_novel": ("run", [2.0]),
        },
        {"run": ["a-seed0"], "network": ("run", ["a"]), **components},
    )
    made.attrs["flow_group"] = "translation"
    return made


@pytest.mark.parametrize(
    ("trained", "expected"),
    [
        ([0, 1, 1, 1, 0], [(-1.5, 1.5)]),
        ([1, 0, 1, 0, 1], [(-2, -1.5), (-0.5, 0.5), (1.5, 2)]),
        ([0, 0, 1, 0, 0], [(-0.5, 0.5)]),
        ([0, 0, 0, 0, 0], []),
    ],
)
@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [3, 0, 4, 1, 2]])
def test_only_velocities_of_training_have_a_ground(trained, expected, order):
    velocities = np.arange(-2.0, 3)
    ranges = velocity_plane._ranges(velocities[order], np.array(trained)[order] == 1)
    assert ranges == expected


@pytest.mark.parametrize("lowest", [0.0, 1e-3])
def test_errors_of_0_are_drawn(lowest):
    values = np.full((3, 3), lowest)
    values[0] = 2 * lowest
    components = {"vy": np.arange(-1.0, 2), "vx": np.arange(-1.0, 2)}
    results = errors(values, np.eye(3, dtype=int), components)
    with mpl.rc_context(plot.STYLE):
        velocity_plane.by_velocity(results, "mse", label="MSE").draw_without_rendering()
