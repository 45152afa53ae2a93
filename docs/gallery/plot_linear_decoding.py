"""
linear_decoding: what can be read out, and when?
================================================

Two sets of states of 30 units: one codes what is seen (a label of three), whatever the flow; the other
which way it moves, whatever is seen. Each readout finds its own, and only that: identity in the first,
velocity in the second.
"""

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

from analysis import linear_decoding
from flowsim.figures import plot

plt.rcParams.update(plot.STYLE)
rng = np.random.default_rng(0)
flows, label, results = np.array([[0, 0], [1, 0], [0, 1], [-1, 0], [0, -1]]), np.arange(12) % 3, []
noise = 0.1 * rng.standard_normal((5, 12, 6, 30))  # (flow, trial, time, unit)
of_label = rng.standard_normal((3, 30))[label][None, :, None]
of_velocity = (flows @ rng.standard_normal((2, 30)))[:, None, None]
both = {"codes what": noise + of_label, "codes which way": noise + of_velocity}
coords = {"flow_vy": ("flow", flows[:, 0]), "flow_vx": ("flow", flows[:, 1]), "time": np.arange(6)}
truth = {"label": label, "velocity_vy": 0 * label, "velocity_vx": 0 * label, "position_y": label + 1}
truth["position_x"] = rng.integers(0, 5, 12)
coords |= {f"object_{name}": (("trial", "object"), v[:, None]) for name, v in truth.items()}
frames = ("flow", "trial", "time", "y", "x"), rng.random((5, 12, 6, 6, 5))
for states in both.values():
    made = {"frames": frames, "state": (("flow", "trial", "time", "unit"), states)}
    made = xr.Dataset(made, coords, {"flow_group": "translation"})
    results.append(linear_decoding.analyse(made, permutations=19).expand_dims(run=1))

together = xr.concat(results, "run", join="outer").assign_coords(network=("run", list(both)))
for label, value in linear_decoding.answers(together).items():
    print(label, value.values.round(3))
figure = linear_decoding.figure(together)
