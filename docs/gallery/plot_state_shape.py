"""
state_shape: does the state hold the shape of what moves?
=========================================================

Velocity channels that add up what they see while they move along: that of the digit's velocity has exactly
the digit's shape. A state that adds up in place smears it, and noise has its share of the frame.
"""

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

from analysis import state_shape
from flowsim.figures import plot
from stimuli import moving_digits

plt.rcParams.update(plot.STYLE)
rng, results = np.random.default_rng(0), []
probe = moving_digits.generate("probe", rng, objects=1, trials=8)
probe = probe.rename({name: f"object_{name}" for name in probe.coords if "object" in probe[name].dims})
for name, reach in {"all of V": 2, "V = {0}": 0, "noise": 2}.items():
    velocities = [(y, x) for y in range(-reach, reach + 1) for x in range(-reach, reach + 1)]
    state = rng.standard_normal((9, 8, 12, len(velocities), 1, 16, 16))
    for v, t in np.ndindex(len(velocities), 0 if name == "noise" else 12):
        moved = np.roll(state[:, :, t - 1, v, 0], velocities[v], (-2, -1)) if t else 0
        state[:, :, t, v, 0] = moved + probe.frames.values[:, :, t]
    dims = ("flow", "trial", "time", "velocity", "channel", "y", "x")
    channels = {
        f"velocity_v{axis}": ("velocity", v) for axis, v in zip("yx", np.transpose(velocities), strict=True)
    }
    result = state_shape.analyse(probe.assign(state=(dims, state)).assign_coords(channels))
    results.append(result.expand_dims(run=[name]).assign_coords(network=("run", [name])))
together = xr.concat(results, "run", join="outer")
print({label: value.values.round(3) for label, value in state_shape.answers(together).items()})
figure = state_shape.figure(together)
