"""
velocity_tuning: which units answer to which motion?
====================================================

Sixteen units with bumps of tuning around eight directions, and sixteen that answer to nothing. The figure
finds the first and not the second.
"""

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

from analysis import velocity_tuning
from flowsim.figures import plot

plt.rcParams.update(plot.STYLE)
rng = np.random.default_rng(0)
flows = np.array([(0, 0), *((y, x) for y in range(-2, 3) for x in range(-2, 3) if y or x)])
preferred = np.arange(16) * np.pi / 4
direction = np.arctan2(-flows[:, 0], flows[:, 1])[:, None]
tuned = np.where(flows.any(1)[:, None], np.exp(2 * (np.cos(direction - preferred) - 1)), 0.1)
curves = np.concatenate([tuned, np.full((25, 16), 0.5)], 1)
states = curves[:, None, None] * np.ones((1, 8, 4, 1)) + 0.1 * rng.standard_normal((25, 8, 4, 32))
coords = {"flow_vy": ("flow", flows[:, 0]), "flow_vx": ("flow", flows[:, 1]), "time": np.arange(4)}
rest = (("trial", "object"), np.zeros((8, 1)))
coords |= {"object_velocity_vy": rest, "object_velocity_vx": rest}
made = xr.Dataset(
    {"state": (("flow", "trial", "time", "unit"), states)}, coords, {"flow_group": "translation"}
)
result = velocity_tuning.analyse(made, permutations=199)
print(result.tuned.sel(test="direction").values.astype(int))
figure = velocity_tuning.figure(result.expand_dims(run=1).assign_coords(network=("run", ["made"])))
