"""
orbit_geometry: what shape is the orbit?
========================================

A wave of one channel that is carried along by twelve flows. In the static frame its states lie on a circle;
carried back along the flow (the co-moving frame) they are one point.
"""

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

from analysis import orbit_geometry
from flowsim.figures import plot

plt.rcParams.update(plot.STYLE)
velocities = np.arange(12)
wave = np.cos(2 * np.pi * (np.arange(12) - velocities[:, None, None] * np.arange(3)[:, None]) / 12)
states = np.tile(wave[:, None, :, None, None, None], (1, 2, 1, 1, 1, 4, 1))
dims = ("flow", "trial", "time", "velocity", "channel", "y", "x")
coords = {"flow_vy": ("flow", np.zeros(12)), "flow_vx": ("flow", velocities), "time": np.arange(3)}
coords |= {"velocity_vy": ("velocity", [0]), "velocity_vx": ("velocity", [0])}
made = xr.Dataset({"state": (dims, states)}, coords, {"flow_group": "translation"})
result = orbit_geometry.analyse(made)
print(result.extent.sel(time=2, frame=["static", "co-moving"]).mean("trial").values.round(6))
figure = orbit_geometry.figure(result.expand_dims(run=1).assign_coords(network=("run", ["a wave"])))
