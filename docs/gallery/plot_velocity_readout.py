"""
velocity_readout: which velocity does the state tell?
=====================================================

Each velocity channel adds up what it sees while it moves along. At a digit, the channel of the digit's
velocity has most energy: the error is 0. With the one channel v = 0 it is that of chance.
"""

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

from analysis import velocity_readout
from flowsim.figures import plot
from stimuli import moving_digits

plt.rcParams.update(plot.STYLE)
probe = moving_digits.generate("probe", np.random.default_rng(0), objects=2, trials=8)
probe = probe.rename({name: f"object_{name}" for name in probe.coords if "object" in probe[name].dims})
results = []
for name, reach in {"all of V": 2, "V = {0}": 0}.items():
    velocities = [(y, x) for y in range(-reach, reach + 1) for x in range(-reach, reach + 1)]
    state = np.zeros((9, 8, 12, len(velocities), 1, 16, 16))
    for v, t in np.ndindex(len(velocities), 12):
        moved = np.roll(state[:, :, t - 1, v, 0], velocities[v], (-2, -1)) if t else 0
        state[:, :, t, v, 0] = moved + probe.frames.values[:, :, t]
    dims = ("flow", "trial", "time", "velocity", "channel", "y", "x")
    channels = {
        f"velocity_v{axis}": ("velocity", v) for axis, v in zip("yx", np.transpose(velocities), strict=True)
    }
    result = velocity_readout.analyse(probe.assign(state=(dims, state)).assign_coords(channels))
    results.append(result.expand_dims(run=[name]).assign_coords(network=("run", [name])))
together = xr.concat(results, "run", join="outer")
print({label: value.values.round(3) for label, value in velocity_readout.answers(together).items()})
figure = velocity_readout.figure(together)
