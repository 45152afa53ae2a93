"""
group_structure: do the operators form a group?
===============================================

Two sets of states of six features at each of 20 pixels. In *acted*, the flow u multiplies each state by the
matrix exp(u A) and moves it along: the operators exist, and are one group. In *noise* nothing is to be
found.
"""

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from scipy.linalg import expm

from analysis import group_structure
from flowsim.figures import plot

plt.rcParams.update(plot.STYLE)
rng = np.random.default_rng(0)
flows, results = [0, -2, -1, 1, 2], []
turn = rng.standard_normal((6, 6))
turn = 0.3 * (turn - turn.T)
reference = rng.standard_normal((6, 6, 1, 6, 4, 5))  # (trial, time, velocity, channel, y, x)
acted = [np.einsum("gf,ktvfyx->ktvgyx", expm(u * turn), reference) for u in flows]
for i, u in enumerate(flows):
    acted[i] = np.stack([np.roll(acted[i][:, t], t * u, -1) for t in range(6)], 1)
dims = ("flow", "trial", "time", "velocity", "channel", "y", "x")
coords = {"flow_vy": ("flow", np.zeros(5)), "flow_vx": ("flow", flows), "time": np.arange(6)}
coords |= {"velocity_vy": ("velocity", [0]), "velocity_vx": ("velocity", [0])}
both = {"acted": np.stack(acted), "noise": rng.standard_normal((5, *reference.shape))}
for states in both.values():
    made = xr.Dataset({"state": (dims, states)}, coords, {"flow_group": "translation"})
    results.append(group_structure.analyse(made, permutations=19).expand_dims(run=1))

together = xr.concat(results, "run", join="outer").assign_coords(network=("run", list(both)))
for label, value in group_structure.answers(together).items():
    print(label, value.values.round(3))
figure = group_structure.figure(together)
