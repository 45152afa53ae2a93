"""
motion_tuning: what do units do with motion?
============================================

Twelve quadrature pairs of motion energy answer to the components of plaids and to temporal frequency. Twelve
units that know the one velocity that agrees with all gratings answer to the pattern.
"""

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

from analysis import motion_tuning
from flowsim.figures import plot
from stimuli import motion_panel

plt.rcParams.update(plot.STYLE)
made = motion_panel.generate("sweep", np.random.default_rng(0), trials=4)
frames, around, results = made.frames.values - 0.5, np.arange(12) * np.pi / 6, []
time, up, right = np.ogrid[:12, 7.5:-8.5:-1, -7.5:8.5]
window = np.exp(-(up**2 + right**2) / 32)
waves = [0.125 * (right * np.cos(a) + up * np.sin(a) - time) for a in around]
energy = [abs(np.einsum("ktyx,tyx->k", frames, window * np.exp(2j * np.pi * wave))) ** 2 for wave in waves]
angle = np.arctan2(-made.velocity_vy, made.velocity_vx).values
constraints = np.where(np.isfinite(angle), np.exp(2 * np.cos(angle - around) - 2), 0.1)
for name, units in {"motion energy": np.transpose(energy), "constraints": constraints}.items():
    state = xr.DataArray(units[None, :, None], dims=("flow", "trial", "time", "unit"))
    watched = made.drop_dims("time").assign(state=state).assign_coords(time=[0])
    result = motion_tuning.analyse(watched, permutations=199)
    results.append(result.expand_dims(run=[name]).assign_coords(network=("run", [name])))
together = xr.concat(results, "run")
for label, value in motion_tuning.answers(together).items():
    print(label, value.values.round(2))
figure = motion_tuning.figure(together)
