"""
free_run: does the state go on moving in the dark?
==================================================

Two states follow a stimulus that moves at each of nine velocities. After the fourth frame nothing is shown
any more: one state goes on moving with what it saw, as that of a flow-equivariant network does, the other
stays where it is and fades.
"""

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

from analysis import free_run
from flowsim.figures import plot

plt.rcParams.update(plot.STYLE)
rng = np.random.default_rng(0)
flows = [(vy, vx) for vy in (0, -1, 1) for vx in (0, -1, 1)]
images, times = rng.standard_normal((6, 1, 2, 12, 13)), np.arange(12)
driven = [[[np.roll(i, (t * vy, t * vx), (-2, -1)) for t in times] for i in images] for vy, vx in flows]
moving = np.array(driven)  # (flow, trial, time, velocity, channel, y, x)
resting = moving.copy()
for t in range(4, 12):
    resting[:, :, t] = 0.8 * resting[:, :, t - 1]
dims = ("flow", "trial", "time", "velocity", "channel", "y", "x")
coords = {"flow_vy": ("flow", [v[0] for v in flows]), "flow_vx": ("flow", [v[1] for v in flows])}
coords |= {"velocity_vy": ("velocity", [0]), "velocity_vx": ("velocity", [0]), "time": times}
coords |= {f"object_velocity_{axis}": (("trial", "object"), np.zeros((6, 1))) for axis in ("vy", "vx")}
coords |= {"blank": ("time", (times >= 4).astype(int))}
results, both = [], {"goes on": moving, "stays": resting}
for state in both.values():
    attrs = {"flow_group": "translation", "blank_by": "zeros"}
    made = xr.Dataset({"state": (dims, moving), "blank_state": (dims, state)}, coords, attrs)
    results.append(free_run.analyse(made).expand_dims(run=1))

together = xr.concat(results, "run", join="outer").assign_coords(network=("run", list(both)))
for label, value in free_run.answers(together).items():
    print(label, value.values.round(3))
figure = free_run.figure(together)
